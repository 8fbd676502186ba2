//! `connection`: who is speaking, and over what.

use crate::exchange::Exchange;

/// The client as far as trusted hops tell, without port.
pub fn source_address(exchange: &Exchange) -> String {
    exchange.source.to_string()
}

/// The socket's other end, with port.
pub fn peer_address(exchange: &Exchange) -> String {
    exchange.connection.peer.to_string()
}

pub fn local_address(exchange: &Exchange) -> String {
    exchange.connection.local.to_string()
}

/// Where the client was going before it was redirected to the proxy, with port.
pub fn original_destination(exchange: &Exchange) -> Option<String> {
    exchange.connection.original_destination.map(|address| address.to_string())
}
