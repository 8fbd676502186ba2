//! Where clients were going before they were redirected to the proxy: endpoints of a cluster that lists none.
//!
//! Each worker has its own, as many as the cluster's `destinations`, so that connections to them are used again; a swap of the
//! snapshot forgets them. Where connections are redirected to this process, what clusters open is remembered for as long as it is
//! open: if it comes back to a listener, redirecting leads in a circle.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;

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

/// Both ends of a connection: its own, and the one that it was opened to. A port of this host alone may serve several at once.
type Ends = (SocketAddr, SocketAddr);
/// How many have, or seem to have, the same ends: one whose end is not noticed yet must not take another's place with it.
type Counted = HashMap<Ends, usize>;

static OWN: [Mutex<Option<Counted>>; SHARDS] = [const { Mutex::new(None) }; SHARDS];
/// Somebody redirects connections to this process.
static REDIRECTED: AtomicBool = AtomicBool::new(false);

fn shard(own: SocketAddr) -> MutexGuard<'static, Option<Counted>> {
    OWN[usize::from(own.port()) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
}

/// Without what only one of both sides may see of it, such as a flow's label.
fn bare(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// From now on connections are remembered: a circle begins with one that was redirected.
pub fn begin_to_remember() {
    if !REDIRECTED.load(Ordering::Relaxed) {
        REDIRECTED.store(true, Ordering::Relaxed);
    }
}

/// A connection that this process has opened.
#[derive(Debug)]
pub struct Own(Ends);

impl Own {
    /// `None`: nobody would ask.
    pub fn of(stream: &TcpStream, to: SocketAddr) -> Option<Self> {
        let asked = REDIRECTED.load(Ordering::Relaxed);
        asked.then(|| stream.local_addr().ok()).flatten().map(|local| Self::new(local, to))
    }

    fn new(local: SocketAddr, to: SocketAddr) -> Self {
        let ends = (bare(local), bare(to));
        *shard(ends.0).get_or_insert_default().entry(ends).or_default() += 1;
        Self(ends)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(own) = &mut *shard(self.0.0)
            && let Entry::Occupied(mut count) = own.entry(self.0)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Whether a connection with this other end, which was going there, is one that this process has opened.
pub fn is_own(peer: SocketAddr, original: SocketAddr) -> bool {
    let ends = (bare(peer), bare(original));
    shard(ends.0).as_ref().is_some_and(|own| own.contains_key(&ends))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

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
        let address = |port: u16| SocketAddr::from(([192, 0, 2, 1], port));
        let (local, to) = (address(1234), address(80));
        assert!(!is_own(local, to));
        let (first, second) = (Own::new(local, to), Own::new(local, to));
        assert!(is_own(local, to) && !is_own(local, address(81)), "somebody else may have the same port");
        let mapped = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped(), 1234));
        assert!(is_own(mapped, to));
        drop(first);
        assert!(is_own(local, to), "another one is there");
        drop(second);
        assert!(!is_own(local, to));
    }
}
