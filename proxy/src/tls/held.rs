//! What is known of a certificate in use: whose it is, who signed it, and how long it is good.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is shown.
    Own,
    /// It vouches for others.
    Authority,
}

/// One certificate of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub role: Role,
    pub file: PathBuf,
    /// The names it is good for: URI names, then DNS names.
    pub names: Vec<String>,
    pub subject: String,
    pub issuer: String,
    /// In hexadecimal.
    pub serial: String,
    pub fingerprint: String,
    /// In seconds of Unix time.
    pub not_before: i64,
    pub not_after: i64,
}

impl Held {
    /// `Err` says what is wrong with it.
    pub fn of(der: &[u8], role: Role, file: &Path) -> Result<Self, String> {
        let certificate = parse(der)?;
        Ok(Self {
            role,
            file: file.to_owned(),
            names: names(&certificate)?,
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            serial: hex(certificate.raw_serial()),
            fingerprint: fingerprint(der),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }

    /// One word for it, in metrics and in the log: its first name, else its subject, else its file.
    pub fn name(&self) -> String {
        match self.names.first() {
            Some(name) => name.clone(),
            None if self.subject.is_empty() => self.file.display().to_string(),
            None => self.subject.clone(),
        }
    }
}

pub fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err("something follows the certificate".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The SPIFFE IDs and other URI names, then the DNS names. Each is of the form of its kind, so that it cannot be taken for one of the
/// other, to which another constraint of an authority may hold.
pub fn names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, String> {
    let found = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    let (mut spiffe, mut others, mut hosts) = (Vec::new(), Vec::new(), Vec::new());
    for name in found.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::URI(uri) if !is_uri(uri) => return Err(format!("expected a URI with a scheme, found {uri:?}")),
            GeneralName::URI(uri) if uri.starts_with("spiffe://") => spiffe.push((*uri).to_owned()),
            GeneralName::URI(uri) => others.push((*uri).to_owned()),
            GeneralName::DNSName(host) if !is_host(host) => return Err(format!("expected a DNS name, found {host:?}")),
            GeneralName::DNSName(host) => hosts.push((*host).to_owned()),
            _ => {}
        }
    }
    spiffe.append(&mut others);
    spiffe.append(&mut hosts);
    Ok(spiffe)
}

fn is_uri(text: &str) -> bool {
    text.contains(':') && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'*'))
}

/// SHA-256, in lower-case hexadecimal.
pub fn fingerprint(der: &[u8]) -> String {
    hex(digest(&SHA256, der).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_one_kind_is_none_of_the_other() {
        for uri in ["spiffe://a/b", "urn:x", "https://a.test/"] {
            assert!(is_uri(uri) && !is_host(uri), "{uri}");
        }
        for host in ["a.test", "*.a.test", "_x.a-b.test"] {
            assert!(is_host(host) && !is_uri(host), "{host}");
        }
        for neither in ["", "a b", "a/b", "\u{e4}.test"] {
            assert!(!is_uri(neither) && !is_host(neither), "{neither}");
        }
        assert!(!is_uri("x:a\"b") && !is_uri("x:a\\b") && !is_uri("x:a b"));
    }
}
