//! Who is on the other end of a downstream connection, told once for all of its exchanges.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use crate::telemetry::access_log::{AccessLog, Entry, Fields};
use crate::telemetry::traffic::Open;
use crate::tls::Peer;

use super::proxy_header::Addresses;
use super::{Failure, Kind, Permit};

/// A downstream connection, as filters and logs see it.
#[derive(Debug)]
pub struct Connection {
    /// The name of the listener.
    pub listener: Arc<str>,
    /// The socket's other end.
    pub peer: SocketAddr,
    pub local: SocketAddr,
    /// Where the client wanted to go before its connection was redirected here.
    pub original_destination: Option<SocketAddr>,
    /// The proxy has opened it itself, and it was redirected back.
    pub is_own: bool,
    /// What a trusted peer says of its own client, by the PROXY protocol.
    pub proxied: Option<Addresses>,
    /// The peer, or its client if it said who that is, is in one of the listener's trusted ranges.
    pub trusted: bool,
    /// `TLSv1.2` or `TLSv1.3`.
    pub tls_version: Option<&'static str>,
    /// What the client asked for (SNI).
    pub server_name: Option<String>,
    /// Whose certificate was verified.
    pub client: Option<Peer>,
    /// A request for another host than `server_name` is misdirected.
    pub strict_sni: bool,
    /// Its place under the limits, held until the last of its exchanges is over, tunnels included.
    pub permit: Option<Permit>,
    /// Counts it for as long.
    pub open: Option<Open>,
    /// Why the proxy ended it, if it did.
    pub ended: OnceLock<Kind>,
}

impl Connection {
    /// One in plain text of which no more is known.
    pub fn new(listener: Arc<str>, peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            listener,
            peer,
            local,
            original_destination: None,
            is_own: false,
            proxied: None,
            trusted: false,
            tls_version: None,
            server_name: None,
            client: None,
            strict_sni: false,
            permit: None,
            open: None,
            ended: OnceLock::new(),
        }
    }

    /// What the proxy has sent itself is not sent on: it would come back again.
    pub fn comes_from_elsewhere(&self) -> Result<(), Failure> {
        if self.is_own {
            return Err(Failure::new(Kind::Loop, "a connection of the proxy's own was redirected to it"));
        }
        Ok(())
    }

    /// The client: the peer, unless that has said who it speaks for.
    pub fn client_address(&self) -> SocketAddr {
        self.proxied.map_or(self.peer, |addresses| addresses.source)
    }

    /// Both ends, as the next hop is told.
    pub fn addresses(&self) -> Addresses {
        let destination = self.proxied.map(|addresses| addresses.destination).or(self.original_destination);
        Addresses { source: self.client_address(), destination: destination.unwrap_or(self.local) }
    }

    pub fn scheme(&self) -> &'static str {
        if self.tls_version.is_some() { "https" } else { "http" }
    }

    /// Whether a request for this host may come over it. Where clients show certificates, what was settled for one host
    /// holds for no other, even if the same certificate has both names and a client thinks that it may reuse a connection.
    pub fn is_for(&self, authority: &str) -> bool {
        if !self.strict_sni {
            return true;
        }
        let host = host_of(authority);
        match &self.server_name {
            Some(name) => host.trim_end_matches('.').eq_ignore_ascii_case(name.trim_end_matches('.')),
            // Addresses are never named in a handshake.
            None => host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok(),
        }
    }

    /// Who the client is, by its certificate.
    pub fn identities(&self) -> &[String] {
        self.client.as_ref().map_or(&[], |client| &client.identities)
    }

    /// Logs a request that never became an exchange: its head could not be read. `status` is what the client got.
    pub fn log_unread(&self, log: &AccessLog, protocol: &str, kind: Kind, status: u16, error: &str) {
        let none = Fields::default();
        log.write(&Entry {
            time: SystemTime::now(),
            listener: &self.listener,
            method: None,
            scheme: None,
            authority: None,
            path: None,
            query: None,
            protocol,
            status,
            reason: kind.reason(),
            failed: true,
            error: Some(error),
            cluster: None,
            endpoint: None,
            route: None,
            attempts: 0,
            request_bytes: 0,
            response_bytes: 0,
            duration: Duration::ZERO,
            request_id: None,
            trace_id: None,
            span_id: None,
            source: self.client_address().ip(),
            identity: self.identities().first().map(String::as_str),
            peer: self.peer,
            tls_version: self.tls_version,
            server_name: self.server_name.as_deref(),
            notes: &[],
            request_fields: &none,
            response_fields: &none,
            trail: None,
        });
    }
}

/// An authority without its port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) => {
            host
        }
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(server_name: Option<&str>) -> Connection {
        Connection {
            tls_version: Some("TLSv1.3"),
            server_name: server_name.map(str::to_owned),
            strict_sni: true,
            ..Connection::new("edge".into(), ([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into())
        }
    }

    #[test]
    fn a_connection_is_for_the_host_that_the_handshake_named() {
        let named = connection(Some("a.example"));
        for host in ["a.example", "A.example:8443", "a.example."] {
            assert!(named.is_for(host), "{host}");
        }
        for host in ["b.example", "a.example.org", "127.0.0.1", "[::1]:8443", ""] {
            assert!(!named.is_for(host), "{host}");
        }
        let nameless = connection(None);
        assert!(nameless.is_for("127.0.0.1:8443") && nameless.is_for("[::1]:8443") && nameless.is_for("[::1]"));
        assert!(!nameless.is_for("a.example"));
        assert!(Connection { strict_sni: false, ..nameless }.is_for("a.example"));
    }
}
