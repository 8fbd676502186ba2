//! The streams of one exchange, one in the instance of each filter, and the part of their hooks that waits.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use http::header::{CONTENT_LENGTH, EXPECT};

use super::stream::{Next, Stage, Stream};
use super::worker;
use crate::exchange::body::{Ahead, Body};
use crate::filter::abi::Call;
use crate::filter::chain::Way;
use crate::filter::hand::Hand;
use crate::filter::limits::thread_cpu_time;
use crate::filter::witness::{self, Watch};
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
        if !witness::is_on() {
            return self.enter(filter, call, hand, more).await;
        }
        let watch = Watch::begin(&call, hand);
        let began = thread_cpu_time();
        let verdict = self.enter(filter, call, hand, more).await;
        let memory = self.find(filter).map_or(0, |entry| match entry {
            Entry::There(stream) => stream.vm.memory_bytes(),
            Entry::Lost => 0,
        });
        watch.end(hand, &verdict, thread_cpu_time().saturating_sub(began), memory);
        verdict
    }

    async fn enter(&self, filter: &Arc<Filter>, call: Call, hand: &mut Hand, more: bool) -> Result<Verdict, Fault> {
        let stream = match self.find(filter) {
            Some(Entry::There(stream)) => stream,
            Some(Entry::Lost) => return Ok(Verdict::Next),
            None if matches!(call, Call::Request) => match self.begin(filter, hand) {
                Some(begun) => begun?,
                None => return Ok(Verdict::Next),
            },
            // It has not seen the request.
            None => return Ok(Verdict::Next),
        };
        if let Some(exchange) = &hand.exchange {
            stream.speak_of(exchange);
        }
        // Were it to go on without the filter, the message would lack what is held back, and look whole.
        let half = stream.withholds() || matches!(call, Call::RequestTrailers | Call::ResponseTrailers);
        let next = match call {
            Call::Request => stream.head(Way::Request, hand),
            Call::Response => stream.head(Way::Response, hand),
            Call::RequestChunk(bytes, end) => stream.chunk(Way::Request, bytes, end, more, hand),
            Call::ResponseChunk(bytes, end) => stream.chunk(Way::Response, bytes, end, more, hand),
            Call::RequestTrailers => stream.trailers(Way::Request, hand),
            Call::ResponseTrailers => stream.trailers(Way::Response, hand),
            Call::Complete => stream.end(hand.outcome.clone()).map(|()| Next::Done(Verdict::Next)),
            Call::Tick | Call::Connection => Ok(Next::Done(Verdict::Next)),
        };
        let verdict = match next {
            Ok(Next::Done(verdict)) => Ok(verdict),
            Ok(Next::Wait(stage, way)) => {
                let began = Instant::now();
                // Boxed: most never wait, and every exchange would have to have room for it.
                let verdict = Box::pin(wait(&stream, stage, way, hand)).await;
                hand.waited += began.elapsed();
                verdict
            }
            Err(fault) => Err(fault),
        };
        if stream.vm.is_lost() && verdict.is_err() {
            self.lose(filter);
        }
        self.half.set(verdict.is_err() && half);
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

    /// Whether this filter has something that may go on.
    pub fn has_released(&self, filter: &Filter, way: Way) -> bool {
        matches!(self.find(filter), Some(Entry::There(stream)) if stream.has_released(way))
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

/// Waits until the guest lets a message go on, no longer than its hook may take.
async fn wait(stream: &Rc<Stream>, stage: Stage, way: Way, hand: &mut Hand) -> Result<Verdict, Fault> {
    let limit = stream.vm.filter.config.hook_timeout;
    let waited = async {
        if stage == Stage::HeadWithBody {
            return hold(stream, way, hand).await;
        }
        stream.spoken(way).await;
        Ok(None)
    };
    let outcome = match limit.is_zero() {
        true => waited.await,
        false => tokio::time::timeout(limit, waited).await.map_err(|_| Fault::Late(limit))?,
    };
    if let Some(verdict) = outcome? {
        return Ok(verdict);
    }
    if let Some(settled) = stream.settled(stage, way, hand) {
        return settled;
    }
    let side = stream.side(way);
    let next = match stage {
        Stage::Head | Stage::HeadWithBody => return Ok(Verdict::Next),
        Stage::Body => {
            side.release();
            stream.pass(way, None, side.ended.get(), hand)?
        }
        Stage::Trailers => stream.pass_trailers(way, hand)?,
    };
    Ok(match next {
        Next::Done(verdict) => verdict,
        Next::Wait(..) => Verdict::Next,
    })
}

/// The head waits while the body comes in, piece by piece, until the guest lets both go on.
async fn hold(stream: &Rc<Stream>, way: Way, hand: &mut Hand) -> Result<Option<Verdict>, Fault> {
    let side = stream.side(way);
    let mut read = 0;
    side.readable.set(true);
    loop {
        let piece = tokio::select! {
            biased;
            () = stream.spoken(way) => None,
            piece = poll_fn(|context| poll_ahead(stream, way, context)) => Some(piece),
        };
        let (bytes, end) = match piece {
            None => break,
            Some(Ahead::Piece(bytes, end)) => (bytes, end),
            // Whoever takes the body on is told why.
            Some(Ahead::Broken) => break,
            // What is to become of it is asked with them.
            Some(Ahead::Trailers) => break,
        };
        read += bytes.len();
        side.append(bytes);
        let visible = u32::try_from(side.held.borrow().len()).unwrap_or(u32::MAX);
        side.clear_resumed();
        side.ended.set(end);
        let action = stream.body_callback(way, visible, end)?;
        if let Some(settled) = stream.settled(Stage::HeadWithBody, way, hand) {
            return settled.map(Some);
        }
        if action == 0 || side.take_resumed() {
            break;
        }
        if side.held.borrow().len() > stream.limit(way) {
            return stream.too_large(Stage::HeadWithBody, way, hand).map(Some);
        }
        if end {
            stream.spoken(way).await;
            break;
        }
    }
    let held = side.held.take();
    side.readable.set(false);
    side.ahead.set(held.len());
    let exchange = stream.exchange();
    let exchange = &mut *exchange.borrow_mut();
    let (other_length, whole) = (held.len() != read, side.ended.get().then_some(held.len()));
    let headers = match way {
        Way::Request => {
            exchange.request_body.put_back(held);
            Some(&mut exchange.request.headers)
        }
        Way::Response => {
            exchange.response_body.put_back(held);
            exchange.response.as_mut().map(|head| &mut head.headers)
        }
    };
    if let Some(headers) = headers {
        if read > 0 {
            headers.remove(EXPECT);
        }
        let told = headers.get(CONTENT_LENGTH).and_then(|told| told.to_str().ok()?.parse::<usize>().ok());
        if other_length && (told.is_none() || told != whole) {
            headers.remove(CONTENT_LENGTH);
        }
    }
    Ok(None)
}

fn poll_ahead(stream: &Stream, way: Way, context: &mut Context<'_>) -> Poll<Ahead> {
    let exchange = stream.exchange();
    let mut exchange = exchange.borrow_mut();
    let body: &mut Body = match way {
        Way::Request => &mut exchange.request_body,
        Way::Response => &mut exchange.response_body,
    };
    body.poll_ahead(context)
}
