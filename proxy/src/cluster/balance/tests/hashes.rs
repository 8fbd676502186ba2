//! A key has one place, keys are shared out by weight, and few of them move when endpoints come and go.

use proptest::prelude::*;

use super::*;
use crate::cluster::hash;

const KEYS: u32 = 20_000;

fn keys() -> impl Iterator<Item = u64> {
    (0..KEYS).map(|key| hash::of_key(&key.to_be_bytes()))
}

fn owners(group: &Group) -> Vec<usize> {
    keys().map(|key| place(group.pick(Some(key)))).collect()
}

#[test]
fn a_key_stays_where_it_is_and_the_others_do_not_follow() {
    for balance in BY_KEY {
        let members = members(&[1; 5]);
        let group = group(balance, &members);
        let picks = |key| (0..100).map(|_| place(group.pick(key))).collect::<std::collections::BTreeSet<_>>();
        assert!(keys().take(20).all(|key| picks(Some(key)).len() == 1), "{balance:?}");
        assert_eq!(owners(&group).into_iter().collect::<std::collections::BTreeSet<_>>().len(), 5, "{balance:?}");
        assert!(picks(None).len() > 1, "without a key {balance:?} is no hash");
    }
}

#[test]
fn keys_are_shared_out_by_weight() {
    // Of a fair share, in percent. A ring of a thousand points is what it is.
    for (balance, tolerance) in [(Balance::Hash, 6), (Balance::Maglev, 6), (Balance::RingHash, 35)] {
        for weights in [&[1; 10][..], &[1, 2, 3, 4], &[10, 1, 1]] {
            let members = members(weights);
            let mut counts = vec![0_u32; weights.len()];
            owners(&group(balance, &members)).into_iter().for_each(|owner| counts[owner] += 1);
            let total: u32 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(weights) {
                let fair = KEYS * weight / total;
                assert!(count.abs_diff(fair) * 100 <= fair * tolerance, "{balance:?} {weights:?}: {count}, fair were {fair}");
            }
        }
    }
}

#[test]
fn the_order_of_a_configuration_makes_no_difference() {
    for balance in BY_KEY {
        for weights in [[1; 4], [1, 2, 3, 4]] {
            let forward = members(&weights);
            let backward: Vec<_> = forward.iter().rev().cloned().collect();
            assert!(owners(&group(balance, &forward)) == owners(&group(balance, &backward)), "{balance:?}");
        }
    }
}

/// How many keys moved that need not have, when the endpoint at `gone` left; all of them went elsewhere.
fn moved(balance: Balance, weights: &[u32], gone: usize) -> usize {
    let all = members(weights);
    let before = owners(&group(balance, &all));
    let rest: Vec<_> = all.into_iter().filter(|member| place(&member.endpoint) != gone).collect();
    let after = owners(&group(balance, &rest));
    assert!(!after.contains(&gone));
    before.iter().zip(&after).filter(|(before, after)| **before != gone && before != after).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn only_the_keys_of_one_that_leaves_move(weights in prop::collection::vec(1u32..10, 2..20), gone in any::<prop::sample::Index>()) {
        prop_assert_eq!(moved(Balance::Hash, &weights, gone.index(weights.len())), 0);
    }

    /// As long as the number of points for a unit of weight is the same.
    #[test]
    fn on_a_ring_as_well(weights in prop::collection::vec(1u32..10, 2..20), gone in any::<prop::sample::Index>()) {
        let gone = gone.index(weights.len());
        let points = |total: u32| 1024_u32.div_ceil(total).next_power_of_two();
        let total: u32 = weights.iter().sum();
        prop_assume!(points(total) == points(total - weights[gone]));
        prop_assert_eq!(moved(Balance::RingHash, &weights, gone), 0);
    }

    #[test]
    fn maglev_moves_few_others(weights in prop::collection::vec(1u32..4, 5..20), gone in any::<prop::sample::Index>()) {
        let moved = moved(Balance::Maglev, &weights, gone.index(weights.len()));
        prop_assert!(moved < KEYS as usize / 20, "{moved} of {KEYS} moved without need, with {weights:?}");
    }

    #[test]
    fn a_retry_goes_where_the_key_goes_when_the_first_leaves(weights in prop::collection::vec(1u32..10, 2..20), key in any::<u64>()) {
        for balance in [Balance::Hash, Balance::RingHash] {
            let all = members(&weights);
            let total: u32 = weights.iter().sum();
            let first = group(balance, &all).pick(Some(key)).clone();
            let points = |total: u32| 1024_u32.div_ceil(total).next_power_of_two();
            if balance == Balance::RingHash && points(total) != points(total - weights[place(&first)]) {
                continue;
            }
            let second = group(balance, &all).pick_by(key, &[first.id]).cloned().expect("another");
            let rest: Vec<_> = all.iter().filter(|member| member.endpoint.id != first.id).cloned().collect();
            prop_assert_eq!(second.id, group(balance, &rest).pick(Some(key)).id);
        }
    }
}

#[test]
fn the_next_for_a_key_are_all_the_others_in_turn() {
    for balance in BY_KEY {
        let members = members(&[1; 8]);
        let group = group(balance, &members);
        for key in keys().take(10) {
            let mut refused = Vec::new();
            while let Some(next) = group.pick_by(key, &refused) {
                assert!(!refused.contains(&next.id));
                refused.push(next.id);
            }
            assert_eq!(refused.len(), 8, "{balance:?}");
        }
    }
}
