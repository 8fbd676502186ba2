//! Where a client was going before iptables or nftables redirected it here.

use std::net::{SocketAddr, UdpSocket};

use socket2::SockRef;
use tokio::net::TcpStream;

use super::unmapped;
use crate::cluster::passing;
use crate::snapshot::Snapshot;

/// What was before a connection came here.
#[derive(Debug, Default)]
pub struct Before {
    /// `None`: it was coming here, or the system does not tell.
    pub original: Option<SocketAddr>,
    /// The proxy has opened it itself, and to another place: redirecting leads in a circle.
    pub is_own: bool,
}

pub fn before(stream: &TcpStream, peer: SocketAddr, local: SocketAddr, snapshot: &Snapshot) -> Before {
    let socket = SockRef::from(stream);
    let found = if local.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    let Some(original) = found.ok().and_then(|found| found.as_socket()).map(unmapped) else { return Before::default() };
    if original == local {
        return Before::default();
    }
    if passing::is_own(peer, original) {
        tracing::warn!(%peer, %original, "a connection of the proxy's own was redirected to it; what redirects has to leave the proxy out");
        return Before { original: Some(original), is_own: true };
    }
    let is_served = |listen: SocketAddr| {
        listen.port() == original.port() && (listen.ip().is_unspecified() || listen.ip().to_canonical() == original.ip())
    };
    let is_here = snapshot.listeners.values().any(|listener| is_served(listener.config.listen)) && is_of_this_host(original);
    Before { original: (!is_here).then_some(original), is_own: false }
}

/// Only an address of this host can be bound.
fn is_of_this_host(address: SocketAddr) -> bool {
    UdpSocket::bind((address.ip(), 0)).is_ok()
}
