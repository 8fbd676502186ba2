//! Numbers of the filter's own.

use crate::testing::hand::{Phase, with, with_process};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

pub fn declare(name: &str, _help: &str, kind: Kind, labels: &[String]) -> Result<u32, String> {
    let phase = with(|hand| hand.phase);
    assert!(phase == Phase::Configure, "trap: `declare` belongs into `configure`");
    with_process(|process| process.metrics.declare(name, kind, labels))
}

pub fn observe(metric: u32, labels: &[String], value: f64) {
    with_process(|process| process.metrics.observe(metric, labels, value));
}
