//! Hosts: what a rule may ask for, and what a request names.

use serde::de::{self, Deserialize, Deserializer};

/// Which hosts a rule is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Pattern {
    /// All of them.
    #[default]
    Any,
    /// This one, in lower case.
    Exact(String),
    /// All below this one, at any depth: `.example.com` for `*.example.com`, in lower case.
    Below(String),
}

impl Pattern {
    /// Reads `api.example.com`, `*.example.com` or `*`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("expected a host like \"api.example.com\" or \"*.example.com\", {why} \"{text}\""));
        if text == "*" {
            return Ok(Pattern::Any);
        }
        let (wild, name) = match text.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') && rest.len() > 1 => (true, rest),
            Some(_) => return refuse("where \"*\" stands for whole labels at the front, found"),
            None => (false, text),
        };
        let is_address = name.starts_with('[') && name.ends_with(']');
        if name.contains(':') && !is_address {
            return refuse("without a port, found");
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if name.is_empty() || !(is_address || name.bytes().all(allowed)) || name.contains("..") {
            return refuse("found");
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        Ok(if wild { Pattern::Below(name) } else { Pattern::Exact(name) })
    }
}

impl Pattern {
    /// Whether it is for this host, which is [`normalized`].
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Exact(name) => host == name,
            Pattern::Below(end) => host.ends_with(end.as_str()) && host.len() > end.len(),
        }
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Pattern::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The host of an authority: in lower case, without the port and without the dot that ends a full name.
pub fn normalized(authority: &mut str) -> &str {
    authority.make_ascii_lowercase();
    let host = without_port(authority);
    host.strip_suffix('.').unwrap_or(host)
}

/// The host of an authority as it was written.
pub fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_without_case_port_and_last_dot() {
        for (authority, host) in [
            ("API.Example.com", "api.example.com"),
            ("api.example.com:8080", "api.example.com"),
            ("api.example.com.:80", "api.example.com"),
            ("[::1]:80", "[::1]"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("", ""),
        ] {
            assert_eq!(normalized(&mut authority.to_owned()), host, "{authority}");
        }
    }

    #[test]
    fn a_wildcard_is_for_what_lies_below() {
        let below = Pattern::parse("*.example.com").unwrap();
        assert!(below.matches("a.b.example.com") && !below.matches("example.com") && !below.matches(".example.com"));
        assert!(Pattern::parse("a.example").unwrap().matches("a.example") && Pattern::Any.matches(""));
    }

    #[test]
    fn patterns_that_could_never_match_are_refused() {
        assert_eq!(Pattern::parse("*"), Ok(Pattern::Any));
        assert_eq!(Pattern::parse("A.example"), Ok(Pattern::Exact("a.example".to_owned())));
        assert_eq!(Pattern::parse("*.A.example"), Ok(Pattern::Below(".a.example".to_owned())));
        assert_eq!(Pattern::parse("[::1]"), Ok(Pattern::Exact("[::1]".to_owned())));
        for bad in ["", "*.", "*a.example", "a.*.example", "a.example:80", "https://a.example", "a..example", "a b"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
