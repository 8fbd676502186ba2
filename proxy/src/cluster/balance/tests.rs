//! What holds of the policies: how they share the load out, what they do when endpoints come and go, and how they fare when
//! one is slow.

mod hashes;
mod sets;
mod shares;
mod simulation;

use std::net::SocketAddr;
use std::sync::Arc;

use super::group::{Group, Member};
use super::*;
use crate::config::{Balancing, Labels, Standing};

const ALL: [Balance; 7] = [
    Balance::RoundRobin,
    Balance::Random,
    Balance::LeastRequest,
    Balance::PeakEwma,
    Balance::Hash,
    Balance::RingHash,
    Balance::Maglev,
];
const BY_KEY: [Balance; 3] = [Balance::Hash, Balance::RingHash, Balance::Maglev];

fn config(balance: Balance) -> config::Cluster {
    config::Cluster { balance, ..config::Cluster::of(Vec::new()) }
}

fn address(number: usize) -> SocketAddr {
    ([10, 0, (number >> 8) as u8, number as u8], 80).into()
}

/// Endpoints with these weights, and addresses that tell their places.
fn members(weights: &[u32]) -> Vec<Member> {
    let member = |(number, weight): (usize, &u32)| Member { endpoint: Arc::new(Endpoint::new(address(number))), weight: *weight };
    weights.iter().enumerate().map(member).collect()
}

fn group(balance: Balance, members: &[Member]) -> Group {
    Group::new(members.to_vec(), &config(balance), now_ms())
}

fn place(endpoint: &Endpoint) -> usize {
    let SocketAddr::V4(address) = endpoint.address else { panic!("an IPv6 address") };
    let [_, _, high, low] = address.ip().octets();
    (usize::from(high) << 8) | usize::from(low)
}

/// How often each of `count` endpoints was picked.
fn counts<'a>(count: usize, picks: impl Iterator<Item = &'a Arc<Endpoint>>) -> Vec<usize> {
    let mut counts = vec![0; count];
    picks.for_each(|endpoint| counts[place(endpoint)] += 1);
    counts
}

/// Asserts that of so many independent draws a share of them, give or take five standard deviations.
fn assert_share(count: usize, draws: usize, share: f64, said: &str) {
    let (expected, deviation) = (draws as f64 * share, (draws as f64 * share * (1.0 - share)).sqrt());
    assert!((count as f64 - expected).abs() <= 5.0 * deviation + 1.0, "{said}: {count} of {draws}, expected {expected:.0}");
}
