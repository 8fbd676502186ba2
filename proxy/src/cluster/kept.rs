//! What of a cluster outlives its snapshots: what it has spent, what is in use, what was counted, and who was chosen last.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::breaker::Load;
use super::budget::Budget;
use super::choices::Choices;
use super::outlier::Alarm;
use crate::config;
use crate::tls::Why;

/// Shared by all workers.
#[derive(Debug)]
pub struct Kept {
    pub budget: Arc<Budget>,
    pub load: Arc<Load>,
    pub counts: Arc<Counts>,
    pub alarm: Arc<Alarm>,
    pub choices: Arc<Choices>,
}

/// Since the process began.
#[derive(Debug, Default)]
pub struct Counts {
    /// Further attempts, those beside another included.
    pub retries: Count,
    /// Those that were not made because the budget was spent, or because the deadline would have passed before.
    pub over_budget: Count,
    pub too_late: Count,
    /// Attempts beside another, and those of them whose answer counted.
    pub hedges: Count,
    pub hedges_won: Count,
    /// Requests that were not sent because their deadline had passed.
    pub expired: Count,
    pub tls: Tls,
}

/// TLS handshakes with endpoints.
#[derive(Debug, Default)]
pub struct Tls {
    full: Count,
    resumed: Count,
    failed: [Count; Why::ALL.len()],
}

impl Tls {
    pub fn shook(&self, resumed: bool) {
        if resumed { &self.resumed } else { &self.full }.more();
    }

    pub fn failed_for(&self, why: Why) {
        self.failed[why as usize].more();
    }

    /// Full ones, and those that took up an earlier session.
    pub fn done(&self) -> (u64, u64) {
        (self.full.get(), self.resumed.get())
    }

    pub fn failed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Why::ALL.iter().zip(&self.failed).map(|(why, count)| (why.name(), count.get()))
    }
}

#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Kept {
    /// What the previous cluster of that name has, as far as it still counts.
    pub fn of(config: &config::Cluster, previous: Option<&Kept>) -> Self {
        let window = config.retry_budget.window;
        Self {
            budget: match previous.filter(|previous| previous.budget.is_of(window)) {
                Some(previous) => Arc::clone(&previous.budget),
                None => Arc::new(Budget::new(window)),
            },
            load: previous.map(|previous| Arc::clone(&previous.load)).unwrap_or_default(),
            counts: previous.map(|previous| Arc::clone(&previous.counts)).unwrap_or_default(),
            alarm: previous.map(|previous| Arc::clone(&previous.alarm)).unwrap_or_default(),
            choices: previous.map(|previous| Arc::clone(&previous.choices)).unwrap_or_default(),
        }
    }
}
