//! Numbers of the filter's own.

use crate::testing::hand::{with_process, with_setup};
use crate::testing::metrics;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

pub fn declare(name: &str, _help: &str, kind: Kind, labels: &[String]) -> Result<u32, String> {
    with_setup("declare", |hand| metrics::declare(&mut hand.metrics, name, kind, labels))
}

pub fn observe(metric: u32, labels: &[String], value: f64) {
    with_process(|process| process.metrics.observe(metric, labels, value));
}
