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
use crate::config;
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
    /// Bytes of those that wait.
    waiting: Arc<AtomicUsize>,
    bytes_max: usize,
    lost: Arc<AtomicU64>,
}

impl Watcher {
    /// Nothing is written that nobody will take. `None`: there is no room for it.
    fn show(&self, write: impl FnOnce() -> Bytes) -> Option<()> {
        let place = self.events.try_reserve().ok()?;
        if self.waiting.load(Ordering::Relaxed) >= self.bytes_max {
            return None;
        }
        let event = write();
        let length = event.len();
        if self.waiting.fetch_add(length, Ordering::Relaxed) + length > self.bytes_max {
            self.waiting.fetch_sub(length, Ordering::Relaxed);
            return None;
        }
        place.send(event);
        Some(())
    }
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
    events: mpsc::Receiver<Bytes>,
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

impl Watching {
    /// The next one. Dropped before it is ready, it has taken nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        let event = self.events.recv().await;
        self.taken(event)
    }

    #[cfg(test)]
    fn at_hand(&mut self) -> Option<Bytes> {
        let event = self.events.try_recv().ok();
        self.taken(event)
    }

    fn taken(&self, event: Option<Bytes>) -> Option<Bytes> {
        self.waiting.fetch_sub(event.as_ref().map_or(0, Bytes::len), Ordering::Relaxed);
        event
    }

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

    /// Exchanges that begin from now on are shown, to as many as may watch at once.
    pub fn watch(self: &Arc<Self>, wanted: Wanted, limits: &config::Tap) -> Result<Watching, Full> {
        let (events, receiver) = mpsc::channel(limits.queue);
        let (watchers_max, bytes_max) = (limits.watchers, limits.queue_bytes);
        let (id, lost) = (self.next.fetch_add(1, Ordering::Relaxed), Arc::<AtomicU64>::default());
        let waiting = Arc::<AtomicUsize>::default();
        let (counted, missed) = (Arc::clone(&waiting), Arc::clone(&lost));
        let watcher = Arc::new(Watcher { id, wanted, events, waiting: counted, bytes_max, lost: missed });
        self.replace(|watchers| {
            if watchers.len() < watchers_max {
                watchers.push(Arc::clone(&watcher));
            }
        });
        let watching = Watching { tap: Arc::clone(self), id, events: receiver, waiting, lost };
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
            if watcher.show(|| event::written(over, *body_bytes, &self.redact)).is_none() {
                watcher.lost.fetch_add(1, Ordering::Relaxed);
                let _ = self.tap.dropped.observe::<&str>(&[], 1.0);
            }
        }
    }
}

#[cfg(test)]
mod tests;
