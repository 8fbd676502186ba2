//! Filters that a raw connection would pass by, because they have no hook for it: whoever sends bytes that are no HTTP would
//! choose which filters judge it.

use std::sync::Arc;

use super::super::{Filter, Hook};
use crate::exchange::{Failure, Kind};

/// The hooks of a filter that judges HTTP.
pub const OF_HTTP: [Hook; 5] = [Hook::Request, Hook::RequestChunk, Hook::Response, Hook::ResponseChunk, Hook::Trailers];

/// Where a raw connection has come.
#[derive(Debug, Clone, Copy)]
pub struct Port<'a> {
    /// It is of nothing else.
    pub raw_only: bool,
    /// The filters that may be passed by.
    pub unfiltered: &'a [Arc<str>],
}

/// The first of these that judges HTTP and no connections, besides those that may be passed by. One that is only watched decides
/// about nothing.
pub fn unasked<'f>(filters: impl IntoIterator<Item = &'f Arc<Filter>>, port: Port<'_>) -> Option<&'f Arc<Filter>> {
    filters.into_iter().find(|filter| {
        let judges_http = OF_HTTP.iter().any(|hook| filter.setup.wants(*hook));
        let is_asked = filter.is_for_connections(port.raw_only);
        filter.is_enforced() && !is_asked && judges_http && !port.unfiltered.contains(&filter.name)
    })
}

/// The same as what becomes of the connection.
pub fn judged_by_all<'f>(filters: impl IntoIterator<Item = &'f Arc<Filter>>, port: Port<'_>) -> Result<(), Failure> {
    match unasked(filters, port) {
        None => Ok(()),
        Some(filter) => {
            let because = format!("filter `{}` has none, and `tcp.unfiltered` does not name it", filter.name);
            Err(Failure::new(Kind::NoConnectionHook, "a filter of the chain has no connection hook").because(because))
        }
    }
}
