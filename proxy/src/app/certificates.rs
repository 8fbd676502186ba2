//! The files that certificates are read from, and how long the certificates are good.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::config::Config;
use crate::snapshot::Snapshot;
use crate::tls::{Held, Role};

/// How often files are looked at that nobody reports: some file systems tell nothing of changes.
const LOOK: Duration = Duration::from_secs(60);
const DAY: i64 = 24 * 3600;
/// Days before its end on which a certificate is told of.
const WARNINGS: [i64; 4] = [0, 1, 7, 30];

/// Every file that TLS of this configuration is made of.
pub fn files(config: &Config) -> impl Iterator<Item = &PathBuf> {
    let of_listeners = config.listeners.values().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| tls.files());
    let of_clusters = config.clusters.values().filter_map(|cluster| cluster.tls.as_ref()).flat_map(|tls| tls.files());
    of_listeners.chain(of_clusters)
}

pub fn names(config: &Config, file: &Path) -> bool {
    files(config).any(|known| known == file)
}

pub fn looks() -> Interval {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// What was last told of certificates that end soon.
#[derive(Debug, Default)]
pub struct Expiries(HashMap<String, i64>);

impl Expiries {
    /// Tells of each certificate that is about to end, once for each of the warnings.
    pub fn tell(&mut self, snapshot: &Snapshot) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let all: Vec<_> = snapshot.held().map(|(_, name, held)| (name, held)).collect();
        self.0.retain(|fingerprint, _| all.iter().any(|(_, held)| held.fingerprint == *fingerprint));
        for (name, held) in all {
            let left = held.not_after - i64::try_from(now).unwrap_or(i64::MAX);
            if let Some(days) = self.due(held, left) {
                warn(name, held, days);
            }
        }
    }

    /// The warning that holds now, if it has not been given.
    fn due(&mut self, held: &Held, left: i64) -> Option<i64> {
        let days = WARNINGS.into_iter().find(|days| left <= days * DAY)?;
        (self.0.insert(held.fingerprint.clone(), days) != Some(days)).then_some(days)
    }
}

fn warn(part: &str, held: &Held, days: i64) {
    let (name, file) = (held.name(), held.file.display());
    let what = match held.role {
        Role::Own => "certificate",
        Role::Authority => "authority",
    };
    match days {
        0 => tracing::error!(part, what, name, %file, "it has expired"),
        1 => tracing::error!(part, what, name, %file, "it expires within a day"),
        _ => tracing::warn!(part, what, name, %file, "it expires within {days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_warning_is_given_once() {
        let held = Held {
            role: Role::Own,
            file: PathBuf::from("edge.pem"),
            names: vec!["edge.test".to_owned()],
            subject: String::new(),
            issuer: String::new(),
            serial: String::new(),
            fingerprint: "00".to_owned(),
            not_before: 0,
            not_after: 0,
        };
        let mut expiries = Expiries::default();
        let lefts = [40 * DAY, 30 * DAY, 29 * DAY, 7 * DAY, DAY, 10, 0, -1];
        let told = lefts.map(|left| expiries.due(&held, left));
        assert_eq!(told, [None, Some(30), None, Some(7), Some(1), None, Some(0), None]);
    }
}
