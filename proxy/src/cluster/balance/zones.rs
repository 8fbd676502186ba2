//! What share of the load of a priority stays in the proxy's own zone, and where the rest goes.
//!
//! Proxies are taken to be spread evenly over the zones. As long as the own zone has its part of what is in, nothing leaves it;
//! where it has less, so much stays that its endpoints get no more than those of others, and what is above that goes to the
//! zones that have more than their part. The rule is Envoy's zone-aware routing, with weights for the numbers of endpoints.

/// `capacities`: what is in, in weights, zone by zone; 0 for one that has nobody in. `own`: which of them is the proxy's own,
/// `None` if nobody is there. The shares together are 1, or 0 where nobody is in.
pub fn shares(capacities: &[u64], own: Option<usize>) -> Vec<f64> {
    let all: u64 = capacities.iter().sum();
    if all == 0 {
        return vec![0.0; capacities.len()];
    }
    let zones = capacities.len() + usize::from(own.is_none());
    let fair = 1.0 / zones as f64;
    let part = |capacity: u64| capacity as f64 / all as f64;
    let stays = own.map_or(0.0, |own| (part(capacities[own]) / fair).min(1.0));
    let spare = |zone: usize| if Some(zone) == own { 0.0 } else { (part(capacities[zone]) - fair).max(0.0) };
    let spares: f64 = (0..capacities.len()).map(spare).sum();
    let share = |zone: usize| match spares {
        _ if Some(zone) == own => {
            if spares > 0.0 {
                stays
            } else {
                1.0
            }
        }
        0.0 => 0.0,
        spares => (1.0 - stays) * spare(zone) / spares,
    };
    (0..capacities.len()).map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn percent(capacities: &[u64], own: Option<usize>) -> Vec<u64> {
        shares(capacities, own).into_iter().map(|share| (share * 100.0).round() as u64).collect()
    }

    #[test]
    fn the_own_zone_comes_first_as_long_as_it_has_its_part() {
        assert_eq!(percent(&[10, 10, 10], Some(0)), [100, 0, 0]);
        assert_eq!(percent(&[20, 5, 5], Some(0)), [100, 0, 0]);
        assert_eq!(percent(&[5, 10, 15], Some(0)), [50, 0, 50], "a sixth of what is in, where a third is fair");
        assert_eq!(percent(&[0, 10, 20], Some(0)), [0, 0, 100], "the second zone is its own proxies' already");
        assert_eq!(percent(&[10, 10], None), [50, 50], "nobody is near");
        assert_eq!(percent(&[10], Some(0)), [100]);
        assert_eq!(percent(&[0, 0], Some(0)), [0, 0]);
    }

    proptest! {
        /// If every zone has as many proxies, no endpoint of the smaller zones gets more than its part of everything.
        #[test]
        fn no_small_zone_bears_more_than_its_part(capacities in prop::collection::vec(0u64..100, 1..6)) {
            let all: u64 = capacities.iter().sum();
            prop_assume!(all > 0);
            let proxies = capacities.len();
            let mut loads = vec![0.0; proxies];
            for own in 0..proxies {
                let shares = shares(&capacities, Some(own));
                prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                shares.iter().zip(&mut loads).for_each(|(share, load)| *load += share / proxies as f64);
            }
            for (load, capacity) in loads.iter().zip(&capacities) {
                prop_assert!((load - *capacity as f64 / all as f64).abs() < 1e-9, "{loads:?} of {capacities:?}");
            }
        }
    }
}
