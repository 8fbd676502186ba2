//! One exchange in an instance that it shares: the context of it, and what each of its messages waits for.
//!
//! A callback is entered at once and says whether the message goes on. Where it does not, the hook waits until the guest says
//! so in a later callback, answers itself or ends the exchange.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;

use super::side::Side;
use super::state::ROOT;
use super::streams::Wakers;
use super::vm::Vm;
use crate::exchange::{Failure, Outcome, Reply};
use crate::filter::chain::{Shared, Way};
use crate::filter::hand::{Hand, Reach, Trailers};
use crate::filter::{Fault, Verdict};

/// What a callback for a head returns.
pub const CONTINUE: u32 = 0;
const STOP: u32 = 1;
const CONTINUE_AND_END: u32 = 2;
/// What one for a body returns: the same two, and
const STOP_AND_WATERMARK: u32 = 2;
const STOP_NO_BUFFER: u32 = 3;

/// See the module.
pub struct Stream {
    /// The number of its context.
    pub id: u32,
    pub vm: Rc<Vm>,
    /// Another one in each call where copies are watched.
    exchange: RefCell<Shared>,
    pub reach: Arc<Reach>,
    pub request: Side,
    pub response: Side,
    /// What the guest answers itself.
    pub reply: RefCell<Option<Reply>>,
    /// It ended the exchange.
    pub closed: Cell<bool>,
    /// A call of it cannot be honoured, and nothing else can take its place.
    pub wrong: RefCell<Option<String>>,
    /// Why a message ended of which it waited for the rest.
    pub broken: RefCell<Option<Failure>>,
    /// Which hook is under way: what is readable depends on it.
    pub outcome: RefCell<Option<Rc<Outcome>>>,
    pub began: Instant,
    changed: Notify,
    wakers: Rc<Wakers>,
    over: Cell<bool>,
}

/// What becomes of a callback.
pub enum Next {
    Done(Verdict),
    /// The message waits for a word of the guest.
    Wait(Stage, Way),
}

/// At which part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Head,
    /// The head waits and the body comes.
    HeadWithBody,
    Body,
    Trailers,
}

impl Stream {
    pub fn new(vm: Rc<Vm>, id: u32, exchange: Shared, reach: Arc<Reach>, wakers: Rc<Wakers>) -> Self {
        Self {
            id,
            vm,
            exchange: RefCell::new(exchange),
            reach,
            request: Side::default(),
            response: Side::default(),
            reply: RefCell::default(),
            closed: Cell::default(),
            wrong: RefCell::default(),
            broken: RefCell::default(),
            outcome: RefCell::default(),
            began: Instant::now(),
            changed: Notify::new(),
            wakers,
            over: Cell::default(),
        }
    }

    pub fn exchange(&self) -> Shared {
        Rc::clone(&self.exchange.borrow())
    }

    pub fn speak_of(&self, exchange: &Shared) {
        if !Rc::ptr_eq(&self.exchange.borrow(), exchange) {
            self.exchange.replace(Rc::clone(exchange));
        }
    }

    pub fn side(&self, way: Way) -> &Side {
        match way {
            Way::Request => &self.request,
            Way::Response => &self.response,
        }
    }

    /// Something has happened that whoever waits has to look at.
    pub fn notify(&self) {
        self.changed.notify_waiters();
        // Between two pieces of a body nobody waits but who passes it on.
        [Way::Request, Way::Response].into_iter().for_each(|way| self.wakers.wake(way));
    }

    /// The guest says that a message goes on.
    pub fn resume(&self, way: Way) {
        let side = self.side(way);
        side.resumed.set(true);
        if side.paused.take() {
            side.release();
            self.wakers.wake(way);
        }
        self.notify();
    }

    /// Bytes of the guest's own go on past what waits; with `end`, in its place. False if there is no room for them.
    pub fn inject(&self, way: Way, bytes: &[u8], end: bool) -> bool {
        let side = self.side(way);
        if !side.inject(bytes, &self.vm.room) {
            return false;
        }
        self.wakers.wake(way);
        if end {
            side.held.take();
            self.resume(way);
        }
        true
    }

    /// Waits until the guest has spoken.
    pub async fn spoken(&self, way: Way) {
        while !self.side(way).resumed.take() && !self.is_settled() {
            self.changed.notified().await;
        }
    }

    pub fn is_settled(&self) -> bool {
        self.reply.borrow().is_some() || self.closed.get() || self.wrong.borrow().is_some() || self.vm.is_lost()
    }

    /// What the guest has decided for the whole exchange, if it has.
    pub fn settled(&self, stage: Stage, way: Way, hand: &mut Hand) -> Option<Result<Verdict, Fault>> {
        if let Some(wrong) = self.wrong.borrow_mut().take() {
            return Some(Err(Fault::Trap(wrong)));
        }
        if self.closed.get() {
            return Some(Ok(Verdict::Reset));
        }
        if let Some(reply) = self.reply.borrow_mut().take() {
            if matches!(stage, Stage::Head | Stage::HeadWithBody) {
                hand.reply = Some(reply);
                return Some(Ok(Verdict::Replied));
            }
            if way == Way::Request {
                // The request is on its way, and is broken off.
                self.exchange().borrow_mut().late_reply = Some(Box::new(reply));
            }
            return Some(Ok(Verdict::Reset));
        }
        self.vm.why_lost().map(|why| Err(Fault::Lost(why)))
    }

    /// `proxy_on_…_headers`
    pub fn head(self: &Rc<Self>, way: Way, hand: &mut Hand) -> Result<Next, Fault> {
        let (count, end) = {
            let exchange = self.exchange();
            let exchange = exchange.borrow();
            match way {
                Way::Request => (exchange.request.headers.len() + 4, exchange.request_body.is_end_stream()),
                Way::Response => {
                    let fields = exchange.response.as_ref().map_or(0, |head| head.headers.len());
                    (fields + 1, exchange.response_body.is_end_stream())
                }
            }
        };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let side = self.side(way);
        side.resumed.set(false);
        let action = self.vm.enter(self.id, Some(self), |machine| match way {
            Way::Request => {
                machine.create(self.id, ROOT)?;
                machine.request_headers(self.id, count, end)
            }
            Way::Response => machine.response_headers(self.id, count, end),
        })?;
        if let Some(settled) = self.settled(Stage::Head, way, hand) {
            return settled.map(Next::Done);
        }
        match action {
            CONTINUE => Ok(Next::Done(Verdict::Next)),
            _ if side.resumed.take() => Ok(Next::Done(Verdict::Next)),
            CONTINUE_AND_END => {
                self.end_here(way);
                Ok(Next::Done(Verdict::Next))
            }
            STOP if self.vm.version().holds_heads() && !end => Ok(Next::Wait(Stage::HeadWithBody, way)),
            _ => Ok(Next::Wait(Stage::Head, way)),
        }
    }

    /// The head is the whole message.
    fn end_here(&self, way: Way) {
        let exchange = self.exchange();
        let exchange = &mut *exchange.borrow_mut();
        match way {
            Way::Request => {
                exchange.request.headers.remove(CONTENT_LENGTH);
                exchange.request_body.replace(Bytes::new(), false);
            }
            Way::Response => {
                if let Some(head) = &mut exchange.response {
                    head.headers.remove(CONTENT_LENGTH);
                }
                exchange.response_body.replace(Bytes::new(), false);
            }
        }
    }

    /// A piece of the body. `more`: trailers follow its end.
    pub fn chunk(self: &Rc<Self>, way: Way, mut bytes: Bytes, end: bool, more: bool, hand: &mut Hand) -> Result<Next, Fault> {
        let side = self.side(way);
        let known = bytes.split_to(side.ahead.get().min(bytes.len()));
        side.ahead.set(side.ahead.get() - known.len());
        side.released.borrow_mut().extend_from_slice(&known);
        if side.gone.get() == 0 {
            side.length.set(self.told_length(way));
        }
        // What is new: a piece, or that there is none any more. With trailers behind it they are the end.
        let news = !bytes.is_empty() || end && !more;
        if side.ended.get() || !news {
            if side.paused.get() && self.is_settled() {
                side.paused.set(false);
                if let Some(settled) = self.settled(Stage::Body, way, hand) {
                    return settled.map(Next::Done);
                }
            }
            side.released.borrow_mut().extend_from_slice(&bytes);
            return self.pass(way, None, end && !more, hand);
        }
        let (before, given) = (side.held.borrow().len(), bytes.clone());
        side.append(bytes);
        let visible = u32::try_from(side.held.borrow().len()).unwrap_or(u32::MAX);
        side.changed.set(false);
        side.readable.set(true);
        side.resumed.set(false);
        side.ended.set(end);
        let action = self.body_callback(way, visible, end)?;
        if let Some(settled) = self.settled(Stage::Body, way, hand) {
            return settled.map(Next::Done);
        }
        let goes_on = action == CONTINUE || side.resumed.take();
        if goes_on {
            side.paused.set(false);
            let unchanged = before == 0 && !side.changed.get() && side.released.borrow().is_empty();
            if unchanged {
                side.held.take();
                side.readable.set(false);
                return self.pass(way, Some(&given), end, hand);
            }
            side.release();
            return self.pass(way, None, end, hand);
        }
        if action == STOP_NO_BUFFER {
            side.held.take();
        }
        let full = side.held.borrow().len() > self.limit(way);
        if full && action != STOP_AND_WATERMARK {
            return self.too_large(Stage::Body, way, hand).map(Next::Done);
        }
        if end || full {
            return Ok(Next::Wait(Stage::Body, way));
        }
        side.paused.set(true);
        self.pass(way, None, end, hand)
    }

    pub fn body_callback(self: &Rc<Self>, way: Way, visible: u32, end: bool) -> Result<u32, Fault> {
        self.vm.enter(self.id, Some(self), |machine| {
            let arguments = (self.id, visible, u32::from(end));
            match way {
                Way::Request => machine.store_call(|callbacks| &callbacks.request_body, arguments, CONTINUE),
                Way::Response => machine.store_call(|callbacks| &callbacks.response_body, arguments, CONTINUE),
            }
        })
    }

    /// What goes on in the place of a piece. `as_it_is`: that very piece.
    pub fn pass(&self, way: Way, as_it_is: Option<&Bytes>, end: bool, hand: &mut Hand) -> Result<Next, Fault> {
        let side = self.side(way);
        let bytes = match as_it_is {
            Some(bytes) => bytes.clone(),
            None => side.take_released(),
        };
        side.gone.set(side.gone.get() + bytes.len() as u64);
        let fits = side.length.get().is_none_or(|told| side.gone.get() == told || side.gone.get() < told && !end);
        if !fits {
            let message = "it gave a body another length and left `content-length`, which tells the one before";
            return Err(Fault::Trap(message.to_owned()));
        }
        if as_it_is.is_some() {
            return Ok(Next::Done(Verdict::Next));
        }
        hand.chunk = Some(bytes);
        Ok(Next::Done(Verdict::Replied))
    }

    /// The length that has been told to whoever reads the message.
    fn told_length(&self, way: Way) -> Option<u64> {
        let exchange = self.exchange();
        let exchange = exchange.borrow();
        let headers = match way {
            Way::Request => &exchange.request.headers,
            Way::Response => &exchange.response.as_ref()?.headers,
        };
        headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// Bytes of one body that may wait.
    pub fn limit(&self, way: Way) -> usize {
        let config = &self.vm.filter.config;
        // What has no room in its memory it cannot read.
        let asked = self.side(way).limit.get().map(|asked| asked.min(config.memory));
        asked.unwrap_or(config.proxy_wasm.body_bytes)
    }

    /// More waits than may.
    pub fn too_large(&self, stage: Stage, way: Way, hand: &mut Hand) -> Result<Verdict, Fault> {
        let limit = self.limit(way);
        tracing::warn!(filter = %self.vm.filter.name, limit, "a body that waits for a filter is larger than `proxy-wasm.body-bytes`");
        let status = if way == Way::Request { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::INTERNAL_SERVER_ERROR };
        self.reply.replace(Some(super::contexts::plain_reply(status)));
        self.settled(stage, way, hand).unwrap_or(Ok(Verdict::Reset))
    }

    /// `proxy_on_…_trailers`
    pub fn trailers(self: &Rc<Self>, way: Way, hand: &mut Hand) -> Result<Next, Fault> {
        let side = self.side(way);
        let given = match hand.trailers.take() {
            Some(Trailers::Request(trailers) | Trailers::Response(trailers)) => trailers,
            None => HeaderMap::new(),
        };
        if side.trailers_seen.take() {
            side.trailers.replace(Some(given));
            return self.pass_trailers(way, hand);
        }
        let count = u32::try_from(given.len()).unwrap_or(u32::MAX);
        side.trailers.replace(Some(given));
        side.resumed.set(false);
        let action = self.trailers_callback(way, count)?;
        if let Some(settled) = self.settled(Stage::Trailers, way, hand) {
            return settled.map(Next::Done);
        }
        if action != CONTINUE && !side.resumed.take() {
            return Ok(Next::Wait(Stage::Trailers, way));
        }
        self.pass_trailers(way, hand)
    }

    pub fn trailers_callback(self: &Rc<Self>, way: Way, count: u32) -> Result<u32, Fault> {
        self.vm.enter(self.id, Some(self), |machine| match way {
            Way::Request => machine.store_call(|callbacks| &callbacks.request_trailers, (self.id, count), CONTINUE),
            Way::Response => machine.store_call(|callbacks| &callbacks.response_trailers, (self.id, count), CONTINUE),
        })
    }

    /// They go on, and before them whatever of the body has waited.
    pub fn pass_trailers(&self, way: Way, hand: &mut Hand) -> Result<Next, Fault> {
        let side = self.side(way);
        side.paused.set(false);
        side.release();
        let trailers = side.trailers.borrow().clone().unwrap_or_default();
        hand.trailers = Some(match way {
            Way::Request => Trailers::Request(trailers),
            Way::Response => Trailers::Response(trailers),
        });
        let verdict = self.pass(way, None, true, hand)?;
        if hand.chunk.as_ref().is_some_and(Bytes::is_empty) {
            hand.chunk = None;
        }
        Ok(match verdict {
            Next::Done(_) => Next::Done(Verdict::Next),
            wait => wait,
        })
    }

    /// Something may go on that no hook has taken along.
    pub fn has_released(&self, way: Way) -> bool {
        let side = self.side(way);
        !side.released.borrow().is_empty() || side.paused.get() && self.is_settled()
    }

    /// Whether something of a message has not gone on yet.
    pub fn withholds(&self) -> bool {
        [&self.request, &self.response]
            .into_iter()
            .any(|side| !side.held.borrow().is_empty() || !side.released.borrow().is_empty())
    }

    /// The exchange is over: the guest is told, once.
    pub fn end(self: &Rc<Self>, outcome: Option<Rc<Outcome>>) -> Result<(), Fault> {
        // Where nobody is left to be told, that has been told.
        if self.over.replace(true) || self.vm.is_lost() {
            return Ok(());
        }
        self.outcome.replace(outcome);
        let ended = self.vm.enter(self.id, Some(self), |machine| machine.end(self.id));
        self.vm.forget(self.id);
        self.outcome.replace(None);
        ended
    }

    pub fn is_over(&self) -> bool {
        self.over.get()
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({} of {})", self.id, self.vm.filter.name)
    }
}
