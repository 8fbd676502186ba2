//! What quotas promise, by example and as properties.

use proptest::prelude::*;

use super::*;
use crate::config;

const MS: u64 = 1_000_000;
/// On the hour.
const START: Now = Now { monotonic: 5_000 * MS, unix: 1_700_000_000_000 / 3_600_000 * 3_600_000 * MS };

fn later(millis: u64) -> Now {
    Now { monotonic: START.monotonic + millis * MS, unix: START.unix + millis * MS }
}

fn store() -> Arc<Memory> {
    Memory::build(&"s".into(), &Arc::default())
}

fn ask(kind: Kind, limit: u64, window_ms: u64, burst: u64) -> Ask {
    Ask { key: "k".to_owned(), kind, limit, window_ms, burst, cost: 1 }
}

fn take(store: &Arc<Memory>, asks: &[Ask], now: Now) -> Vec<Decision> {
    let mut held = Vec::new();
    let decisions = store.take(&"".into(), asks, now, &mut held).expect("it fits");
    assert!(held.is_empty(), "only for tests that hold nothing");
    decisions
}

fn one(store: &Arc<Memory>, ask: &Ask, now: Now) -> Decision {
    take(store, std::slice::from_ref(ask), now)[0]
}

const fn granted(remaining: u64, reset_after_ms: u64) -> Decision {
    Decision { allowed: true, remaining, retry_after_ms: 0, reset_after_ms }
}

const fn refused(remaining: u64, retry_after_ms: u64, reset_after_ms: u64) -> Decision {
    Decision { allowed: false, remaining, retry_after_ms, reset_after_ms }
}

#[test]
fn a_rate_drips_back() {
    let store = store();
    let ten_a_second = ask(Kind::Rate, 10, 1000, 3);
    for (remaining, reset) in [(2, 100), (1, 200), (0, 300)] {
        assert_eq!(one(&store, &ten_a_second, START), granted(remaining, reset));
    }
    assert_eq!(one(&store, &ten_a_second, START), refused(0, 100, 300));
    assert_eq!(one(&store, &ten_a_second, later(99)), refused(0, 1, 201));
    assert_eq!(one(&store, &ten_a_second, later(100)), granted(0, 300));
    assert_eq!(one(&store, &Ask { cost: 2, ..ten_a_second.clone() }, later(200)), refused(1, 100, 200));
    assert_eq!(one(&store, &Ask { cost: 3, ..ten_a_second.clone() }, later(400)), granted(0, 300));
    assert_eq!(one(&store, &Ask { cost: 0, ..ten_a_second.clone() }, later(500)), granted(1, 200));
    assert_eq!(one(&store, &Ask { cost: 4, ..ten_a_second }, later(9000)), refused(3, u64::MAX, 0));
}

#[test]
fn a_third_of_a_second_is_exact() {
    let store = store();
    let three = ask(Kind::Rate, 3, 1000, 1);
    let mut allowed = 0;
    for millis in 0..100_000 {
        allowed += u64::from(one(&store, &three, later(millis)).allowed);
    }
    // Asked each millisecond, a token of 333⅓ ms is seen after 334.
    assert_eq!(allowed, 100_000_u64.div_ceil(334));
}

#[test]
fn a_calendar_window_begins_with_the_hour() {
    let store = store();
    let two_an_hour = ask(Kind::Calendar, 2, 3_600_000, 0);
    assert_eq!(one(&store, &two_an_hour, later(3_599_000)), granted(1, 1000));
    assert_eq!(one(&store, &two_an_hour, later(3_599_500)), granted(0, 500));
    assert_eq!(one(&store, &two_an_hour, later(3_599_999)), refused(0, 1, 1));
    assert_eq!(one(&store, &Ask { cost: 3, ..two_an_hour.clone() }, later(3_599_999)), refused(0, u64::MAX, 1));
    assert_eq!(one(&store, &two_an_hour, later(3_600_000)), granted(1, 3_600_000));
}

#[test]
fn a_clock_that_is_set_back_opens_no_window_again() {
    let store = store();
    let once = ask(Kind::Calendar, 1, 1000, 0);
    assert!(one(&store, &once, later(0)).allowed);
    let back = Now { unix: START.unix - 5000 * MS, ..later(10) };
    assert_eq!(one(&store, &once, back), refused(0, 990, 990));
    let forward = Now { unix: START.unix + 5000 * MS, ..later(20) };
    assert!(one(&store, &once, forward).allowed);
}

#[test]
fn what_is_held_comes_back_when_it_is_dropped() {
    let store = store();
    let at_once = Ask { cost: 2, ..ask(Kind::Concurrency, 5, 0, 0) };
    let mut held = Vec::new();
    let again = |held: &mut Vec<Held>| store.take(&"".into(), std::slice::from_ref(&at_once), START, held).expect("fits")[0];
    assert_eq!(again(&mut held), granted(3, rules::CONCURRENCY_RETRY_MS));
    assert_eq!(again(&mut held), granted(1, rules::CONCURRENCY_RETRY_MS));
    assert_eq!(again(&mut held), refused(1, rules::CONCURRENCY_RETRY_MS, rules::CONCURRENCY_RETRY_MS));
    assert_eq!(held.len(), 2);
    held.pop();
    assert!(again(&mut held).allowed);
    held.clear();
    assert_eq!((store.entries(), store.bytes()), (0, 0));
    let too_much = Ask { cost: 6, ..at_once.clone() };
    assert_eq!(one(&store, &too_much, START), refused(5, u64::MAX, 0));
}

#[test]
fn one_refusal_takes_nothing() {
    let store = store();
    let (wide, narrow) = (ask(Kind::Rate, 100, 1000, 10), ask(Kind::Calendar, 1, 1000, 0));
    let held = ask(Kind::Concurrency, 5, 0, 0);
    assert!(one(&store, &narrow, START).allowed);
    let asks = [wide.clone(), narrow.clone(), held.clone()];
    assert_eq!(take(&store, &asks, START), [granted(10, 0), refused(0, 1000, 1000), granted(5, 0)]);
    let twice = [Ask { cost: 6, ..wide.clone() }, Ask { cost: 6, ..wide.clone() }];
    assert_eq!(take(&store, &twice, START), [granted(10, 0), refused(10, 20, 0)]);
    assert_eq!(one(&store, &Ask { cost: 10, ..wide }, START), granted(0, 100));
}

#[test]
fn asks_of_one_quota_add_up() {
    let store = store();
    let rate = ask(Kind::Rate, 10, 1000, 3);
    assert_eq!(take(&store, &[rate.clone(), rate.clone()], START), [granted(2, 100), granted(1, 200)]);
    let mut held = Vec::new();
    let concurrent = ask(Kind::Concurrency, 2, 0, 0);
    let both = [concurrent.clone(), concurrent.clone()];
    store.take(&"".into(), &both, START, &mut held).expect("fits");
    assert_eq!(one(&store, &concurrent, START).remaining, 0);
    held.clear();
    assert_eq!(one(&store, &Ask { cost: 0, ..concurrent }, START).remaining, 2);
}

#[test]
fn another_kind_limit_or_window_is_another_quota() {
    let store = store();
    let asks = [
        ask(Kind::Rate, 10, 1000, 1),
        ask(Kind::Rate, 20, 1000, 1),
        ask(Kind::Rate, 10, 2000, 1),
        ask(Kind::Calendar, 10, 1000, 0),
        ask(Kind::Calendar, 1, 1000, 0),
    ];
    assert!(take(&store, &asks, START).iter().all(|decision| decision.allowed));
    assert_eq!(one(&store, &asks[3], START), granted(8, 1000));
    assert!(!one(&store, &asks[0], START).allowed);
}

#[test]
fn namespaces_do_not_share() {
    let store = store();
    let once = [ask(Kind::Calendar, 1, 1000, 0)];
    for namespace in ["", "trial", "other"] {
        let decisions = store.take(&namespace.into(), &once, START, &mut Vec::new()).expect("fits");
        assert!(decisions[0].allowed, "{namespace}");
    }
}

#[test]
fn too_many_asks_and_long_keys_are_too_large() {
    let store = store();
    let asks = vec![ask(Kind::Rate, 1, 1, 1); ASKS_MAX + 1];
    assert_eq!(store.take(&"".into(), &asks, START, &mut Vec::new()), Err(Error::TooLarge));
    let long = [Ask { key: "k".repeat(store.config.key_bytes + 1), ..ask(Kind::Rate, 1, 1, 1) }];
    assert_eq!(store.take(&"".into(), &long, START, &mut Vec::new()), Err(Error::TooLarge));
    assert_eq!(take(&store, &[], START), []);
}

#[test]
fn what_is_held_fills_half_of_a_store_at_most() {
    let config = config::Store { entries: 1024, ..config::Store::default() };
    let store = Memory::build(&"s".into(), &Arc::new(config));
    let mut held = Vec::new();
    let mut refused = 0;
    for number in 0..1000 {
        let ask = Ask { key: number.to_string(), ..ask(Kind::Concurrency, 1, 0, 0) };
        match store.take(&"".into(), &[ask], START, &mut held) {
            Ok(decisions) => assert!(decisions[0].allowed),
            Err(error) => {
                assert_eq!(error, Error::Unavailable);
                refused += 1;
            }
        }
    }
    assert_eq!((held.len(), refused), (512, 488));
    for number in 0..2000 {
        one(&store, &Ask { key: number.to_string(), ..ask(Kind::Rate, 1, 60_000, 1) }, START);
    }
    assert_eq!(store.entries(), 1024);
    held.clear();
    assert_eq!(store.entries(), 512, "a flood pushed out nothing that was held");
}

#[test]
fn threads_that_take_in_any_order_get_done_and_never_too_much() {
    use std::sync::atomic::{AtomicU64, Ordering};
    const KEYS: u64 = 40;
    let store = store();
    let at_once: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, at_once) = (&store, &at_once);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                for _ in 0..2000 {
                    let mut keys: Vec<u64> = (0..KEYS).collect();
                    random.shuffle(&mut keys);
                    keys.truncate(10);
                    let asks: Vec<_> =
                        keys.iter().map(|key| Ask { key: key.to_string(), ..ask(Kind::Concurrency, 2, 0, 0) }).collect();
                    let mut held = Vec::new();
                    let decisions = store.take(&"".into(), &asks, START, &mut held).expect("fits");
                    let all = decisions.iter().all(|decision| decision.allowed);
                    assert_eq!(held.len(), if all { keys.len() } else { 0 });
                    if all {
                        for key in &keys {
                            assert!(at_once[*key as usize].fetch_add(1, Ordering::SeqCst) < 2);
                        }
                        std::thread::yield_now();
                        for key in &keys {
                            at_once[*key as usize].fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                }
            });
        }
    });
    assert_eq!(store.entries(), 0);
}

/// Numbers near the ends of what there is, and in between.
fn hostile() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(u64::MAX - 1), 0..100_u64, any::<u64>()]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Rate), Just(Kind::Calendar), Just(Kind::Concurrency)]
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let key = (0..6_u8).prop_map(|key| key.to_string());
    (key, kind(), 0..6_u64, prop_oneof![Just(0_u64), Just(100), Just(1000)], 0..6_u64, 0..4_u64)
        .prop_map(|(key, kind, limit, window_ms, burst, cost)| Ask { key, kind, limit, window_ms, burst, cost })
}

proptest! {
    #[test]
    fn nothing_hostile_panics(
        kind in kind(), limit in hostile(), window_ms in hostile(), burst in hostile(), cost in hostile(),
        times in proptest::collection::vec((hostile(), hostile()), 1..6),
    ) {
        let store = store();
        let ask = Ask { key: "k".to_owned(), kind, limit, window_ms, burst, cost };
        let mut held = Vec::new();
        for (monotonic, unix) in times {
            let now = Now { monotonic, unix };
            let decisions = store.take(&"".into(), &[ask.clone(), ask.clone()], now, &mut held).expect("fits");
            for decision in decisions {
                prop_assert_eq!(decision.allowed, decision.retry_after_ms == 0);
            }
        }
        held.clear();
    }

    /// In any interval no more than what was saved up and what came in meanwhile; and whoever waits as told is let in.
    #[test]
    fn a_rate_is_never_passed(
        limit in 1..50_u64, window_ms in 1..3000_u64, burst in 1..20_u64,
        steps in proptest::collection::vec((0..400_u64, 1..6_u64), 1..80),
    ) {
        let store = store();
        let rate = ask(Kind::Rate, limit, window_ms, burst);
        let mut now = 0;
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for (wait, cost) in steps {
            now += wait;
            let ask = Ask { cost, ..rate.clone() };
            let decision = one(&store, &ask, later(now));
            prop_assert!(decision.remaining <= burst);
            if decision.allowed {
                taken.push((now, cost));
            } else if cost <= burst {
                now += decision.retry_after_ms;
                prop_assert!(decision.retry_after_ms > 0);
                prop_assert!(one(&store, &ask, later(now)).allowed);
                taken.push((now, cost));
            } else {
                prop_assert_eq!(decision.retry_after_ms, u64::MAX);
            }
            for (place, (from, _)) in taken.iter().enumerate() {
                let sum: u64 = taken[place..].iter().map(|(_, cost)| cost).sum();
                prop_assert!(sum <= burst + limit * (now - from) / window_ms, "{sum} from {from} to {now}");
            }
        }
        // Whole again when it said so.
        let whole = one(&store, &Ask { cost: 0, ..rate.clone() }, later(now));
        prop_assert_eq!(one(&store, &Ask { cost: 0, ..rate }, later(now + whole.reset_after_ms)).remaining, burst);
    }

    #[test]
    fn a_window_is_never_passed(
        limit in 1..20_u64, window_ms in 1..500_u64, steps in proptest::collection::vec((0..100_u64, 1..6_u64), 1..80),
    ) {
        let store = store();
        let quota = ask(Kind::Calendar, limit, window_ms, 0);
        let mut now = 0;
        let mut windows = std::collections::BTreeMap::<u64, u64>::new();
        for (wait, cost) in steps {
            now += wait;
            let decision = one(&store, &Ask { cost, ..quota.clone() }, later(now));
            let window = later(now).unix / (window_ms * MS);
            let used = windows.entry(window).or_default();
            prop_assert_eq!(decision.allowed, *used + cost <= limit);
            if decision.allowed {
                *used += cost;
            } else if cost <= limit {
                prop_assert_eq!(later(now + decision.retry_after_ms).unix / (window_ms * MS), window + 1);
            }
            prop_assert_eq!(decision.remaining, limit - *used);
        }
    }

    /// A list that is refused leaves everything as it was; one that is granted takes all of it; what is held balances.
    #[test]
    fn all_or_nothing(steps in proptest::collection::vec((proptest::collection::vec(any_ask(), 0..6), 0..300_u64, any::<bool>()), 1..30)) {
        let store = store();
        let namespace: Arc<str> = "".into();
        let mut now = 0;
        let mut held: Vec<(Vec<Ask>, Vec<Held>)> = Vec::new();
        for (asks, wait, drop_one) in steps {
            now += wait;
            if drop_one && !held.is_empty() {
                held.swap_remove(0);
            }
            let look = |ask: &Ask| one(&store, &Ask { cost: 0, ..ask.clone() }, later(now));
            let before: Vec<_> = asks.iter().map(look).collect();
            let mut mine = Vec::new();
            let decisions = store.take(&namespace, &asks, later(now), &mut mine).expect("fits");
            let after: Vec<_> = asks.iter().map(look).collect();
            if decisions.iter().all(|decision| decision.allowed) {
                let concurrent = asks.iter().filter(|ask| ask.kind == Kind::Concurrency && ask.cost > 0);
                prop_assert_eq!(mine.len(), concurrent.count());
                held.push((asks, mine));
            } else {
                prop_assert!(mine.is_empty());
                prop_assert_eq!(before, after);
            }
            // In use is what was taken and not given back.
            for limit in 1..6 {
                for key in 0..6 {
                    let of = |ask: &&Ask| ask.kind == Kind::Concurrency && ask.limit == limit && ask.key == key.to_string();
                    let used: u64 = held.iter().flat_map(|(asks, _)| asks).filter(of).map(|ask| ask.cost).sum();
                    let now_left = look(&Ask { key: key.to_string(), ..ask(Kind::Concurrency, limit, 0, 0) }).remaining;
                    prop_assert_eq!(limit - used, now_left);
                }
            }
        }
    }
}
