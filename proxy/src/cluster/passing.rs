//! Where clients were going before they were redirected to the proxy: endpoints of a cluster that lists none.
//!
//! Each worker has its own, as many as the cluster's `destinations`, so that connections to them are used again; a swap of the
//! snapshot forgets them. What this process opens to such places is remembered for as long as it is open: if it comes back to
//! a listener, redirecting leads in a circle.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Cluster, Endpoint};

type ByAddress = HashMap<SocketAddr, Arc<Endpoint>>;

thread_local! {
    static PASSING: RefCell<HashMap<Arc<str>, ByAddress>> = RefCell::default();
}

/// The endpoint at this address.
pub fn endpoint(cluster: &Cluster, address: SocketAddr) -> Arc<Endpoint> {
    PASSING.with_borrow_mut(|passing| {
        let of_cluster = match passing.get_mut(&cluster.name) {
            Some(of_cluster) => of_cluster,
            None => passing.entry(Arc::clone(&cluster.name)).or_default(),
        };
        if let Some(known) = of_cluster.get(&address) {
            return Arc::clone(known);
        }
        let mut endpoint = Endpoint::new(address);
        // One more is used once.
        endpoint.passing = of_cluster.len() < cluster.config.limits.destinations;
        let endpoint = Arc::new(endpoint);
        if endpoint.passing {
            of_cluster.insert(address, Arc::clone(&endpoint));
        }
        endpoint
    })
}

/// Forgets those that nobody uses, where `is_unused` says that no connection is left either.
pub fn tend(is_unused: impl Fn(u64) -> bool) {
    PASSING.with_borrow_mut(|passing| {
        for of_cluster in passing.values_mut() {
            of_cluster.retain(|_, endpoint| Arc::strong_count(endpoint) > 1 || !is_unused(endpoint.id));
        }
    });
}

/// Forgets all of them.
pub fn forget() {
    PASSING.with_borrow_mut(HashMap::clear);
}

/// Shards, so that workers hardly ever meet.
const SHARDS: usize = 16;

static OWN: [Mutex<Option<HashSet<SocketAddr>>>; SHARDS] = [const { Mutex::new(None) }; SHARDS];

fn shard(address: SocketAddr) -> MutexGuard<'static, Option<HashSet<SocketAddr>>> {
    OWN[usize::from(address.port()) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that this process has opened, by the address of its own end.
#[derive(Debug)]
pub struct Own(SocketAddr);

impl Own {
    pub fn new(local: SocketAddr) -> Self {
        shard(local).get_or_insert_default().insert(local);
        Self(local)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(own) = &mut *shard(self.0) {
            own.remove(&self.0);
        }
    }
}

/// Whether a connection with this other end is one that this process has opened to where a client was going.
pub fn is_own(peer: SocketAddr) -> bool {
    shard(peer).as_ref().is_some_and(|own| own.contains(&peer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::discovery::Resolved;
    use crate::config;

    fn cluster(destinations: usize) -> Arc<Cluster> {
        let mut config = config::Cluster::of(Vec::new());
        config.original_destination = true;
        config.limits.destinations = destinations;
        Cluster::build(&Arc::from("passthrough"), &Arc::new(config), &Resolved::default(), None)
    }

    #[test]
    fn an_address_is_one_endpoint_until_nobody_uses_it() {
        let cluster = cluster(2);
        let at = |port: u16| endpoint(&cluster, SocketAddr::from(([10, 0, 0, 1], port)));
        let (one, two) = (at(1), at(2));
        assert_eq!((one.id, at(2).id), (at(1).id, two.id));
        let third = at(3);
        assert!(!third.passing && third.id != at(3).id, "past the limit nothing is kept");
        let kept = one.id;
        drop((one, third));
        tend(|id| id != kept);
        assert_eq!(at(1).id, kept, "a connection is left");
        tend(|_| true);
        assert_ne!(at(1).id, kept);
        assert_eq!(at(2).id, two.id, "somebody uses it");
        forget();
        assert_ne!(at(2).id, two.id);
    }

    #[test]
    fn what_comes_back_is_known() {
        let address = SocketAddr::from(([192, 0, 2, 1], 1234));
        assert!(!is_own(address));
        let own = Own::new(address);
        assert!(is_own(address));
        drop(own);
        assert!(!is_own(address));
    }
}
