//! Ten endpoints in virtual time, one of which is slow for a while: what each policy makes of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::time::advance;

use super::*;
use crate::cluster::endpoint::Active;
use crate::cluster::{Seen, hash};

const ENDPOINTS: usize = 10;
const SLOW: usize = 3;
/// A request each millisecond.
const SECONDS: u64 = 30;
const DEADLINE: u64 = 1000;

/// What came of the requests of one second.
#[derive(Debug, Default, Clone, Copy)]
struct Second {
    in_time: usize,
    to_slow: usize,
}

struct Simulation {
    config: config::Cluster,
    members: Vec<Member>,
    group: Group,
    /// When each exchange under way ends, by its number.
    ends: BinaryHeap<Reverse<(u64, u64)>>,
    under_way: std::collections::HashMap<u64, (usize, u64, Active)>,
    seconds: Vec<Second>,
}

impl Simulation {
    /// The endpoint at `SLOW` takes 2 s from the 5th second to the 15th, and all take 10 ms else.
    async fn run(balance: Balance, weights: &[u32], keys: bool) -> Self {
        let config = config(balance);
        let members = members(weights);
        let start = now_ms();
        members.iter().for_each(|member| member.endpoint.cost.seed(start, config.balancing.ewma_seed));
        let group = Group::new(members.clone(), &config, start);
        let seconds = vec![Second::default(); SECONDS as usize];
        let mut simulation = Self { config, members, group, ends: BinaryHeap::new(), under_way: Default::default(), seconds };
        for now in 0..SECONDS * 1000 {
            simulation.end(now);
            simulation.begin(now, keys.then(|| hash::of_key(&(now % 1000).to_be_bytes())));
            advance(Duration::from_millis(1)).await;
        }
        simulation
    }

    fn begin(&mut self, now: u64, key: Option<u64>) {
        let endpoint = Arc::clone(self.group.pick(key));
        let place = place(&endpoint);
        let is_slow = place == SLOW && (5000..15_000).contains(&now);
        self.seconds[(now / 1000) as usize].to_slow += usize::from(place == SLOW);
        let takes = if is_slow { 2000 } else { 10 };
        self.under_way.insert(now, (place, takes, endpoint.begin(decay(&self.config))));
        self.ends.push(Reverse((now + takes.min(DEADLINE), now)));
    }

    fn end(&mut self, now: u64) {
        while let Some(Reverse((_, began))) = self.ends.peek().copied().filter(|Reverse((due, _))| *due <= now) {
            self.ends.pop();
            let Some((place, takes, mut active)) = self.under_way.remove(&began) else { continue };
            if takes < DEADLINE {
                active.answered();
                self.seconds[(began / 1000) as usize].in_time += 1;
                let seen = Seen { took: Duration::from_millis(takes), ..Seen::default() };
                saw(&self.config, &self.members[place].endpoint, &seen);
            }
        }
    }

    /// Of the requests of these seconds, in percent.
    fn percent(&self, seconds: std::ops::Range<usize>, count: fn(&Second) -> usize) -> f64 {
        let sum: usize = self.seconds[seconds.clone()].iter().map(count).sum();
        sum as f64 / (seconds.len() * 10) as f64
    }
}

#[tokio::test(start_paused = true)]
async fn round_robin_and_chance_do_not_care() {
    for balance in [Balance::RoundRobin, Balance::Random] {
        let simulation = Simulation::run(balance, &[1; ENDPOINTS], false).await;
        let in_time = simulation.percent(5..15, |second| second.in_time);
        assert!((88.0..92.0).contains(&in_time), "{balance:?}: {in_time} % in time");
        let weighted = Simulation::run(balance, &[1, 1, 1, 11, 1, 1, 1, 1, 1, 1], false).await;
        let in_time = weighted.percent(5..15, |second| second.in_time);
        assert!((43.0..47.0).contains(&in_time), "{balance:?}: {in_time} % in time");
    }
}

#[tokio::test(start_paused = true)]
async fn the_quicker_one_of_two_is_better_than_the_less_busy_one_and_that_than_any() {
    let mut in_time = Vec::new();
    for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::PeakEwma] {
        let simulation = Simulation::run(balance, &[1; ENDPOINTS], false).await;
        assert_eq!(simulation.percent(0..5, |second| second.in_time), 100.0);
        in_time.push(simulation.percent(5..15, |second| second.in_time));
    }
    assert!(in_time[0] < 91.0 && in_time[1] > 99.0 && in_time[2] > 99.9, "{in_time:?}");
    assert!(in_time[0] < in_time[1] && in_time[1] < in_time[2], "{in_time:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_was_slow_gets_its_share_again() {
    for balance in [Balance::LeastRequest, Balance::PeakEwma] {
        let simulation = Simulation::run(balance, &[1; ENDPOINTS], false).await;
        let before = simulation.percent(1..5, |second| second.to_slow);
        let during = simulation.percent(7..15, |second| second.to_slow);
        assert!((6.0..14.0).contains(&before), "{balance:?}: {before} %");
        assert!(during < 1.0, "{balance:?}: {during} %");
    }
    let least = Simulation::run(Balance::LeastRequest, &[1; ENDPOINTS], false).await;
    assert!((8.0..12.0).contains(&least.percent(20..30, |second| second.to_slow)));
}

#[tokio::test(start_paused = true)]
async fn a_key_stays_with_a_slow_endpoint() {
    for balance in BY_KEY {
        let simulation = Simulation::run(balance, &[1; ENDPOINTS], true).await;
        let shares: Vec<_> = (0..SECONDS as usize).map(|second| simulation.seconds[second].to_slow).collect();
        assert!(shares.iter().all(|share| *share == shares[0] && *share > 0), "{balance:?}: {shares:?}");
    }
}
