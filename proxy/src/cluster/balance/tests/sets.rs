//! Priorities, zones, panic and slow start, as picks see them.

use std::collections::BTreeSet;

use tokio::time::advance;

use super::*;
use crate::cluster::health::Out;
use crate::cluster::{Wishes, hash};

const DRAWS: usize = 20_000;

fn balancer(config: config::Cluster, standings: &[(u32, u32, &str)]) -> Balancer {
    let endpoints = standings.iter().enumerate().map(|(number, (weight, priority, zone))| {
        let zone = (!zone.is_empty()).then(|| Arc::from(*zone));
        let standing = Standing { weight: *weight, priority: *priority, zone };
        let labels = Labels::from([("half".to_owned(), if number % 2 == 0 { "even" } else { "odd" }.to_owned())]);
        (Arc::new(Endpoint::new(address(number))), Arc::new(labels), standing)
    });
    Balancer::new(&Arc::new(config), endpoints)
}

fn set(balancer: &Balancer, places: &[usize], is_in: bool) {
    for place in places {
        balancer.seats()[*place].endpoint.health.set(Out::Checks, !is_in);
    }
    balancer.refresh();
}

/// How often each was picked.
fn picked(balancer: &Balancer) -> Vec<usize> {
    let picks: Vec<_> = (0..DRAWS).filter_map(|_| balancer.pick(&Wishes::default(), &[])).collect();
    counts(balancer.seats().len(), picks.iter())
}

fn those_picked(balancer: &Balancer) -> Vec<usize> {
    picked(balancer).into_iter().enumerate().filter(|(_, count)| *count > 0).map(|(place, _)| place).collect()
}

#[test]
fn nothing_is_picked_from_nothing() {
    for balance in ALL {
        let wishes = Wishes { key: Some(7), ..Wishes::default() };
        assert!(balancer(config(balance), &[]).pick(&wishes, &[]).is_none());
        let one = balancer(config(balance), &[(1, 0, "")]);
        let endpoint = one.pick(&wishes, &[]).expect("one");
        assert_eq!(one.pick(&wishes, &[endpoint.id]).map(|again| again.id), Some(endpoint.id), "there is no other");
    }
}

#[test]
fn those_that_are_out_are_not_picked_until_most_are() {
    for balance in ALL {
        let balancer = balancer(config(balance), &[(1, 0, ""); 6]);
        set(&balancer, &[1, 4], false);
        assert_eq!(those_picked(&balancer), [0, 2, 3, 5], "{balance:?}");
        set(&balancer, &[0, 2], false);
        assert_eq!(those_picked(&balancer), [0, 1, 2, 3, 4, 5], "{balance:?}: two of six are too few");
        set(&balancer, &[0, 1, 2, 4], true);
        assert_eq!(those_picked(&balancer), [0, 1, 2, 3, 4, 5], "{balance:?}");
    }
}

#[test]
fn without_panic_the_last_one_bears_it_all_and_then_there_is_none() {
    let mut config = config(Balance::LeastRequest);
    config.balancing.panic_percent = 0;
    let balancer = balancer(config, &[(1, 0, ""); 3]);
    set(&balancer, &[0, 1], false);
    assert_eq!(those_picked(&balancer), [2]);
    set(&balancer, &[2], false);
    assert!(balancer.pick(&Wishes::default(), &[]).is_none());
    assert!(!balancer.suits(&Wishes::default()), "a fallback takes over");
}

#[test]
fn the_next_priority_takes_what_is_too_much() {
    for balance in ALL {
        let standings: Vec<_> = (0..15).map(|number| (1, u32::from(number >= 10), "")).collect();
        let balancer = balancer(config(balance), &standings);
        assert_eq!(those_picked(&balancer), (0..10).collect::<Vec<_>>(), "{balance:?}");
        set(&balancer, &[0, 1, 2, 3, 4], false);
        let counts = picked(&balancer);
        assert_eq!(counts[..5], [0; 5], "{balance:?}");
        assert_share(counts[10..].iter().sum(), DRAWS, 0.3, &format!("{balance:?}"));
    }
}

#[test]
fn keys_keep_their_places_when_load_spills_over() {
    for balance in BY_KEY {
        let standings: Vec<_> = (0..15).map(|number| (1, u32::from(number >= 10), "")).collect();
        let balancer = balancer(config(balance), &standings);
        set(&balancer, &[0, 1, 2, 3, 4], false);
        let owner = |key: u32| {
            let wishes = Wishes { key: Some(hash::of_key(&key.to_be_bytes())), ..Wishes::default() };
            place(&balancer.pick(&wishes, &[]).expect("some"))
        };
        let spilled = (0..2000).filter(|key| owner(*key) >= 10).count();
        assert_share(spilled, 2000, 0.3, &format!("{balance:?}"));
        assert!((0..100).all(|key| (0..20).all(|_| owner(key) == owner(key))), "{balance:?}");
    }
}

#[test]
fn the_own_zone_is_preferred_as_long_as_it_has_enough() {
    for balance in [Balance::RoundRobin, Balance::Random, Balance::LeastRequest] {
        let mut config = config(balance);
        config.zone = Some("b".into());
        let standings: Vec<_> = (0..9).map(|number| (1, 0, ["a", "b", "c"][number / 3])).collect();
        let balancer = balancer(config, &standings);
        assert_eq!(those_picked(&balancer), [3, 4, 5], "{balance:?}");
        set(&balancer, &[3], false);
        // Two of eight are a quarter, of a third that would be fair.
        let counts = picked(&balancer);
        assert_share(counts[4] + counts[5], DRAWS, 0.75, &format!("{balance:?}"));
        assert!(counts[..3].iter().chain(&counts[6..]).all(|count| *count > 0), "{counts:?}");
        set(&balancer, &[4, 5], false);
        assert_eq!(those_picked(&balancer), [0, 1, 2, 6, 7, 8], "{balance:?}");
    }
}

#[test]
fn zones_need_enough_endpoints_and_leave_keys_alone() {
    let zoned = |balance, zone: Option<&str>, count| {
        let mut config = config(balance);
        config.zone = zone.map(Arc::from);
        let standings: Vec<_> = (0..count).map(|number| (1, 0, if number < count / 2 { "a" } else { "b" })).collect();
        balancer(config, &standings)
    };
    assert_eq!(those_picked(&zoned(Balance::LeastRequest, Some("a"), 6)), [0, 1, 2]);
    assert_eq!(those_picked(&zoned(Balance::LeastRequest, Some("a"), 4)), [0, 1, 2, 3]);
    assert_eq!(those_picked(&zoned(Balance::LeastRequest, None, 6)), [0, 1, 2, 3, 4, 5]);
    let (near, far) = (zoned(Balance::Maglev, Some("a"), 6), zoned(Balance::Maglev, Some("b"), 6));
    for key in 0..100_u64 {
        let wishes = Wishes { key: Some(hash::of_key(&key.to_be_bytes())), ..Wishes::default() };
        let owner = |balancer: &Balancer| place(&balancer.pick(&wishes, &[]).expect("some"));
        assert_eq!(owner(&near), owner(&far));
    }
}

#[test]
fn a_retry_leaves_its_group_when_all_in_it_were_tried() {
    for balance in ALL {
        let balancer = balancer(config(balance), &[(1, 0, ""), (1, 0, ""), (1, 1, "")]);
        let ids: Vec<_> = balancer.seats().iter().map(|seat| seat.endpoint.id).collect();
        let wishes = Wishes { key: Some(hash::of_key(b"user-7")), ..Wishes::default() };
        let next = |tried: &[u64]| balancer.pick(&wishes, tried).map(|endpoint| endpoint.id);
        assert_eq!(next(&ids[..2]), Some(ids[2]), "{balance:?}");
        assert!(next(&ids).is_some_and(|next| next != ids[2]), "{balance:?}: all were tried, the last one is avoided");
    }
}

#[test]
fn a_subset_follows_the_health_of_its_endpoints() {
    let balancer = balancer(config(Balance::RoundRobin), &[(1, 0, ""); 8]);
    let wishes = |half: &str| Wishes { subset: vec![("half".into(), half.into())], ..Wishes::default() };
    let those = |half| {
        let picks = (0..50).filter_map(|_| balancer.pick(&wishes(half), &[]));
        picks.map(|endpoint| place(&endpoint)).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(those("even"), [0, 2, 4, 6]);
    set(&balancer, &[2], false);
    assert_eq!(those("even"), [0, 4, 6]);
    assert_eq!(those("odd"), [1, 3, 5, 7]);
    assert!(those("neither").is_empty());
    set(&balancer, &[2], true);
    set(&balancer, &[3], false);
    assert_eq!((those("even"), those("odd")), (vec![0, 2, 4, 6], vec![1, 5, 7]));
}

#[test]
fn subsets_past_the_limit_are_served_as_well() {
    let mut config = config(Balance::RoundRobin);
    config.balancing.subsets = 1;
    let balancer = balancer(config, &[(1, 0, ""); 4]);
    for (half, expected) in [("even", 0), ("odd", 1), ("even", 0), ("odd", 1)] {
        let wishes = Wishes { subset: vec![("half".into(), half.into())], ..Wishes::default() };
        assert_eq!(place(&balancer.pick(&wishes, &[]).expect("some")) % 2, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_starts_slowly() {
    for balance in [Balance::RoundRobin, Balance::Random, Balance::LeastRequest] {
        let mut config = config(balance);
        config.balancing.slow_start = Duration::from_secs(30);
        let balancer = balancer(config, &[(1, 0, ""); 4]);
        let share = |balancer: &Balancer| picked(balancer)[2] as f64 / DRAWS as f64;
        assert!((0.23..0.27).contains(&share(&balancer)), "at first nobody is new");
        set(&balancer, &[2], false);
        set(&balancer, &[2], true);
        let (mut before, full) = (0.0, 0.25);
        for expected in [0.1, 0.5, 1.0] {
            let now = share(&balancer);
            // Of 4 endpoints, one with a share s of its load has s / (3 + s) of all.
            let ideal = expected / (3.0 + expected);
            assert!((now - ideal).abs() < 0.025 && now > before && now < full + 0.02, "{balance:?}: {now}, ideal {ideal}");
            before = now;
            advance(Duration::from_secs(15)).await;
        }
    }
}

#[test]
fn a_refresh_that_finds_no_change_leaves_the_turns() {
    let balancer = balancer(config(Balance::RoundRobin), &[(1, 0, ""), (1, 0, "")]);
    for _ in 0..20 {
        let pick = || balancer.pick(&Wishes::default(), &[]).expect("one").id;
        let first = pick();
        balancer.refresh();
        assert_ne!(pick(), first);
    }
}
