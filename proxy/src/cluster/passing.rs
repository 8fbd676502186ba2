//! Where clients were going before they were redirected to the proxy: endpoints of a cluster that lists none.
//!
//! Each worker has its own, as many as the cluster's `destinations`, so that connections to them are used again; a swap of the
//! snapshot forgets them. Where connections are redirected to this process, what clusters open is remembered for as long as it is
//! open: if it comes back to a listener, redirecting leads in a circle.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;

use super::{Cluster, Endpoint};
use crate::dial;

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

/// The connections that were opened to this place.
fn shard(to: SocketAddr) -> MutexGuard<'static, Option<Counted>> {
    let mut hasher = DefaultHasher::new();
    to.hash(&mut hasher);
    let shard = usize::try_from(hasher.finish() % SHARDS as u64).unwrap_or(0);
    OWN[shard].lock().unwrap_or_else(PoisonError::into_inner)
}

/// Without what only one of both sides may see of it, such as a flow's label.
fn bare(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// From now on connections are remembered: those of before were not redirected here.
pub fn begin_to_remember() {
    REDIRECTED.store(true, Ordering::Relaxed);
}

/// Opens a connection that is known as one of this process, where somebody might ask.
///
/// If it is redirected, another worker may have it in hand before the system has returned from beginning it. Who asks waits
/// for the lock that is held meanwhile, for some microseconds; to ask again later would be too late where servers speak first.
pub async fn open(to: SocketAddr, mark: Option<u32>) -> io::Result<(TcpStream, Option<Own>)> {
    if !REDIRECTED.load(Ordering::Relaxed) {
        return Ok((dial::to(to, mark).await?, None));
    }
    let (stream, own) = begin(to, mark)?;
    Ok((dial::opened(stream).await?, Some(own)))
}

fn begin(to: SocketAddr, mark: Option<u32>) -> io::Result<(TcpStream, Own)> {
    let bare_to = bare(to);
    let mut known = shard(bare_to);
    let stream = dial::begin(to, mark)?;
    let own = Own::noted(&mut known, (bare(stream.local_addr()?), bare_to));
    Ok((stream, own))
}

/// A connection that this process has opened.
#[derive(Debug)]
pub struct Own(Ends);

impl Own {
    fn noted(known: &mut Option<Counted>, ends: Ends) -> Self {
        *known.get_or_insert_default().entry(ends).or_default() += 1;
        Self(ends)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(own) = &mut *shard(self.0.1)
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
    shard(ends.1).as_ref().is_some_and(|own| own.contains_key(&ends))
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
        let own = || Own::noted(&mut shard(to), (local, to));
        let (first, second) = (own(), own());
        assert!(is_own(local, to) && !is_own(local, address(81)), "somebody else may have the same port");
        let mapped = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped(), 1234));
        assert!(is_own(mapped, to));
        drop(first);
        assert!(is_own(local, to), "another one is there");
        drop(second);
        assert!(!is_own(local, to));
    }

    #[test]
    fn what_comes_back_at_once_is_known() {
        const TURNS: usize = 500;
        begin_to_remember();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let to = listener.local_addr().expect("it is bound");
        let taken = std::thread::spawn(move || {
            let mut known = 0;
            for _ in 0..TURNS {
                let (_stream, peer) = listener.accept().expect("somebody comes");
                known += usize::from(is_own(peer, to));
            }
            known
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let held = runtime.block_on(async {
            let mut held = Vec::new();
            for _ in 0..TURNS {
                held.push(open(to, None).await.expect("it is taken"));
            }
            held
        });
        assert_eq!(taken.join().expect("it has counted"), TURNS);
        let ends = held[0].1.as_ref().expect("it is remembered").0;
        drop(held);
        assert!(!is_own(ends.0, ends.1));
    }
}
