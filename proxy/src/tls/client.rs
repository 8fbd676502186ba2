//! TLS towards servers of others: whom to trust.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("cannot read the authorities in `{}`: {source}", path.display())]
    Read { index: usize, path: PathBuf, source: pem::Error },
    #[error("expected a PEM file with at least one certificate, found none in `{}`", path.display())]
    Empty { index: usize, path: PathBuf },
    #[error("a certificate in `{}` cannot be an authority: {source}", path.display())]
    Authority { index: usize, path: PathBuf, source: rustls::Error },
    #[error("no authority is known that could vouch for a server: the system has no certificates{0}")]
    Nobody(String),
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

impl TrustError {
    /// Which of the files is to blame.
    pub fn index(&self) -> Option<usize> {
        match self {
            Self::Read { index, .. } | Self::Empty { index, .. } | Self::Authority { index, .. } => Some(*index),
            Self::Nobody(_) | Self::Setup(_) => None,
        }
    }
}

/// The authorities in these files, each checked.
pub fn authorities(files: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let read = files.iter().enumerate().map(|(index, path)| of_file(index, path));
    Ok(read.collect::<Result<Vec<_>, _>>()?.concat())
}

fn of_file(index: usize, path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let path = path.to_owned();
    let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = match read {
        Ok(certificates) if certificates.is_empty() => return Err(TrustError::Empty { index, path }),
        Ok(certificates) => certificates,
        Err(source) => return Err(TrustError::Read { index, path, source }),
    };
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        if let Err(source) = roots.add(certificate.clone()) {
            return Err(TrustError::Authority { index, path, source });
        }
    }
    Ok(certificates)
}

/// Connects to servers for which the system's authorities vouch, or one of these. HTTP/1.1 only.
pub fn connector(authorities: &[CertificateDer<'static>]) -> Result<TlsConnector, TrustError> {
    let mut client = trusting(true, authorities)?;
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(client)))
}

/// Connects to servers of protocols that nobody agrees on, for which the authorities in this file vouch, or those of the system without one.
pub fn without_alpn(ca: Option<&Path>) -> Result<TlsConnector, TrustError> {
    let own = ca.map(|ca| of_file(0, ca)).transpose()?.unwrap_or_default();
    Ok(TlsConnector::from(Arc::new(trusting(ca.is_none(), &own)?)))
}

fn trusting(the_system: bool, authorities: &[CertificateDer<'static>]) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore::empty();
    let mut why = None;
    if the_system {
        let system = rustls_native_certs::load_native_certs();
        // Systems have a few that nobody can parse.
        roots.add_parsable_certificates(system.certs);
        why = system.errors.into_iter().next();
    }
    roots.add_parsable_certificates(authorities.iter().cloned());
    if roots.is_empty() {
        return Err(TrustError::Nobody(why.map_or_else(String::new, |error| format!(" ({error})"))));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(client.with_root_certificates(roots).with_no_client_auth())
}
