//! Outlier detection: endpoints that serve badly are left out for a while.
//!
//! Workers count what they see of attempts (`tally`, atomics of each endpoint) and ring the [`Alarm`] of the cluster when a
//! count is past its limit. The `ward`, on the control runtime, decides: it ejects within the cap, compares endpoints with
//! each other (`rates`), and lets them in again when their time (`ejection`) is over. No worker waits for it.

mod ejection;
mod rates;
mod tally;
mod ward;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Endpoint, Seen};
use crate::config::Outliers;

pub use ejection::{Ejection, Term};
pub use tally::Tally;
pub use ward::tend;

use tally::Verdict;

/// What a worker does about one attempt that is over.
pub fn saw(endpoint: &Endpoint, seen: &Seen, rules: &Outliers, alarm: &Alarm) {
    let Some(verdict) = Verdict::of(seen) else { return };
    // The clock is only read where a share is asked for.
    let slot = if Tally::has_window(rules) { now_slot(rules) } else { 0 };
    if endpoint.tally.saw(verdict, rules, slot) {
        alarm.ring();
    }
}

/// The slot of the present moment.
fn now_slot(rules: &Outliers) -> u64 {
    static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
    tally::slot_of(Instant::now().saturating_duration_since(*BEGINNING), rules)
}

/// Why an endpoint was ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Why {
    LocalFailures = 1,
    GatewayErrors = 2,
    ServerErrors = 3,
    FailurePercent = 4,
    SuccessRate = 5,
}

impl Why {
    const ALL: [Self; 5] =
        [Self::LocalFailures, Self::GatewayErrors, Self::ServerErrors, Self::FailurePercent, Self::SuccessRate];

    /// In the words of the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::LocalFailures => "local-failures",
            Self::GatewayErrors => "gateway-errors",
            Self::ServerErrors => "server-errors",
            Self::FailurePercent => "failure-percent",
            Self::SuccessRate => "success-rate",
        }
    }

    fn of(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|why| *why as u8 == code)
    }
}

/// How workers tell the ward of a cluster that an endpoint is to be looked at. It outlives snapshots.
#[derive(Debug, Default)]
pub struct Alarm {
    notify: Notify,
    ejections: AtomicU64,
}

impl Alarm {
    /// From any thread; rings that come together are one.
    pub fn ring(&self) {
        self.notify.notify_one();
    }

    async fn rung(&self) {
        self.notify.notified().await;
    }

    /// Endpoints that were ejected since the cluster has been there.
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
