//! Time.

use std::time::Duration;

use crate::{host, ms};

/// Since the Unix epoch. May jump.
pub fn now() -> Duration {
    Duration::from_nanos(host::clock::now_ns())
}

/// Since an unknown moment, the same for all instances of the process. Never goes back.
pub fn monotonic() -> Duration {
    Duration::from_nanos(host::clock::monotonic_ns())
}

/// Waits, without holding a thread of the proxy: it goes on with other work meanwhile. The proxy counts in milliseconds; less
/// than one counts as one, except zero.
pub fn sleep(time: Duration) {
    host::clock::sleep_ms(ms::short(time));
}
