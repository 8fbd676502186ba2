//! What the instances of one filter take together, over all workers, and who waits for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Filter;
use crate::telemetry::metrics::{Exposition, Kind};

/// See the module. Instances and their memory change rarely: workers share it.
#[derive(Debug, Default)]
pub struct Usage {
    instances: AtomicU64,
    /// Linear memory.
    bytes: AtomicU64,
    /// Exchanges that wait for an instance.
    pending: AtomicU64,
}

/// One of what is counted, until it is dropped.
#[derive(Debug)]
pub struct Counted<'a>(&'a AtomicU64);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The part of one instance.
#[derive(Debug)]
pub struct Share {
    usage: Arc<Usage>,
    bytes: u64,
}

impl Usage {
    /// One more instance.
    pub fn share(self: &Arc<Self>) -> Share {
        self.instances.fetch_add(1, Ordering::Relaxed);
        Share { usage: Arc::clone(self), bytes: 0 }
    }

    /// Somebody waits for one.
    pub fn wait(&self) -> Counted<'_> {
        self.pending.fetch_add(1, Ordering::Relaxed);
        Counted(&self.pending)
    }

    /// Writes those of several filters, second versions included.
    pub fn render<'a>(all: impl Iterator<Item = &'a Arc<Filter>> + Clone, exposition: &mut Exposition) {
        let mut gauge = |name, help, of: fn(&Filter) -> f64| {
            let mut lines = exposition.metric(name, help, Kind::Gauge);
            for filter in all.clone() {
                lines.sample("", &[("filter", &filter.name)], None, of(filter));
            }
        };
        gauge("tamis_filter_instances", "Instances of a filter that there are, at work or idle.", |filter| {
            filter.identity.usage.instances.load(Ordering::Relaxed) as f64
        });
        gauge("tamis_filter_memory_bytes", "Linear memory of the instances of a filter.", |filter| {
            filter.identity.usage.bytes.load(Ordering::Relaxed) as f64
        });
        gauge("tamis_filter_pending", "Exchanges that wait for an instance of a filter.", |filter| {
            filter.identity.usage.pending.load(Ordering::Relaxed) as f64
        });
        gauge("tamis_filter_left_alone", "Whether a filter keeps failing and is not called at present.", |filter| {
            f64::from(u8::from(filter.health.is_tripped()))
        });
    }
}

impl Share {
    /// The instance has as much memory now.
    pub fn has(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        // Memories only grow.
        self.usage.bytes.fetch_add(bytes.saturating_sub(self.bytes), Ordering::Relaxed);
        self.bytes = self.bytes.max(bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.usage.instances.fetch_sub(1, Ordering::Relaxed);
        self.usage.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_given_back() {
        let usage = Arc::<Usage>::default();
        let counts = || [&usage.instances, &usage.bytes, &usage.pending].map(|count| count.load(Ordering::Relaxed));
        let (mut one, other) = (usage.share(), usage.share());
        one.has(100);
        one.has(300);
        let waiting = usage.wait();
        assert_eq!(counts(), [2, 300, 1]);
        drop((one, waiting));
        assert_eq!(counts(), [1, 0, 0]);
        drop(other);
        assert_eq!(counts(), [0, 0, 0]);
    }
}
