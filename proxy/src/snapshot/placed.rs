//! Filters on listeners whose connections they cannot judge.

use std::sync::Arc;

use crate::config::{ListenerProtocol, Problem, Source};
use crate::filter::chain::{OF_HTTP, unasked};
use crate::filter::{Filter, Hook};

use super::Snapshot;

/// Filters that would never be called where they stand, although somebody counts on them.
pub fn misplaced<'a>(
    source: &'a Source,
    name: &'a str,
    protocol: ListenerProtocol,
    chain: &'a Arc<[Arc<Filter>]>,
) -> impl Iterator<Item = Problem> + 'a {
    chain.iter().filter_map(move |filter| {
        let of_connections = filter.wants(Hook::Connection);
        let of_http = OF_HTTP.iter().any(|hook| filter.wants(*hook));
        let message = match protocol {
            ListenerProtocol::Tcp if !of_connections => format!(
                "filter `{}` has no connection hook, so that it would do nothing here; expected a filter of connections, for listener \
                 `{name}` has `protocol = \"tcp\"`",
                filter.name
            ),
            ListenerProtocol::Http if of_connections && !of_http => format!(
                "filter `{}` works on raw connections only, so that it would do nothing here; listener `{name}` speaks HTTP",
                filter.name
            ),
            _ => return None,
        };
        Some(source.problem_at(&["listeners".into(), name.into(), "filters".into()], message).of_filter(&filter.name))
    })
}

/// What is no mistake, but may surprise: listeners on which whatever is no HTTP is refused because of a filter.
pub fn notes(snapshot: &Snapshot, source: &Source) -> Vec<Problem> {
    let mut notes = Vec::new();
    for (name, listener) in &snapshot.listeners {
        let unfiltered = &listener.config.tcp.unfiltered;
        if let (ListenerProtocol::Auto, Some(filter)) =
            (listener.config.protocol, unasked(listener.filters.iter(), unfiltered, false))
        {
            let message = format!(
                "what is no HTTP is refused on listener `{name}`: filter `{}` has no connection hook and would not be asked",
                filter.name
            );
            let help = "`tcp.unfiltered` names filters that raw connections may pass by; with `protocol = \"http\"` none come";
            let note = source.problem_at(&["listeners".into(), (&**name).into(), "filters".into()], message);
            notes.push(note.of_filter(&filter.name).with_help(help));
        }
    }
    notes
}
