//! Who somebody is by its certificate: patterns of identities, and trust domains.

use std::sync::Arc;

use super::super::read::{Kind, Reader};
use super::super::tree::Node;
use super::super::types::IdentityPattern;

/// The SPIFFE specification lets an identity have 2048 bytes, and a trust domain 255.
const IDENTITY_BYTES_MAX: usize = 2048;
const TRUST_DOMAIN_BYTES_MAX: usize = 255;

/// A pattern that an identity has to match.
pub struct Identity;

impl Kind for Identity {
    type Value = IdentityPattern;

    fn expected(&self) -> String {
        "an identity such as \"spiffe://example.org/ns/*/sa/web\" or \"*.example.org\"".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<IdentityPattern> {
        let Some(text) = node.as_str() else { return reader.mismatch(&self.expected(), node) };
        match parse(text) {
            Ok(pattern) => Some(pattern),
            Err("") => reader.mismatch(&self.expected(), node),
            Err(help) => reader.mismatch_with_help(&self.expected(), node, help),
        }
    }

    fn show(&self, value: &IdentityPattern) -> String {
        match value {
            IdentityPattern::Segments { segments, open } => {
                format!("{:?}", format!("{}{}", segments.join("/"), if *open { "/**" } else { "" }))
            }
            IdentityPattern::Dns(name) => format!("{name:?}"),
            IdentityPattern::Below(end) => format!("{:?}", format!("*{end}")),
        }
    }
}

fn parse(text: &str) -> Result<IdentityPattern, &'static str> {
    if text.is_empty() || text.len() > IDENTITY_BYTES_MAX || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("");
    }
    if !text.contains('/') {
        return match text.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') && rest.len() > 1 && !rest.contains('*') => {
                Ok(IdentityPattern::Below(rest.to_ascii_lowercase()))
            }
            None if !text.contains('*') => Ok(IdentityPattern::Dns(text.to_ascii_lowercase())),
            _ => Err("in a DNS name `*` stands for whole labels at the front"),
        };
    }
    let (text, open) = text.strip_suffix("/**").map_or((text, false), |rest| (rest, true));
    let segments: Vec<String> = text.split('/').map(str::to_owned).collect();
    if segments.iter().any(|segment| segment.contains('*') && segment != "*") {
        return Err("`*` stands for a whole segment, and `**` for the last ones");
    }
    if text.starts_with("spiffe://") && segments.get(2).is_none_or(|domain| !is_trust_domain(domain)) {
        return Err("behind `spiffe://` comes a trust domain: lower-case letters, digits, `.`, `-` and `_`");
    }
    Ok(IdentityPattern::Segments { segments, open })
}

/// The part of a SPIFFE ID that says whose authority vouches for it.
pub struct TrustDomain;

impl Kind for TrustDomain {
    type Value = Arc<str>;

    fn expected(&self) -> String {
        "a trust domain such as \"example.org\"".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Arc<str>> {
        let text = node.as_str().unwrap_or_default();
        match text.strip_prefix("spiffe://") {
            Some(rest) => reader.mismatch_with_help(&self.expected(), node, format!("write it as {rest:?}")),
            None if is_trust_domain(text) => Some(text.into()),
            None => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &Arc<str>) -> String {
        format!("{value:?}")
    }
}

fn is_trust_domain(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    (1..=TRUST_DOMAIN_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// The name of a server as TLS knows it: a DNS name or an address.
pub struct ServerName;

impl Kind for ServerName {
    type Value = Arc<str>;

    fn expected(&self) -> String {
        "a host name such as \"users.internal\", without a port".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Arc<str>> {
        match node.as_str() {
            Some(text) if rustls::pki_types::ServerName::try_from(text).is_ok() => Some(text.into()),
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &Arc<str>) -> String {
        format!("{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_shown_as_they_were_written() {
        for text in ["spiffe://a.example/ns/*/sa/web", "spiffe://a.example/**", "*.example.org", "client.example.org"] {
            let pattern = parse(text).expect(text);
            assert_eq!(Identity.show(&pattern), format!("{text:?}"));
        }
    }

    #[test]
    fn what_is_no_pattern() {
        for text in ["", "*", "a*.example", "spiffe://a/x*", "spiffe://A/x", "spiffe:///x", "two words", "spiffe://*/x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
