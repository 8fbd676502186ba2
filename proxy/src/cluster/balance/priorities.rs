//! What share of the load each priority gets, and which are in need.
//!
//! The first one gets all as long as enough of it is in: what is missing is made up for by the overprovisioning, and only
//! what is still missing then goes to the next. Where all priorities together cannot bear the load, they share it, and one
//! with hardly anybody in asks all of its endpoints (panic): it is likelier that the checks are wrong than that so many are
//! ill, and the few that are left would not bear it. The rules are those of Envoy, so that operators know them.

use crate::config::Balancing;

/// Of the endpoints of one priority, how many there are and how many are in.
#[derive(Debug, Clone, Copy)]
pub struct Tally {
    pub all: usize,
    pub well: usize,
}

/// What that makes of a priority.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// All of them together are 1, or 0 where nobody can be asked.
    pub share: f64,
    /// All are asked, not only those that are in.
    pub panics: bool,
}

/// From the first priority to the last.
pub fn loads(tallies: &[Tally], balancing: &Balancing) -> Vec<Load> {
    let overprovisioning = f64::from(balancing.overprovisioning_percent) / 100.0;
    let bears: Vec<f64> = tallies.iter().map(|tally| (part(tally.well, tally.all) * overprovisioning).min(1.0)).collect();
    let sum: f64 = bears.iter().sum::<f64>().min(1.0);
    let in_need = |tally: &Tally| sum < 1.0 && tally.well * 100 < balancing.panic_percent as usize * tally.all;
    if tallies.iter().all(|tally| tally.all == 0 || in_need(tally)) {
        let all = tallies.iter().map(|tally| tally.all).sum();
        return tallies.iter().map(|tally| Load { share: part(tally.all, all), panics: true }).collect();
    }
    let mut left = 1.0_f64;
    let mut loads: Vec<_> = tallies
        .iter()
        .zip(bears)
        .map(|(tally, bears)| {
            let share = if sum > 0.0 { left.min(bears / sum) } else { 0.0 };
            left -= share;
            Load { share, panics: in_need(tally) && share > 0.0 }
        })
        .collect();
    // What rounding has left over.
    if let Some(first) = loads.iter_mut().find(|load| load.share > 0.0) {
        first.share += left;
    }
    loads
}

fn part(some: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { some as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    /// In percent; those in panic with a minus.
    fn shares(tallies: &[(usize, usize)], balancing: &Balancing) -> Vec<i64> {
        let tallies: Vec<_> = tallies.iter().map(|(well, all)| Tally { all: *all, well: *well }).collect();
        let percent = |load: Load| (load.share * 100.0).round() as i64 * if load.panics { -1 } else { 1 };
        loads(&tallies, balancing).into_iter().map(percent).collect()
    }

    #[test]
    fn the_next_priority_gets_what_the_one_before_cannot_bear() {
        let balancing = Balancing::default();
        type Case = (&'static [(usize, usize)], &'static [i64]);
        let cases: [Case; 11] = [
            (&[(10, 10)], &[100]),
            (&[(6, 10)], &[100]),
            (&[(5, 10)], &[100]),
            (&[(4, 10)], &[-100]),
            (&[(10, 10), (5, 5)], &[100, 0]),
            // 72 % of them, with 40 % on top, are enough.
            (&[(72, 100), (5, 5)], &[100, 0]),
            (&[(50, 100), (5, 5)], &[70, 30]),
            (&[(25, 100), (5, 5)], &[35, 65]),
            (&[(0, 100), (5, 5)], &[0, 100]),
            // 28 and 42 of a hundred: they share it, and both are in need.
            (&[(20, 100), (30, 100)], &[-50, -50]),
            // 14 and 70: only the first is in need.
            (&[(10, 100), (4, 8)], &[-17, 83]),
        ];
        for (tallies, expected) in cases {
            assert_eq!(shares(tallies, &balancing), expected, "{tallies:?}");
        }
    }

    #[test]
    fn without_panic_nobody_who_is_out_is_asked() {
        let balancing = Balancing { panic_percent: 0, ..Balancing::default() };
        assert_eq!(shares(&[(0, 10)], &balancing), [0]);
        assert_eq!(shares(&[(1, 10)], &balancing), [100]);
        assert_eq!(shares(&[(1, 10), (1, 10)], &balancing), [50, 50]);
    }

    proptest! {
        #[test]
        fn shares_are_a_whole(tallies in prop::collection::vec((0usize..20, 1usize..20), 1..6), panic_percent in 0u32..=100) {
            let tallies: Vec<_> = tallies.iter().map(|(well, all)| Tally { all: *all, well: *well.min(all) }).collect();
            let loads = loads(&tallies, &Balancing { panic_percent, ..Balancing::default() });
            let sum: f64 = loads.iter().map(|load| load.share).sum();
            let nobody = panic_percent == 0 && tallies.iter().all(|tally| tally.well == 0);
            prop_assert!((sum - if nobody { 0.0 } else { 1.0 }).abs() < 1e-9, "{loads:?}");
            for (load, tally) in loads.iter().zip(&tallies) {
                prop_assert!(load.share >= 0.0);
                prop_assert!(load.share == 0.0 || load.panics || tally.well > 0, "load for nobody: {loads:?}");
            }
        }
    }
}
