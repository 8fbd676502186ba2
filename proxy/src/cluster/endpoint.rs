//! One address of a cluster, with the load, the health and the cost that all workers see.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::Seen;
use super::balance::{Cost, Since, now_ms};
use super::counts::Counts;
use super::hash;
use super::health::{Checks, Health, Out};
use super::outlier::{Ejection, Tally, Term};

/// Shared by all workers and carried from snapshot to snapshot.
#[derive(Debug)]
pub struct Endpoint {
    /// Differs for every endpoint of this process, so that workers can key their pools by it.
    pub id: u64,
    pub address: SocketAddr,
    /// The name by which it is listed, where TLS asks for it.
    pub host: Option<Arc<str>>,
    /// It is where a client was going, and listed nowhere.
    pub passing: bool,
    /// Of the address alone, so that every proxy and every restart sends a hash key to the same place.
    pub hash: u64,
    pub health: Health,
    pub cost: Cost,
    pub since: Since,
    /// What workers count of its attempts.
    pub tally: Tally,
    /// Of the control runtime and the admin; no worker looks here.
    ejection: Mutex<Ejection>,
    checks: Mutex<Checks>,
    active: AtomicU32,
    /// Where its cluster asks for metrics of endpoints.
    counts: OnceLock<Box<Counts>>,
}

impl Endpoint {
    pub fn new(address: SocketAddr) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            address,
            host: None,
            passing: false,
            hash: hash::of_address(address),
            health: Health::default(),
            cost: Cost::default(),
            since: Since::default(),
            tally: Tally::default(),
            ejection: Mutex::default(),
            checks: Mutex::default(),
            active: AtomicU32::new(0),
            counts: OnceLock::new(),
        }
    }

    pub fn ejection(&self) -> MutexGuard<'_, Ejection> {
        self.ejection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever calls this refreshes the cluster.
    pub fn end_ejection(&self) -> Option<Term> {
        let term = self.ejection().end();
        self.tally.forget();
        self.health.set(Out::Ejected, false);
        term
    }

    pub fn checks(&self) -> MutexGuard<'_, Checks> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt is over, and counts.
    pub fn count(&self, seen: &Seen) {
        self.counts.get_or_init(Box::default).add(seen);
    }

    pub fn counted(&self) -> Option<&Counts> {
        self.counts.get().map(|counts| &**counts)
    }

    /// Exchanges under way, over all workers.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Counts one exchange for as long as the answer is held. `decay`: of the cost, where one is kept.
    pub fn begin(self: &Arc<Self>, decay: Option<Duration>) -> Active {
        self.active.fetch_add(1, Ordering::Relaxed);
        Active { endpoint: Arc::clone(self), waiting: decay.map(|decay| (now_ms(), decay)) }
    }
}

/// One exchange under way at an endpoint.
#[derive(Debug)]
pub struct Active {
    endpoint: Arc<Endpoint>,
    /// Since when an answer is waited for, where that counts.
    waiting: Option<(u64, Duration)>,
}

impl Active {
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The head of an answer has come.
    pub fn answered(&mut self) {
        self.waiting = None;
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.endpoint.active.fetch_sub(1, Ordering::Relaxed);
        // Nobody waits any more, and so nobody will tell: the client has left, or the exchange took too long.
        if let Some((since, decay)) = self.waiting {
            let now = now_ms();
            self.endpoint.cost.at_least(now, Duration::from_millis(now.saturating_sub(since)), decay);
        }
    }
}
