//! The tap: whoever watches exchanges gets each that matches when it is over, through a bounded queue.
//!
//! While nobody watches, an exchange pays one relaxed load. Matching and writing happens on the worker, at the end of the
//! exchange; what a watcher does not take in time is dropped and counted.

mod event;
mod expression;
mod kept;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Exchange, Onlooker, Over};
use crate::telemetry::metrics::{Family, Registry};
use crate::telemetry::redact::Redact;
pub use expression::{Expression, Malformed};
pub use kept::Kept;

/// What the counter of dropped exchanges says of itself.
const DROPPED: &str = "Exchanges that were not shown to somebody who watches, because too many waited for them.";

/// What somebody wants to see.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub matching: Expression,
    /// From 0 to 1.
    pub sample: f64,
    /// Of each body.
    pub body_bytes: usize,
}

#[derive(Debug)]
struct Watcher {
    id: u64,
    wanted: Wanted,
    /// JSON objects.
    events: mpsc::Sender<Bytes>,
    lost: Arc<AtomicU64>,
}

/// See the module.
#[derive(Debug)]
pub struct Tap {
    /// How many there are: all that an exchange looks at while it is none.
    watching: AtomicUsize,
    watchers: ArcSwap<Vec<Arc<Watcher>>>,
    next: AtomicU64,
    dropped: Arc<Family>,
}

/// There are as many watchers as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} watch already, and `admin.tap.watchers` allows no more")]
pub struct Full(usize);

/// What a watcher gets. Dropping it ends the watching.
#[derive(Debug)]
pub struct Watching {
    tap: Arc<Tap>,
    id: u64,
    pub events: mpsc::Receiver<Bytes>,
    lost: Arc<AtomicU64>,
}

impl Watching {
    /// How many were dropped since this was last asked.
    pub fn lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.tap.replace(|watchers| watchers.retain(|watcher| watcher.id != self.id));
    }
}

impl Tap {
    pub fn new(metrics: &Registry) -> Self {
        Self {
            watching: AtomicUsize::new(0),
            watchers: ArcSwap::default(),
            next: AtomicU64::new(0),
            dropped: metrics.counter("tamis_tap_dropped_total", DROPPED, &[]),
        }
    }

    /// Exchanges that begin from now on are shown. At most `watchers_max` watch at once.
    pub fn watch(self: &Arc<Self>, wanted: Wanted, queue: usize, watchers_max: usize) -> Result<Watching, Full> {
        let (events, receiver) = mpsc::channel(queue);
        let (id, lost) = (self.next.fetch_add(1, Ordering::Relaxed), Arc::<AtomicU64>::default());
        let watcher = Arc::new(Watcher { id, wanted, events, lost: Arc::clone(&lost) });
        self.replace(|watchers| {
            if watchers.len() < watchers_max {
                watchers.push(Arc::clone(&watcher));
            }
        });
        let watching = Watching { tap: Arc::clone(self), id, events: receiver, lost };
        let taken = self.watchers.load().iter().any(|watcher| watcher.id == id);
        if taken { Ok(watching) } else { Err(Full(watchers_max)) }
    }

    fn replace(&self, change: impl Fn(&mut Vec<Arc<Watcher>>)) {
        self.watchers.rcu(|watchers| {
            let mut next = Vec::clone(watchers);
            change(&mut next);
            next
        });
        self.watching.store(self.watchers.load().len(), Ordering::Relaxed);
    }
}

/// The tap for the exchanges of one snapshot, which says what of them is hidden.
#[derive(Debug)]
pub struct Showing {
    tap: Arc<Tap>,
    redact: Arc<Redact>,
}

impl Showing {
    pub fn new(tap: &Arc<Tap>, redact: &Arc<Redact>) -> Self {
        Self { tap: Arc::clone(tap), redact: Arc::clone(redact) }
    }
}

impl Onlooker for Showing {
    fn wants(&self, exchange: &Exchange, path: &str) -> bool {
        if self.tap.watching.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let watchers = self.tap.watchers.load();
        let mut candidates = watchers.iter().filter(|watcher| watcher.wanted.matching.may_match(exchange, path)).peekable();
        if candidates.peek().is_none() {
            return false;
        }
        let body_bytes = candidates.map(|watcher| watcher.wanted.body_bytes).max().unwrap_or(0);
        if let Some(inflow) = &exchange.inflow {
            inflow.keep(Kept::new(exchange.request.headers.clone(), body_bytes));
        }
        true
    }

    fn ended(&self, over: &Over<'_>) {
        for watcher in self.tap.watchers.load().iter() {
            let Wanted { matching, sample, body_bytes } = &watcher.wanted;
            if !matching.matches(over) || *sample < 1.0 && fastrand::f64() >= *sample {
                continue;
            }
            // Nothing is written that nobody will take.
            let sent = watcher.events.try_reserve().map(|place| place.send(event::written(over, *body_bytes, &self.redact)));
            if sent.is_err() {
                watcher.lost.fetch_add(1, Ordering::Relaxed);
                let _ = self.tap.dropped.observe::<&str>(&[], 1.0);
            }
        }
    }
}

#[cfg(test)]
mod tests;
