//! The keys of `[listeners.NAME.tcp]`, and what does not go with the protocol of a listener.

use crate::config::kind::{Addresses, Choice, Reference, Sni, Weights};
use crate::config::table::Table;
use crate::config::types::{Destinations, ListenerProtocol, ServerNames, Tcp};

pub const PROTOCOL: Choice<ListenerProtocol> =
    Choice::of(&[("http", ListenerProtocol::Http), ("tcp", ListenerProtocol::Tcp), ("auto", ListenerProtocol::Auto)]);

pub const PROTOCOL_MEANING: &str = "What clients speak. `\"http\"`: HTTP/1 and HTTP/2. `\"tcp\"`: bytes, which pass as they are. \
     `\"auto\"`: the first bytes tell TLS, HTTP/1, HTTP/2 and anything else apart; what is not HTTP passes as it is.";

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
    Tcp { sni, destinations, cluster, weighted }
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
            ("filters", "filters work on requests and connections; a listener of datagrams has neither"),
        ],
        ListenerProtocol::Tcp | ListenerProtocol::Auto => &[],
    };
    for (key, message) in useless {
        if let Some(node) = table.node(key) {
            table.reader().report(node.span.clone(), *message);
        }
    }
    if let (ListenerProtocol::Udp, None) = (protocol, table.node("cluster")) {
        table
            .reader()
            .report(table.span(), "`cluster` is missing; expected the name of a cluster, for datagrams have nowhere else to go");
    }
}
