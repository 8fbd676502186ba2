//! The keys of `[clusters.NAME]`.

mod balance;
mod discovery;
mod health;
mod limits;
mod retry;

use std::sync::Arc;

use crate::config::kind::{Choice, Flag, Integer, Time};
use crate::config::table::Table;
use crate::config::types::{Balance, Cluster, ClusterTimeouts, UpstreamProtocol};

use super::{tcp, tls};

const PROTOCOL: Choice<UpstreamProtocol> =
    Choice::of(&[("auto", UpstreamProtocol::Auto), ("http/1.1", UpstreamProtocol::Http1), ("h2", UpstreamProtocol::Http2)]);

/// `zone`: where the proxy is. `everywhere`: the mark of what has none of its own.
pub fn cluster(table: &mut Table<'_>, zone: Option<&Arc<str>>, everywhere: Option<u32>) -> Option<Cluster> {
    let discovered = discovery::read(table);
    let original_destination = table.or(
        "original-destination",
        &Flag,
        false,
        "It goes where the client was going before it was redirected to a listener with `original-destination = true`, and lists no \
         endpoints. With `protocol = \"auto\"` it speaks HTTP/2 with whom the client does. Where that is the proxy itself, 508 `loop`.",
    );
    let mark = table.optional(
        "mark",
        &Integer::within(1, u32::MAX),
        "The firewall mark (SO_MARK) of connections to its endpoints, which takes CAP_NET_ADMIN: by it, what redirects leaves \
         them out. Without it, `mark` of the whole file.",
    );
    let balance = table.or("balance", &balance::BALANCE, Balance::LeastRequest, balance::BALANCE_MEANING);
    let balancing = table.table("balancing", "How endpoints are chosen, in figures.", balance::balancing);
    let protocol = table.or(
        "protocol",
        &PROTOCOL,
        UpstreamProtocol::Auto,
        "What the endpoints speak. `\"auto\"` is what TLS agrees on (ALPN), and HTTP/1.1 without TLS. `\"h2\"` is HTTP/2 in any \
         case, by prior knowledge without TLS; gRPC needs HTTP/2.",
    );
    let proxy_protocol = table.optional(
        "proxy-protocol",
        &tcp::PROXY_VERSION,
        "Endpoints are told by the PROXY protocol who the client is, before TLS and everything else. Connections are then never shared \
         between clients. Checks, and calls of filters, speak for the proxy itself.",
    );
    let tls = table.optional_table("tls", "TLS with endpoints. Without it, plain text.", tls::client);
    let tls_is_wrong = tls.is_none() && table.node("tls").is_some();
    let (limits, breakers) = table.table(
        "limits",
        "Limits of this cluster. `connections`, `pending`, `requests` and `retries` hold for the whole of it, over all workers; the \
         others for one worker and one endpoint, `replay-bytes` for one exchange.",
        |table| (limits::limits(table), limits::breakers(table)),
    );
    let retry = table.table(
        "retry",
        "When a request is sent again. What a filter says of an exchange takes the place of `attempts`, `on`, `when-header`, \
         `methods`, `per-try-timeout` and `hedge-after`.",
        retry::retry,
    );
    let retry_budget = table.table(
        "retry-budget",
        "How many requests are sent again, of all exchanges together: `percent` of the requests, and `minimum` a second \
         besides. Past it, the client gets the answer or the failure that there is.",
        retry::budget,
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
    if tls_is_wrong {
        return None;
    }
    let endpoint_metrics = table.or(
        "endpoint-metrics",
        &Flag,
        false,
        "Whether each endpoint has metrics of its own: some thirty series for each, for as long as it is there.",
    );
    let (endpoints, srv, endpoints_file) = discovered?;
    check_original(table, original_destination, endpoints.is_empty() && srv.is_none() && endpoints_file.is_none());
    Some(Cluster {
        endpoints,
        srv,
        endpoints_file,
        original_destination,
        mark: mark.or(everywhere),
        balance,
        balancing,
        zone: zone.cloned(),
        protocol,
        proxy_protocol,
        tls,
        limits,
        breakers,
        retry,
        retry_budget,
        timeouts,
        health,
        outliers,
        endpoint_metrics,
    })
}

/// Whoever goes where the client was going knows no other place, and nobody's name.
fn check_original(table: &Table<'_>, original: bool, lists_nothing: bool) {
    let Some(node) = table.node("original-destination").filter(|_| original) else { return };
    if !lists_nothing {
        table.reader().report(node.span.clone(), "a cluster with `original-destination` lists no endpoints");
    }
    if let Some(node) = ["tls", "health"].into_iter().find_map(|key| table.node(key)) {
        table
            .reader()
            .report(node.span.clone(), "a cluster with `original-destination` speaks as the client does, to whoever is there");
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
