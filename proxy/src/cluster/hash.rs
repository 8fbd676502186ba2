//! The numbers that keys and endpoints are compared by, the same in every process and every version; and rendezvous hashing
//! (Thaler and Ravishankar, 1998: "Using Name-Based Mappings to Increase Hit Rates").
//!
//! In the latter every endpoint has a score for the key, and the highest wins. So an endpoint that leaves loses its own keys
//! only, one that comes takes a fair share from each, and the next best is where a retry goes. There is no table to build or
//! to keep; a choice costs a multiplication or two an endpoint.

use std::net::{IpAddr, SocketAddr};

/// Of what a filter wants hashed.
pub fn of_key(key: &[u8]) -> u64 {
    mixed(fnv(OFFSET, key))
}

pub fn of_address(address: SocketAddr) -> u64 {
    let ip = match address.ip() {
        IpAddr::V4(ip) => fnv(OFFSET, &ip.octets()),
        IpAddr::V6(ip) => fnv(OFFSET, &ip.octets()),
    };
    mixed(fnv(ip, &address.port().to_be_bytes()))
}

/// How well an endpoint suits a key.
pub fn score(key: u64, endpoint: u64) -> u64 {
    mixed(key ^ endpoint)
}

/// The same where endpoints have weights, each winning in proportion to its own: the first to come of as many independent
/// processes, each with its weight as its rate. Without weights it has the same winner as [`score`].
pub fn weighted(score: u64, weight: u32) -> f64 {
    // In the middle of its place, so that neither end makes a logarithm of 0 or of 1.
    let uniform = (score as f64 + 0.5) / 2_f64.powi(64);
    -f64::from(weight) / uniform.min(1.0 - f64::EPSILON / 2.0).ln()
}

/// One of many numbers that an endpoint has beside its own.
pub fn point(endpoint: u64, number: u64) -> u64 {
    mixed(endpoint ^ mixed(number))
}

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a.
fn fnv(from: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(from, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The finalizer of SplitMix64: each bit of what goes in moves half of those that come out.
fn mixed(mut hash: u64) -> u64 {
    hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn endpoints(count: u16) -> Vec<u64> {
        (0..count).map(|number| of_address(([10, 0, (number >> 8) as u8, number as u8], 80).into())).collect()
    }

    fn winner(key: &[u8], endpoints: &[u64]) -> Option<u64> {
        endpoints.iter().copied().max_by_key(|endpoint| score(of_key(key), *endpoint))
    }

    /// Proxies of different versions stand side by side during an update: these numbers never change.
    #[test]
    fn the_numbers_are_fixed() {
        assert_eq!(of_key(b""), 0xc381_7c01_6ba4_ff30);
        assert_eq!(of_key(b"user-7"), 0x05f4_4f7f_e485_d83c);
        assert_eq!(of_address(([10, 0, 0, 1], 80).into()), 0xad60_4b20_ad54_4cd6);
        assert_eq!(point(of_key(b"user-7"), 3), 0x9ef5_9454_5252_c165);
        assert_eq!(of_address("[::1]:80".parse().expect("an address")), 0x9ca8_bb58_5fc6_e92e);
    }

    #[test]
    fn keys_spread_evenly() {
        const KEYS: usize = 20_000;
        let endpoints = endpoints(10);
        let mut counts = std::collections::HashMap::new();
        for key in 0..KEYS {
            *counts.entry(winner(format!("user-{key}").as_bytes(), &endpoints)).or_insert(0_usize) += 1;
        }
        // Five standard deviations of a fair choice are 0.0106 of all keys.
        let fair = KEYS / 10;
        assert!(counts.values().all(|count| count.abs_diff(fair) < KEYS * 106 / 10_000), "{counts:?}");
    }

    proptest! {
        #[test]
        fn only_the_keys_of_one_that_leaves_move(key in prop::collection::vec(any::<u8>(), 0..40), count in 2u16..50, gone in any::<prop::sample::Index>()) {
            let before = endpoints(count);
            let mut after = before.clone();
            let gone = after.remove(gone.index(before.len()));
            let (was, is) = (winner(&key, &before), winner(&key, &after));
            prop_assert!(was == is || was == Some(gone));
        }

        #[test]
        fn one_that_comes_takes_keys_and_moves_no_other(key in prop::collection::vec(any::<u8>(), 0..40), count in 1u16..50) {
            let (before, after) = (endpoints(count), endpoints(count + 1));
            let (was, is) = (winner(&key, &before), winner(&key, &after));
            prop_assert!(was == is || is == after.last().copied());
        }

        #[test]
        fn their_order_does_not_matter(key in any::<Vec<u8>>(), shuffled in Just(endpoints(20)).prop_shuffle()) {
            prop_assert_eq!(winner(&key, &shuffled), winner(&key, &endpoints(20)));
        }
    }
}
