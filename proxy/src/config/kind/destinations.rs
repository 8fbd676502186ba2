//! Where connections were going before they were redirected: addresses, each with a cluster.

use std::net::{IpAddr, SocketAddr};

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};
use super::super::types::Destinations;
use super::super::words::shortened;
use super::Reference;

const ADDRESSES: &str = "a table such as { \"10.0.0.7:5432\" = \"db\", \"10.0.0.8\" = \"cache\" }";

/// Addresses with or without a port, each with a cluster.
pub struct Addresses;

impl Kind for Addresses {
    type Value = Destinations;

    fn expected(&self) -> String {
        ADDRESSES.to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Destinations> {
        let Value::Table(entries) = &node.value else { return reader.mismatch(ADDRESSES, node) };
        let mut destinations = Destinations::default();
        let mut well = true;
        for entry in entries {
            let cluster = Reference::CLUSTER.read(&entry.node, reader);
            let address = parse(&entry.key);
            if address.is_none() {
                let found = shortened(&entry.key);
                let message = format!("expected an address, with or without a port, found {found:?}");
                reader.report(entry.key_span.clone(), message);
            }
            match address.zip(cluster) {
                Some((address, cluster)) => drop(destinations.0.insert(address, cluster)),
                None => well = false,
            }
        }
        well.then_some(destinations)
    }

    fn show(&self, value: &Destinations) -> String {
        if value.0.is_empty() { "{}".to_owned() } else { format!("{} addresses", value.0.len()) }
    }
}

fn parse(text: &str) -> Option<(IpAddr, Option<u16>)> {
    match text.parse::<SocketAddr>() {
        Ok(address) => Some((address.ip().to_canonical(), Some(address.port()))),
        Err(_) => Some((text.parse::<IpAddr>().ok()?.to_canonical(), None)),
    }
}
