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
use tokio::sync::Notify;

use super::connection::Ends;
use super::side::Side;
use super::state::ROOT;
use super::streams::Wakers;
use super::vm::Vm;
use crate::exchange::{Failure, Outcome, Reply};
use crate::filter::chain::{Shared, Way};
use crate::filter::hand::{Hand, Reach};
use crate::filter::{Fault, Verdict};

/// What a callback for a head returns.
pub const CONTINUE: u32 = 0;
const STOP: u32 = 1;
const CONTINUE_AND_END: u32 = 2;

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
    /// A raw connection: its bytes are in the place of bodies, the client's of the request's.
    pub raw: bool,
    pub ends: Ends,
    /// More of it waits than may.
    pub full: Cell<bool>,
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
    Connection,
    Head,
    /// The head waits and the body comes.
    HeadWithBody,
    Body,
    Trailers,
}

impl Stream {
    pub fn new(vm: Rc<Vm>, id: u32, exchange: Shared, reach: Arc<Reach>, wakers: Rc<Wakers>) -> Self {
        let raw = exchange.borrow().raw.is_some();
        Self {
            id,
            vm,
            raw,
            ends: Ends::default(),
            full: Cell::default(),
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
        self.reply.borrow().is_some()
            || self.closed.get()
            || self.full.get()
            || self.wrong.borrow().is_some()
            || self.vm.is_lost()
    }

    /// What the guest has decided for the whole exchange, if it has.
    pub fn settled(&self, stage: Stage, way: Way, hand: &mut Hand) -> Option<Result<Verdict, Fault>> {
        if let Some(wrong) = self.wrong.borrow_mut().take() {
            return Some(Err(Fault::Trap(wrong)));
        }
        if let Some(fault) = self.ends.fault.take() {
            return Some(Err(fault));
        }
        if self.closed.get() || self.full.get() {
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

    /// Something may go on that no hook has taken along.
    pub fn has_released(&self, way: Way) -> bool {
        let side = self.side(way);
        !side.released.borrow().is_empty() || (side.paused.get() || self.raw) && self.is_settled()
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
        let ended = self.vm.enter(self.id, Some(self), |machine| {
            if self.raw {
                self.connection_closed(machine)?;
            }
            machine.end(self.id)
        });
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
