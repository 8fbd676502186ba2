//! Filters that a raw connection would pass by, because they have no hook for it: whoever sends bytes that are no HTTP would
//! choose which filters judge it.

use std::sync::Arc;

use super::super::{Filter, Hook};
use crate::exchange::{Failure, Kind};

/// The hooks of a filter that judges HTTP.
pub const OF_HTTP: [Hook; 5] = [Hook::Request, Hook::RequestChunk, Hook::Response, Hook::ResponseChunk, Hook::Trailers];

/// The first of these that judges HTTP and has no connection hook, besides those that may be passed by. One that is only watched
/// decides about nothing. `raw_only`: the port is of raw connections and nothing else.
pub fn unasked<'f>(
    mut filters: impl Iterator<Item = &'f Arc<Filter>>,
    excused: &[Arc<str>],
    raw_only: bool,
) -> Option<&'f Arc<Filter>> {
    filters.find(|filter| {
        let wants = |hook: &Hook| filter.setup.wants(*hook);
        filter.is_enforced()
            && !filter.is_for_connections(raw_only)
            && OF_HTTP.iter().any(wants)
            && !excused.contains(&filter.name)
    })
}

/// The same as what becomes of the connection.
pub fn judged_by_all<'f>(
    filters: impl Iterator<Item = &'f Arc<Filter>>,
    excused: &[Arc<str>],
    raw_only: bool,
) -> Result<(), Failure> {
    match unasked(filters, excused, raw_only) {
        None => Ok(()),
        Some(filter) => {
            let because = format!("filter `{}` has none, and `tcp.unfiltered` does not name it", filter.name);
            Err(Failure::new(Kind::NoConnectionHook, "a filter of the chain has no connection hook").because(because))
        }
    }
}
