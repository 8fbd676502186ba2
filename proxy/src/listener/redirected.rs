//! Where a client was going before iptables or nftables redirected it here.

use std::net::{SocketAddr, UdpSocket};

use socket2::SockRef;
use tokio::net::TcpStream;

use super::unmapped;
use crate::cluster::passing;
use crate::snapshot::Snapshot;

/// `None`: it was coming here, or redirecting leads in a circle, or the system does not tell.
pub fn original(stream: &TcpStream, peer: SocketAddr, local: SocketAddr, snapshot: &Snapshot) -> Option<SocketAddr> {
    passing::begin_to_remember();
    let socket = SockRef::from(stream);
    let found = if local.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    let original = unmapped(found.ok()?.as_socket()?);
    if passing::is_own(peer, original) {
        tracing::warn!(%peer, %original, "a connection of the proxy's own was redirected to it; what redirects has to leave the proxy out");
        return None;
    }
    let is_served = |listen: SocketAddr| {
        listen.port() == original.port() && (listen.ip().is_unspecified() || listen.ip().to_canonical() == original.ip())
    };
    let is_here = original == local
        || snapshot.listeners.values().any(|listener| is_served(listener.config.listen)) && is_of_this_host(original);
    (!is_here).then_some(original)
}

/// Only an address of this host can be bound.
fn is_of_this_host(address: SocketAddr) -> bool {
    UdpSocket::bind((address.ip(), 0)).is_ok()
}
