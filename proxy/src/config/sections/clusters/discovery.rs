//! The keys of `[clusters.NAME]` that say where its endpoints are.

use std::path::Path;
use std::sync::Arc;

use crate::config::kind::{EndpointKind, File, List, Service};
use crate::config::table::Table;
use crate::config::types::Endpoint;

/// What a cluster lists, its service, its file.
type Discovered = (Vec<Endpoint>, Option<Arc<str>>, Option<Arc<Path>>);

pub fn read(table: &mut Table<'_>) -> Option<Discovered> {
    const ENDPOINTS: &str = "Where the service is. A host name stands for all of its addresses, which have its labels and its \
         weight. Labels are what filters choose endpoints by; `weight` is an endpoint's share beside the others', `priority` 0 is \
         asked first, `zone` (else the label of that name) is where it is. It may be left out where `srv`, `endpoints-file` or `original-destination` is given. An empty array alone is a \
         cluster that answers 503 `no-endpoint`.";
    let others = ["srv", "endpoints-file", "original-destination"].iter().any(|key| table.node(key).is_some());
    let kind = List::of_distinct(EndpointKind);
    let endpoints = match others {
        true => Some(table.or("endpoints", &kind, Vec::new(), ENDPOINTS)),
        false => table.required("endpoints", &kind, ENDPOINTS),
    };
    let srv = table.optional(
        "srv",
        &Service,
        "A service whose DNS SRV records name endpoints: each address of each target, with its port, weight and priority. They are added to `endpoints`.",
    );
    let file = table.optional(
        "endpoints-file",
        &File,
        "A file that lists endpoints, one a line or as a JSON array, each as in `endpoints` but without names. It is watched; one \
         with a mistake changes nothing. They are added to `endpoints`.",
    );
    Some((endpoints?, srv, file.map(Arc::from)))
}
