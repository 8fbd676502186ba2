//! TLS: towards clients, which certificate a name gets, and the rustls configuration made of it; `client`, towards servers
//! that the proxy itself asks.

mod certificates;
pub mod client;

use std::sync::Arc;

use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

pub use certificates::{Certificates, TlsError};

use crate::config;

/// What a listener needs to accept TLS, ready to use.
#[derive(Clone)]
pub struct Server {
    pub acceptor: TlsAcceptor,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("tls::Server")
    }
}

impl Server {
    /// Reads and checks the certificates; TLS 1.2 and 1.3, HTTP/2 preferred over HTTP/1.1.
    pub fn build(config: &config::ServerTls) -> Result<Self, TlsError> {
        let certificates = Certificates::load(&config.certificates)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| TlsError::Setup { source })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates));
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(server)) })
    }
}
