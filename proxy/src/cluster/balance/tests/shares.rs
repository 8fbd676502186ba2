//! Without any load, each endpoint gets as much as its weight says.

use proptest::prelude::*;

use super::*;

#[test]
fn round_robin_goes_from_one_to_the_next() {
    let members = members(&[1; 5]);
    let group = group(Balance::RoundRobin, &members);
    let first = place(group.pick(None));
    let order: Vec<_> = (0..10).map(|_| place(group.pick(None))).collect();
    assert_eq!(order, (1..=10).map(|turn| (first + turn) % 5).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn round_robin_is_exact_in_each_round(weights in prop::collection::vec(1u32..30, 2..20)) {
        let members = members(&weights);
        let group = group(Balance::RoundRobin, &members);
        let common = weights.iter().fold(0, |common, weight| weights::gcd(common, u64::from(*weight))) as usize;
        let round: Vec<_> = weights.iter().map(|weight| *weight as usize / common).collect();
        for _ in 0..3 {
            prop_assert_eq!(&counts(weights.len(), (0..round.iter().sum()).map(|_| group.pick(None))), &round);
        }
    }

    /// Nobody gets all of its turns in a row: at each moment each has had its share, give or take a few.
    #[test]
    fn round_robin_is_smooth(weights in prop::collection::vec(1u32..30, 2..20)) {
        let members = members(&weights);
        let group = group(Balance::RoundRobin, &members);
        let total: u32 = weights.iter().sum();
        let mut counts = vec![0_u32; weights.len()];
        for turn in 1..=2 * total {
            counts[place(group.pick(None))] += 1;
            for (count, weight) in counts.iter().zip(&weights) {
                let share = f64::from(turn) * f64::from(*weight) / f64::from(total);
                prop_assert!((f64::from(*count) - share).abs() < 4.0, "{count} turns of {turn}, expected {share} with {weights:?}");
            }
        }
    }
}

#[test]
fn by_chance_each_gets_its_share() {
    const DRAWS: usize = 60_000;
    for balance in [Balance::Random, Balance::LeastRequest, Balance::Hash] {
        for weights in [&[1, 1, 1, 1][..], &[1, 2, 3], &[1, 1, 8], &[5, 500]] {
            let members = members(weights);
            let group = group(balance, &members);
            let counts = counts(weights.len(), (0..DRAWS).map(|_| group.pick(None)));
            let total: u32 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(weights) {
                assert_share(*count, DRAWS, f64::from(*weight) / f64::from(total), &format!("{balance:?} {weights:?}"));
            }
        }
    }
}

#[test]
fn least_request_never_takes_the_busier_of_two() {
    let members = members(&[1, 1]);
    let group = group(Balance::LeastRequest, &members);
    let _busy = members[0].endpoint.begin(None);
    assert!((0..100).all(|_| place(group.pick(None)) == 1));
}

#[test]
fn least_request_lets_the_heavier_bear_more() {
    let members = members(&[3, 1]);
    let group = group(Balance::LeastRequest, &members);
    let mut held: Vec<_> = (0..2).map(|_| members[0].endpoint.begin(None)).collect();
    held.push(members[1].endpoint.begin(None));
    assert!((0..100).all(|_| place(group.pick(None)) == 0), "two of three is less than one of one");
    held.extend((0..2).map(|_| members[0].endpoint.begin(None)));
    assert!((0..100).all(|_| place(group.pick(None)) == 1), "four of three is more");
}

#[test]
fn peak_ewma_takes_the_quicker_one_until_it_is_busy() {
    let members = members(&[1, 1]);
    let group = group(Balance::PeakEwma, &members);
    let decay = Balancing::default().ewma_decay;
    let now = now_ms();
    members[0].endpoint.cost.learn(now, Duration::from_millis(10), decay);
    members[1].endpoint.cost.learn(now, Duration::from_millis(35), decay);
    let mut held = Vec::new();
    for expected in [0, 0, 0, 1] {
        assert!((0..100).all(|_| place(group.pick(None)) == expected), "with {} under way", held.len());
        held.push(members[0].endpoint.begin(None));
    }
}

#[test]
fn peak_ewma_divides_by_the_weight() {
    let members = members(&[1, 4]);
    let group = group(Balance::PeakEwma, &members);
    let (now, decay) = (now_ms(), Balancing::default().ewma_decay);
    members[0].endpoint.cost.learn(now, Duration::from_millis(10), decay);
    members[1].endpoint.cost.learn(now, Duration::from_millis(35), decay);
    assert!((0..100).all(|_| place(group.pick(None)) == 1));
}

#[test]
fn failing_is_slow() {
    use crate::cluster::Ended;
    use http::StatusCode;

    let balancing = Balancing::default();
    let took = Duration::from_millis(2);
    let counts_as = |ended, took| peak_ewma::counts_as(&Seen { ended, took, ..Seen::default() }, &balancing);
    for status in [200, 204, 304, 404] {
        let ended = Ended::Answered(StatusCode::from_u16(status).expect("a status"));
        assert_eq!(counts_as(ended, took), Some(took), "{status}");
    }
    for status in [429, 500, 502, 503, 504] {
        let ended = Ended::Answered(StatusCode::from_u16(status).expect("a status"));
        assert_eq!(counts_as(ended, took), Some(Duration::from_secs(5)), "{status}");
        assert_eq!(counts_as(ended, Duration::from_secs(8)), Some(Duration::from_secs(8)), "{status}");
    }
    for ended in [Ended::Unconnected, Ended::UnconnectedInTime, Ended::Unanswered, Ended::Reset, Ended::Refused] {
        assert_eq!(counts_as(ended, took), Some(Duration::from_secs(5)), "{ended:?}");
    }
    let grpc = |code| peak_ewma::counts_as(&Seen { took, grpc: Some(code), ..Seen::default() }, &balancing);
    assert_eq!((grpc(0), grpc(5), grpc(14)), (Some(took), Some(took), Some(Duration::from_secs(5))));
    for (seconds, expected) in [(1, 5), (60, 60), (9_999, 300)] {
        let busy = Seen {
            ended: Ended::Answered(StatusCode::SERVICE_UNAVAILABLE),
            retry_after: Some(Duration::from_secs(seconds)),
            ..Seen::default()
        };
        assert_eq!(peak_ewma::counts_as(&busy, &balancing), Some(Duration::from_secs(expected)), "asked for {seconds} s");
        let impatient = Balancing { ewma_penalty_max: Duration::from_secs(20), ..Balancing::default() };
        let expected = Duration::from_secs(expected.min(20));
        assert_eq!(peak_ewma::counts_as(&busy, &impatient), Some(expected), "asked for {seconds} s");
    }
    assert_eq!(counts_as(Ended::Useless, took), None, "no endpoint has anything to do with it");
}
