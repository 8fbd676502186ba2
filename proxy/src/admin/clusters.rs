//! What the admin shows of clusters, as JSON: why each endpoint is in or out, what it carries, and who was chosen last.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::views::time;
use crate::cluster::balance::{decay, now_ms};
use crate::cluster::choices::Choice;
use crate::cluster::discovery::Listed;
use crate::cluster::health::{Check, Out};
use crate::cluster::{Cluster, Ended, Endpoint};
use crate::snapshot::Snapshot;
use crate::telemetry::metrics::{Exposition, Kind};

/// Every cluster, by name, with how many of its endpoints are in.
pub fn all(snapshot: &Snapshot) -> Value {
    json!({ "clusters": sorted(snapshot).into_iter().map(summary).collect::<Vec<_>>() })
}

/// One cluster with its endpoints, in the order of its list, and the last choices, the newest first.
pub fn one(snapshot: &Snapshot, name: &str) -> Option<Value> {
    let cluster = snapshot.reach.clusters.get(name)?;
    let mut shown = summary(cluster);
    let endpoints = cluster.endpoints.iter().zip(cluster.listed());
    shown["endpoints"] = endpoints.map(|(endpoint, listed)| of_endpoint(cluster, endpoint, listed)).collect();
    let addresses: HashMap<_, _> = cluster.endpoints.iter().map(|endpoint| (endpoint.id, endpoint.address.to_string())).collect();
    let choice = |choice: &Choice| {
        json!({
            "at": time(choice.at),
            // One that has left the list since has no address any more.
            "endpoint": addresses.get(&choice.endpoint),
            "ended": ended(choice.seen.ended),
            "grpc": choice.seen.grpc,
            "took_us": micros(choice.seen.took),
        })
    };
    shown["choices"] = cluster.kept.choices.last().iter().map(choice).collect();
    Some(shown)
}

fn sorted(snapshot: &Snapshot) -> Vec<&Cluster> {
    let mut clusters: Vec<_> = snapshot.reach.clusters.values().map(|cluster| &**cluster).collect();
    clusters.sort_by(|one, other| one.name.cmp(&other.name));
    clusters
}

fn summary(cluster: &Cluster) -> Value {
    let count = |which: fn(&Endpoint) -> bool| cluster.endpoints.iter().filter(|endpoint| which(endpoint)).count();
    json!({
        "name": &*cluster.name,
        "balance": cluster.config.balance.name(),
        "count": cluster.endpoints.len(),
        "in": count(|endpoint| endpoint.health.is_in()),
        "ejected": count(|endpoint| endpoint.health.has(Out::Ejected)),
        "failing_checks": count(|endpoint| endpoint.health.has(Out::Checks)),
        "active": cluster.endpoints.iter().map(|endpoint| u64::from(endpoint.active())).sum::<u64>(),
        "ejections": cluster.kept.alarm.ejections(),
    })
}

fn of_endpoint(cluster: &Cluster, endpoint: &Endpoint, listed: &Listed) -> Value {
    let ejection = endpoint.ejection().clone();
    let checks = endpoint.checks().clone();
    let left = ejection.term.map(|term| millis(term.until.saturating_duration_since(Instant::now())));
    json!({
        "address": endpoint.address.to_string(),
        "labels": *listed.labels,
        "weight": listed.standing.weight,
        "priority": listed.standing.priority,
        "zone": listed.standing.zone.as_deref(),
        "cost_ms": decay(&cluster.config).map(|decay| endpoint.cost.at(now_ms(), decay)),
        "state": if endpoint.health.is_in() { "in" } else { "out" },
        "why": endpoint.health.reasons().map(Out::word).collect::<Vec<_>>(),
        "active": endpoint.active(),
        "ejection": ejection.last.map(|(at, why)| json!({
            "count": ejection.count,
            "at": time(at),
            "why": why.word(),
            "left_ms": left,
        })),
        "checks": checks.last.map(|check| of_check(&check, checks.run)),
    })
}

fn of_check(check: &Check, run: u32) -> Value {
    json!({ "at": time(check.at), "took_us": micros(check.took), "error": check.error, "run": run })
}

/// A status, or in a word why there is none.
fn ended(ended: Ended) -> Value {
    match ended {
        Ended::Answered(status) => status.as_u16().into(),
        Ended::Connected => "connected".into(),
        Ended::Unconnected => "unconnected".into(),
        Ended::UnconnectedInTime => "connect-timeout".into(),
        Ended::Unanswered => "timeout".into(),
        Ended::Reset => "reset".into(),
        Ended::Refused => "refused-stream".into(),
        Ended::Useless => "ended-otherwise".into(),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The same in numbers.
pub fn metrics(snapshot: &Snapshot, exposition: &mut Exposition) {
    let clusters = sorted(snapshot);
    let mut each = |name, help, kind, state: Option<&str>, of: fn(&Cluster) -> f64| {
        for cluster in &clusters {
            let mut labels = vec![("cluster", &*cluster.name)];
            labels.extend(state.map(|state| ("state", state)));
            exposition.metric(name, help, kind).sample("", &labels, None, of(cluster));
        }
    };
    let endpoints = "Endpoints of a cluster, by whether they are asked at all.";
    each("tamis_cluster_endpoints", endpoints, Kind::Gauge, Some("in"), |cluster| count(cluster, true));
    each("tamis_cluster_endpoints", endpoints, Kind::Gauge, Some("out"), |cluster| count(cluster, false));
    let ejections = "Endpoints that were left out for how they served.";
    each("tamis_cluster_ejections_total", ejections, Kind::Counter, None, |cluster| cluster.kept.alarm.ejections() as f64);
}

fn count(cluster: &Cluster, is_in: bool) -> f64 {
    cluster.endpoints.iter().filter(|endpoint| endpoint.health.is_in() == is_in).count() as f64
}
