//! Which origins a policy allows.

use matching::regex::Regex;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};

/// A longer expression would rather be a list.
const REGEX_BYTES_MAX: usize = 1024;

/// What an origin must look like: what a page's address begins with, `https://app.example.com` or `http://localhost:3000`.
#[derive(Debug, Clone)]
pub enum Origin {
    /// `"*"`: any.
    Any,
    /// This one, in lower case; `null` is the origin of pages that have none.
    Exact(String),
    /// `https://*.example.com`: every name below that host. `https://app.example.com:*`: every port.
    Pattern { scheme: String, host: Host, port: Port },
    /// The expression fits the whole origin.
    Regex(Regex),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Exact(String),
    /// What a name must end with, dot included.
    Below(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// As it is written; none for the scheme's own.
    Exact(Option<String>),
    Any,
}

impl Origin {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        if text == "*" {
            return Ok(Origin::Any);
        }
        if text == "null" {
            return Ok(Origin::Exact(text));
        }
        let wrong =
            || format!("expected an origin such as \"https://app.example.com\" or \"https://*.example.com\", found \"{text}\"");
        let (scheme, host, port) = parts(&text).ok_or_else(wrong)?;
        let port_fits = port.is_none_or(|port| port == "*" || port.parse::<u16>().is_ok());
        let (below, name) = host.strip_prefix("*.").map_or((false, host), |rest| (true, rest));
        let plain =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~[]:+".contains(&byte));
        if !plain(scheme) || !plain(name) || !port_fits {
            return Err(wrong());
        }
        if !below && port != Some("*") {
            return Ok(Origin::Exact(text));
        }
        let host = if below { Host::Below(format!(".{name}")) } else { Host::Exact(name.to_owned()) };
        let port = if port == Some("*") { Port::Any } else { Port::Exact(port.map(str::to_owned)) };
        Ok(Origin::Pattern { scheme: scheme.to_owned(), host, port })
    }

    fn regex(text: &str) -> Result<Self, String> {
        if text.len() > REGEX_BYTES_MAX {
            return Err(format!("expected at most {REGEX_BYTES_MAX} bytes, found {}", text.len()));
        }
        Regex::whole(text, false).map(Origin::Regex)
    }

    /// Whether this origin, in lower case, is one of these.
    pub fn fits(&self, origin: &str) -> bool {
        match self {
            Origin::Any => true,
            Origin::Exact(known) => known == origin,
            Origin::Regex(regex) => regex.matches(origin),
            Origin::Pattern { scheme, host, port } => parts(origin).is_some_and(|(its_scheme, its_host, its_port)| {
                let host = match host {
                    Host::Exact(name) => its_host == name,
                    Host::Below(end) => its_host.len() > end.len() && its_host.ends_with(end.as_str()),
                };
                its_scheme == scheme && host && (*port == Port::Any || *port == Port::Exact(its_port.map(str::to_owned)))
            }),
        }
    }
}

/// Scheme, host and port. A bracketed address has colons of its own.
fn parts(origin: &str) -> Option<(&str, &str, Option<&str>)> {
    let (scheme, authority) = origin.split_once("://")?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    (!host.contains('/') && (!host.contains(':') || host.starts_with('['))).then_some((scheme, host, port))
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        struct Table {
            regex: String,
        }

        struct OriginVisitor;

        impl<'de> Visitor<'de> for OriginVisitor {
            type Value = Origin;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an origin, or a table with `regex`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Origin, E> {
                Origin::parse(text).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Origin, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Origin::regex(&table.regex).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(OriginVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, origin: &str) -> bool {
        Origin::parse(pattern).unwrap().fits(origin)
    }

    #[test]
    fn an_origin_is_compared_as_a_whole() {
        assert!(fits("https://App.example.com", "https://app.example.com"));
        assert!(fits("http://localhost:3000", "http://localhost:3000"));
        for other in ["http://app.example.com", "https://app.example.com:8443", "https://app.example.com.evil.test", "null"] {
            assert!(!fits("https://app.example.com", other), "{other}");
        }
        assert!(fits("null", "null") && !fits("null", "https://null"));
    }

    #[test]
    fn a_wildcard_is_for_names_below_and_for_nothing_else() {
        for below in ["https://a.example.com", "https://a.b.example.com"] {
            assert!(fits("https://*.example.com", below), "{below}");
        }
        for other in [
            "https://example.com",
            "https://.example.com",
            "https://evilexample.com",
            "https://a.example.com.evil.test",
            "https://evil.test/.example.com",
            "http://a.example.com",
            "https://a.example.com:8443",
            "https://evil.test:1@a.example.com:2",
        ] {
            assert!(!fits("https://*.example.com", other), "{other}");
        }
        assert!(fits("https://*.example.com:8443", "https://a.example.com:8443"));
        assert!(fits("http://localhost:*", "http://localhost:3000") && fits("http://localhost:*", "http://localhost"));
        assert!(fits("http://[::1]:*", "http://[::1]:3000") && !fits("http://[::1]:*", "http://[::2]:3000"));
    }

    #[test]
    fn an_expression_fits_the_whole_origin() {
        let regex = Origin::regex(r"https://(a|b)\.example\.com").unwrap();
        assert!(regex.fits("https://a.example.com"));
        assert!(!regex.fits("https://a.example.com.evil.test") && !regex.fits("xhttps://a.example.com"));
        let two = Origin::regex("https://a|https://b").unwrap();
        assert!(two.fits("https://b") && !two.fits("https://a.evil.test"));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for bad in
            ["example.com", "https://", "https://*", "https://a*.example.com", "https://a.example.com/", "https://a:x", "*.a", ""]
        {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
        assert!(Origin::regex("(").is_err());
    }
}
