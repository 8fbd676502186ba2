//! The certificates in use: as a list, and in the metrics.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::snapshot::{Section, Snapshot};
use crate::telemetry::metrics::{Exposition, Kind};
use crate::tls::Role;

/// One certificate as the admin tells of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct View<'a> {
    /// `listener` or `cluster`.
    pub section: &'static str,
    /// Of that listener or cluster.
    pub name: &'a str,
    /// `certificate`: it is shown; `authority`: it vouches for others.
    pub role: &'static str,
    /// The names it is good for.
    pub names: &'a [String],
    pub subject: &'a str,
    pub issuer: &'a str,
    pub serial: &'a str,
    /// SHA-256, in hexadecimal.
    pub fingerprint: &'a str,
    /// In seconds of Unix time.
    pub not_before: i64,
    pub not_after: i64,
    pub file: &'a Path,
}

/// All of them, those of a listener or cluster together.
pub fn list(snapshot: &Snapshot) -> Vec<View<'_>> {
    let views = snapshot.held().map(|(section, name, held)| View {
        section: word(section),
        name,
        role: match held.role {
            Role::Own => "certificate",
            Role::Authority => "authority",
        },
        names: &held.names,
        subject: &held.subject,
        issuer: &held.issuer,
        serial: &held.serial,
        fingerprint: &held.fingerprint,
        not_before: held.not_before,
        not_after: held.not_after,
        file: &held.file,
    });
    let mut views: Vec<_> = views.collect();
    views.sort_by_key(|view| (view.section, view.name));
    views
}

fn word(section: Section) -> &'static str {
    match section {
        Section::Listener => "listener",
        Section::Cluster => "cluster",
    }
}

/// Of several with the same name, the one that ends first.
pub fn metrics(snapshot: &Snapshot, exposition: &mut Exposition) {
    let mut ends = BTreeMap::new();
    for (section, part, held) in snapshot.held() {
        let end = ends.entry((word(section), part, held.name())).or_insert(held.not_after);
        *end = held.not_after.min(*end);
    }
    let help = "When a certificate ends, in seconds of Unix time.";
    let mut lines = exposition.metric("tamis_certificate_expiry_seconds", help, Kind::Gauge);
    for ((section, part, name), end) in ends {
        lines.sample("", &[(section, part), ("name", &name)], None, end as f64);
    }
    let mut clusters: Vec<_> = snapshot.reach.clusters.values().filter(|cluster| cluster.tls.is_some()).collect();
    clusters.sort_by(|one, other| one.name.cmp(&other.name));
    let help = "TLS handshakes with endpoints.";
    let mut lines = exposition.metric("tamis_cluster_tls_handshakes_total", help, Kind::Counter);
    for cluster in &clusters {
        let (full, resumed) = cluster.kept.counts.tls.done();
        for (kind, count) in [("full", full), ("resumed", resumed)] {
            lines.sample("", &[("cluster", &cluster.name), ("kind", kind)], None, count as f64);
        }
    }
    let help = "TLS handshakes with endpoints that failed, by what was wrong.";
    let mut lines = exposition.metric("tamis_cluster_tls_failures_total", help, Kind::Counter);
    for cluster in &clusters {
        for (why, count) in cluster.kept.counts.tls.failed().filter(|(_, count)| *count > 0) {
            lines.sample("", &[("cluster", &cluster.name), ("why", why)], None, count as f64);
        }
    }
}
