//! Numbers of the filter's own, beside those of the proxy. Declared in `configure` ([`Setup::counter`](crate::Setup::counter)
//! and its kin), counted in hooks.
//!
//! Label values come from traffic only with care: past the metric's limit of values the proxy counts under `other`.

use crate::host;

/// A number that only rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter(pub(crate) u32);

/// A number that rises and falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge(pub(crate) u32);

/// How often values of which size came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram(pub(crate) u32);

impl Counter {
    /// Adds one. Label values stand in the order of declaration.
    pub fn increment(&self, labels: &[&str]) {
        self.add(labels, 1.0);
    }

    /// Adds this.
    pub fn add(&self, labels: &[&str], value: f64) {
        host::metrics::observe(self.0, &owned(labels), value);
    }
}

impl Gauge {
    /// Sets it. Label values stand in the order of declaration.
    pub fn set(&self, labels: &[&str], value: f64) {
        host::metrics::observe(self.0, &owned(labels), value);
    }
}

impl Histogram {
    /// Counts a value. Label values stand in the order of declaration.
    pub fn observe(&self, labels: &[&str], value: f64) {
        host::metrics::observe(self.0, &owned(labels), value);
    }
}

pub(crate) fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}
