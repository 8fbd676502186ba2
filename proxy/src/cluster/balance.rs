//! Which endpoint gets the next request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Endpoint;
use crate::config::Balance;

/// A policy with the little it remembers.
#[derive(Debug)]
pub enum Balancer {
    /// One after the other, over all workers; it starts anywhere so that many proxies do not start at the same one.
    RoundRobin(AtomicUsize),
    /// The one with fewer exchanges under way of two distinct random choices (Mitzenmacher, 2001: "The Power of Two
    /// Choices in Randomized Load Balancing").
    LeastRequest,
}

impl Balancer {
    pub fn new(policy: Balance) -> Self {
        match policy {
            Balance::RoundRobin => Self::RoundRobin(AtomicUsize::new(fastrand::usize(..))),
            Balance::LeastRequest => Self::LeastRequest,
        }
    }

    pub fn pick<'a>(&self, endpoints: &'a [Arc<Endpoint>]) -> Option<&'a Arc<Endpoint>> {
        let count = endpoints.len();
        match self {
            _ if count < 2 => endpoints.first(),
            Self::RoundRobin(next) => endpoints.get(next.fetch_add(1, Ordering::Relaxed) % count),
            Self::LeastRequest => {
                let first = fastrand::usize(..count);
                let second = (first + 1 + fastrand::usize(..count - 1)) % count;
                let (first, second) = (&endpoints[first], &endpoints[second]);
                Some(if first.active() <= second.active() { first } else { second })
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
            counts[balancer.pick(&endpoints).expect("there are some").address.port() as usize] += 1;
        }
        assert_eq!(counts, [100; 3]);
    }

    #[test]
    fn least_request_never_takes_the_busiest_of_two() {
        let endpoints = endpoints(2);
        let _busy = endpoints[0].begin();
        let balancer = Balancer::new(Balance::LeastRequest);
        for _ in 0..100 {
            assert_eq!(balancer.pick(&endpoints).expect("there are some").address.port(), 1);
        }
    }

    #[test]
    fn least_request_reaches_every_endpoint() {
        let endpoints = endpoints(5);
        let balancer = Balancer::new(Balance::LeastRequest);
        let mut seen = [false; 5];
        for _ in 0..1000 {
            seen[balancer.pick(&endpoints).expect("there are some").address.port() as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
    }

    #[test]
    fn nothing_is_picked_from_nothing() {
        for policy in [Balance::RoundRobin, Balance::LeastRequest] {
            assert!(Balancer::new(policy).pick(&[]).is_none());
        }
    }
}
