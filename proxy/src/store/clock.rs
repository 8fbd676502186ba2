//! The two clocks of a store, read once an operation and passed down, so that a test can be at any time it likes.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

const NANOS_A_MILLI: u64 = 1_000_000;

/// One moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since some moment in the life of this process; never goes back.
    pub monotonic: u64,
    /// Nanoseconds since the Unix epoch, for windows that begin with the hour. May be set.
    pub unix: u64,
}

impl Now {
    pub fn read() -> Self {
        static START: OnceLock<Instant> = OnceLock::new();
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            monotonic: u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX),
            unix: u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// When a value that lives for so long has expired. Without a time to live, never.
    pub(super) fn after(self, ttl_ms: Option<u64>) -> u64 {
        ttl_ms.map_or(u64::MAX, |ttl| self.monotonic.saturating_add(nanos(ttl)))
    }
}

/// Saturated, which is 584 years.
pub(super) fn nanos(millis: u64) -> u64 {
    millis.saturating_mul(NANOS_A_MILLI)
}

/// Rounded up, so that whoever waits for so long has waited long enough.
pub(super) fn millis(nanos: u128) -> u64 {
    u64::try_from(nanos.div_ceil(u128::from(NANOS_A_MILLI))).unwrap_or(u64::MAX)
}
