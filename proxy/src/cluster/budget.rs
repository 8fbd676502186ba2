//! How many requests of a cluster are sent again, all exchanges of all workers together.
//!
//! Requests and retries of the last seconds are counted in slots of a fiftieth of the window. A retry is allowed while retries
//! stay within a share of the requests and a floor. Nothing is scaled or rounded: the share is in percent, the floor a second
//! and the window in milliseconds, and all three are compared as thousandths of a retry, so that 30 % are not 33 %.
//!
//! Retries count for one slot longer than requests: for a whole window at least, where requests count for one at most. So
//! whenever a retry is made, the window that ends with it has no more than its own requests and the floor allow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::RetryBudget;

/// Of the window. Of many, the one that is in the making matters little, and looking at all is still quick.
const SLOTS: usize = 50;

/// Carried from snapshot to snapshot.
#[derive(Debug)]
pub struct Budget {
    began: Instant,
    slot: Duration,
    requests: Slots<SLOTS>,
    retries: Slots<{ SLOTS + 1 }>,
}

/// Each has the number of its turn above its count, so that one that is out of date needs nobody to clear it.
#[derive(Debug)]
struct Slots<const COUNT: usize>([AtomicU64; COUNT]);

impl Budget {
    pub fn new(window: Duration) -> Self {
        let slot = (window / SLOTS as u32).max(Duration::from_millis(1));
        Self { began: Instant::now(), slot, requests: Slots::new(), retries: Slots::new() }
    }

    /// Whether what it has counted is counted in slots of this window.
    pub fn is_of(&self, window: Duration) -> bool {
        self.slot == window / SLOTS as u32
    }

    /// A request has come, however often it will be sent.
    pub fn deposit(&self, now: Instant) {
        self.requests.add(self.turn(now));
    }

    /// Takes one retry out, if there is one.
    pub fn withdraw(&self, rules: &RetryBudget, now: Instant) -> bool {
        let turn = self.turn(now);
        let slot = self.retries.slot(turn);
        loop {
            // The slot is read first: whoever takes one meanwhile changes it, and the sum is made anew.
            let seen = slot.load(Ordering::Relaxed);
            let requests = self.requests.sum(turn, None);
            let retries = self.retries.sum(turn, Some(seen));
            if !allows(rules, requests, retries) {
                return false;
            }
            if slot.compare_exchange_weak(seen, one_more(seen, turn), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return true;
            }
        }
    }

    /// The first turn is 1, for what was never counted is of turn 0.
    fn turn(&self, now: Instant) -> u32 {
        let turns = now.saturating_duration_since(self.began).as_nanos() / self.slot.as_nanos().max(1);
        u32::try_from(turns).unwrap_or(u32::MAX - 1) + 1
    }
}

/// Whether one more retry fits beside those of the window.
fn allows(rules: &RetryBudget, requests: u64, retries: u64) -> bool {
    let window = u64::try_from(rules.window.as_millis()).unwrap_or(u64::MAX);
    let floor = u64::from(rules.minimum).saturating_mul(window);
    let share = requests.saturating_mul(u64::from(rules.percent)).saturating_mul(10);
    floor.saturating_add(share) >= retries.saturating_add(1).saturating_mul(1000)
}

impl<const COUNT: usize> Slots<COUNT> {
    fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    fn slot(&self, turn: u32) -> &AtomicU64 {
        &self.0[turn as usize % COUNT]
    }

    fn add(&self, turn: u32) {
        let slot = self.slot(turn);
        let mut seen = slot.load(Ordering::Relaxed);
        while let Err(found) = slot.compare_exchange_weak(seen, one_more(seen, turn), Ordering::Relaxed, Ordering::Relaxed) {
            seen = found;
        }
    }

    /// What the last turns counted. `present`: what the slot of this turn holds, where somebody has read it already.
    fn sum(&self, turn: u32, present: Option<u64>) -> u64 {
        let count = |(place, slot): (usize, &AtomicU64)| {
            let known = present.filter(|_| place == turn as usize % COUNT);
            let (of, count) = parts(known.unwrap_or_else(|| slot.load(Ordering::Relaxed)));
            // One of a later turn was just begun by a worker that is a moment ahead.
            if of.saturating_add(COUNT as u32) > turn { u64::from(count) } else { 0 }
        };
        self.0.iter().enumerate().map(count).sum()
    }
}

/// The turn and the count of a slot.
const fn parts(slot: u64) -> (u32, u32) {
    ((slot >> 32) as u32, slot as u32)
}

const fn one_more(slot: u64, turn: u32) -> u64 {
    let (of, count) = parts(slot);
    // A worker that is a moment late counts with those that are ahead.
    if of >= turn { (of as u64) << 32 | count.saturating_add(1) as u64 } else { (turn as u64) << 32 | 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn rules(percent: u32, minimum: u32) -> RetryBudget {
        RetryBudget { percent, minimum, window: Duration::from_secs(10) }
    }

    /// How many are allowed, of so many tries at most.
    fn allowed(budget: &Budget, rules: &RetryBudget, tries: u64, now: Instant) -> u64 {
        (0..tries).take_while(|_| budget.withdraw(rules, now)).count() as u64
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_is_what_it_says() {
        for (percent, expected) in
            [(0, 0), (1, 10), (20, 200), (30, 300), (40, 400), (60, 600), (99, 990), (100, 1000), (250, 2500)]
        {
            let budget = Budget::new(Duration::from_secs(10));
            (0..1000).for_each(|_| budget.deposit(Instant::now()));
            assert_eq!(allowed(&budget, &rules(percent, 0), 5000, Instant::now()), expected, "{percent} %");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_floor_is_there_without_a_request_and_comes_back() {
        let budget = Budget::new(Duration::from_secs(10));
        let rules = rules(20, 10);
        for _ in 0..3 {
            assert_eq!(allowed(&budget, &rules, 1000, Instant::now()), 100, "10 a second for 10 seconds");
            tokio::time::advance(Duration::from_secs(10)).await;
            assert_eq!(allowed(&budget, &rules, 1000, Instant::now()), 0, "not before they are over");
            tokio::time::advance(Duration::from_millis(200)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_rules_hold_at_once_for_what_was_counted() {
        let budget = Budget::new(Duration::from_secs(10));
        (0..100).for_each(|_| budget.deposit(Instant::now()));
        assert_eq!(allowed(&budget, &rules(20, 0), 100, Instant::now()), 20);
        assert_eq!(allowed(&budget, &rules(50, 0), 100, Instant::now()), 30);
        assert_eq!(allowed(&budget, &rules(20, 0), 100, Instant::now()), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn threads_do_not_take_more_than_there_is() {
        let (budget, rules, now) = (Budget::new(Duration::from_secs(10)), rules(30, 0), Instant::now());
        let taken: u64 = std::thread::scope(|scope| {
            let each = |_| {
                scope.spawn(|| {
                    (0..1000).for_each(|_| budget.deposit(now));
                    allowed(&budget, &rules, 1000, now)
                })
            };
            let threads: Vec<_> = (0..4).map(each).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(taken + allowed(&budget, &rules, 4000, now), 1200);
    }

    proptest! {
        /// The same as a list of all that happened, with the arithmetic of fractions written out.
        #[test]
        fn it_is_a_window_of_exact_counts(
            percent in 0u32..=120,
            minimum in 0u32..=20,
            steps in proptest::collection::vec((0u64..3000, 0u64..40, 0u64..40), 1..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
            runtime.block_on(async {
                let (budget, rules) = (Budget::new(Duration::from_secs(10)), rules(percent, minimum));
                let began = Instant::now();
                // When, and the requests and the retries of each step.
                let mut happened: Vec<(u128, u64, u64)> = Vec::new();
                for (pause, requests, tries) in steps {
                    tokio::time::advance(Duration::from_millis(pause)).await;
                    let now = Instant::now();
                    let slot = (now - began).as_millis() / 200;
                    (0..requests).for_each(|_| budget.deposit(now));
                    happened.push((slot, requests, 0));
                    let live = |slots: u128, of: fn(&(u128, u64, u64)) -> u64| -> u64 {
                        happened.iter().filter(|(at, ..)| at + slots > slot).map(of).sum()
                    };
                    let all = (u64::from(minimum) * 10 * 100 + u64::from(percent) * live(50, |step| step.1)) / 100;
                    let expected = tries.min(all.saturating_sub(live(51, |step| step.2)));
                    prop_assert_eq!(allowed(&budget, &rules, tries, now), expected);
                    happened.last_mut().expect("just pushed").2 = expected;
                }
                Ok(())
            })?;
        }

        /// However eager everybody is, and wherever the slots begin.
        #[test]
        fn no_window_has_more_than_its_own_requests_allow(
            steps in proptest::collection::vec((0u64..700, 0u64..40), 1..120),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
            runtime.block_on(async {
                let (budget, rules) = (Budget::new(Duration::from_secs(10)), rules(20, 1));
                let mut happened: Vec<(Instant, u64, u64)> = Vec::new();
                for (pause, requests) in steps {
                    tokio::time::advance(Duration::from_millis(pause)).await;
                    let now = Instant::now();
                    (0..requests).for_each(|_| budget.deposit(now));
                    happened.push((now, requests, allowed(&budget, &rules, 1000, now)));
                }
                for (end, ..) in happened.iter().filter(|(_, _, retries)| *retries > 0) {
                    let within = happened.iter().filter(|(at, ..)| at <= end && *at + Duration::from_secs(10) > *end);
                    let (requests, retries) = within.fold((0, 0), |sum, step| (sum.0 + step.1, sum.1 + step.2));
                    prop_assert!(100 * retries <= 20 * requests + 1000, "{retries} retries of {requests} requests");
                }
                Ok(())
            })?;
        }
    }
}
