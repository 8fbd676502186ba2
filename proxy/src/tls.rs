//! TLS, and who is at the other end of it.
//!
//! `server` is what a listener accepts with, `upstream` what a cluster connects with; both are built from `files` that are read
//! as a whole and known by their digest, so that whoever looks again knows whether something has changed. `certificates` chooses
//! what is shown, `trust` whose certificates are believed, `identity` is what a certificate says of its owner and who is let in,
//! `held` what is known of the certificates in use. `client` is for servers that the proxy
//! itself asks, and `workload` asks the SPIFFE Workload API who the proxy is.

mod certificates;
pub mod client;
mod files;
mod held;
mod identity;
mod server;
mod trust;
mod upstream;
pub mod workload;

use std::io;
use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, Error, OtherError, SupportedProtocolVersion};

pub use files::TlsError;
pub use held::{Held, Role};
pub use identity::Peer;
pub use server::Server;
pub use upstream::{Client, Offer, Refused, Why};

use crate::config::TlsVersion;

/// One for the process: its cipher suites and groups are those of rustls, in its order, the hybrid group first.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

/// Why a handshake failed, in words for the log.
pub fn words(error: &io::Error) -> String {
    match error.get_ref().and_then(|source| source.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::Other(OtherError(why)))) => why.to_string(),
        _ => error.to_string(),
    }
}

fn versions(min: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
    match min {
        TlsVersion::Tls12 => vec![&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::Tls13 => vec![&rustls::version::TLS13],
    }
}
