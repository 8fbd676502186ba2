//! What is said of TLS: towards clients, and towards endpoints.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::defaults;

/// `tls = { certificates = [{ chain = "edge.pem", key = "edge.key" }] }`
#[derive(Debug, Clone, PartialEq)]
pub struct ServerTls {
    pub mode: TlsMode,
    /// Chosen by the names in each certificate.
    pub certificates: Vec<Certificate>,
    pub min_version: TlsVersion,
    /// In the order of preference; empty: none is agreed on.
    pub alpn: Vec<Alpn>,
    pub client_auth: ClientAuth,
}

impl ServerTls {
    /// Every file that is read for it.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let shown = self.certificates.iter().flat_map(|one| [Some(&one.chain), Some(&one.key), one.ocsp.as_ref()]);
        shown.flatten().chain(&self.client_auth.ca).chain(&self.client_auth.crl)
    }
}

/// `mode = "strict" | "permissive"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Every connection is TLS.
    Strict,
    /// The first byte tells whether it is.
    Permissive,
}

/// `min-version = "1.2" | "1.3"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

/// `alpn = ["h2", "http/1.1"]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    Http2,
    Http1,
}

impl Alpn {
    /// As it goes over the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http2 => "h2",
            Self::Http1 => "http/1.1",
        }
    }
}

/// Paths are relative to the file that names them.
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
    /// What its authority says of it, in DER.
    pub ocsp: Option<PathBuf>,
    /// For whoever names nobody, or somebody unknown. Without one it is the first.
    pub default: bool,
}

/// `client-auth = { mode = "required", ca = ["clients.pem"] }`
#[derive(Debug, Clone, PartialEq)]
pub struct ClientAuth {
    pub mode: ClientAuthMode,
    pub ca: Vec<PathBuf>,
    pub crl: Vec<PathBuf>,
    /// Who of those that an authority vouches for is let in; empty: all.
    pub identities: Vec<IdentityPattern>,
    pub trust_domain: Option<Arc<str>>,
    /// A request for another host than the handshake was for is 421.
    pub strict_sni: bool,
    /// The upstream is told in `x-forwarded-client-cert` who the client is.
    pub forward: bool,
}

impl Default for ClientAuth {
    fn default() -> Self {
        Self {
            mode: ClientAuthMode::None,
            ca: Vec::new(),
            crl: Vec::new(),
            identities: Vec::new(),
            trust_domain: None,
            strict_sni: defaults::STRICT_SNI,
            forward: defaults::FORWARD_CLIENT_CERT,
        }
    }
}

/// `mode = "none" | "optional" | "required"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthMode {
    None,
    /// Whoever shows a certificate shows a good one.
    Optional,
    Required,
}

/// `tls = { ca = ["services.pem"], server-name = "users.internal" }` of a cluster
#[derive(Debug, Clone, PartialEq)]
pub struct ClientTls {
    /// Empty: those of the system.
    pub ca: Vec<PathBuf>,
    pub crl: Vec<PathBuf>,
    /// What is asked for and checked; `None`: the name by which the endpoint is listed, else its address.
    pub server_name: Option<Arc<str>>,
    pub verify: bool,
    /// What the proxy shows of itself.
    pub certificate: Option<(PathBuf, PathBuf)>,
    pub min_version: TlsVersion,
    /// Who may answer; empty: whoever has the name.
    pub identities: Vec<IdentityPattern>,
    pub trust_domain: Option<Arc<str>>,
}

impl ClientTls {
    /// Every file that is read for it.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let shown = self.certificate.iter().flat_map(|(chain, key)| [chain, key]);
        shown.chain(&self.ca).chain(&self.crl)
    }

    /// Whether endpoints are known by who they are; then only a name that was set is checked besides.
    pub fn checks_identity(&self) -> bool {
        !self.identities.is_empty() || self.trust_domain.is_some()
    }
}

/// `[spiffe]`: who the proxy itself is, as the SPIFFE Workload API says.
#[derive(Debug, Clone, PartialEq)]
pub struct Spiffe {
    pub socket: PathBuf,
    /// Where it is written.
    pub directory: PathBuf,
    /// How long a start waits for it.
    pub wait: Duration,
}

/// `spiffe://example.org/ns/*/sa/web`, `*.example.org`, `client.example.org`, as filters know them.
///
/// In a name with slashes `*` stands for one segment that is not empty, and `**` at the end for one or more. In a DNS name
/// `*` stands for the labels at the front, at least one. Names are compared byte for byte, DNS names without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityPattern {
    Segments {
        segments: Vec<String>,
        open: bool,
    },
    Dns(String),
    /// With its dot.
    Below(String),
}
