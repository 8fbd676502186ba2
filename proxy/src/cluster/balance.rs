//! Which endpoint gets the next request.

use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Endpoint, hash};
use crate::config::Balance;

/// A policy with the little it remembers.
#[derive(Debug)]
pub enum Balancer {
    /// One after the other, over all workers; it starts anywhere so that many proxies do not start at the same one.
    RoundRobin(AtomicUsize),
    /// The one with fewer exchanges under way of two distinct random choices (Mitzenmacher, 2001: "The Power of Two
    /// Choices in Randomized Load Balancing").
    LeastRequest,
    /// The one that the key belongs to; for an exchange without a key as `LeastRequest`.
    Hash,
}

impl Balancer {
    pub fn new(policy: Balance) -> Self {
        match policy {
            Balance::RoundRobin => Self::RoundRobin(AtomicUsize::new(fastrand::usize(..))),
            Balance::LeastRequest => Self::LeastRequest,
            Balance::Hash => Self::Hash,
        }
    }

    /// The place of one of `endpoints`. `key`: the hash of what a filter wants hashed.
    pub fn pick<E: Borrow<Arc<Endpoint>>>(&self, endpoints: &[E], key: Option<u64>) -> Option<usize> {
        let count = endpoints.len();
        match (self, key) {
            _ if count < 2 => (count == 1).then_some(0),
            (Self::RoundRobin(next), _) => Some(next.fetch_add(1, Ordering::Relaxed) % count),
            (Self::Hash, Some(key)) => (0..count).max_by_key(|place| hash::score(key, endpoints[*place].borrow().hash)),
            (Self::LeastRequest | Self::Hash, _) => {
                let first = fastrand::usize(..count);
                let second = (first + 1 + fastrand::usize(..count - 1)) % count;
                let active = |place: usize| endpoints[place].borrow().active();
                Some(if active(first) <= active(second) { first } else { second })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn endpoints(count: u16) -> Vec<Arc<Endpoint>> {
        (0..count).map(|port| Arc::new(Endpoint::new(SocketAddr::from(([127, 0, 0, 1], port))))).collect()
    }

    #[test]
    fn round_robin_gives_each_the_same() {
        let endpoints = endpoints(3);
        let balancer = Balancer::new(Balance::RoundRobin);
        let mut counts = [0; 3];
        for _ in 0..300 {
            counts[balancer.pick(&endpoints, None).expect("there are some")] += 1;
        }
        assert_eq!(counts, [100; 3]);
    }

    #[test]
    fn least_request_never_takes_the_busiest_of_two() {
        let endpoints = endpoints(2);
        let _busy = endpoints[0].begin();
        let balancer = Balancer::new(Balance::LeastRequest);
        for _ in 0..100 {
            assert_eq!(balancer.pick(&endpoints, None), Some(1));
        }
    }

    #[test]
    fn least_request_reaches_every_endpoint() {
        let endpoints = endpoints(5);
        let balancer = Balancer::new(Balance::LeastRequest);
        let mut seen = [false; 5];
        for _ in 0..1000 {
            seen[balancer.pick(&endpoints, None).expect("there are some")] = true;
        }
        assert_eq!(seen, [true; 5]);
    }

    #[test]
    fn a_key_stays_where_it_is_and_the_others_do_not_follow() {
        let endpoints = endpoints(5);
        let balancer = Balancer::new(Balance::Hash);
        let picks = |key| (0..100).map(|_| balancer.pick(&endpoints, key)).collect::<std::collections::BTreeSet<_>>();
        assert!((0..20).all(|key| picks(Some(key)).len() == 1));
        let all: std::collections::BTreeSet<_> =
            (0..100).map(|key| balancer.pick(&endpoints, Some(hash::of_key(&[key])))).collect();
        assert_eq!(all.len(), 5);
        assert!(picks(None).len() > 1, "without a key it is no hash");
    }

    #[test]
    fn nothing_is_picked_from_nothing() {
        for policy in [Balance::RoundRobin, Balance::LeastRequest, Balance::Hash] {
            assert_eq!(Balancer::new(policy).pick(&endpoints(0), Some(7)), None);
            assert_eq!(Balancer::new(policy).pick(&endpoints(1), Some(7)), Some(0));
        }
    }
}
