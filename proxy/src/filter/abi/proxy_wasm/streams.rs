//! The streams of one exchange, one in the instance of each filter, and the part of their hooks that waits.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::hold::wait;
use super::stream::{Next, Stage, Stream};
use super::worker;
use crate::exchange::Failure;
use crate::filter::abi::Call;
use crate::filter::chain::Way;
use crate::filter::hand::Hand;
use crate::filter::limits::thread_cpu_time;
use crate::filter::witness::Watch;
use crate::filter::{Fault, Filter, Verdict};

/// Who passes the bodies of an exchange on, and has to hear when something of them may go on.
#[derive(Debug, Default)]
pub struct Wakers(RefCell<[Option<Waker>; 2]>);

impl Wakers {
    pub fn wake(&self, way: Way) {
        if let Some(waker) = self.0.borrow_mut()[way as usize].take() {
            waker.wake();
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Streams {
    all: RefCell<Vec<(u64, Entry)>>,
    wakers: Rc<Wakers>,
    /// See [`Self::left_half`].
    half: Cell<bool>,
    /// See [`Self::take_broken`].
    broken: RefCell<Option<Failure>>,
    /// The port is of raw connections and nothing else.
    pub raw_only: Cell<bool>,
    /// The one that holds a raw connection.
    holding: RefCell<Option<Rc<Stream>>>,
    /// The client has ended meanwhile.
    pub client_ended: Cell<bool>,
}

/// A hook that has not ended with its callback.
pub struct Waiting {
    stream: Rc<Stream>,
    stage: Stage,
    way: Way,
    half: bool,
    passing: Option<Way>,
}

#[derive(Debug, Clone)]
enum Entry {
    There(Rc<Stream>),
    /// Its instance is gone, and the exchange has heard of it.
    Lost,
}

impl Streams {
    /// Runs one hook with this in hand. `more`: trailers follow the end of a body.
    pub async fn call(&self, filter: &Arc<Filter>, call: Call, hand: &mut Hand, more: bool) -> Result<Verdict, Fault> {
        let watch = Watch::begin(&call, hand);
        let began = thread_cpu_time();
        let verdict = match self.call_at_once(filter, call, hand, more) {
            Ok(verdict) => verdict,
            Err(waiting) => self.wait(filter, waiting, hand).await,
        };
        let memory = self.find(filter).map_or(0, |entry| match entry {
            Entry::There(stream) => stream.vm.memory_bytes(),
            Entry::Lost => 0,
        });
        watch.end(hand, &verdict, thread_cpu_time().saturating_sub(began), memory);
        verdict
    }

    /// The same where nobody watches, without a future, which most hooks need not pay for. The error: what it waits for.
    pub fn call_at_once(
        &self,
        filter: &Arc<Filter>,
        call: Call,
        hand: &mut Hand,
        more: bool,
    ) -> Result<Result<Verdict, Fault>, Waiting> {
        let stream = match self.find(filter) {
            Some(Entry::There(stream)) => stream,
            Some(Entry::Lost) => return Ok(Ok(Verdict::Next)),
            // On a port of both it is one for HTTP, unless it says otherwise.
            None if matches!(call, Call::Connection) && !filter.is_for_connections(self.raw_only.get()) => {
                return Ok(Ok(Verdict::Next));
            }
            None if matches!(call, Call::Request | Call::Connection) => match self.begin(filter, hand) {
                Some(Ok(begun)) => begun,
                Some(Err(fault)) => return Ok(Err(fault)),
                None => return Ok(Ok(Verdict::Next)),
            },
            // It has not seen the request.
            None => return Ok(Ok(Verdict::Next)),
        };
        if let Some(exchange) = &hand.exchange {
            stream.speak_of(exchange);
        }
        // Were it to go on without the filter, the message would lack what is held back, and look whole.
        let half = stream.withholds() || matches!(call, Call::RequestTrailers | Call::ResponseTrailers);
        let passing = match call {
            Call::RequestChunk(..) | Call::RequestTrailers => Some(Way::Request),
            Call::ResponseChunk(..) | Call::ResponseTrailers => Some(Way::Response),
            _ => None,
        };
        let next = match call {
            Call::Request => stream.head(Way::Request, hand),
            Call::Response => stream.head(Way::Response, hand),
            Call::RequestChunk(bytes, end) => stream.chunk(Way::Request, bytes, end, more, hand),
            Call::ResponseChunk(bytes, end) => stream.chunk(Way::Response, bytes, end, more, hand),
            Call::RequestTrailers => stream.trailers(Way::Request, hand),
            Call::ResponseTrailers => stream.trailers(Way::Response, hand),
            Call::Complete => stream.end(hand.outcome.clone()).map(|()| Next::Done(Verdict::Next)),
            Call::Connection => stream.connected(hand),
            Call::Tick => Ok(Next::Done(Verdict::Next)),
        };
        let verdict = match next {
            Ok(Next::Done(verdict)) => Ok(verdict),
            Ok(Next::Wait(stage, way)) => return Err(Waiting { stream, stage, way, half, passing }),
            Err(fault) => Err(fault),
        };
        Ok(self.settle(filter, &stream, verdict, half, passing))
    }

    /// The part of a hook that waits.
    pub async fn wait(&self, filter: &Filter, waiting: Waiting, hand: &mut Hand) -> Result<Verdict, Fault> {
        let Waiting { stream, stage, way, half, passing } = waiting;
        let began = Instant::now();
        // Only the first one sees what the client says meanwhile: the bytes would pass those before it by.
        let is_first = self.all.borrow().first().is_some_and(|(id, _)| *id == filter.id);
        if stage == Stage::Connection && is_first {
            self.holding.replace(Some(Rc::clone(&stream)));
        }
        let verdict = wait(&stream, stage, way, hand).await;
        hand.waited += began.elapsed();
        self.holding.take();
        self.settle(filter, &stream, verdict, half, passing)
    }

    /// What a verdict, or the lack of one, leaves behind here.
    fn settle(
        &self,
        filter: &Filter,
        stream: &Stream,
        verdict: Result<Verdict, Fault>,
        half: bool,
        passing: Option<Way>,
    ) -> Result<Verdict, Fault> {
        if let (true, Some(way)) = (verdict.is_err(), passing) {
            // It goes on as it came, or not at all.
            stream.side(way).let_go();
        }
        if verdict.is_err() && stream.vm.is_lost() {
            self.lose(filter);
        }
        // Of a raw connection, what the client has said while the hook ran.
        self.half.set(verdict.is_err() && (half || stream.raw && stream.withholds()));
        if matches!(verdict, Ok(Verdict::Reset)) {
            self.broken.replace(stream.broken.take());
        }
        verdict
    }

    /// `None`: nobody is in hand.
    fn begin(&self, filter: &Arc<Filter>, hand: &Hand) -> Option<Result<Rc<Stream>, Fault>> {
        let exchange = hand.exchange.as_ref()?;
        let vm = match worker::vm(filter) {
            Ok(vm) => vm,
            Err(fault) => return Some(Err(fault)),
        };
        let stream = vm.stream(exchange, &hand.reach, &self.wakers);
        self.all.borrow_mut().push((filter.id, Entry::There(Rc::clone(&stream))));
        Some(Ok(stream))
    }

    fn find(&self, filter: &Filter) -> Option<Entry> {
        self.all.borrow().iter().find(|(id, _)| *id == filter.id).map(|(_, entry)| entry.clone())
    }

    /// Later hooks pass it by: what it means for the exchange has been settled.
    fn lose(&self, filter: &Filter) {
        if let Some((_, entry)) = self.all.borrow_mut().iter_mut().find(|(id, _)| *id == filter.id) {
            *entry = Entry::Lost;
        }
    }

    /// Whether the hook that just failed leaves half of a message behind.
    pub fn left_half(&self) -> bool {
        self.half.get()
    }

    /// Why the message ended of which a filter waited for the rest, if that is what the last hook has found.
    pub fn take_broken(&self) -> Option<Failure> {
        self.broken.take()
    }

    /// Whether this filter has something that may go on.
    pub fn has_released(&self, filter: &Filter, way: Way) -> bool {
        matches!(self.find(filter), Some(Entry::There(stream)) if stream.has_released(way))
    }

    pub fn has(&self, filter: &Filter) -> bool {
        matches!(self.find(filter), Some(Entry::There(_)))
    }

    pub fn has_any(&self) -> bool {
        !self.all.borrow().is_empty()
    }

    /// The one that holds a raw connection and has not said yet what becomes of it.
    pub fn holding(&self) -> Option<Rc<Stream>> {
        let holding = self.holding.borrow();
        holding.clone().filter(|stream| !stream.request.resumed.get() && !stream.is_settled() && !self.client_ended.get())
    }

    pub fn each(&self, job: impl Fn(&Stream)) {
        for (_, entry) in &*self.all.borrow() {
            if let Entry::There(stream) = entry {
                job(stream);
            }
        }
    }

    /// A guest has closed the exchange.
    pub fn was_closed(&self) -> bool {
        self.all.borrow().iter().any(|(_, entry)| matches!(entry, Entry::There(stream) if stream.closed.get()))
    }

    /// Ready when one of them has.
    pub fn poll_released(&self, context: &mut Context<'_>, way: Way) -> Poll<()> {
        let all = self.all.borrow();
        if all.iter().any(|(_, entry)| matches!(entry, Entry::There(stream) if stream.has_released(way))) {
            return Poll::Ready(());
        }
        if !all.is_empty() {
            self.wakers.0.borrow_mut()[way as usize] = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for (_, entry) in self.all.take() {
            if let Entry::There(stream) = entry
                && !stream.is_over()
            {
                stream.vm.over(&stream);
            }
        }
    }
}
