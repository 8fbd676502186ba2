//! Who is at the other end, by its certificate, and who may be.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error, OtherError};

use super::held::{fingerprint, names, parse};
use crate::config::{ClientAuth, ClientTls, IdentityPattern};

/// A client whose certificate was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// SPIFFE IDs and other URI names first, then DNS names.
    pub identities: Vec<String>,
    /// The SHA-256 of its certificate.
    pub fingerprint: String,
    /// In seconds of Unix time.
    pub not_after: i64,
}

impl Peer {
    /// `None`: it cannot be read, though it was verified.
    pub fn of(leaf: &CertificateDer<'_>) -> Option<Self> {
        let certificate = parse(leaf).ok()?;
        Some(Self {
            identities: names(&certificate).ok()?,
            fingerprint: fingerprint(leaf),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }

    /// As the upstream is told: the elements of `x-forwarded-client-cert` that have no secret.
    pub fn forwarded(&self) -> String {
        let mut told = format!("Hash={}", self.fingerprint);
        for name in &self.identities {
            // DNS names have no colon, and URIs have one.
            told.push_str(if name.contains(':') { ";URI=" } else { ";DNS=" });
            if name.contains([',', ';', '=', '"']) {
                told.push_str(&format!("\"{}\"", name.replace('"', "\\\"")));
            } else {
                told.push_str(name);
            }
        }
        told
    }
}

/// Who of those that an authority vouches for is let in.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    patterns: Vec<IdentityPattern>,
    trust_domain: Option<Arc<str>>,
}

/// Why somebody with a good certificate is not let in.
#[derive(Debug, PartialEq, Eq)]
pub enum NotAllowed {
    Unreadable(String),
    NotOneUri(usize),
    NotSpiffe(String),
    OtherDomain { found: String, wanted: Arc<str> },
    NoPattern(Vec<String>),
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "the names of the certificate cannot be read: {why}"),
            Self::NotOneUri(found) => write!(f, "expected a certificate with exactly one URI name, found {found}"),
            Self::NotSpiffe(found) => write!(f, "expected a SPIFFE ID, found {found:?}"),
            Self::OtherDomain { found, wanted } => write!(f, "expected an identity of the trust domain {wanted}, found {found}"),
            Self::NoPattern(found) if found.is_empty() => write!(f, "the identity is not allowed: the certificate has none"),
            Self::NoPattern(found) => write!(f, "the identity is not allowed: {}", found.join(", ")),
        }
    }
}

impl std::error::Error for NotAllowed {}

impl From<NotAllowed> for Error {
    fn from(why: NotAllowed) -> Self {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
    }
}

impl Allowed {
    /// `None`: everybody.
    pub fn clients(config: &ClientAuth) -> Option<Self> {
        Self::of(&config.identities, config.trust_domain.as_ref())
    }

    pub fn endpoints(config: &ClientTls) -> Option<Self> {
        Self::of(&config.identities, config.trust_domain.as_ref())
    }

    fn of(patterns: &[IdentityPattern], trust_domain: Option<&Arc<str>>) -> Option<Self> {
        (!patterns.is_empty() || trust_domain.is_some())
            .then(|| Self { patterns: patterns.to_vec(), trust_domain: trust_domain.cloned() })
    }

    pub fn check(&self, leaf: &CertificateDer<'_>) -> Result<(), NotAllowed> {
        let certificate = parse(leaf).map_err(NotAllowed::Unreadable)?;
        self.check_names(&names(&certificate).map_err(NotAllowed::Unreadable)?)
    }

    fn check_names(&self, names: &[String]) -> Result<(), NotAllowed> {
        if let Some(wanted) = &self.trust_domain {
            let mut uris = names.iter().filter(|name| name.contains(':'));
            let (Some(only), None) = (uris.next(), uris.next()) else {
                return Err(NotAllowed::NotOneUri(names.iter().filter(|name| name.contains(':')).count()));
            };
            let domain = only.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/'));
            match domain {
                Some((domain, path)) if domain == &**wanted && !path.is_empty() => {}
                Some((_, path)) if !path.is_empty() => {
                    return Err(NotAllowed::OtherDomain { found: only.clone(), wanted: Arc::clone(wanted) });
                }
                _ => return Err(NotAllowed::NotSpiffe(only.clone())),
            }
        }
        let matched = |name: &String| self.patterns.iter().any(|pattern| matches(pattern, name));
        if self.patterns.is_empty() || names.iter().any(matched) {
            return Ok(());
        }
        Err(NotAllowed::NoPattern(names.to_vec()))
    }
}

/// Whether a name is meant by a pattern, which is told of where patterns are read.
fn matches(pattern: &IdentityPattern, name: &str) -> bool {
    match pattern {
        IdentityPattern::Dns(wanted) => name.eq_ignore_ascii_case(wanted),
        IdentityPattern::Below(end) => name
            .len()
            .checked_sub(end.len())
            .and_then(|start| name.get(start..).filter(|_| start > 0))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(end) && !name.contains(['/', ':'])),
        IdentityPattern::Segments { segments, open } => {
            let mut found = name.split('/');
            let all = segments
                .iter()
                .all(|wanted| found.next().is_some_and(|found| found == wanted || wanted == "*" && !found.is_empty()));
            all && match (open, found.next()) {
                (true, first) => first.is_some_and(|first| !first.is_empty()),
                (false, first) => first.is_none(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(text: &str) -> IdentityPattern {
        let (text, open) = text.strip_suffix("/**").map_or((text, false), |rest| (rest, true));
        IdentityPattern::Segments { segments: text.split('/').map(str::to_owned).collect(), open }
    }

    #[test]
    fn patterns_mean_what_they_mean_to_filters() {
        let pattern = segments("spiffe://td/ns/*/sa/web");
        assert!(matches(&pattern, "spiffe://td/ns/prod/sa/web"));
        for other in ["spiffe://td/ns//sa/web", "spiffe://td/ns/a/b/sa/web", "spiffe://td/ns/a/sa/web/x", "spiffe://td/ns/a/sa"] {
            assert!(!matches(&pattern, other), "{other}");
        }
        let below = segments("spiffe://td/**");
        assert!(matches(&below, "spiffe://td/a/b") && !matches(&below, "spiffe://td/") && !matches(&below, "spiffe://td2/a"));
        let wild = IdentityPattern::Below(".example.org".into());
        assert!(matches(&wild, "a.B.Example.org") && !matches(&wild, "example.org") && !matches(&wild, "http://x/a.example.org"));
        assert!(matches(&IdentityPattern::Dns("a.example".into()), "A.example"));
    }

    #[test]
    fn a_trust_domain_wants_one_spiffe_id_of_its_own() {
        let allowed = Allowed { patterns: Vec::new(), trust_domain: Some("prod".into()) };
        let check = |names: &[&str]| allowed.check_names(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(check(&["spiffe://prod/web", "web.internal"]), Ok(()));
        assert_eq!(check(&["web.internal"]), Err(NotAllowed::NotOneUri(0)));
        assert_eq!(check(&["spiffe://prod/web", "https://web"]), Err(NotAllowed::NotOneUri(2)));
        assert_eq!(check(&["https://prod/web"]), Err(NotAllowed::NotSpiffe("https://prod/web".into())));
        assert_eq!(check(&["spiffe://prod"]), Err(NotAllowed::NotSpiffe("spiffe://prod".into())));
        let other = check(&["spiffe://prod.evil/web"]).expect_err("another domain");
        assert_eq!(other.to_string(), "expected an identity of the trust domain prod, found spiffe://prod.evil/web");
    }

    #[test]
    fn what_the_upstream_is_told_cannot_be_taken_for_more() {
        let peer = Peer {
            identities: vec!["spiffe://td/a;DNS=admin".into(), "web.internal".into()],
            fingerprint: "00ff".into(),
            not_after: 0,
        };
        assert_eq!(peer.forwarded(), "Hash=00ff;URI=\"spiffe://td/a;DNS=admin\";DNS=web.internal");
    }
}
