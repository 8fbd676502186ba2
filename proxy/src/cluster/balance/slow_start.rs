//! How long an endpoint has been in, and what share of its load it is given meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::config::Balancing;

/// Since when an endpoint is in, by the clock of [`now_ms`](super::now_ms).
#[derive(Debug)]
pub struct Since(AtomicU64);

/// For so long that nobody asks.
const SETTLED: u64 = 0;
/// It is out.
const OUT: u64 = u64::MAX;

impl Default for Since {
    fn default() -> Self {
        Self(AtomicU64::new(SETTLED))
    }
}

impl Since {
    /// It comes to a cluster that others are in.
    pub fn begin(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// Keeps up with whether it is in.
    pub fn note(&self, is_in: bool, now: u64) {
        match (is_in, self.0.load(Ordering::Relaxed)) {
            (true, OUT) => self.0.store(now, Ordering::Relaxed),
            (true, _) => {}
            (false, _) => self.0.store(OUT, Ordering::Relaxed),
        }
    }

    pub fn is_settled(&self, now: u64, balancing: &Balancing) -> bool {
        self.share(now, balancing) >= 1.0
    }

    /// From the least up to 1. One that is out is asked only in need, and then like any other.
    pub fn share(&self, now: u64, balancing: &Balancing) -> f64 {
        match self.0.load(Ordering::Relaxed) {
            SETTLED | OUT => 1.0,
            since => share(Duration::from_millis(now.saturating_sub(since)), balancing),
        }
    }
}

fn share(passed: Duration, balancing: &Balancing) -> f64 {
    if passed >= balancing.slow_start {
        return 1.0;
    }
    let part = passed.max(Duration::from_millis(1)).as_secs_f64() / balancing.slow_start.as_secs_f64();
    let grown = part.powf(100.0 / f64::from(balancing.slow_start_aggression_percent));
    grown.max(f64::from(balancing.slow_start_percent_min) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, aggression: u32) -> f64 {
        let balancing =
            Balancing { slow_start: Duration::from_secs(30), slow_start_aggression_percent: aggression, ..Balancing::default() };
        let since = Since::default();
        since.begin(1000);
        (since.share(1000 + seconds * 1000, &balancing) * 100.0).round()
    }

    #[test]
    fn the_share_grows_to_a_whole() {
        assert_eq!([0, 3, 15, 29, 30, 60].map(|seconds| at(seconds, 100)), [10.0, 10.0, 50.0, 97.0, 100.0, 100.0]);
        assert!(at(15, 200) > 70.0 && at(15, 50) < 26.0);
    }

    #[test]
    fn it_begins_when_an_endpoint_comes_back() {
        let balancing = Balancing { slow_start: Duration::from_secs(30), ..Balancing::default() };
        let since = Since::default();
        since.note(true, 1000);
        assert!(since.is_settled(1001, &balancing), "it has always been in");
        since.note(false, 2000);
        since.note(true, 5000);
        assert!(!since.is_settled(5000, &balancing));
        since.note(true, 9000);
        assert!(since.is_settled(35_000, &balancing), "it has stayed in");
    }

    #[test]
    fn without_a_slow_start_there_is_none() {
        let since = Since::default();
        since.begin(1000);
        assert!(since.is_settled(1000, &Balancing::default()));
    }
}
