//! The keys of `[clusters.NAME]`.

mod discovery;
mod health;

use crate::config::bounds::*;
use crate::config::kind::{Choice, Integer, Size, Time};
use crate::config::table::Table;
use crate::config::types::{Balance, Cluster, ClusterLimits, ClusterTimeouts, UpstreamProtocol};

const BALANCE: Choice<Balance> =
    Choice::of(&[("least-request", Balance::LeastRequest), ("round-robin", Balance::RoundRobin), ("hash", Balance::Hash)]);
const PROTOCOL: Choice<UpstreamProtocol> = Choice::of(&[("http/1.1", UpstreamProtocol::Http1), ("h2", UpstreamProtocol::Http2)]);

pub fn cluster(table: &mut Table<'_>) -> Option<Cluster> {
    let discovered = discovery::read(table);
    let balance = table.or(
        "balance",
        &BALANCE,
        Balance::LeastRequest,
        "How an endpoint is chosen: the less busy of two random ones, one after the other, or by the hash key that a filter \
         sets (without one, as `\"least-request\"` does).",
    );
    let protocol = table.or(
        "protocol",
        &PROTOCOL,
        UpstreamProtocol::Http1,
        "What the endpoints speak. `\"h2\"` is HTTP/2 by prior knowledge; gRPC needs it.",
    );
    let limits = table.table(
        "limits",
        "Limits of this cluster, each for one worker and one endpoint; `replay-bytes` is for one exchange.",
        limits,
    );
    let timeouts = table.table("timeouts", "Timeouts of this cluster; `\"0s\"` switches one off.", timeouts);
    let health = table.optional_table(
        "health",
        "How endpoints are asked whether they are well. Without it only what is seen of exchanges counts.",
        health::check,
    );
    let outliers = table.table(
        "outliers",
        "Which endpoints are left out for a while for how they serve, and for how long. The last one that is in never is.",
        health::outliers,
    );
    let (endpoints, srv, endpoints_file) = discovered?;
    Some(Cluster { endpoints, srv, endpoints_file, balance, protocol, limits, timeouts, health, outliers })
}

fn limits(table: &mut Table<'_>) -> ClusterLimits {
    let default = ClusterLimits::default();
    let limits = ClusterLimits {
        idle_connections: table.or(
            "idle-connections",
            &Integer::within(0, IDLE_CONNECTIONS_MAX),
            default.idle_connections,
            "Idle HTTP/1 connections that are kept.",
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
            "What is kept of the body of one request that a filter allows to be retried. A longer body is sent once.",
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

fn timeouts(table: &mut Table<'_>) -> ClusterTimeouts {
    let default = ClusterTimeouts::default();
    let mut time = |key, default, meaning| table.or(key, &Time::timeout(), default, meaning);
    ClusterTimeouts {
        connect: time("connect", default.connect, "TCP connect to an endpoint; 504 past it."),
        request: time(
            "request",
            default.request,
            "From the end of the request to the head of the response; 504 past it. Upgrades and gRPC have none unless \
             somebody sets one.",
        ),
        idle: time("idle", default.idle, "An upstream connection without an exchange."),
    }
}
