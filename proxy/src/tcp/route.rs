//! Which cluster a raw connection goes to. Filters may say otherwise afterwards.

use std::sync::Arc;

use crate::config::{Listener, Tcp};
use crate::exchange::Connection;

/// By the name that the client asked for, then by where it was going before it was redirected, then by weight, else where everything of the listener goes.
pub fn cluster(config: &Listener, connection: &Connection) -> Option<Arc<str>> {
    let Tcp { sni, destinations, cluster, weighted, unfiltered: _ } = &config.tcp;
    let named = connection.server_name.as_deref().and_then(|name| sni.get(name));
    let known = || destinations.get(connection.original_destination?);
    named.or_else(known).or_else(|| drawn(weighted)).or(cluster.as_ref()).or(config.cluster.as_ref()).cloned()
}

/// One of these, each as often as its weight says.
fn drawn(weighted: &[(Arc<str>, u32)]) -> Option<&Arc<str>> {
    let total: u64 = weighted.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut at = (total > 0).then(|| fastrand::u64(..total))?;
    weighted
        .iter()
        .find(|(_, weight)| {
            let weight = u64::from(*weight);
            let is_it = at < weight;
            at = at.saturating_sub(weight);
            is_it
        })
        .map(|(cluster, _)| cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cluster_has_its_share() {
        let weighted = [("a".into(), 3), ("none".into(), 0), ("b".into(), 1)];
        let mut counts = [0; 3];
        for _ in 0..4000 {
            let drawn = drawn(&weighted).expect("there is weight");
            counts[weighted.iter().position(|(name, _)| name == drawn).expect("one of them")] += 1;
        }
        assert!(counts[1] == 0 && (2700..3300).contains(&counts[0]), "{counts:?}");
        assert_eq!(drawn(&[]), None);
        assert_eq!(drawn(&[("a".into(), 0)]), None);
    }
}
