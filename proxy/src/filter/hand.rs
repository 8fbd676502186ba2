//! The exchange in hand: what the host functions of a running hook speak of.
//!
//! A worker runs one guest at a time. While it does, what the hook was given is in this thread's hand, and nowhere in
//! the guest's store; while the guest waits it is not, so that others can take hold of the same exchange.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use super::{Filter, Hook};
use crate::cluster::Cluster;
use crate::exchange::{Exchange, Outcome, Reply};
use crate::telemetry::metrics::{Family, Registry};

/// What of its snapshot an exchange can still reach when another one has gone live.
#[derive(Debug, Default)]
pub struct Reach {
    pub clusters: HashMap<Arc<str>, Arc<Cluster>>,
    pub chains: HashMap<Arc<str>, Arc<[Arc<Filter>]>>,
    /// A filter of one of these chains has a complete hook.
    pub chains_complete: bool,
    /// Exchanges of one worker whose complete hooks may be pending.
    pub completing_max: usize,
    pub copies: CopyCounts,
}

/// Counts the copies that filters ask for by what becomes of them, so that none has to wait for it.
#[derive(Debug, Clone, Default)]
pub struct CopyCounts(Option<Arc<Family>>);

/// What becomes of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyResult {
    Answered,
    /// It was sent, and no answer came.
    Unanswered,
    Unsent,
}

impl CopyCounts {
    pub fn of(metrics: &Registry) -> Self {
        let help = "Copies of requests by what became of them: answered, unanswered or unsent.";
        Self(Some(metrics.counter("tamis_copies_total", help, &["cluster", "result"])))
    }

    pub fn count(&self, cluster: &str, result: CopyResult) {
        let word = match result {
            CopyResult::Answered => "answered",
            CopyResult::Unanswered => "unanswered",
            CopyResult::Unsent => "unsent",
        };
        if let Some(counter) = &self.0 {
            // One is a number, and both labels are there.
            let _ = counter.observe(&[cluster, word], 1.0);
        }
    }
}

/// What a call of a hook is given, and what it leaves. Empty while a guest runs that has it in hand.
#[derive(Debug)]
pub struct Hand(Option<Box<InHand>>);

/// See [`Hand`].
#[derive(Debug)]
pub struct InHand {
    pub hook: Hook,
    /// None while a filter ticks.
    pub exchange: Option<Rc<RefCell<Exchange>>>,
    /// It is a raw connection, which has no request.
    is_raw: bool,
    pub reach: Arc<Reach>,
    /// What `reply.set` was called with.
    pub reply: Option<Reply>,
    /// What `chunk.replace` was called with.
    pub chunk: Option<Bytes>,
    /// Those that have come, in the trailers hook.
    pub trailers: Option<Trailers>,
    /// In the complete hook.
    pub outcome: Option<Rc<Outcome>>,
    /// When a wait for somebody else has to end, so that the guest can still deal with it; `None`: never.
    pub until: Option<Instant>,
    /// Where somebody looks at the exchange: the call of the hook in its trail.
    pub step: Option<u64>,
    /// When the hook before this one of the same walk ended, which is when this one begins.
    pub since: Option<std::time::Instant>,
    /// How long the hook has waited: for an instance, and for others while its guest did not run.
    pub waited: Duration,
}

/// Trailers, and of which message.
#[derive(Debug, Clone)]
pub enum Trailers {
    Request(HeaderMap),
    Response(HeaderMap),
}

/// The guest asked for something that is not there in this hook. It traps.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` was called outside of {1}")]
pub struct OutOfPlace(pub &'static str, pub &'static str);

impl Hand {
    pub fn new(hook: Hook, exchange: &Rc<RefCell<Exchange>>, reach: &Arc<Reach>) -> Self {
        let mut hand = Self::empty(hook, reach);
        (hand.exchange, hand.is_raw) = (Some(Rc::clone(exchange)), exchange.borrow().raw.is_some());
        hand
    }

    /// Without an exchange.
    pub fn empty(hook: Hook, reach: &Arc<Reach>) -> Self {
        let reach = Arc::clone(reach);
        Self(Some(Box::new(InHand {
            hook,
            exchange: None,
            is_raw: false,
            reach,
            reply: None,
            chunk: None,
            trailers: None,
            outcome: None,
            until: None,
            step: None,
            since: None,
            waited: Duration::ZERO,
        })))
    }

    /// What the hook before has left goes.
    pub fn begin(&mut self, hook: Hook) {
        let hand = &mut **self;
        (hand.hook, hand.waited) = (hook, Duration::ZERO);
        // Both are large, and nearly always not there.
        if hand.reply.is_some() {
            hand.reply = None;
        }
        if hand.chunk.is_some() {
            hand.chunk = None;
        }
    }

    /// Runs `job`, which runs a guest, with this in hand.
    pub fn hold<T>(&mut self, job: impl FnOnce() -> T) -> T {
        struct Back<'a>(&'a mut Hand, Option<Box<InHand>>, bool);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.0 = HAND.replace(self.1.take());
                RAW.set(self.2);
            }
        }
        let was_raw = RAW.replace(self.is_raw);
        let before = HAND.replace(self.0.take());
        let _back = Back(self, before, was_raw);
        job()
    }
}

impl std::ops::Deref for Hand {
    type Target = InHand;

    fn deref(&self) -> &InHand {
        self.0.as_deref().expect("it is only elsewhere while a guest runs")
    }
}

impl std::ops::DerefMut for Hand {
    fn deref_mut(&mut self) -> &mut InHand {
        self.0.as_deref_mut().expect("it is only elsewhere while a guest runs")
    }
}

thread_local! {
    static HAND: Cell<Option<Box<InHand>>> = const { Cell::new(None) };
    /// What is in hand is a raw connection: looked at in each function of a request, and so beside the hand.
    static RAW: Cell<bool> = const { Cell::new(false) };
}

/// What is in hand, for a host function.
pub fn with<T>(function: &'static str, job: impl FnOnce(&mut InHand) -> T) -> Result<T, OutOfPlace> {
    let mut hand = HAND.take().ok_or(OutOfPlace(function, "a hook"))?;
    let result = job(&mut hand);
    HAND.set(Some(hand));
    Ok(result)
}

/// The exchange in hand, for a host function that looks at it.
pub fn exchange<T>(function: &'static str, job: impl FnOnce(&Exchange) -> T) -> Result<T, OutOfPlace> {
    with(function, |hand| hand.exchange.as_ref().map(|exchange| job(&exchange.borrow())))?
        .ok_or(OutOfPlace(function, "a hook of an exchange"))
}

/// The same for one that changes it.
pub fn exchange_mut<T>(function: &'static str, job: impl FnOnce(&mut Exchange) -> T) -> Result<T, OutOfPlace> {
    with(function, |hand| hand.exchange.as_ref().map(|exchange| job(&mut exchange.borrow_mut())))?
        .ok_or(OutOfPlace(function, "a hook of an exchange"))
}

/// Whether what is in hand may have a request: a raw connection has none.
pub fn of_a_request(function: &'static str) -> Result<(), OutOfPlace> {
    if RAW.get() { Err(OutOfPlace(function, "an exchange with a request")) } else { Ok(()) }
}
