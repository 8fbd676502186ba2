//! A chain: filters in order for requests, in reverse for responses.
//!
//! The chain only walks. It stops where a filter decides something and says what; what becomes of that is for the
//! exchange to see to, which then goes on walking. Both directions of one exchange may walk at the same time.

mod bodies;
mod cut;
mod ending;
mod failing;
mod filters;
mod held;
mod raw;
mod step;
mod unasked;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::abi::Call;
pub use super::abi::proxy_wasm::Peer;
use super::abi::proxy_wasm::Streams;
use super::hand::{Hand, Reach};
use super::observe::Observer;
use super::{Filter, Hook};
use crate::exchange::{Exchange, Failure, Kind, Record, Reply};
pub use bodies::Pieces;
pub use cut::PIECE_BYTES_MAX;
pub use ending::MIRRORS_WAIT;
use failing::Passed;
use filters::Filters;
pub use filters::completes;
use held::Instances;
pub use unasked::{OF_HTTP, unasked};

/// An exchange that more than one walk may have in hand.
pub type Shared = Rc<RefCell<Exchange>>;

/// Filters that one exchange can go through, appended chains included: one bit each in [`Chain::entered`].
pub const FILTERS_MAX: usize = 64;

/// Where the walk stopped.
#[derive(Debug)]
pub enum Step {
    /// A filter answers itself.
    Replied(Box<Reply>),
    /// The exchange ends without an answer.
    Reset,
    /// A filter that fails closed did.
    Failed(Failure),
}

/// Which message passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Request,
    Response,
}

/// The walk of one exchange through the filters of its listener.
#[derive(Debug)]
pub struct Chain {
    filters: Filters,
    reach: Arc<Reach>,
    /// The filters whose request hook succeeded, a bit each: only these see the rest of the exchange.
    entered: Cell<u64>,
    /// The one whose request hook ended the request phase.
    decided: Cell<u64>,
    /// Those of the entered whose response hook has run.
    answered: Cell<u64>,
    /// The filters that the body of the answer passes: those before the one that made it.
    on_the_way_back: Cell<u64>,
    held: Instances,
    /// Made when a filter of proxy-wasm, or a body, asks for it.
    streams: OnceCell<Streams>,
    /// Trailers follow the end of the request's body, and of the answer's.
    trailers_follow: [Cell<bool>; 2],
    observers: RefCell<Vec<Observer>>,
}

impl Chain {
    pub fn new(filters: Arc<[Arc<Filter>]>, reach: Arc<Reach>) -> Self {
        debug_assert!(filters.len() <= FILTERS_MAX);
        Self {
            filters: Filters::new(filters),
            reach,
            entered: Cell::new(0),
            decided: Cell::new(0),
            answered: Cell::new(0),
            on_the_way_back: Cell::new(u64::MAX),
            held: Instances::default(),
            streams: OnceCell::new(),
            trailers_follow: Default::default(),
            observers: RefCell::default(),
        }
    }

    pub fn reach(&self) -> &Arc<Reach> {
        &self.reach
    }

    fn streams(&self) -> &Streams {
        self.streams.get_or_init(Streams::default)
    }

    /// The request hooks, first to last, then those of the chain that one of them has set. `None`: all said `next`.
    pub fn request(&self, record: &Record) -> impl Future<Output = Option<Step>> {
        self.inward(record, Call::Request, None)
    }

    /// The same for a raw connection, which is refused where a filter would not be asked that it may not pass by (`excused`).
    /// `raw_only`: its port is of nothing else.
    pub fn connection(&self, record: &Record, excused: &[Arc<str>], raw_only: bool) -> impl Future<Output = Option<Step>> {
        if self.filters.iter().any(|filter| filter.module.prepared.is_shared()) {
            self.streams().raw_only.set(raw_only);
        }
        self.inward(record, Call::Connection, Some((excused, raw_only)))
    }

    async fn inward(&self, record: &Record, call: Call, raw: Option<(&[Arc<str>], bool)>) -> Option<Step> {
        self.filters.get(0)?;
        let mut hand = Hand::new(call.hook(), record.shared(), &self.reach);
        let mut index = 0;
        loop {
            if let Some((excused, raw_only)) = raw
                && let Err(failure) = unasked::judged_by_all(self.filters.iter().skip(index), excused, raw_only)
            {
                return Some(Step::Failed(failure));
            }
            while let Some(filter) = self.filters.get(index) {
                match self.step(filter, call.clone(), &mut hand).await {
                    Ok(Passed::Well) => set(&self.entered, index),
                    Ok(Passed::FailedOpen) => {}
                    Err(step) => {
                        if !matches!(step, Step::Failed(_)) {
                            set(&self.decided, index);
                        }
                        // One that shares its instance sees its own answer pass, as in the proxies that it was made for.
                        if filter.module.prepared.is_shared() && matches!(step, Step::Replied(_)) {
                            set(&self.entered, index);
                        }
                        return Some(step);
                    }
                }
                index += 1;
            }
            let next = record.exchange_mut().destination.chain.take()?;
            if let Err(failure) = self.append(&next) {
                return Some(Step::Failed(failure));
            }
        }
    }

    /// The response hooks of the filters that were entered, last to first, from where the last call stopped. `None`:
    /// all are done.
    pub async fn response(&self, record: &Record) -> Option<Step> {
        if !self.wants(Hook::Response) {
            return None;
        }
        let mut hand = Hand::new(Hook::Response, record.shared(), &self.reach);
        while let Some(index) = (self.entered.get() & !self.answered.get()).checked_ilog2() {
            set(&self.answered, index as usize);
            let filter = self.filters.get(index as usize)?;
            if let Err(step) = self.step(filter, Call::Response, &mut hand).await {
                // What it answers instead passes the filters before it only.
                self.on_the_way_back.set((1 << index) - 1);
                return Some(step);
            }
        }
        None
    }

    /// Whether a filter is still to see the response.
    pub fn wants_response(&self) -> bool {
        self.wants_one_of(&[Hook::Response, Hook::ResponseChunk, Hook::Trailers]) || self.wants(Hook::Complete)
    }

    /// Whether a filter is to see the response after its head has gone.
    pub fn wants_after_response(&self) -> bool {
        self.wants_one_of(&[Hook::ResponseChunk, Hook::Trailers]) || self.wants(Hook::Complete)
    }

    /// Whether one of the filters that are to see the rest of the exchange has this hook.
    pub fn wants(&self, hook: Hook) -> bool {
        // How it went is told to the one that ended the request phase, too.
        let decided = if hook == Hook::Complete { self.decided.get() } else { 0 };
        self.one_wants(self.entered.get() | decided, &[hook])
    }

    fn wants_one_of(&self, hooks: &[Hook]) -> bool {
        self.one_wants(self.entered.get(), hooks)
    }

    fn one_wants(&self, of: u64, hooks: &[Hook]) -> bool {
        of != 0 && self.filters.iter().enumerate().any(|(index, filter)| of & (1 << index) != 0 && filter.wants_one_of(hooks))
    }

    /// Another chain goes on where this one ends.
    fn append(&self, name: &Arc<str>) -> Result<(), Failure> {
        let Some(more) = self.reach.chains.get(name) else { return Ok(()) };
        if self.filters.len() + more.len() > FILTERS_MAX {
            let message = format!("an exchange can go through at most {FILTERS_MAX} filters");
            return Err(Failure::new(Kind::FilterFailed, message).because(format!("chain `{name}` would be too many")));
        }
        self.filters.append(Arc::clone(more));
        Ok(())
    }
}

fn set(bits: &Cell<u64>, index: usize) {
    bits.set(bits.get() | 1 << index);
}
