//! Metrics: numbers that workers count and an operator's scraper reads.
//!
//! A worker counts in a shard of its own; the shards are added up when they are read. A metric has a bound on its series:
//! past it every label reads `other`, so that what comes from traffic cannot fill the memory.

mod cells;
mod family;
mod text;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use cells::{Count, DURATIONS_US, Durations, PerWorker};
pub use family::{BUCKETS, Family, Ignored, OTHER, SHARDS, shard};
pub use text::{Exposition, Format, Lines};

/// Series of one of the proxy's own metrics. Their labels come from the configuration alone, so this is never reached.
const OWN_SERIES_MAX: usize = 100_000;

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// The last value that was set, by whichever worker.
    Gauge,
    /// How many values fell into each of [`BUCKETS`].
    Histogram,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A metric as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub name: Arc<str>,
    pub help: Arc<str>,
    pub kind: Kind,
    /// Names of the labels, in the order in which their values are given.
    pub labels: Arc<[Box<str>]>,
}

impl Description {
    /// Whether values of the one can go on where those of the other ended.
    pub fn counts_like(&self, other: &Self) -> bool {
        self.name == other.name && self.kind == other.kind && self.labels == other.labels
    }

    /// Whether the two would write lines of one name. A histogram writes lines of three names besides its own,
    /// a counter of one in OpenMetrics.
    pub fn collides_with(&self, other: &Self) -> bool {
        let writes = |one: &Self, name: &str| {
            let suffix = name.strip_prefix(&*one.name);
            match one.kind {
                Kind::Histogram => suffix.is_some_and(|suffix| ["_bucket", "_sum", "_count"].contains(&suffix)),
                Kind::Counter => suffix == Some("_total"),
                Kind::Gauge => false,
            }
        };
        self.name == other.name || writes(self, &other.name) || writes(other, &self.name)
    }
}

/// The proxy's own metrics. One for the process; snapshots hand it on.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<&'static str, Arc<Family>>>);

impl Registry {
    /// A counter of that name: a new one, or the one that is there.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[&str]) -> Arc<Family> {
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let family = families.entry(name).or_insert_with(|| {
            let labels = labels.iter().map(|label| Box::from(*label)).collect();
            let description = Description { name: name.into(), help: help.into(), kind: Kind::Counter, labels };
            Arc::new(Family::new(description, OWN_SERIES_MAX))
        });
        Arc::clone(family)
    }

    pub fn render(&self, exposition: &mut Exposition) {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        families.values().for_each(|family| family.render(exposition, &[]));
    }
}
