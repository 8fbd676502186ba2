//! Shares of a whole: a line that is cut into one piece for each member, as long as its weight.

use std::ops::Range;

/// Weights, divided by what they have in common.
#[derive(Debug)]
pub struct Weights {
    total: u64,
    /// Where each piece ends; empty where all are one long.
    ends: Box<[u64]>,
}

impl Weights {
    pub fn new(weights: impl Iterator<Item = u32> + Clone) -> Self {
        let common = weights.clone().fold(0, |common, weight| gcd(common, u64::from(weight))).max(1);
        let mut total = 0;
        let ends: Box<[u64]> = weights
            .map(|weight| {
                total += u64::from(weight) / common;
                total
            })
            .collect();
        let equal = total == ends.len() as u64;
        Self { total, ends: if equal { Box::default() } else { ends } }
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn are_equal(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whose piece a point below `total` is on.
    pub fn at(&self, point: u64) -> usize {
        if self.are_equal() { point as usize } else { self.ends.partition_point(|end| *end <= point) }
    }

    /// A random member.
    pub fn draw(&self) -> usize {
        self.at(fastrand::u64(..self.total))
    }

    /// Two different random members of at least two.
    pub fn draw_two(&self) -> (usize, usize) {
        let first = self.draw();
        let piece = self.piece(first);
        let rest = self.total - (piece.end - piece.start);
        let point = fastrand::u64(..rest);
        (first, self.at(if point < piece.start { point } else { point + (piece.end - piece.start) }))
    }

    fn piece(&self, place: usize) -> Range<u64> {
        if self.are_equal() {
            return place as u64..place as u64 + 1;
        }
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[place]
    }
}

pub fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_has_as_much_as_its_weight(weights in prop::collection::vec(1u32..50, 1..40)) {
            let line = Weights::new(weights.iter().copied());
            let mut counts = vec![0; weights.len()];
            for point in 0..line.total() {
                counts[line.at(point)] += 1;
            }
            let common = weights.iter().fold(0, |common, weight| gcd(common, u64::from(*weight)));
            let expected: Vec<u64> = weights.iter().map(|weight| u64::from(*weight) / common).collect();
            prop_assert_eq!(counts, expected);
        }

        #[test]
        fn two_are_two(weights in prop::collection::vec(1u32..50, 2..10)) {
            let line = Weights::new(weights.iter().copied());
            for _ in 0..200 {
                let (first, second) = line.draw_two();
                prop_assert!(first != second && first < weights.len() && second < weights.len());
            }
        }
    }

    #[test]
    fn what_they_have_in_common_makes_no_difference() {
        assert!(Weights::new([7, 7, 7].into_iter()).are_equal());
        assert_eq!(Weights::new([10, 20].into_iter()).total(), 3);
    }
}
