//! Which endpoint gets the next request.
//!
//! A policy ([`Policy`], one file each) chooses among the endpoints of one [`Group`](group::Group). Which groups there are, and
//! what share of the load each has, follows from priorities (`priorities`), zones (`zones`) and what is in; a [`Set`](set::Set)
//! holds them. All of that is made by a refresh, off the workers, for the whole cluster and for the subsets that exchanges ask
//! for (`choice`), so that a pick reads what is there, and neither locks nor allocates.

mod choice;
mod cost;
mod group;
mod least_request;
mod maglev;
mod peak_ewma;
mod priorities;
mod random;
mod rendezvous;
mod ring_hash;
mod round_robin;
mod set;
mod slow_start;
mod weights;
mod zones;

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

pub use choice::{Balancer, Seat};
pub use cost::Cost;
pub use group::{Member, Members};
pub use slow_start::Since;

use super::Seen;
use super::endpoint::Endpoint;
use crate::config::{self, Balance};

/// A policy, made ready for the members of one group. There are at least two, or nobody asks.
pub trait Policy: fmt::Debug + Send + Sync {
    /// The place of the member that gets the next request.
    fn pick(&self, members: &Members) -> usize;

    /// Where a request with this key belongs: of the members that `eligible` lets through the first in the order of the
    /// key. `None` where a key makes no difference to the policy, or nobody is let through.
    fn pick_by(&self, _members: &Members, _key: u64, _eligible: &dyn Fn(&Member) -> bool) -> Option<usize> {
        None
    }
}

fn ready(config: &config::Cluster, members: &Members) -> Box<dyn Policy> {
    match config.balance {
        Balance::RoundRobin => Box::new(round_robin::RoundRobin::new(members)),
        Balance::Random => Box::new(random::Random),
        Balance::LeastRequest => Box::new(least_request::LeastRequest),
        Balance::PeakEwma => Box::new(peak_ewma::PeakEwma::new(&config.balancing)),
        Balance::Hash => Box::new(rendezvous::Rendezvous),
        Balance::RingHash => Box::new(ring_hash::Ring::new(members, &config.balancing)),
        Balance::Maglev => Box::new(maglev::Table::new(members, config.balancing.maglev_entries)),
    }
}

/// Whether a key has one place in all proxies, wherever they are.
fn goes_by_key(balance: Balance) -> bool {
    matches!(balance, Balance::Hash | Balance::RingHash | Balance::Maglev)
}

/// What an attempt says of its endpoint's cost, where the policy goes by it.
pub fn saw(config: &config::Cluster, endpoint: &Endpoint, seen: &Seen) {
    if config.balance == Balance::PeakEwma
        && let Some(took) = peak_ewma::counts_as(seen, &config.balancing)
    {
        endpoint.cost.learn(now_ms(), took, config.balancing.ewma_decay);
    }
}

/// What it takes to count an attempt that nobody waits for any more; see [`Endpoint::begin`].
pub fn decay(config: &config::Cluster) -> Option<Duration> {
    (config.balance == Balance::PeakEwma).then_some(config.balancing.ewma_decay)
}

/// Milliseconds since this process first asked; never 0, which stands for "never".
pub fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests;
