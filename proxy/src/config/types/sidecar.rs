//! `[sidecar]` and `[services.NAME]`: a proxy beside a service, which the service need not know of.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Endpoint, IdentityPattern, TlsMode};

/// `[sidecar]`. What it stands for is written out by `config/sidecar`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sidecar {
    pub service: Arc<str>,
    /// Where others call the service.
    pub port: u16,
    /// Where it listens; `None`: at its port, on this host.
    pub application: Option<SocketAddr>,
    pub mode: TlsMode,
    pub identity: SidecarIdentity,
    pub trust_domain: Arc<str>,
    /// Who may call; empty: everybody of the trust domain.
    pub allow: Vec<IdentityPattern>,
    /// What becomes of calls to whom nobody knows here.
    pub passes_unknown: bool,
    pub inbound_filters: Vec<Arc<str>>,
    pub outbound_filters: Vec<Arc<str>>,
    /// Those of both that what is no HTTP may pass by.
    pub unfiltered: Vec<Arc<str>>,
    pub inbound: SocketAddr,
    pub outbound: SocketAddr,
    /// Whether connections over IPv6 are taken as well.
    pub ipv6: bool,
    /// Ports that calls from here are never redirected from.
    pub excluded_ports: Vec<u16>,
    pub mark: Option<u32>,
}

/// Who the service is, and whom to believe.
#[derive(Debug, Clone, PartialEq)]
pub enum SidecarIdentity {
    Files {
        certificate: PathBuf,
        key: PathBuf,
        ca: Vec<PathBuf>,
    },
    /// The SPIFFE Workload API says so.
    Workload {
        socket: PathBuf,
        directory: PathBuf,
    },
}

/// `[services.NAME]`: a service that is called from here.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub endpoints: Vec<Endpoint>,
    /// The hosts that it is called by; empty: its name.
    pub hosts: Vec<Arc<str>>,
    /// Further addresses that it is called at.
    pub addresses: Vec<SocketAddr>,
    /// Who may answer; empty: everybody of the trust domain.
    pub identities: Vec<IdentityPattern>,
    /// Whether there is a sidecar on the other side.
    pub mutual: bool,
}
