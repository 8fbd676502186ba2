//! Time.

use std::time::Duration;

use crate::host;

/// Since the Unix epoch. May jump.
pub fn now() -> Duration {
    Duration::from_nanos(host::clock::now_ns())
}

/// Since an unknown moment, the same for all instances of the process. Never goes back.
pub fn monotonic() -> Duration {
    Duration::from_nanos(host::clock::monotonic_ns())
}
