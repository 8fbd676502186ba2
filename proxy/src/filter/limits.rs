//! What one instance may use: CPU time a hook, and linear memory.
//!
//! CPU time is the thread's own, so that a stolen core or a wait costs a filter nothing. The clock is read only when an
//! epoch (a millisecond) ends inside of a hook: a hook that is quicker than that never pays for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{ResourceLimiter, UpdateDeadline};

use super::epochs::{self, EPOCH};
use super::usage::{Share, Usage};

/// Elements of one table: indirect calls of the largest real guests stay far below it.
pub const TABLE_ELEMENTS_MAX: usize = 100_000;

/// Counts the CPU time of the hook that runs.
#[derive(Debug, Default)]
pub struct CpuClock {
    allowed: Duration,
    /// For a hook on a fiber, which makes way for others at the end of each epoch and whenever it waits.
    fiber: Option<Arc<Slices>>,
    /// For one that is not: thread CPU time at the first epoch end of this hook. At most an epoch passed before it.
    began: Option<Duration>,
}

/// The time that a hook on a fiber has had, in nanoseconds of thread CPU time.
#[derive(Debug, Default)]
pub struct Slices {
    /// In the slices before the present one.
    used: AtomicU64,
    /// When the present one began.
    since: AtomicU64,
}

impl Slices {
    /// A hook begins, or goes on.
    pub fn begin(&self) {
        epochs::used();
        self.since.store(nanos(thread_cpu_time()), Ordering::Relaxed);
    }

    /// It makes way. What others do meanwhile is not its time.
    pub fn end(&self) {
        self.used.store(self.used(), Ordering::Relaxed);
    }

    /// What it has used when it is not at work.
    pub fn before(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub fn used(&self) -> u64 {
        let slice = nanos(thread_cpu_time()).saturating_sub(self.since.load(Ordering::Relaxed));
        self.used.load(Ordering::Relaxed).saturating_add(slice)
    }
}

impl CpuClock {
    /// For the next hook; `fiber` if it runs on one.
    pub fn start(&mut self, allowed: Duration, fiber: Option<&Arc<Slices>>) {
        epochs::used();
        (self.allowed, self.began) = (allowed, None);
        if fiber.is_some() || self.fiber.is_some() {
            self.fiber = fiber.cloned();
        }
        if let Some(slices) = fiber {
            slices.used.store(0, Ordering::Relaxed);
        }
    }

    pub fn allowed(&self) -> Duration {
        self.allowed
    }

    /// At the end of an epoch: may the hook go on?
    pub fn epoch_ended(&mut self) -> UpdateDeadline {
        epochs::used();
        if let Some(slices) = &self.fiber {
            let over = Duration::from_nanos(slices.used()) >= self.allowed;
            if over {
                return UpdateDeadline::Interrupt;
            }
            // As the runtime wants it. Otherwise it would poll this hook again and again before it looks at sockets and timers.
            return UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()));
        }
        let now = thread_cpu_time();
        let began = *self.began.get_or_insert_with(|| now.saturating_sub(EPOCH));
        if now.saturating_sub(began) >= self.allowed { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// CPU time that this thread has used.
pub fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Refuses growth past the limit and remembers that it did.
#[derive(Debug)]
pub struct Memory {
    pub bytes_max: usize,
    /// All linear memories of the instance together.
    pub bytes: usize,
    pub refused: bool,
    /// The most that it would have had, had it been allowed.
    pub wanted: usize,
    /// Its part of what the filter takes.
    share: Share,
}

impl Memory {
    pub fn new(bytes_max: usize, usage: &Arc<Usage>) -> Self {
        Self { bytes_max, bytes: 0, refused: false, wanted: 0, share: usage.share() }
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let together = self.bytes + desired.saturating_sub(current);
        let allowed = together <= self.bytes_max;
        if allowed {
            self.bytes = together;
            self.share.has(together);
        }
        if !allowed {
            (self.refused, self.wanted) = (true, self.wanted.max(together));
        }
        Ok(allowed)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= TABLE_ELEMENTS_MAX;
        self.refused |= !allowed;
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_hook_is_stopped_by_its_own_cpu_time() {
        let mut clock = CpuClock::default();
        clock.start(Duration::from_millis(3), None);
        assert!(matches!(clock.epoch_ended(), UpdateDeadline::Continue(1)));
        let began = thread_cpu_time();
        while thread_cpu_time().saturating_sub(began) < Duration::from_millis(3) {
            std::hint::spin_loop();
        }
        assert!(matches!(clock.epoch_ended(), UpdateDeadline::Interrupt));
        clock.start(Duration::from_millis(3), None);
        assert!(matches!(clock.epoch_ended(), UpdateDeadline::Continue(1)));
    }
}
