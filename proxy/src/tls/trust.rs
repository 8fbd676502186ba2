//! Whose certificates are believed: authorities and what they have revoked.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use super::files::{Files, TlsError, Wrong};
use super::held::{Held, Role};
use crate::config::Step;

/// Authorities with their revocation lists.
pub struct Trust {
    pub roots: Arc<RootCertStore>,
    pub revocations: Vec<CertificateRevocationListDer<'static>>,
    pub held: Vec<Held>,
}

impl Trust {
    /// Reads bundles that `below` names: `ca` and `crl` stand under it.
    pub fn load(files: &Files, below: &[Step<'static>], ca: &[PathBuf], crl: &[PathBuf]) -> Result<Self, TlsError> {
        let place = |key, index| [below, &[Step::Key(key), Step::Index(index)]].concat();
        let (mut roots, mut held) = (RootCertStore::empty(), Vec::new());
        for (index, path) in ca.iter().enumerate() {
            let found: Vec<CertificateDer<'static>> =
                files.items("certificate", path).map_err(|wrong| wrong.at(place("ca", index)))?;
            for certificate in found {
                let wrong = |message| Wrong::Authority { path: path.clone(), message }.at(place("ca", index));
                held.push(Held::of(&certificate, Role::Authority, path).map_err(wrong)?);
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
        }
        let mut revocations = Vec::new();
        for (index, path) in crl.iter().enumerate() {
            let found: Vec<CertificateRevocationListDer<'static>> =
                files.items("revocation list", path).map_err(|wrong| wrong.at(place("crl", index)))?;
            for list in &found {
                let parsed = webpki::BorrowedCertRevocationList::from_der(list);
                let wrong = |error: webpki::Error| Wrong::Revocations { path: path.clone(), message: error.to_string() };
                parsed.map_err(|error| wrong(error).at(place("crl", index)))?;
            }
            revocations.extend(found);
        }
        Ok(Self { roots: Arc::new(roots), revocations, held })
    }
}
