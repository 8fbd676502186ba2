//! Whether a filter works: its calls and failures of the last seconds, and for how long it is left alone when most fail.
//!
//! Each worker counts for itself; only a failure makes anybody add them up.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::Identity;
use crate::config;
use crate::worker;

/// Failures are looked at over this long.
pub const WINDOW: Duration = Duration::from_secs(10);
const SECONDS: usize = WINDOW.as_secs() as usize;

/// See the module.
#[derive(Debug)]
pub struct Health {
    trip: config::Trip,
    /// Until when failures are judged where they do not keep it from being called, in milliseconds of the process's clock.
    judged_until: u64,
    /// Failures keep it from being called.
    leaves_alone: bool,
    shards: Box<[Shard]>,
    /// Until when it is not called, in milliseconds of the process's clock; zero: it is called.
    tripped_until: AtomicU64,
    /// How often in a row it tripped.
    trips: AtomicU32,
    failures: AtomicU64,
    has_failed: AtomicBool,
}

/// How a call was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Ordinary,
    /// The one by which a filter that was left alone can show that it works again.
    Probe,
}

/// What one worker has counted, second by second. A line of the cache of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard([Second; SECONDS]);

#[derive(Debug, Default)]
struct Second {
    number: AtomicU64,
    calls: AtomicU32,
    failures: AtomicU32,
}

impl Shard {
    fn count(&self, second: u64, failed: bool) {
        let slot = &self.0[second as usize % SECONDS];
        if slot.number.load(Ordering::Relaxed) != second {
            slot.number.store(second, Ordering::Relaxed);
            slot.calls.store(0, Ordering::Relaxed);
            slot.failures.store(0, Ordering::Relaxed);
        }
        // Nobody else writes here.
        slot.calls.store(slot.calls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if failed {
            slot.failures.store(slot.failures.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    fn sum(&self, second: u64) -> (u64, u64) {
        let recent = self.0.iter().filter(|slot| slot.number.load(Ordering::Relaxed) + SECONDS as u64 > second);
        recent.fold((0, 0), |(calls, failures), slot| {
            (calls + u64::from(slot.calls.load(Ordering::Relaxed)), failures + u64::from(slot.failures.load(Ordering::Relaxed)))
        })
    }
}

impl Health {
    pub fn new(config: &config::Filter, workers: usize) -> Self {
        Self {
            trip: config.trip.clone().unwrap_or_default(),
            judged_until: now_ms() + millis(config.probation),
            leaves_alone: config.trip.is_some(),
            shards: (0..workers.max(1)).map(|_| Shard::default()).collect(),
            tripped_until: AtomicU64::new(0),
            trips: AtomicU32::new(0),
            failures: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
        }
    }

    /// May it be called? If not: how long it is left alone from now on. After that one call is let through to see.
    pub fn admits(&self) -> Result<Admission, Duration> {
        let until = self.tripped_until.load(Ordering::Relaxed);
        if until == 0 {
            return Ok(Admission::Ordinary);
        }
        let now = now_ms();
        if now < until {
            return Err(Duration::from_millis(until - now));
        }
        // Whoever sets the next deadline makes the call; if it fails, the deadline is as good as any.
        let next = now + millis(self.backoff());
        match self.tripped_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Ok(Admission::Probe),
            Err(_) => Err(self.backoff()),
        }
    }

    /// A call has ended.
    pub fn ended(&self, identity: &Identity, admission: Admission, well: bool) {
        if !well {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let now = now_ms();
        if !self.leaves_alone && now > self.judged_until {
            return;
        }
        let (trip, second) = (&self.trip, now / 1000);
        // On any other thread, with the first.
        self.shards.get(worker::index()).unwrap_or(&self.shards[0]).count(second, !well);
        let tripped = self.tripped_until.load(Ordering::Relaxed) != 0;
        match admission {
            Admission::Probe if well => {
                self.tripped_until.store(0, Ordering::Relaxed);
                self.trips.store(0, Ordering::Relaxed);
                tracing::info!(filter = %identity.name, "the filter works again");
                return;
            }
            Admission::Probe => return self.leave_alone(),
            // What was under way when it tripped says nothing new.
            Admission::Ordinary if well || tripped => return,
            Admission::Ordinary => {}
        }
        let (calls, failures) = self.shards.iter().map(|shard| shard.sum(second)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        if calls >= trip.calls && failures * 100 >= calls * u64::from(trip.percent) {
            self.leave_alone();
            tracing::error!(filter = %identity.name, calls, failures, backoff = ?self.backoff(), "the filter keeps failing");
        }
    }

    fn leave_alone(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
        if !self.leaves_alone {
            return;
        }
        self.tripped_until.store(now_ms() + millis(self.backoff()), Ordering::Relaxed);
        self.trips.fetch_add(1, Ordering::Relaxed);
        for slot in self.shards.iter().flat_map(|shard| &shard.0) {
            slot.number.store(0, Ordering::Relaxed);
        }
    }

    /// Twice as long each time.
    fn backoff(&self) -> Duration {
        let trip = &self.trip;
        let doublings = self.trips.load(Ordering::Relaxed).min(16);
        trip.backoff.saturating_mul(1 << doublings).min(trip.backoff_max)
    }

    /// At least once most of its calls failed.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// It is left alone at present.
    pub fn is_tripped(&self) -> bool {
        self.tripped_until.load(Ordering::Relaxed) != 0
    }

    /// Since the filter was built.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds of a clock that is quick to read and never goes back. Never zero.
fn now_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000 + SECONDS as u64 * 1000 + 1
}
