//! Leases, with an answer of Redis where the test puts one.

use super::*;

const LEASE: Duration = Duration::from_millis(100);

fn settings() -> config::Redis {
    config::Redis {
        nodes: Vec::new(),
        cluster: false,
        ca: None,
        mark: None,
        timeout: Duration::from_millis(20),
        on_loss: config::OnLoss::Local,
        lease_time: LEASE,
        lease_tokens: 1000,
        hold_time: Duration::from_secs(10),
    }
}

fn rate(limit: u64, burst: u64) -> Ask {
    Ask { key: "k".to_owned(), kind: Kind::Rate, limit, window_ms: 1000, burst, cost: 1 }
}

const fn granted(granted: u64) -> Answer {
    Answer { allowed: true, granted, remaining: 0, retry_after_ms: 0, reset_after_ms: 50, window: 0 }
}

const fn refused(retry_after_ms: u64) -> Answer {
    Answer { allowed: false, granted: 0, remaining: 0, retry_after_ms, reset_after_ms: 50, window: 0 }
}

/// Asks once; `there` is what Redis would answer to so many tokens. Whether it was allowed, and whether Redis was asked.
fn ask(leases: &Leases, ask: &Ask, fleet: u64, now: Instant, there: impl FnOnce(Wanted) -> Answer) -> (bool, bool) {
    let lease = leases.find_or_make(&ask.key, ask, now).expect("there is room");
    if let Some(decisions) = serve(&[Arc::clone(&lease)], std::slice::from_ref(ask), now) {
        return (decisions[0].allowed, false);
    }
    let wanted = lease.plan(ask, &settings(), fleet, now);
    let answer = there(wanted);
    lease.settle(ask, wanted, Some((answer, answer.allowed)), &settings(), now);
    (answer.allowed, true)
}

fn at(start: Instant, micros: u64) -> Instant {
    start + Duration::from_micros(micros)
}

#[test]
fn who_asks_seldom_takes_nothing_in_advance() {
    let (leases, start) = (Leases::default(), Instant::now());
    for number in 0..20 {
        let answered = ask(&leases, &rate(1000, 1000), 1, at(start, number * 100_000), |wanted| {
            assert_eq!((wanted.tokens, wanted.back), (1, 0));
            granted(wanted.tokens)
        });
        assert_eq!(answered, (true, true));
    }
}

#[test]
fn who_asks_often_takes_what_half_a_lease_needs() {
    let (leases, start) = (Leases::default(), Instant::now());
    let (mut asked, mut most) = (0, 0);
    // One each 200 µs: 250 in half a lease.
    for number in 0..5000 {
        let (allowed, there) = ask(&leases, &rate(100_000, 100_000), 1, at(start, number * 200), |wanted| {
            most = wanted.tokens.max(most);
            granted(wanted.tokens)
        });
        assert!(allowed);
        asked += u64::from(there);
    }
    assert!((200..=300).contains(&most), "{most}");
    assert!(asked < 60, "{asked} of 5000");
}

#[test]
fn a_fleet_takes_no_more_in_advance_than_comes_in_meanwhile() {
    let (leases, start) = (Leases::default(), Instant::now());
    for number in 0..5000 {
        ask(&leases, &rate(1000, 1000), 5, at(start, number * 200), |wanted| {
            assert!(wanted.tokens <= 20, "a fifth of the 100 that come in during a lease: {}", wanted.tokens);
            granted(wanted.tokens)
        });
    }
}

#[test]
fn one_that_is_exhausted_is_left_alone_until_asking_helps() {
    let (leases, start) = (Leases::default(), Instant::now());
    let slow = rate(1, 1);
    assert_eq!(ask(&leases, &slow, 1, start, |_| refused(700)), (false, true));
    assert_eq!(ask(&leases, &slow, 1, at(start, 699_000), |_| panic!("it is known")), (false, false));
    assert_eq!(ask(&leases, &slow, 1, at(start, 700_000), |_| granted(1)), (true, true));
    // What costs less may be there.
    let costly = Ask { cost: 2, ..rate(10, 10) };
    let leases = Leases::default();
    assert_eq!(ask(&leases, &costly, 1, start, |_| refused(100)), (false, true));
    assert_eq!(ask(&leases, &rate(10, 10), 1, at(start, 1000), |_| granted(1)), (true, true));
}

#[test]
fn what_was_not_used_goes_back_with_the_next_question_or_after_the_lease() {
    let (leases, start) = (Leases::default(), Instant::now());
    let quick = rate(100_000, 100_000);
    let mut now = start;
    for number in 0..200 {
        now = at(start, number * 200);
        ask(&leases, &quick, 1, now, |wanted| granted(wanted.tokens));
    }
    assert!(leases.sweep(now).is_empty(), "the lease has not ended");
    let back = leases.sweep(now + LEASE);
    assert!(back.len() == 1 && back[0].tokens > 0 && *back[0].key == *"k");
    assert!(leases.sweep(now + LEASE).is_empty(), "they went back once");
    assert!(!leases.is_empty());
    leases.sweep(now + LEASE + IDLE);
    assert!(leases.is_empty(), "it is forgotten");

    let mut given = 0;
    for number in 0..200 {
        now = at(start, number * 200);
        ask(&leases, &quick, 1, now, |wanted| granted(wanted.tokens));
    }
    let large = Ask { cost: 900, ..quick.clone() };
    ask(&leases, &large, 1, now, |wanted| {
        given = wanted.back;
        granted(wanted.tokens)
    });
    assert!(given > 0, "too few for this cost: they go back");
}

#[test]
fn all_or_nothing_holds_without_redis() {
    let now = Instant::now();
    let ask = rate(10, 10);
    let (full, empty) = (Arc::new(Lease::new(&ask, now)), Arc::new(Lease::new(&ask, now)));
    (locked(&full.0).tokens, locked(&full.0).until) = (5, now + LEASE);
    locked(&empty.0).refused = Some((now + LEASE, 1));
    let both = [Arc::clone(&full), Arc::clone(&empty)];
    let decisions = serve(&both, &[ask.clone(), ask.clone()], now).expect("both are known");
    assert_eq!((decisions[0].allowed, decisions[1].allowed), (true, false));
    assert_eq!(locked(&full.0).tokens, 5, "nothing was taken");
    assert!(serve(&[Arc::clone(&full), Arc::clone(&full)], &[ask.clone(), ask.clone()], now).is_none(), "twice the same");
    let unknown = Arc::new(Lease::new(&ask, now));
    assert!(serve(&[full, unknown], &[ask.clone(), ask], now).is_none());
}
