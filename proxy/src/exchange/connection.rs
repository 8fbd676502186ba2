//! Who is on the other end of a downstream connection, told once for all of its exchanges.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use crate::telemetry::access_log::{AccessLog, Entry};
use crate::telemetry::traffic::Open;

use super::{Kind, Permit};

/// A downstream connection, as filters and logs see it.
#[derive(Debug)]
pub struct Connection {
    /// The name of the listener.
    pub listener: Arc<str>,
    /// The socket's other end.
    pub peer: SocketAddr,
    pub local: SocketAddr,
    /// The peer is in one of the listener's trusted ranges.
    pub trusted: bool,
    /// `TLSv1.2` or `TLSv1.3`.
    pub tls_version: Option<&'static str>,
    /// What the client asked for (SNI).
    pub server_name: Option<String>,
    /// Its place under the limits, held until the last of its exchanges is over, tunnels included.
    pub permit: Option<Permit>,
    /// Counts it for as long.
    pub open: Option<Open>,
    /// Why the proxy ended it, if it did.
    pub ended: OnceLock<Kind>,
}

impl Connection {
    pub fn scheme(&self) -> &'static str {
        if self.tls_version.is_some() { "https" } else { "http" }
    }

    /// Logs a request that never became an exchange: its head could not be read. `status` is what the client got.
    pub fn log_unread(&self, log: &AccessLog, protocol: &str, kind: Kind, status: u16, error: &str) {
        log.write(&Entry {
            time: SystemTime::now(),
            listener: &self.listener,
            method: None,
            host: None,
            path: None,
            protocol,
            status,
            reason: kind.reason(),
            error: Some(error),
            cluster: None,
            endpoint: None,
            route: None,
            attempts: 0,
            request_bytes: 0,
            response_bytes: 0,
            duration_us: 0,
            request_id: None,
            trace_id: None,
            span_id: None,
            source: self.peer.ip(),
            notes: &[],
        });
    }
}
