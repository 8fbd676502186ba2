//! One after the other, over all workers; those with weights in proportion and mixed as well as can be.
//!
//! Without a lock: a counter gives out the points of a line on which each member has a piece as long as its weight. A step
//! of about the golden section of the line, which has no divisor in common with it, meets each point once in a round, and
//! neighbours far apart in time (Knuth, The Art of Computer Programming 3, 6.4: "Fibonacci hashing").

use std::sync::atomic::{AtomicU64, Ordering};

use super::weights::gcd;
use super::{Members, Policy};

#[derive(Debug)]
pub struct RoundRobin {
    next: AtomicU64,
    step: u64,
}

impl RoundRobin {
    /// It starts anywhere, so that many proxies do not start at the same one.
    pub fn new(members: &Members) -> Self {
        let step = if members.weights.are_equal() { 1 } else { golden(members.weights.total()) };
        Self { next: AtomicU64::new(fastrand::u64(..)), step }
    }
}

impl Policy for RoundRobin {
    fn pick(&self, members: &Members) -> usize {
        let total = members.weights.total();
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % total;
        let point = u128::from(turn) * u128::from(self.step) % u128::from(total);
        members.weights.at(point as u64)
    }
}

/// A step near the golden section of `total` that has no divisor in common with it: of some of them the one whose multiples
/// spread most evenly, which is told by the terms of its continued fraction.
fn golden(total: u64) -> u64 {
    const SECTION: f64 = 0.618_033_988_749_895;
    const TRIED: usize = 64;
    let section = (total as f64 * SECTION).round() as u64;
    let near = (0..total).flat_map(|off| [section.saturating_sub(off), section + off]);
    let fitting = near.filter(|step| (1..total).contains(step) && gcd(*step, total) == 1);
    fitting.take(TRIED).min_by_key(|step| terms(*step, total)).unwrap_or(1)
}

/// The sum of the terms: the golden section has nothing but ones.
fn terms(mut step: u64, mut total: u64) -> u64 {
    let mut sum = 0;
    while step != 0 {
        sum += total / step;
        (step, total) = (total % step, step);
    }
    sum
}
