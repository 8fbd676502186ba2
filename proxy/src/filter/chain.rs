//! A chain: filters in order for requests, in reverse for responses.
//!
//! The chain only walks. It stops where a filter decides something and says what; what becomes of that is for the
//! exchange to see to, which then goes on walking. Both directions of one exchange may walk at the same time.

mod failing;
mod held;
mod raw;
mod unasked;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;

use super::abi::Call;
pub use super::abi::proxy_wasm::Peer;
use super::abi::proxy_wasm::Streams;
use super::hand::{Hand, Reach, Trailers};
use super::observe::{Before, Effect, Observer};
use super::pool;
use super::{Admission, Fault, Filter, Hook, Verdict};
use crate::exchange::trail::Running;
use crate::exchange::{Exchange, Failure, Kind, Outcome, Record, Reply, Trail};
use crate::worker;
use failing::{Passed, failed, tripped};
use held::Instances;
pub use unasked::{OF_HTTP, unasked};

/// An exchange that more than one walk may have in hand.
pub type Shared = Rc<RefCell<Exchange>>;

/// Filters that one exchange can go through, appended chains included: one bit each in [`Chain::entered`].
pub const FILTERS_MAX: usize = 64;

/// How long complete hooks wait for the copies that `destination.mirror` has sent.
pub const MIRRORS_WAIT: Duration = Duration::from_secs(5);

thread_local! {
    /// Exchanges of this worker whose complete hooks are pending.
    static COMPLETING: Cell<usize> = const { Cell::new(0) };
}

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        COMPLETING.set(COMPLETING.get() - 1);
    }
}

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

/// What filters do with the pieces of a body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pieces {
    /// One wants them.
    pub wanted: bool,
    /// One may put others in their place, and the length is another one then.
    pub replaced: bool,
    /// The same, but it says so in the head.
    pub shared: bool,
}

/// The walk of one exchange through the filters of its listener.
#[derive(Debug)]
pub struct Chain {
    filters: RefCell<Arc<[Arc<Filter>]>>,
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
    streams: Streams,
    /// Trailers follow the end of the request's body, and of the answer's.
    trailers_follow: [Cell<bool>; 2],
    observers: RefCell<Vec<Observer>>,
}

impl Chain {
    pub fn new(filters: Arc<[Arc<Filter>]>, reach: Arc<Reach>) -> Self {
        debug_assert!(filters.len() <= FILTERS_MAX);
        Self {
            filters: RefCell::new(dealt(filters)),
            reach,
            entered: Cell::new(0),
            decided: Cell::new(0),
            answered: Cell::new(0),
            on_the_way_back: Cell::new(u64::MAX),
            held: Instances::default(),
            streams: Streams::default(),
            trailers_follow: Default::default(),
            observers: RefCell::default(),
        }
    }

    pub fn reach(&self) -> &Arc<Reach> {
        &self.reach
    }

    /// The request hooks, first to last, then those of the chain that one of them has set. `None`: all said `next`.
    pub fn request(&self, record: &Record) -> impl Future<Output = Option<Step>> {
        self.inward(record, Call::Request, None)
    }

    /// The same for a raw connection, which is refused where a filter would not be asked that it may not pass by (`excused`).
    /// `raw_only`: its port is of nothing else.
    pub fn connection(&self, record: &Record, excused: &[Arc<str>], raw_only: bool) -> impl Future<Output = Option<Step>> {
        self.streams.raw_only.set(raw_only);
        self.inward(record, Call::Connection, Some(excused))
    }

    async fn inward(&self, record: &Record, call: Call, excused: Option<&[Arc<str>]>) -> Option<Step> {
        if self.filters.borrow().is_empty() {
            return None;
        }
        let mut hand = Hand::new(call.hook(), record.shared(), &self.reach);
        let mut index = 0;
        loop {
            let filters = Arc::clone(&self.filters.borrow());
            if let Some(Err(failure)) =
                excused.map(|excused| unasked::judged_by_all(&filters[index..], excused, self.streams.raw_only.get()))
            {
                return Some(Step::Failed(failure));
            }
            while let Some(filter) = filters.get(index) {
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
        let mut hand = Hand::new(Hook::Response, record.shared(), &self.reach);
        let filters = Arc::clone(&self.filters.borrow());
        while let Some(index) = (self.entered.get() & !self.answered.get()).checked_ilog2() {
            set(&self.answered, index as usize);
            let filter = filters.get(index as usize)?;
            if let Err(step) = self.step(filter, Call::Response, &mut hand).await {
                // What it answers instead passes the filters before it only.
                self.on_the_way_back.set((1 << index) - 1);
                return Some(step);
            }
        }
        None
    }

    /// A piece of a body through all filters that want it; what goes on in its place.
    pub async fn chunk(&self, record: &Shared, way: Way, chunk: Bytes, end: bool) -> Result<Bytes, Step> {
        let hook = if way == Way::Request { Hook::RequestChunk } else { Hook::ResponseChunk };
        let mut hand = Hand::new(hook, record, &self.reach);
        let mut chunk = chunk;
        for filter in self.passing(way, hook) {
            // Nothing is no news, unless it is the end, or something has waited for a chance to go on.
            if chunk.is_empty() && !end && !self.streams.has_released(&filter, way) {
                continue;
            }
            let call = match way {
                Way::Request => Call::RequestChunk(chunk.clone(), end),
                Way::Response => Call::ResponseChunk(chunk.clone(), end),
            };
            self.step(&filter, call, &mut hand).await?;
            if let Some(replaced) = hand.chunk.take() {
                chunk = replaced;
            }
        }
        Ok(chunk)
    }

    /// Trailers through all filters that want them; and what of the body goes before them, where one has kept it back.
    pub async fn trailers(&self, record: &Shared, way: Way, trailers: HeaderMap) -> Result<(Bytes, HeaderMap), Step> {
        let mut hand = Hand::new(Hook::Trailers, record, &self.reach);
        let (call, wrapped) = match way {
            Way::Request => (Call::RequestTrailers, Trailers::Request(trailers)),
            Way::Response => (Call::ResponseTrailers, Trailers::Response(trailers)),
        };
        hand.trailers = Some(wrapped);
        let piece = if way == Way::Request { Hook::RequestChunk } else { Hook::ResponseChunk };
        let mut before = Bytes::new();
        for filter in self.passing_any(way, &[piece, Hook::Trailers]) {
            // What one has kept back until now goes through the others first.
            if !before.is_empty() && filter.wants(piece) {
                let call = match way {
                    Way::Request => Call::RequestChunk(before.clone(), false),
                    Way::Response => Call::ResponseChunk(before.clone(), false),
                };
                self.step(&filter, call, &mut hand).await?;
                before = hand.chunk.take().unwrap_or(before);
            }
            if filter.wants(Hook::Trailers) {
                self.step(&filter, call.clone(), &mut hand).await?;
                if let Some(more) = hand.chunk.take() {
                    before = [before, more].concat().into();
                }
            }
        }
        let trailers = match hand.trailers.take() {
            Some(Trailers::Request(trailers) | Trailers::Response(trailers)) => trailers,
            None => HeaderMap::new(),
        };
        Ok((before, trailers))
    }

    /// Ready when something of a body may go on that has waited: an empty piece takes it along.
    pub fn poll_released(&self, context: &mut Context<'_>, way: Way) -> Poll<()> {
        self.streams.poll_released(context, way)
    }

    /// Trailers have come: the end of the body is not that of the message.
    pub fn trailers_follow(&self, way: Way) {
        self.trailers_follow[way as usize].set(true);
    }

    /// Lets the complete hooks run once the exchange is over, however that comes about. `kept` is kept until they have.
    pub fn at_end<T: Clone + 'static>(self: &Rc<Self>, record: &mut Record, kept: &T) {
        // Another chain may be appended before the exchange is over.
        if !self.reach.chains_complete && !completes(&self.filters.borrow()) {
            return;
        }
        let (chain, kept) = (Rc::clone(self), kept.clone());
        record.at_end = Some(Box::new(move |outcome| {
            if !chain.wants(Hook::Complete) {
                return;
            }
            let limit = chain.reach.completing_max;
            if COMPLETING.get() >= limit {
                tracing::warn!("a complete hook was left out: {limit} are pending on this worker");
                return;
            }
            COMPLETING.set(COMPLETING.get() + 1);
            let counted = Counted;
            worker::spawn(async move {
                if outcome.mirrors.iter().any(|mirror| mirror.ticket.is_under_way()) {
                    let mirrors = async {
                        for mirror in &outcome.mirrors {
                            mirror.ticket.ended().await;
                        }
                    };
                    let _ = tokio::time::timeout(MIRRORS_WAIT, mirrors).await;
                }
                chain.complete(outcome).await;
                drop((counted, kept));
            });
        }));
    }

    /// After the client has its answer, last to first: nobody waits for it, and what fails is only told.
    pub async fn complete(&self, outcome: Outcome) {
        let outcome = Rc::new(outcome);
        let mut hand = Hand::new(Hook::Complete, &outcome.exchange, &self.reach);
        hand.outcome = Some(Rc::clone(&outcome));
        let mut entered = self.entered.get() | self.decided.get();
        while let Some(index) = entered.checked_ilog2() {
            entered &= !(1 << index);
            if let Some(filter) = self.filter(index as usize) {
                let _ = self.step(&filter, Call::Complete, &mut hand).await;
            }
        }
    }

    /// Whether a filter is still to see the response.
    pub fn wants_response(&self) -> bool {
        [Hook::Response, Hook::ResponseChunk, Hook::Trailers, Hook::Complete].into_iter().any(|hook| self.wants(hook))
    }

    /// Whether a filter is to see the response after its head has gone.
    pub fn wants_after_response(&self) -> bool {
        [Hook::ResponseChunk, Hook::Trailers, Hook::Complete].into_iter().any(|hook| self.wants(hook))
    }

    /// Whether one of the filters that are to see the rest of the exchange has this hook.
    pub fn wants(&self, hook: Hook) -> bool {
        let filters = self.filters.borrow();
        // How it went is told to the one that ended the request phase, too.
        let decided = if hook == Hook::Complete { self.decided.get() } else { 0 };
        let entered = self.entered.get() | decided;
        filters.iter().enumerate().any(|(index, filter)| entered & (1 << index) != 0 && filter.wants(hook))
    }

    /// Whether something has to look at what passes.
    pub fn wants_body(&self, way: Way) -> bool {
        let hook = if way == Way::Request { Hook::RequestChunk } else { Hook::ResponseChunk };
        self.passing(way, hook).next().is_some() || self.passing(way, Hook::Trailers).next().is_some()
    }

    /// What filters do with the pieces of a body.
    pub fn wants_chunks(&self, way: Way) -> Pieces {
        let hook = if way == Way::Request { Hook::RequestChunk } else { Hook::ResponseChunk };
        let mut pieces = Pieces::default();
        for filter in self.passing(way, hook) {
            pieces.wanted = true;
            if filter.is_enforced() && filter.setup.wants(hook) {
                pieces.shared |= filter.module.prepared.is_shared();
                pieces.replaced |= !filter.module.prepared.is_shared();
            }
        }
        pieces
    }

    /// Those that a message passes, in its order, and that have this hook.
    fn passing(&self, way: Way, hook: Hook) -> impl Iterator<Item = Arc<Filter>> + use<> {
        self.passing_any(way, &[hook])
    }

    /// The same for one of several.
    fn passing_any(&self, way: Way, hooks: &[Hook]) -> impl Iterator<Item = Arc<Filter>> + use<> {
        let wanted = hooks.iter().fold(0_u32, |all, hook| all | 1 << *hook as u32);
        let filters = Arc::clone(&self.filters.borrow());
        let mask = match way {
            Way::Request => self.entered.get(),
            Way::Response => self.entered.get() & self.on_the_way_back.get(),
        };
        let count = filters.len();
        (0..count).filter_map(move |step| {
            let index = if way == Way::Request { step } else { count - 1 - step };
            let filter = &filters[index];
            let wants = |hook: &&Hook| wanted & (1 << **hook as u32) != 0 && filter.wants(**hook);
            (mask & (1 << index) != 0 && Hook::ALL.iter().any(|hook| wants(&hook))).then(|| Arc::clone(filter))
        })
    }

    fn filter(&self, index: usize) -> Option<Arc<Filter>> {
        self.filters.borrow().get(index).cloned()
    }

    /// Another chain goes on where this one ends.
    fn append(&self, name: &Arc<str>) -> Result<(), Failure> {
        let Some(more) = self.reach.chains.get(name) else { return Ok(()) };
        let mut filters = self.filters.borrow_mut();
        if filters.len() + more.len() > FILTERS_MAX {
            let message = format!("an exchange can go through at most {FILTERS_MAX} filters");
            return Err(Failure::new(Kind::FilterFailed, message).because(format!("chain `{name}` would be too many")));
        }
        *filters = filters.iter().chain(dealt(Arc::clone(more)).iter()).cloned().collect();
        Ok(())
    }

    /// One hook of one filter, with what its failure means for the exchange.
    async fn step(&self, filter: &Arc<Filter>, call: Call, hand: &mut Hand) -> Result<Passed, Step> {
        let hook = call.hook();
        let watched = filter.watched().filter(|watched| watched.setup.wants(hook)).cloned();
        if !filter.is_enforced() || !filter.setup.wants(hook) {
            if let Some(watched) = watched {
                self.show(&watched, &call, hand, None);
            }
            return Ok(Passed::Well);
        }
        let Some(watched) = watched else { return self.enforce(filter, call, hand).await.0 };
        // What copying takes is no time of the filter's.
        hand.since = None;
        let before = Before::of(&call, hand);
        let (passed, effect) = self.enforce(filter, call, hand).await;
        if let Some(before) = before {
            self.observer(&watched, |observer| observer.repeat(before, effect));
        }
        passed
    }

    /// A filter that is only watched sees a copy of what is in hand.
    fn show(&self, watched: &Arc<Filter>, call: &Call, hand: &Hand, live: Option<Box<Effect>>) {
        let Some(before) = Before::of(call, hand) else { return };
        self.observer(watched, |observer| observer.repeat(before, live));
    }

    fn observer(&self, watched: &Arc<Filter>, job: impl FnOnce(&Observer)) {
        let mut observers = self.observers.borrow_mut();
        let known = observers.iter().position(|observer| observer.filter.id == watched.id);
        let index = known.unwrap_or_else(|| {
            observers.push(Observer::new(watched, &self.reach));
            observers.len() - 1
        });
        job(&observers[index]);
    }

    /// One hook whose verdict counts. With it goes what the hook has left, for whoever is watched beside it.
    async fn enforce(&self, filter: &Arc<Filter>, call: Call, hand: &mut Hand) -> (Result<Passed, Step>, Option<Box<Effect>>) {
        let hook = call.hook();
        // Whoever has entered goes on: a trip in the middle of an exchange would cut it off.
        let admission = match hook {
            Hook::Request | Hook::Response | Hook::Connection => match filter.health.admits() {
                Ok(admission) => admission,
                Err(wait) => {
                    if let Some(trail) = trail(hand) {
                        trail.begin_hook(&filter.name, &filter.module.hash, hook.name(), false).said("tripped", true);
                    }
                    return (tripped(filter, wait), None);
                }
            },
            _ => Admission::Ordinary,
        };
        (hand.hook, hand.reply, hand.chunk, hand.waited) = (hook, None, None, Duration::ZERO);
        let in_a_chunk = matches!(hook, Hook::RequestChunk | Hook::ResponseChunk);
        let step = trail(hand).map(|trail| trail.begin_hook(&filter.name, &filter.module.hash, hook.name(), in_a_chunk));
        hand.step = step.as_ref().and_then(Running::id);
        let began = hand.since.take().unwrap_or_else(Instant::now);
        let verdict = self.call(filter, call, hand).await;
        let ended = Instant::now();
        filter.calls.ended(hook, verdict.as_ref().copied(), ended.saturating_duration_since(began), hand.waited);
        hand.since = Some(ended);
        let verdict = match verdict {
            Ok(Verdict::Replied) if (if in_a_chunk { hand.chunk.is_none() } else { hand.reply.is_none() }) => {
                let without = if in_a_chunk { "`replaced` without a chunk" } else { "`replied` without a reply" };
                Err(Fault::Trap(format!("it said {without}")))
            }
            verdict => verdict,
        };
        if let Some(step) = step {
            step.said(verdict.as_ref().map_or_else(Fault::kind, |verdict| verdict.word()), verdict.is_err());
        }
        if verdict.as_ref().err().is_none_or(Fault::is_the_filters) {
            filter.health.ended(&filter.identity, admission, verdict.is_ok());
        }
        let effect = filter.watched().is_some().then(|| Effect::of(verdict.as_ref().map(|verdict| *verdict), hand)).flatten();
        let passed = match verdict {
            Ok(Verdict::Next) => {
                // With trailers, what stands before them.
                if in_a_chunk {
                    hand.chunk = None;
                }
                Ok(Passed::Well)
            }
            Ok(Verdict::Replied) => match hand.reply.take().filter(|_| !in_a_chunk) {
                Some(reply) => Err(Step::Replied(Box::new(reply))),
                None => Ok(Passed::Well),
            },
            Ok(Verdict::Reset) => Err(self.streams.take_broken().map_or(Step::Reset, Step::Failed)),
            Err(fault) => {
                hand.chunk = None;
                filter.failures.count(&fault);
                let is_half = filter.module.prepared.is_shared() && self.streams.left_half();
                failed(filter, hook, &fault).and_then(|passed| if is_half { Err(Step::Reset) } else { Ok(passed) })
            }
        };
        (passed, effect)
    }

    async fn call(&self, filter: &Arc<Filter>, call: Call, hand: &mut Hand) -> Result<Verdict, Fault> {
        if filter.module.prepared.is_shared() {
            let more = match &call {
                Call::RequestChunk(..) => self.trailers_follow[Way::Request as usize].get(),
                Call::ResponseChunk(..) => self.trailers_follow[Way::Response as usize].get(),
                _ => false,
            };
            return self.streams.call(filter, call, hand, more).await;
        }
        if !filter.setup.keeps_state() {
            let mut lent = pool::take(filter).await?;
            hand.waited = lent.waited;
            let verdict = lent.instance().call(call, hand).await;
            if !verdict.as_ref().is_err_and(Fault::spoils_the_instance) {
                lent.give_back();
            }
            return verdict;
        }
        let (mut place, kept) = self.held.take(filter).await;
        let mut lent = match kept {
            Some(lent) => lent,
            None => {
                let lent = pool::take(filter).await?;
                hand.waited = lent.waited;
                lent
            }
        };
        let verdict = lent.instance().call(call, hand).await;
        if !verdict.as_ref().is_err_and(Fault::spoils_the_instance) {
            place.put(lent);
        }
        verdict
    }
}

/// Whether one of them has a complete hook.
pub fn completes(filters: &[Arc<Filter>]) -> bool {
    filters.iter().any(|filter| filter.wants(Hook::Complete))
}

/// The filters of one exchange: in its share of them a canary takes the place of the filter it is of.
fn dealt(filters: Arc<[Arc<Filter>]>) -> Arc<[Arc<Filter>]> {
    if filters.iter().all(|filter| filter.canary().is_none()) {
        return filters;
    }
    let deal = |filter: &Arc<Filter>| match filter.canary() {
        Some((canary, percent)) if fastrand::u32(..100) < percent => Arc::clone(canary),
        _ => Arc::clone(filter),
    };
    filters.iter().map(deal).collect()
}

/// Of the exchange in hand, if somebody looks at it.
fn trail(hand: &Hand) -> Option<Rc<Trail>> {
    hand.exchange.as_ref()?.borrow().trail.clone()
}

fn set(bits: &Cell<u64>, index: usize) {
    bits.set(bits.get() | 1 << index);
}
