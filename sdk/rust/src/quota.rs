//! Decisions about rates, made atomically by the proxy over its stores.
//!
//! ```no_run
//! # use std::time::Duration;
//! use tamis_sdk::quota::{self, Ask};
//! use tamis_sdk::store::Store;
//!
//! const QUOTA: Store = Store::named("quota");
//!
//! fn allowed(client: &str) -> bool {
//!     let ask = Ask::rate(client, 100, Duration::from_secs(1)).burst(200);
//!     // A store that does not answer lets pass.
//!     quota::take(&QUOTA, &[ask]).is_ok_and(|decisions| decisions.iter().all(|decision| decision.allowed))
//! }
//! ```

use std::time::Duration;

use crate::store::{Error, Store};
use crate::{host, ms};

/// What an exchange wants to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    key: String,
    kind: Kind,
    limit: u64,
    window: Duration,
    burst: u64,
    cost: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rate,
    Calendar,
    Concurrency,
}

/// What the proxy decided about an ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it was allowed. Nothing is taken unless every ask was.
    pub allowed: bool,
    /// What is left after this decision.
    pub remaining: u64,
    /// When asking again may help; zero if it was allowed, [`Decision::NEVER`] if nothing helps.
    pub retry_after: Duration,
    /// When the quota will be whole again.
    pub reset_after: Duration,
}

impl Decision {
    /// How long it takes where more is asked for than there can ever be.
    pub const NEVER: Duration = Duration::from_millis(u64::MAX);
}

impl Ask {
    /// `limit` in each window, evenly, with a burst of `limit` saved up at most (GCRA).
    pub fn rate(key: impl Into<String>, limit: u64, window: Duration) -> Self {
        Ask { key: key.into(), kind: Kind::Rate, limit, window, burst: limit, cost: 1 }
    }

    /// At most `limit` in the window that began at a multiple of its length since the Unix epoch.
    pub fn calendar(key: impl Into<String>, limit: u64, window: Duration) -> Self {
        Ask { key: key.into(), kind: Kind::Calendar, limit, window, burst: 0, cost: 1 }
    }

    /// At most `limit` at once. The proxy gives it back when the exchange ends.
    pub fn concurrency(key: impl Into<String>, limit: u64) -> Self {
        Ask { key: key.into(), kind: Kind::Concurrency, limit, window: Duration::ZERO, burst: 0, cost: 1 }
    }

    /// How much of a rate can be saved up. Nothing changes for other kinds.
    pub fn burst(mut self, burst: u64) -> Self {
        if self.kind == Kind::Rate {
            self.burst = burst;
        }
        self
    }

    /// How much of it this exchange takes; without a word, one.
    pub fn cost(mut self, cost: u64) -> Self {
        self.cost = cost;
        self
    }
}

/// All or nothing: unless every ask is allowed, none is taken. A decision for each ask, in their order.
pub fn take(store: &Store, asks: &[Ask]) -> Result<Vec<Decision>, Error> {
    let asks: Vec<_> = asks.iter().map(crossing).collect();
    let decisions = host::quota::take(store.name(), &asks)?;
    Ok(decisions.into_iter().map(Decision::from).collect())
}

fn crossing(ask: &Ask) -> host::quota::Ask {
    host::quota::Ask {
        key: ask.key.clone(),
        kind: match ask.kind {
            Kind::Rate => host::quota::Kind::Rate,
            Kind::Calendar => host::quota::Kind::Calendar,
            Kind::Concurrency => host::quota::Kind::Concurrency,
        },
        limit: ask.limit,
        window_ms: ms::long(ask.window),
        burst: ask.burst,
        cost: ask.cost,
    }
}

impl From<host::quota::Decision> for Decision {
    fn from(decision: host::quota::Decision) -> Self {
        Decision {
            allowed: decision.allowed,
            remaining: decision.remaining,
            retry_after: Duration::from_millis(decision.retry_after_ms),
            reset_after: Duration::from_millis(decision.reset_after_ms),
        }
    }
}
