//! Time.

use std::time::Duration;

use crate::testing::hand::{with, with_process};

pub fn now_ns() -> u64 {
    let stopped = with(|hand| hand.now);
    let now = stopped.unwrap_or_else(|| with_process(|process| process.clock.now()));
    now.as_nanos() as u64
}

pub fn monotonic_ns() -> u64 {
    with_process(|process| process.clock.monotonic().as_nanos() as u64)
}

/// Nobody waits in a test: the clock jumps.
pub fn sleep_ms(ms: u32) {
    let time = Duration::from_millis(u64::from(ms));
    with(|hand| hand.now = hand.now.map(|now| now + time));
    with_process(|process| process.clock.passed += time);
}
