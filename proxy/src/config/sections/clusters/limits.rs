//! The keys of `[clusters.NAME.limits]`.

use crate::config::bounds::*;
use crate::config::kind::{Integer, Size};
use crate::config::table::Table;
use crate::config::types::{Breakers, ClusterLimits};

pub fn limits(table: &mut Table<'_>) -> ClusterLimits {
    let default = ClusterLimits::default();
    let limits = ClusterLimits {
        idle_connections: table.or(
            "idle-connections",
            &Integer::within(0, IDLE_CONNECTIONS_MAX),
            default.idle_connections,
            "Idle HTTP/1 connections that are kept.",
        ),
        destinations: table.or(
            "destinations",
            &Integer::within(0, DESTINATIONS_MAX),
            default.destinations,
            "With `original-destination`: places to which connections are kept; those to a further one serve one exchange.",
        ),
        streams: table.or(
            "streams",
            &Integer::within(1, STREAMS_MAX),
            default.streams,
            "Exchanges on one HTTP/2 connection; a further connection is opened at 80 % of it.",
        ),
        stream_window_bytes: table.or(
            "stream-window-bytes",
            &Size::within(STREAM_WINDOW_BYTES_MIN, WINDOW_BYTES_MAX),
            default.stream_window_bytes,
            "What an endpoint may send on one HTTP/2 stream before the client reads it.",
        ),
        connection_window_bytes: table.or(
            "connection-window-bytes",
            &Size::within(CONNECTION_WINDOW_BYTES_MIN, WINDOW_BYTES_MAX),
            default.connection_window_bytes,
            "The same for all streams of a connection.",
        ),
        header_bytes: table.or(
            "header-bytes",
            &Size::within(HEADER_BYTES_MIN, HEADER_BYTES_MAX),
            default.header_bytes,
            "Bytes of all response fields, names included; 502 past it.",
        ),
        header_count: table.or(
            "header-count",
            &Integer::within(1, HEADER_COUNT_MAX),
            default.header_count,
            "Response fields; 502 past it.",
        ),
        buffer_bytes: table.or(
            "buffer-bytes",
            &Size::within(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX),
            default.buffer_bytes,
            "The read and write buffer of one HTTP/1 connection. It holds a whole response head, so it is at least \
             `header-bytes`.",
        ),
        replay_bytes: table.or(
            "replay-bytes",
            &Size::within(0, REPLAY_BYTES_MAX),
            default.replay_bytes,
            "What is kept of the body of one request that may be retried. A longer body is sent once.",
        ),
    };
    check_head_fits(table, &limits);
    limits
}

/// A head that a limit allows but the buffer cannot hold would be refused by the wrong rule.
fn check_head_fits(table: &Table<'_>, limits: &ClusterLimits) {
    let given = ["buffer-bytes", "header-bytes"].into_iter().find_map(|key| table.node(key));
    if let (Some(node), true) = (given, limits.header_bytes > limits.buffer_bytes) {
        let ClusterLimits { buffer_bytes, header_bytes, .. } = limits;
        let message = format!("buffer-bytes ({buffer_bytes} bytes) cannot hold header-bytes ({header_bytes} bytes)");
        table.reader().report(node.span.clone(), message);
    }
}

pub fn breakers(table: &mut Table<'_>) -> Breakers {
    let default = Breakers::default();
    Breakers {
        connections: table.or(
            "connections",
            &Integer::within(1, BREAKER_MAX),
            default.connections,
            "Open connections, idle ones included. An exchange that needs one more waits until there is one.",
        ),
        pending: table.or(
            "pending",
            &Integer::within(1, BREAKER_MAX),
            default.pending,
            "Exchanges that wait for a connection; one more is answered 503 `cluster-overloaded`.",
        ),
        requests: table.or(
            "requests",
            &Integer::within(1, BREAKER_MAX),
            default.requests,
            "Exchanges under way; one more is answered 503 `cluster-overloaded`.",
        ),
        retries: table.or(
            "retries",
            &Integer::within(0, BREAKER_MAX),
            default.retries,
            "Exchanges in a further attempt; one more gets the answer or the failure that it has.",
        ),
    }
}
