//! The certificates of a listener: read from files, checked, and chosen by the name a client asks for.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::files::{Files, TlsError, Wrong};
use super::held::{Held, Role};
use crate::config::{self, Step};

/// Chooses by SNI: an exact name, then a wildcard one label up, then the default.
pub struct Certificates {
    default: Arc<CertifiedKey>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl Certificates {
    pub fn load(files: &Files, configs: &[config::Certificate]) -> Result<(Self, Vec<Held>), TlsError> {
        let (mut default, mut by_name, mut all) = (None, HashMap::new(), Vec::new());
        for (index, config) in configs.iter().enumerate() {
            let place = |key| vec![Step::Key("certificates"), Step::Index(index), Step::Key(key)];
            let (mut key, held) = own(files, (&config.chain, &config.key), place)?;
            if let Some(path) = &config.ocsp {
                key.ocsp = Some(staple(files, path).map_err(|wrong| wrong.at(place("ocsp")))?);
            }
            let key = Arc::new(key);
            for name in held.names.iter().filter(|name| !name.contains(':')) {
                by_name.entry(name.to_ascii_lowercase()).or_insert_with(|| Arc::clone(&key));
            }
            if default.is_none() || config.default {
                default = Some(key);
            }
            all.push(held);
        }
        let nobody = || Wrong::Setup("there is no certificate".to_owned()).at([]);
        Ok((Self { default: default.ok_or_else(nobody)?, by_name }, all))
    }

    fn choose(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let Some(name) = name else { return &self.default };
        let name = name.to_ascii_lowercase();
        self.by_name
            .get(&name)
            .or_else(|| name.split_once('.').and_then(|(_, parent)| self.by_name.get(&format!("*.{parent}"))))
            .unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.choose(hello.server_name())))
    }
}

/// A certificate with its key, as the proxy shows it. `place` tells where `chain` and `key` stand.
pub fn own(
    files: &Files,
    (chain, key): (&Path, &Path),
    place: impl Fn(&'static str) -> Vec<Step<'static>>,
) -> Result<(CertifiedKey, Held), TlsError> {
    let of_chain = |wrong: Wrong| wrong.at(place("chain"));
    let of_key = |wrong: Wrong| wrong.at(place("key"));
    let certificates: Vec<CertificateDer<'static>> = files.items("certificate", chain).map_err(of_chain)?;
    let unusable = |message| of_chain(Wrong::Certificate { path: chain.to_owned(), message });
    // There is at least one.
    let leaf = certificates.first().ok_or_else(|| unusable("there is none".to_owned()))?;
    ParsedCertificate::try_from(leaf).map_err(|error| unusable(error.to_string()))?;
    let held = Held::of(leaf, Role::Own, chain).map_err(unusable)?;
    let private: PrivateKeyDer<'static> = files.item("private key", key).map_err(of_key)?;
    let private = any_supported_type(&private).map_err(|source| of_key(Wrong::Key { path: key.to_owned(), source }))?;
    let certified = CertifiedKey::new(certificates, private);
    certified.keys_match().map_err(|_| of_key(Wrong::Mismatch { path: chain.to_owned() }))?;
    Ok((certified, held))
}

/// An OCSP response (RFC 6960, 4.2.1) that says `successful`. Its signature is for clients to check.
fn staple(files: &Files, path: &Path) -> Result<Vec<u8>, Wrong> {
    /// ENUMERATED, one byte, zero.
    const SUCCESSFUL: [u8; 3] = [0x0a, 1, 0];
    let bytes = files.bytes("OCSP response", path)?;
    let content = match bytes {
        [0x30, length, rest @ ..] if *length < 0x80 => Some((usize::from(*length), rest)),
        [0x30, 0x81, length, rest @ ..] => Some((usize::from(*length), rest)),
        [0x30, 0x82, high, low, rest @ ..] => Some((usize::from(u16::from_be_bytes([*high, *low])), rest)),
        _ => None,
    };
    match content {
        Some((length, rest)) if rest.len() == length && rest.starts_with(&SUCCESSFUL) => Ok(bytes.to_vec()),
        _ => Err(Wrong::Staple { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_successful_response_is_stapled() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("staple.der");
        let of = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("written");
            staple(&Files::read([&path].into_iter()), &path).is_ok()
        };
        assert!(of(&[0x30, 3, 0x0a, 1, 0]));
        assert!(of(&[&[0x30, 0x81, 0x80, 0x0a, 1, 0][..], &[0; 125]].concat()));
        for wrong in [&[][..], &[0x30, 3, 0x0a, 1, 6], &[0x30, 4, 0x0a, 1, 0], &[0x30, 3, 0x0a, 1, 0, 0], b"-----BEGIN"] {
            assert!(!of(wrong), "{wrong:?}");
        }
    }
}
