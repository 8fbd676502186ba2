//! For how long an endpoint is out, and what is remembered of that. Only the control runtime and the admin look here.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Why;
use crate::config::Outliers;

/// Of one endpoint.
#[derive(Debug, Clone, Default)]
pub struct Ejection {
    /// The present one.
    pub term: Option<Term>,
    /// The next one lasts so many times the first, and once more.
    pub weight: u32,
    /// Since the endpoint has been there.
    pub count: u64,
    pub last: Option<(SystemTime, Why)>,
    /// A rule was broken since endpoints were last compared.
    broke_rule: bool,
}

/// One stay outside.
#[derive(Debug, Clone, Copy)]
pub struct Term {
    pub why: Why,
    pub until: Instant,
}

impl Ejection {
    /// Begins a term. Each further one is longer, up to the longest; the jitter comes on top.
    pub fn begin(&mut self, why: Why, rules: &Outliers, now: Instant) -> Duration {
        self.weight = self.weight.saturating_add(1);
        self.count += 1;
        self.last = Some((SystemTime::now(), why));
        let jitter = rules.ejection_jitter.mul_f64(fastrand::f64());
        let length = rules.ejection.saturating_mul(self.weight).min(rules.ejection_max) + jitter;
        // What lasts longest already grows no further, or it would take as long to be forgiven.
        if rules.ejection.saturating_mul(self.weight) > rules.ejection_max + rules.ejection {
            self.weight -= 1;
        }
        self.term = Some(Term { why, until: now + length });
        self.broke_rule = true;
        length
    }

    pub fn end(&mut self) -> Option<Term> {
        self.term.take()
    }

    /// An interval is over: one that was well for all of it has its next term shortened.
    pub fn forgive(&mut self) {
        if !std::mem::take(&mut self.broke_rule) && self.term.is_none() {
            self.weight = self.weight.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Outliers {
        Outliers { ejection_jitter: Duration::ZERO, ..Outliers::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn each_term_is_longer_up_to_the_longest() {
        let mut ejection = Ejection::default();
        let terms: Vec<_> = (0..12).map(|_| ejection.begin(Why::LocalFailures, &rules(), Instant::now()).as_secs()).collect();
        assert_eq!(terms, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
        assert_eq!(ejection.count, 12);
    }

    #[tokio::test(start_paused = true)]
    async fn intervals_without_a_term_shorten_the_next() {
        let mut ejection = Ejection::default();
        for _ in 0..3 {
            ejection.begin(Why::LocalFailures, &rules(), Instant::now());
        }
        ejection.forgive();
        ejection.forgive();
        assert_eq!(ejection.weight, 3, "while it is out nothing is forgiven");
        assert_eq!(ejection.end().map(|term| term.why), Some(Why::LocalFailures));
        ejection.forgive();
        assert_eq!(ejection.begin(Why::LocalFailures, &rules(), Instant::now()).as_secs(), 90);
        ejection.end();
        for _ in 0..10 {
            ejection.forgive();
        }
        assert_eq!(ejection.begin(Why::LocalFailures, &rules(), Instant::now()).as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn the_jitter_is_random_and_bounded() {
        let rules = Outliers::default();
        let lengths: Vec<_> = (0..100).map(|_| Ejection::default().begin(Why::LocalFailures, &rules, Instant::now())).collect();
        let (least, most) = (lengths.iter().min().expect("some"), lengths.iter().max().expect("some"));
        assert!(*least >= Duration::from_secs(30) && *most <= Duration::from_secs(33), "{least:?} {most:?}");
        assert!(*most - *least > Duration::from_secs(1), "{least:?} {most:?}");
    }
}
