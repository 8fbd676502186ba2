//! The certificates of a listener: read from files, checked, and chosen by the name a client asks for.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config;

/// A certificate that cannot be used. `index` is its place in `tls.certificates`.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read the {what} `{}`: {source}", path.display())]
    Read { index: usize, key: &'static str, what: &'static str, path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("expected a PEM file with at least one certificate, found none in `{}`", path.display())]
    Empty { index: usize, path: PathBuf },
    #[error("the private key `{}` cannot be used: {source}", path.display())]
    Key { index: usize, path: PathBuf, source: rustls::Error },
    #[error("the private key does not belong to the certificate `{}`", path.display())]
    Mismatch { index: usize, path: PathBuf },
    #[error("the certificate `{}` cannot be used: {message}", path.display())]
    Certificate { index: usize, path: PathBuf, message: String },
    #[error("TLS cannot be set up: {source}")]
    Setup { source: rustls::Error },
}

impl TlsError {
    /// Which certificate, and which of its two keys in the configuration, is to blame.
    pub fn place(&self) -> Option<(usize, &'static str)> {
        match self {
            TlsError::Read { index, key, .. } => Some((*index, key)),
            TlsError::Empty { index, .. } | TlsError::Certificate { index, .. } => Some((*index, "chain")),
            TlsError::Key { index, .. } | TlsError::Mismatch { index, .. } => Some((*index, "key")),
            TlsError::Setup { .. } => None,
        }
    }
}

/// Chooses by SNI: an exact name, then a wildcard one label up, then the first certificate.
pub struct Certificates {
    first: Arc<CertifiedKey>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl Certificates {
    pub fn load(configs: &[config::Certificate]) -> Result<Self, TlsError> {
        let mut first = None;
        let mut by_name = HashMap::new();
        for (index, config) in configs.iter().enumerate() {
            let (key, names) = load_one(index, config)?;
            let key = Arc::new(key);
            for name in names {
                by_name.entry(name.to_ascii_lowercase()).or_insert_with(|| Arc::clone(&key));
            }
            first.get_or_insert(key);
        }
        let first = first.ok_or(TlsError::Setup { source: rustls::Error::NoCertificatesPresented })?;
        Ok(Self { first, by_name })
    }

    fn choose(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let Some(name) = name else { return &self.first };
        let name = name.to_ascii_lowercase();
        self.by_name
            .get(&name)
            .or_else(|| name.split_once('.').and_then(|(_, parent)| self.by_name.get(&format!("*.{parent}"))))
            .unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.choose(hello.server_name())))
    }
}

fn load_one(index: usize, config: &config::Certificate) -> Result<(CertifiedKey, Vec<String>), TlsError> {
    let unreadable = |key, what, path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Read { index, key, what, path, source }
    };
    let chain = CertificateDer::pem_file_iter(&config.chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable("chain", "certificate chain", &config.chain))?;
    let Some(leaf) = chain.first() else {
        return Err(TlsError::Empty { index, path: config.chain.clone() });
    };
    let names = names_of(leaf).map_err(|source| TlsError::Certificate {
        index,
        path: config.chain.clone(),
        message: source.to_string(),
    })?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(unreadable("key", "private key", &config.key))?;
    let key = any_supported_type(&key).map_err(|source| TlsError::Key { index, path: config.key.clone(), source })?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|_| TlsError::Mismatch { index, path: config.chain.clone() })?;
    Ok((certified, names))
}

/// The DNS names of a certificate's subject alternative names.
fn names_of(leaf: &CertificateDer<'_>) -> Result<Vec<String>, rustls::Error> {
    ParsedCertificate::try_from(leaf)?;
    let parsed = webpki::EndEntityCert::try_from(leaf).map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(parsed.valid_dns_names().map(str::to_owned).collect())
}
