//! The keys of `[listeners.NAME]`.

use http::HeaderName;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};

use crate::config::bounds::*;
use crate::config::defaults;
use crate::config::kind::{Choice, FieldName, Flag, Integer, List, Listen, Network, Reference, Size, Time};
use crate::config::table::Table;
use crate::config::types::{Listener, ListenerLimits, ListenerProtocol, ListenerTimeouts, Paths, ProxyHeaders};

use super::{tcp, tls};

const REJECT_OR_KEEP: Choice<bool> = Choice::of(&[("reject", true), ("keep", false)]);
const ON_OR_OFF: Choice<bool> = Choice::of(&[("on", true), ("off", false)]);
const REJECT_OR_PASS: Choice<bool> = Choice::of(&[("reject", true), ("pass", false)]);

pub fn listener(table: &mut Table<'_>) -> Option<Listener> {
    let listen = table.required("listen", &Listen, "The address; port 0 lets the system choose.");
    let protocol = table.or("protocol", &tcp::PROTOCOL, ListenerProtocol::Http, tcp::PROTOCOL_MEANING);
    let original_destination = table.or(
        "original-destination",
        &Flag,
        false,
        "Clients are redirected to it by iptables or nftables: where they were going is asked of the system, for filters and for \
         clusters with `original-destination`.",
    );
    let mut tls =
        table.optional_table("tls", "TLS with clients. Without it, plain text, or TLS that passes through.", tls::server);
    if let (ListenerProtocol::Tcp, Some(tls), None) = (protocol, &mut tls, table.node("tls").and_then(|tls| tls.get("alpn"))) {
        // Nobody here knows what clients want to speak.
        tls.alpn.clear();
    }
    let tls_is_wrong = tls.is_none() && table.node("tls").is_some();
    let filters = table.or(
        "filters",
        &List::of(Reference::FILTER),
        Vec::new(),
        "The chain: names of `[filters.NAME]`, in the order in which request hooks run.",
    );
    let cluster = table.optional(
        "cluster",
        &Reference::CLUSTER,
        "Where an exchange goes when no filter says otherwise. Without it, 404 `no-route`. Raw connections and datagrams go there too.",
    );
    let trusted = table.or(
        "trusted",
        &List::of_distinct(Network),
        Vec::new(),
        "Peers whose X-Forwarded-* fields are believed. Empty: nobody.",
    );
    let proxy_protocol = table.or("proxy-protocol", &tcp::PROXY_HEADERS, ProxyHeaders::Off, tcp::PROXY_HEADERS_MEANING);
    let raw = table.table("tcp", "Where connections go that are no HTTP.", tcp::tcp);
    tcp::check_protocol(table, protocol);
    let paths = table.table("paths", "What becomes of a path before any filter sees it.", paths);
    let reject_underscores = table.or(
        "header-underscores",
        &REJECT_OR_PASS,
        defaults::REJECT_UNDERSCORES,
        "A field name with `_` is 400, or goes on.",
    );
    let timeout_header = table.optional(
        "timeout-header",
        &FieldName,
        "The field in which a client tells how long it waits, such as `\"x-request-timeout\"`: milliseconds (`1500`), or with a unit \
         (`1500ms`, `1.5s`). It can only shorten what holds without it. Without this key, no field is read.",
    );
    check_timeout_header(table, timeout_header.as_ref());
    let access_log = table.or(
        "access-log",
        &ON_OR_OFF,
        true,
        "Whether its exchanges have lines in the access log, as far as `[access-log]` says.",
    );
    let limits = table.table("limits", "Limits of this listener.", limits);
    let timeouts = table.table("timeouts", "Timeouts of this listener; `\"0s\"` switches one off.", timeouts);
    if tls_is_wrong {
        return None;
    }
    let listen = listen?;
    Some(Listener {
        listen,
        protocol,
        original_destination,
        tls,
        filters,
        cluster,
        trusted,
        proxy_protocol,
        tcp: raw,
        paths,
        reject_underscores,
        timeout_header,
        access_log,
        limits,
        timeouts,
    })
}

/// The field is written anew for the upstream, which must not change where the request ends or whom it is for.
fn check_timeout_header(table: &Table<'_>, name: Option<&HeaderName>) {
    const TAKEN: [HeaderName; 8] = [CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, EXPECT];
    let is_taken = |name: &HeaderName| TAKEN.contains(name) || name == "grpc-timeout";
    if let (Some(name), Some(node)) = (name.filter(|name| is_taken(name)), table.node("timeout-header")) {
        let message = format!("expected a field that has no other meaning, found \"{name}\"");
        table.reader().report(node.span.clone(), message);
    }
}

fn paths(table: &mut Table<'_>) -> Paths {
    let default = Paths::default();
    Paths {
        normalize: table.or(
            "normalize",
            &Flag,
            default.normalize,
            "Escapes of letters, digits, `-`, `.`, `_` and `~` are decoded (RFC 3986, 6.2.2.2) and dot segments removed (5.2.4), so that an \
             access rule and the upstream see the same path.",
        ),
        merge_slashes: table.or("merge-slashes", &Flag, default.merge_slashes, "`//` becomes `/`."),
        reject_escaped_slashes: table.or(
            "escaped-slashes",
            &REJECT_OR_KEEP,
            default.reject_escaped_slashes,
            "`%2F` and `%5C` in a path are 400, or go on as they are.",
        ),
    }
}

fn limits(table: &mut Table<'_>) -> ListenerLimits {
    let default = ListenerLimits::default();
    let limits = ListenerLimits {
        connections: table.or(
            "connections",
            &Integer::within(1, CONNECTIONS_MAX),
            default.connections,
            "Connections; one more is closed at once. With `protocol = \"udp\"`, sessions; datagrams of one more are dropped.",
        ),
        handshakes: table.or(
            "handshakes",
            &Integer::within(1, CONNECTIONS_MAX),
            default.handshakes,
            "TLS handshakes at once, shared out among the workers; further ones wait, for half of `tls-handshake` at most.",
        ),
        backlog: table.or(
            "backlog",
            &Integer::within(1, BACKLOG_MAX),
            default.backlog,
            "Connections that the kernel queues for one worker; the system's somaxconn may be lower.",
        ),
        header_bytes: table.or(
            "header-bytes",
            &Size::within(HEADER_BYTES_MIN, HEADER_BYTES_MAX),
            default.header_bytes,
            "Bytes of all request fields, names included; 431 past it.",
        ),
        header_count: table.or(
            "header-count",
            &Integer::within(1, HEADER_COUNT_MAX),
            default.header_count,
            "Request fields; 431 past it.",
        ),
        header_value_bytes: table.or(
            "header-value-bytes",
            &Size::within(1, HEADER_BYTES_MAX),
            default.header_value_bytes,
            "One field value; 431 past it.",
        ),
        uri_bytes: table.or("uri-bytes", &Size::within(1, URI_BYTES_MAX), default.uri_bytes, "Request target; 414 past it."),
        requests_per_connection: table.or(
            "requests-per-connection",
            &Integer::within(0, REQUESTS_PER_CONNECTION_MAX).zero_means("no limit"),
            default.requests_per_connection,
            "Requests on one HTTP/1 connection before it is closed. HTTP/2 has no such limit.",
        ),
        buffer_bytes: table.or(
            "buffer-bytes",
            &Size::within(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX),
            default.buffer_bytes,
            "The read and write buffer of one HTTP/1 connection. It holds a whole request head, so it is at least \
             `header-bytes` and `uri-bytes` together.",
        ),
        proxy_header_bytes: table.or(
            "proxy-header-bytes",
            &Size::within(PROXY_HEADER_BYTES_MIN, PROXY_HEADER_BYTES_MAX),
            default.proxy_header_bytes,
            "What a trusted peer says of its client by the PROXY protocol; past it, the connection is closed.",
        ),
        client_hello_bytes: table.or(
            "client-hello-bytes",
            &Size::within(CLIENT_HELLO_BYTES_MIN, CLIENT_HELLO_BYTES_MAX),
            default.client_hello_bytes,
            "The first message of a TLS connection that passes through, where it is read for the name that the client asks for; past \
             it, the connection is closed.",
        ),
        tcp_buffer_bytes: table.or(
            "tcp-buffer-bytes",
            &Size::within(TCP_BUFFER_BYTES_MIN, TCP_BUFFER_BYTES_MAX),
            default.tcp_buffer_bytes,
            "What is read at once of a raw connection, and held until the other side takes it, in each direction.",
        ),
        ..http2_limits(table, default)
    };
    check_head_fits(table, &limits);
    limits
}

fn http2_limits(table: &mut Table<'_>, default: ListenerLimits) -> ListenerLimits {
    let resets = Integer::within(1, RESETS_MAX);
    ListenerLimits {
        streams: table.or(
            "streams",
            &Integer::within(1, STREAMS_MAX),
            default.streams,
            "Concurrent HTTP/2 streams that a client may open on one connection.",
        ),
        stream_window_bytes: table.or(
            "stream-window-bytes",
            &Size::within(STREAM_WINDOW_BYTES_MIN, WINDOW_BYTES_MAX),
            default.stream_window_bytes,
            "What one HTTP/2 stream may send before it is read.",
        ),
        connection_window_bytes: table.or(
            "connection-window-bytes",
            &Size::within(CONNECTION_WINDOW_BYTES_MIN, WINDOW_BYTES_MAX),
            default.connection_window_bytes,
            "The same for all streams of a connection.",
        ),
        frame_bytes: table.or(
            "frame-bytes",
            &Size::within(FRAME_BYTES_MIN, FRAME_BYTES_MAX),
            default.frame_bytes,
            "The largest HTTP/2 frame that is accepted.",
        ),
        send_buffer_bytes: table.or(
            "send-buffer-bytes",
            &Size::within(SEND_BUFFER_BYTES_MIN, SEND_BUFFER_BYTES_MAX),
            default.send_buffer_bytes,
            "What waits to be written on one HTTP/2 stream.",
        ),
        pending_resets: table.or(
            "pending-resets",
            &resets,
            default.pending_resets,
            "Streams that the client reset before they were accepted; past it the connection is ended.",
        ),
        local_resets: table.or(
            "local-resets",
            &resets,
            default.local_resets,
            "Streams that the proxy reset because the client broke the protocol; past it the connection is ended.",
        ),
        ..default
    }
}

/// A head that a limit allows but the buffer cannot hold would be refused by the wrong rule.
fn check_head_fits(table: &Table<'_>, limits: &ListenerLimits) {
    let head = limits.header_bytes + limits.uri_bytes;
    let given = ["buffer-bytes", "header-bytes", "uri-bytes"].into_iter().find_map(|key| table.node(key));
    if let (Some(node), true) = (given, head > limits.buffer_bytes) {
        let message = format!(
            "buffer-bytes ({} bytes) cannot hold header-bytes and uri-bytes ({head} bytes together)",
            limits.buffer_bytes
        );
        table.reader().report(node.span.clone(), message);
    }
}

fn timeouts(table: &mut Table<'_>) -> ListenerTimeouts {
    let default = ListenerTimeouts::default();
    let mut time = |key, default, meaning| table.or(key, &Time::timeout(), default, meaning);
    ListenerTimeouts {
        tls_handshake: time("tls-handshake", default.tls_handshake, "The TLS handshake of a client."),
        protocol_detect: time(
            "protocol-detect",
            default.protocol_detect,
            "From the first byte of a connection without ALPN until it is told whether it speaks HTTP/1 or HTTP/2. With `protocol = \
             \"auto\"`, and where `tcp.sni` is read, from the beginning of the connection; what has not told by then passes as it is.",
        ),
        request_headers: time(
            "request-headers",
            default.request_headers,
            "From the first byte of an HTTP/1 request head to its last; 408 past it.",
        ),
        progress: time(
            "progress",
            default.progress,
            "No byte of an awaited request body arrived, or no byte of a response could be written.",
        ),
        idle: time("idle", default.idle, "A connection without an exchange."),
        rest: time(
            "rest",
            default.rest,
            "An HTTP/1 connection without an exchange gives its buffers back, and goes on with its next byte.",
        ),
        connection_age: time(
            "connection-age",
            default.connection_age,
            "A connection older than this is drained after its present exchanges.",
        ),
        stream_idle: time(
            "stream-idle",
            default.stream_idle,
            "Nothing moved in either direction of an exchange that is past its head.",
        ),
        upgrade_idle: time("upgrade-idle", default.upgrade_idle, "Nothing moved in either direction after an upgrade."),
        tcp_idle: time("tcp-idle", default.tcp_idle, "Nothing moved in either direction of a raw connection."),
        proxy_header: time(
            "proxy-header",
            default.proxy_header,
            "From the beginning of a connection until a trusted peer has said by the PROXY protocol who its client is.",
        ),
        udp_idle: time("udp-idle", default.udp_idle, "No datagram in either direction of a session."),
    }
}
