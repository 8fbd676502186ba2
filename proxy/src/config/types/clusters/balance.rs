//! How endpoints are chosen.

use std::sync::Arc;
use std::time::Duration;

use crate::config::defaults;

/// `balance = "least-request"` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    RoundRobin,
    Random,
    LeastRequest,
    PeakEwma,
    /// By the key that a filter sets, as the next two; `LeastRequest` for an exchange without one.
    Hash,
    RingHash,
    Maglev,
}

impl Balance {
    pub const fn name(self) -> &'static str {
        match self {
            Balance::RoundRobin => "round-robin",
            Balance::Random => "random",
            Balance::LeastRequest => "least-request",
            Balance::PeakEwma => "peak-ewma",
            Balance::Hash => "hash",
            Balance::RingHash => "ring-hash",
            Balance::Maglev => "maglev",
        }
    }
}

/// `[clusters.NAME.balancing]`
#[derive(Debug, Clone, PartialEq)]
pub struct Balancing {
    /// Fewer endpoints of a priority in than this many in a hundred: all of them are asked. 0: never.
    pub panic_percent: u32,
    /// A priority gives up load when fewer of its endpoints are in than this makes up for.
    pub overprovisioning_percent: u32,
    /// Fewer endpoints of a priority than this, and zones make no difference; 0: they never do.
    pub zone_endpoints_min: usize,
    /// How long an endpoint that comes, or comes back, is spared; zero: not at all.
    pub slow_start: Duration,
    /// Its share of a full load at first.
    pub slow_start_percent_min: u32,
    /// 100: the load grows evenly; more: sooner; less: later.
    pub slow_start_aggression_percent: u32,
    pub ewma_decay: Duration,
    pub ewma_seed: Duration,
    pub ewma_penalty: Duration,
    pub ewma_penalty_max: Duration,
    pub ring_entries_min: usize,
    pub ring_entries_max: usize,
    /// A prime.
    pub maglev_entries: usize,
    /// Subsets for which what picks need is kept.
    pub subsets: usize,
}

/// What an endpoint is beside its address and its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its share of the load beside those of the others.
    pub weight: u32,
    /// 0 is asked first; the next ones only where those before have too few endpoints in.
    pub priority: u32,
    /// `zone`, else the label of that name.
    pub zone: Option<Arc<str>>,
}

impl Default for Standing {
    fn default() -> Self {
        Self { weight: defaults::WEIGHT, priority: 0, zone: None }
    }
}

from_defaults!(Balancing {
    panic_percent: PANIC_PERCENT,
    overprovisioning_percent: OVERPROVISIONING_PERCENT,
    zone_endpoints_min: ZONE_ENDPOINTS_MIN,
    slow_start: SLOW_START,
    slow_start_percent_min: SLOW_START_PERCENT_MIN,
    slow_start_aggression_percent: SLOW_START_AGGRESSION_PERCENT,
    ewma_decay: EWMA_DECAY,
    ewma_seed: EWMA_SEED,
    ewma_penalty: EWMA_PENALTY,
    ewma_penalty_max: EWMA_PENALTY_MAX,
    ring_entries_min: RING_ENTRIES_MIN,
    ring_entries_max: RING_ENTRIES_MAX,
    maglev_entries: MAGLEV_ENTRIES,
    subsets: SUBSETS,
});
