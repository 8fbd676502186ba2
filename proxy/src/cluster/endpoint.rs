//! One address of a cluster, with the load that all workers see.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::hash;
use super::health::{Checks, Health, Out};
use super::outlier::{Ejection, Tally, Term};

/// Shared by all workers and carried from snapshot to snapshot.
#[derive(Debug)]
pub struct Endpoint {
    /// Differs for every endpoint of this process, so that workers can key their pools by it.
    pub id: u64,
    pub address: SocketAddr,
    /// Of the address alone, so that every proxy and every restart sends a hash key to the same place.
    pub hash: u64,
    pub health: Health,
    /// What workers count of its attempts.
    pub tally: Tally,
    /// Of the control runtime and the admin; no worker looks here.
    ejection: Mutex<Ejection>,
    checks: Mutex<Checks>,
    active: AtomicU32,
}

impl Endpoint {
    pub fn new(address: SocketAddr) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            address,
            hash: hash::of_address(address),
            health: Health::default(),
            tally: Tally::default(),
            ejection: Mutex::default(),
            checks: Mutex::default(),
            active: AtomicU32::new(0),
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

    /// Exchanges under way, over all workers.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Counts one exchange for as long as the answer is held.
    pub fn begin(self: &Arc<Self>) -> Active {
        self.active.fetch_add(1, Ordering::Relaxed);
        Active(Arc::clone(self))
    }
}

/// One exchange under way at an endpoint.
#[derive(Debug)]
pub struct Active(Arc<Endpoint>);

impl Active {
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}
