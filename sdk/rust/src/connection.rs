//! Who is speaking, and over what.

use std::net::{IpAddr, SocketAddr};

use crate::{Destination, Notes, host};

/// The connection on which the request came, or the raw connection itself.
#[derive(Debug)]
pub struct Connection(());

impl Connection {
    pub(crate) fn in_hand() -> Self {
        Connection(())
    }

    /// The client, as far as trusted hops tell, as it is written in logs: an address without a port.
    pub fn source(&self) -> String {
        host::connection::source_address()
    }

    /// [`source`](Self::source) as an address; `None` if a trusted hop told one that is none.
    pub fn source_ip(&self) -> Option<IpAddr> {
        self.source().parse().ok()
    }

    /// The other end of the socket, with its port, as it is written in logs.
    pub fn peer(&self) -> String {
        host::connection::peer_address()
    }

    /// [`peer`](Self::peer) as an address; `None` if the socket has none.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer().parse().ok()
    }

    /// This end of the socket, with its port, as it is written in logs.
    pub fn local(&self) -> String {
        host::connection::local_address()
    }

    /// Where the client wanted to go before its connection was redirected to the proxy; `None` if it was not.
    pub fn original_destination(&self) -> Option<String> {
        host::connection::original_destination()
    }

    /// Whether the peer is in one of the listener's trusted ranges.
    pub fn trusted(&self) -> bool {
        host::connection::trusted()
    }

    /// The listener's name in the configuration.
    pub fn listener(&self) -> String {
        host::connection::listener()
    }

    /// What the client speaks: `http/1.0`, `http/1.1`, `h2` or `tcp`.
    pub fn protocol(&self) -> String {
        host::connection::protocol()
    }

    /// `TLSv1.2` or `TLSv1.3`; `None` without TLS.
    pub fn tls_version(&self) -> Option<String> {
        host::connection::tls_version()
    }

    /// The name that the client asked for in the TLS handshake; `None` if it named none, or without TLS.
    pub fn server_name(&self) -> Option<String> {
        host::connection::server_name()
    }

    /// What the client's verified certificate says it is: URI names first, then DNS names.
    pub fn client_identities(&self) -> Vec<String> {
        host::connection::client_identities()
    }

    /// The SHA-256 of the client's verified certificate, in lower-case hexadecimal.
    pub fn client_fingerprint(&self) -> Option<String> {
        host::connection::client_fingerprint()
    }

    /// Where it goes: what the hook of a raw connection may choose.
    pub fn destination(&self) -> Destination {
        Destination::in_hand()
    }

    /// What filters tell each other about it.
    pub fn notes(&self) -> Notes {
        Notes::in_hand()
    }
}
