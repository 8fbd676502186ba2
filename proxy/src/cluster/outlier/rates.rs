//! Which endpoints succeed far less often than the others. Arithmetic only.

/// The places of those whose share of good attempts is more than so many standard deviations below the mean. `counts`: what
/// ended well and badly, of endpoints with enough of both. The variance is that of the population: these endpoints are all
/// that there are.
pub fn outliers(counts: &[(u64, u64)], deviation_percent: u32) -> Vec<usize> {
    let rates: Vec<f64> = counts.iter().map(|(well, badly)| *well as f64 / (*well + *badly).max(1) as f64).collect();
    if rates.is_empty() {
        return Vec::new();
    }
    let count = rates.len() as f64;
    let mean = rates.iter().sum::<f64>() / count;
    let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count;
    let threshold = mean - variance.sqrt() * f64::from(deviation_percent) / 100.0;
    let below = |(place, rate): (usize, &f64)| (*rate < threshold).then_some(place);
    rates.iter().enumerate().filter_map(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_minus_so_many_deviations() {
        // Nine at 100 % and one at 50 %: mean 95 %, variance (9 * 5² + 45²) / 10 = 225, deviation 15, threshold 66.5.
        let mut counts = vec![(200, 0); 9];
        counts.push((100, 100));
        assert_eq!(outliers(&counts, 190), [9]);
        // Of one among ten, the distance is three deviations, whatever it is.
        assert_eq!(outliers(&counts, 299), [9]);
        assert!(outliers(&counts, 301).is_empty());
    }

    #[test]
    fn among_four_none_is_so_far_off() {
        // The distance of one among n is at most the root of n - 1 deviations.
        assert!(outliers(&[(100, 0), (100, 0), (100, 0), (0, 100)], 190).is_empty());
        assert_eq!(outliers(&[(100, 0), (100, 0), (100, 0), (100, 0), (0, 100)], 190), [4]);
    }

    #[test]
    fn what_fails_everywhere_is_nobodys_fault() {
        assert!(outliers(&[(50, 50); 10], 190).is_empty());
        assert!(outliers(&[(0, 100); 10], 190).is_empty());
        assert!(outliers(&[], 190).is_empty());
    }
}
