//! Durations as the proxy counts them, in milliseconds.

use std::time::Duration;

/// Less than a millisecond counts as one: zero often means something else. What does not fit is as long as can be.
pub(crate) fn long(time: Duration) -> u64 {
    match u64::try_from(time.as_millis()) {
        Ok(0) if !time.is_zero() => 1,
        Ok(ms) => ms,
        Err(_) => u64::MAX,
    }
}

/// The same in 32 bits.
pub(crate) fn short(time: Duration) -> u32 {
    u32::try_from(long(time)).unwrap_or(u32::MAX)
}
