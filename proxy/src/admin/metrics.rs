//! `GET /metrics`: the proxy's own numbers, those of its clusters and stores, and those that filters declared.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::Response;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http_body_util::Full;

use super::ledger::Ledger;
use crate::cluster::Cluster;
use crate::cluster::breaker::Limit;
use crate::cluster::counts;
use crate::cluster::kept::{Count, Counts};
use crate::filter::module::hash;
use crate::filter::usage::Usage;
use crate::filter::{Calls, Filter};
use crate::snapshot::Snapshot;
use crate::store::{Memory, Store};
use crate::telemetry::metrics::{Exposition, Format, Kind};
use crate::telemetry::process;
use crate::telemetry::traffic::Traffic;

/// As many as tell modules apart.
const HASH_CHARS: usize = 12;

pub fn answer(snapshot: &Snapshot, ledger: &Ledger, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let mut exposition = Exposition::new(Format::wanted(accept));
    process::render(&mut exposition);
    snapshot.metrics.render(&mut exposition);
    let mut listeners: Vec<_> = snapshot.listeners.values().map(|listener| &*listener.traffic).collect();
    listeners.sort_by(|one, other| one.listener().cmp(other.listener()));
    Traffic::render(listeners.into_iter(), &mut exposition);
    snapshot.access_log.render(&mut exposition);
    clusters(snapshot, &mut exposition);
    super::clusters::metrics(snapshot, &mut exposition);
    super::certificates::metrics(snapshot, &mut exposition);
    stores(snapshot, &mut exposition);
    let beside = |filter: &Arc<Filter>| filter.beside.as_ref().map(|(second, _)| Arc::clone(second));
    let filters: Vec<_> =
        snapshot.filters.values().flat_map(|filter| [Some(Arc::clone(filter)), beside(filter)]).flatten().collect();
    Usage::render(filters.iter(), &mut exposition);
    versions(&filters, ledger, &mut exposition);
    Calls::render(filters.iter().map(|filter| &filter.calls), &mut exposition);
    let instruments = filters.iter().filter_map(|filter| filter.identity.instruments.get());
    instruments.for_each(|instruments| instruments.render(&mut exposition));
    filters.iter().for_each(|filter| filter.identity.meters.render(&filter.name, &mut exposition));
    let content_type = exposition.format().content_type();
    let mut response = Response::new(Full::new(Bytes::from(exposition.finish())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// What is live of each filter, and how often something was loaded.
fn versions(filters: &[Arc<Filter>], ledger: &Ledger, exposition: &mut Exposition) {
    let help = "What is live of a filter: the beginnings of the hashes of its module and its configuration. Always 1.";
    let mut lines = exposition.metric("tamis_filter_info", help, Kind::Gauge);
    for filter in filters {
        let config = hash(filter.config_json.as_bytes());
        let short = |hash: &str| hash.get(..HASH_CHARS).unwrap_or(hash).to_owned();
        let (module, config) = (short(&filter.module.hash), short(&config));
        lines.sample("", &[("filter", &filter.name), ("module", &module), ("config", &config)], None, 1.0);
    }
    let help = "Loads of a filter's module or configuration since the process began, the first one included.";
    let mut lines = exposition.metric("tamis_filter_loads_total", help, Kind::Counter);
    for filter in filters {
        let Some(entry) = ledger.known(&filter.name) else { continue };
        for (result, count) in [("live", entry.loads), ("failed", entry.loads_failed)] {
            lines.sample("", &[("filter", &filter.name), ("result", result)], None, count as f64);
        }
    }
}

/// A cluster counts by itself, so it is asked when somebody wants to know.
fn clusters(snapshot: &Snapshot, exposition: &mut Exposition) {
    let mut clusters: Vec<&Cluster> = snapshot.reach.clusters.values().map(|cluster| &**cluster).collect();
    clusters.sort_by(|one, other| one.name.cmp(&other.name));
    let mut each = |name, help, kind, label: Option<(&str, &str)>, of: &dyn Fn(&Cluster) -> f64| {
        for cluster in &clusters {
            let mut labels = vec![("cluster", &*cluster.name)];
            labels.extend(label);
            exposition.metric(name, help, kind).sample("", &labels, None, of(cluster));
        }
    };
    let in_use = [
        ("tamis_cluster_connections", "Open connections to a cluster.", Limit::Connections),
        ("tamis_cluster_pending", "Exchanges that wait for a connection to a cluster.", Limit::Pending),
        ("tamis_cluster_requests", "Exchanges under way in a cluster.", Limit::Requests),
        ("tamis_cluster_retrying", "Exchanges of a cluster in a further attempt.", Limit::Retries),
    ];
    for (name, help, limit) in in_use {
        each(name, help, Kind::Gauge, None, &|cluster| cluster.kept.load.taken(limit) as f64);
        let overflows = "What was refused because a limit of the cluster was reached.";
        let label = Some(("limit", limit.name()));
        let most = "What a cluster may have of each, over all workers.";
        each("tamis_cluster_limit", most, Kind::Gauge, label, &|cluster| limit.of(&cluster.config.breakers) as f64);
        let of = |cluster: &Cluster| cluster.kept.load.overflows(limit) as f64;
        each("tamis_cluster_overflows_total", overflows, Kind::Counter, label, &of);
    }
    for (result, well) in [("opened", true), ("failed", false)] {
        let help = "Connections to a cluster that were opened, and those that could not be.";
        let of = |cluster: &Cluster| cluster.kept.load.openings(well) as f64;
        each("tamis_cluster_connects_total", help, Kind::Counter, Some(("result", result)), &of);
    }
    let mut count = |name, help, label, of: fn(&Counts) -> &Count| {
        each(name, help, Kind::Counter, label, &|cluster| of(&cluster.kept.counts).get() as f64);
    };
    let retries = "Further attempts at a request, hedges included.";
    count("tamis_cluster_retries_total", retries, None, |counts| &counts.retries);
    let refused = "Further attempts that were not made: the budget was spent, or the time would have been over.";
    count("tamis_cluster_retries_refused_total", refused, Some(("by", "budget")), |counts| &counts.over_budget);
    count("tamis_cluster_retries_refused_total", refused, Some(("by", "deadline")), |counts| &counts.too_late);
    count("tamis_cluster_hedges_total", "Attempts beside one that took long.", None, |counts| &counts.hedges);
    count("tamis_cluster_hedges_won_total", "Those of them whose answer came first.", None, |counts| &counts.hedges_won);
    let expired = "Requests that were not sent because the client's deadline had passed.";
    count("tamis_cluster_expired_total", expired, None, |counts| &counts.expired);
    counts::render(&clusters, exposition);
}

/// So does a store.
fn stores(snapshot: &Snapshot, exposition: &mut Exposition) {
    let mut stores: Vec<&Store> = snapshot.stores.values().collect();
    stores.sort_by(|one, other| one.name().cmp(other.name()));
    let mut each = |name, help, kind, of: fn(&Memory) -> f64| {
        for store in &stores {
            exposition.metric(name, help, kind).sample("", &[("store", store.name())], None, of(store.memory()));
        }
    };
    let evictions = "Keys that were pushed out by newer ones before they had expired.";
    each("tamis_store_evictions_total", evictions, Kind::Counter, |store| store.evicted() as f64);
    let entries = "Keys of a store, expired ones included that nobody has asked for since.";
    each("tamis_store_entries", entries, Kind::Gauge, |store| store.entries() as f64);
    each("tamis_store_bytes", "Memory that the keys of a store count for.", Kind::Gauge, |store| store.bytes() as f64);
    #[cfg(feature = "redis")]
    remote_stores(&stores, exposition);
}

#[cfg(feature = "redis")]
fn remote_stores(stores: &[&Store], exposition: &mut Exposition) {
    use std::sync::atomic::{AtomicU64, Ordering};

    use crate::store::{Counts, Remote};

    fn count(count: &AtomicU64) -> f64 {
        count.load(Ordering::Relaxed) as f64
    }
    let remote: Vec<&Remote> = stores.iter().filter_map(|store| store.remote()).collect();
    let mut counters = |name, help, label: Option<(&str, &str)>, of: fn(&Counts) -> &AtomicU64| {
        for store in &remote {
            let mut labels = vec![("store", &*store.name)];
            labels.extend(label);
            exposition.metric(name, help, Kind::Counter).sample("", &labels, None, count(of(&store.counts)));
        }
    };
    let round_trips = "Operations that were sent to the backend of a store.";
    counters("tamis_store_round_trips_total", round_trips, None, |counts| &counts.round_trips);
    let errors = "Operations that the backend of a store did not answer in time, or refused.";
    counters("tamis_store_errors_total", errors, Some(("kind", "timeout")), |counts| &counts.timeouts);
    counters("tamis_store_errors_total", errors, Some(("kind", "failed")), |counts| &counts.errors);
    let leases = "Batches of tokens that were taken in advance.";
    counters("tamis_store_leases_total", leases, None, |counts| &counts.leases);
    let leased = "Decisions about quotas by tokens taken in advance, without a round trip.";
    counters("tamis_store_leased_decisions_total", leased, None, |counts| &counts.leased);
    let losses = "How often the backend of a store was lost.";
    counters("tamis_store_losses_total", losses, None, |counts| &counts.losses);
    let local = "Decisions about quotas without the backend, while it was lost.";
    counters("tamis_store_local_decisions_total", local, None, |counts| &counts.local);
    let mut gauge = |name, help, of: fn(&Remote) -> f64| {
        for store in &remote {
            exposition.metric(name, help, Kind::Gauge).sample("", &[("store", &store.name)], None, of(store));
        }
    };
    let connected = "Whether the backend of a store answers, as far as is known.";
    gauge("tamis_store_connected", connected, |store| f64::from(u8::from(store.is_connected())));
    let processes = "Processes that share a store, this one included.";
    gauge("tamis_store_processes", processes, |store| store.fleet() as f64);
}
