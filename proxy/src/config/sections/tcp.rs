//! The keys of `[listeners.NAME.tcp]`, and what does not go with the protocol of a listener.

use crate::config::kind::{Addresses, Choice, List, Reference, Sni, Weights};
use crate::config::table::Table;
use crate::config::tree::Node;
use crate::config::types::{Destinations, ListenerProtocol, ProxyHeaders, ProxyVersion, ServerNames, Tcp};

pub const PROTOCOL: Choice<ListenerProtocol> = Choice::of(&[
    ("http", ListenerProtocol::Http),
    ("tcp", ListenerProtocol::Tcp),
    ("auto", ListenerProtocol::Auto),
    ("udp", ListenerProtocol::Udp),
]);

pub const PROTOCOL_MEANING: &str = "What clients speak. `\"http\"`: HTTP/1 and HTTP/2. `\"tcp\"`: bytes, which pass as they are. \
     `\"auto\"`: the first bytes tell TLS, HTTP/1, HTTP/2 and anything else apart; what is not HTTP passes as it is. `\"udp\"`: datagrams.";

pub const PROXY_HEADERS: Choice<ProxyHeaders> =
    Choice::of(&[("off", ProxyHeaders::Off), ("optional", ProxyHeaders::Optional), ("required", ProxyHeaders::Required)]);

pub const PROXY_HEADERS_MEANING: &str = "Whether peers in `trusted` say by the PROXY protocol (version 1 or 2) who their clients are, before \
     TLS and everything else. `\"required\"`: whoever does not, or is not trusted, is closed. What a client claims in X-Forwarded-* is \
     then believed if its own address is trusted.";

pub const PROXY_VERSION: Choice<ProxyVersion> = Choice::of(&[("v1", ProxyVersion::V1), ("v2", ProxyVersion::V2)]);

pub fn tcp(table: &mut Table<'_>) -> Tcp {
    let sni = table.or(
        "sni",
        &Sni,
        ServerNames::default(),
        "Clusters by the name that a client asks for in the TLS handshake (SNI), whether TLS ends here or passes through: the whole \
         name, then the longest with `*`, which is one label or more. Other names go where everything else goes.",
    );
    let destinations = table.or(
        "destinations",
        &Addresses,
        Destinations::default(),
        "With `original-destination`: clusters by where a connection was going, the address with its port before the address alone. \
         Looked at after `sni`.",
    );
    let cluster = table.optional(
        "cluster",
        &Reference::CLUSTER,
        "Where raw connections go when no name and no filter says otherwise. Without it, the `cluster` of the listener.",
    );
    let weighted = table.or(
        "weighted",
        &Weights,
        Vec::new(),
        "In the place of `cluster`: several, each with its share of the connections. An open connection stays where it is.",
    );
    if let (Some(_), Some(node)) = (table.node("cluster"), table.node("weighted")) {
        table.reader().report(node.span.clone(), "expected `cluster` or `weighted`, found both");
    }
    let unfiltered = table.or(
        "unfiltered",
        &List::of_distinct(Reference::FILTER),
        Vec::new(),
        "Filters without a connection hook that raw connections may pass by. Where the chain has any other, they are refused with \
         `no-connection-hook`: a client that sends bytes which are no HTTP would choose who judges it.",
    );
    Tcp { sni, destinations, cluster, weighted, unfiltered }
}

/// Keys that would have no effect although somebody counts on them.
pub fn check_protocol(table: &Table<'_>, protocol: ListenerProtocol) {
    let useless: &[(&str, &str)] = match protocol {
        ListenerProtocol::Http => {
            &[("tcp", "expected `protocol = \"tcp\"` or `\"auto\"` beside it: HTTP goes where filters and `cluster` say")]
        }
        ListenerProtocol::Udp => &[
            ("tcp", "a listener of datagrams has no connections"),
            ("tls", "datagrams are passed as they are; there is no TLS for them"),
            ("proxy-protocol", "the PROXY protocol is for connections; datagrams have none"),
            ("filters", "filters work on requests and connections; a listener of datagrams has neither"),
        ],
        ListenerProtocol::Tcp | ListenerProtocol::Auto => &[],
    };
    for (key, message) in useless {
        if let Some(node) = table.node(key) {
            table.reader().report(node.span.clone(), *message);
        }
    }
    if let (Some("optional" | "required"), None) =
        (table.node("proxy-protocol").and_then(Node::as_str), table.node("trusted").filter(|node| !node.items().is_empty()))
    {
        let span = table.node("proxy-protocol").map_or(table.span(), |node| node.span.clone());
        table.reader().report(span, "expected `trusted` beside it: nobody else is believed, and it is empty");
    }
    if let (ListenerProtocol::Udp, None) = (protocol, table.node("cluster")) {
        table
            .reader()
            .report(table.span(), "`cluster` is missing; expected the name of a cluster, for datagrams have nowhere else to go");
    }
}
