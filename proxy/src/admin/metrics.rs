//! `GET /metrics`: the proxy's own numbers, those of its stores, and those that filters declared.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::Full;

use crate::filter::Filter;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::telemetry::metrics::{Exposition, Kind};

pub fn answer(snapshot: &Snapshot) -> Response<Full<Bytes>> {
    let mut exposition = Exposition::default();
    snapshot.metrics.render(&mut exposition);
    stores(snapshot, &mut exposition);
    let beside = |filter: &Arc<Filter>| filter.beside.as_ref().map(|(second, _)| Arc::clone(second));
    let filters: Vec<_> =
        snapshot.filters.values().flat_map(|filter| [Some(Arc::clone(filter)), beside(filter)]).flatten().collect();
    let instruments = filters.iter().filter_map(|filter| filter.identity.instruments.get());
    instruments.for_each(|instruments| instruments.render(&mut exposition));
    let mut response = Response::new(Full::new(Bytes::from(exposition.finish())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(Exposition::CONTENT_TYPE));
    response
}

/// A store counts by itself, so it is asked when somebody wants to know.
fn stores(snapshot: &Snapshot, exposition: &mut Exposition) {
    let mut each = |name, help, kind, of: fn(&Store) -> f64| {
        let mut stores: Vec<&Arc<Store>> = snapshot.stores.values().collect();
        stores.sort_by(|one, other| one.name.cmp(&other.name));
        for store in stores {
            exposition.metric(name, help, kind).sample("", &[("store", &store.name)], None, of(store));
        }
    };
    let evictions = "Keys that were pushed out by newer ones before they had expired.";
    each("tamis_store_evictions_total", evictions, Kind::Counter, |store| store.evicted() as f64);
    let entries = "Keys of a store, expired ones included that nobody has asked for since.";
    each("tamis_store_entries", entries, Kind::Gauge, |store| store.entries() as f64);
    each("tamis_store_bytes", "Memory that the keys of a store count for.", Kind::Gauge, |store| store.bytes() as f64);
}
