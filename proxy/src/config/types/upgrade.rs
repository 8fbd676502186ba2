//! `[upgrade]`: another process takes over from this one.

use std::time::Duration;

use super::defaults;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// How long the successor may take until it is ready.
    pub deadline: Duration,
}

from_defaults!(Upgrade { deadline: UPGRADE_DEADLINE });
