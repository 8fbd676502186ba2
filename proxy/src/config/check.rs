//! What concerns several parts of the file at once. References to a name are judged where the name is read.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::read::Reader;
use super::tree::{Node, Value};

/// Checks the file as a whole. It looks at the tree, so that a part with a mistake of its own is checked too.
pub fn whole(reader: &Reader<'_>) {
    at_least_one_listener(reader);
    addresses_once(reader);
}

fn at_least_one_listener(reader: &Reader<'_>) {
    let tree = reader.source().tree();
    let listeners = tree.get("listeners");
    // Listeners that are no table have been told already.
    // A sidecar has some as soon as it is right itself.
    let none = tree.get(super::sidecar::SECTION).is_none()
        && listeners.is_none_or(|node| matches!(&node.value, Value::Table(entries) if entries.is_empty()));
    if none {
        let span = listeners.unwrap_or(tree).span.clone();
        let message = "there is no listener; expected at least one [listeners.NAME] with `listen`";
        reader.report(span, message);
    }
}

/// No two sockets on one address; datagrams have ports of their own. Port 0 is a different port each time.
fn addresses_once(reader: &Reader<'_>) {
    let tree = reader.source().tree();
    let admin = tree.get("admin").map(|node| ("[admin]".to_owned(), node));
    let listeners = tree.get("listeners").map_or(&[][..], Node::entries);
    let listeners = listeners.iter().map(|entry| (format!("[listeners.{}]", entry.key), &entry.node));
    let is_udp = |node: &Node| node.get("protocol").and_then(Node::as_str) == Some("udp");
    let mut listens: Vec<(String, &Node, bool)> =
        admin.into_iter().chain(listeners).filter_map(|(owner, node)| Some((owner, node.get("listen")?, is_udp(node)))).collect();
    listens.sort_by_key(|(_, node, _)| node.span.start);
    let mut first = BTreeMap::<(SocketAddr, bool), String>::new();
    for (owner, node, is_udp) in listens {
        let Some(address) = node.as_str().and_then(|text| text.parse::<SocketAddr>().ok()) else { continue };
        if address.port() == 0 {
            continue;
        }
        if let Some(other) = first.get(&(address, is_udp)) {
            reader.report(node.span.clone(), format!("{other} listens on {address} already"));
        } else {
            first.insert((address, is_udp), owner);
        }
    }
}
