//! Values of an exchange put together: to count by, or to hash by.

use serde::de::{self, Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use tamis_sdk::config::OneOrMany;
use tamis_sdk::{Connection, Request};

use crate::name::is_token;
use crate::pattern::Pattern;
use crate::{host, source, value};

/// Longer values are replaced by their hash: what a client sends must not grow what is kept of it.
const VALUE_MAX: usize = 128;
/// Begins a value that is a hash: a cryptographic one, for nobody is to find a value that counts as that of another. A value that
/// begins so by itself is hashed too.
const HASHED: char = '#';

/// One part, or several of which each must be there: `"source"`, `["header:x-tenant", "route"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Source,
    Identity,
    Host,
    Method,
    Path,
    Route,
    Cluster,
    Listener,
    Header(String),
    Cookie(String),
    Query(String),
    Note(String),
    Parameter(String),
}

const KNOWN: &str = "expected \"source\", \"identity\", \"host\", \"method\", \"path\", \"route\", \"cluster\", \"listener\", \
                     \"header:NAME\", \"cookie:NAME\", \"query:NAME\", \"note:NAME\" or \"path.NAME\"";

impl Part {
    fn parse(text: &str) -> Result<Self, String> {
        let part = match text.split_once(':') {
            Some(("header", name)) if is_token(name) => Part::Header(name.to_ascii_lowercase()),
            Some(("cookie", name)) if is_token(name) => Part::Cookie(name.to_owned()),
            Some(("query", name)) if !name.is_empty() => Part::Query(name.to_owned()),
            Some(("note", name)) if !name.is_empty() => Part::Note(name.to_owned()),
            Some(_) => return Err(format!("{KNOWN}, found \"{text}\"")),
            None => match (text, text.strip_prefix("path.")) {
                ("source", _) => Part::Source,
                ("identity", _) => Part::Identity,
                ("host", _) => Part::Host,
                ("method", _) => Part::Method,
                ("path", _) => Part::Path,
                ("route", _) => Part::Route,
                ("cluster", _) => Part::Cluster,
                ("listener", _) => Part::Listener,
                (_, Some(name)) if !name.is_empty() => Part::Parameter(name.to_owned()),
                _ => return Err(format!("{KNOWN}, found \"{text}\"")),
            },
        };
        Ok(part)
    }

    /// `None` where the exchange has no such value.
    fn value(&self, request: &Request, pattern: Option<&Pattern>) -> Option<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Part::Source | Part::Identity | Part::Listener | Part::Route | Part::Cluster | Part::Note(_) => {
                self.value_for(&request.connection())
            }
            Part::Host => {
                let mut authority = request.authority();
                Some(host::normalized(&mut authority).to_owned()).filter(|host| !host.is_empty())
            }
            Part::Method => Some(request.method().to_string()),
            Part::Path => Some(request.path()),
            Part::Header(name) => request.header(name).map(|value| text(value.as_bytes())),
            Part::Cookie(name) => value::cookies(request, name).into_iter().next(),
            Part::Query(name) => {
                let query = request.query()?;
                value::parameters(&query, name).next().map(|value| text(&value))
            }
            // The rule's own pattern knows it, or the router has left it as a note.
            Part::Parameter(name) => {
                let own = pattern.and_then(|pattern| pattern.value(&request.path(), name).map(str::to_owned));
                own.or_else(|| request.notes().get(&format!("path.{name}")))
            }
        }
    }
}

impl Part {
    /// The same for a raw connection; what only a request has is not there.
    fn value_for(&self, connection: &Connection) -> Option<String> {
        match self {
            Part::Source => Some(source::group(connection.source())),
            Part::Identity => connection.client_identities().into_iter().next(),
            Part::Host => connection.server_name().map(|name| name.to_ascii_lowercase()),
            Part::Route => connection.destination().route(),
            Part::Cluster => connection.destination().cluster(),
            Part::Listener => Some(connection.listener()),
            Part::Note(name) => connection.notes().get(name),
            Part::Method | Part::Path | Part::Header(_) | Part::Cookie(_) | Part::Query(_) | Part::Parameter(_) => None,
        }
    }
}

impl Key {
    /// The value for this exchange: two exchanges have the same only if they have the same of each part. `None` where one
    /// part is missing. `pattern` is that of the rule, which knows the parameters of its paths.
    pub fn value(&self, request: &Request, pattern: Option<&Pattern>) -> Option<String> {
        self.put_together(|part| part.value(request, pattern))
    }

    /// The same for a raw connection, whose host is the name that its client asked for in the TLS handshake.
    pub fn value_for(&self, connection: &Connection) -> Option<String> {
        self.put_together(|part| part.value_for(connection))
    }

    fn put_together(&self, of: impl Fn(&Part) -> Option<String>) -> Option<String> {
        if let [only] = self.parts.as_slice() {
            return of(only).map(bounded);
        }
        let mut whole = String::new();
        for part in &self.parts {
            let value = bounded(of(part)?);
            // With its length first, no value can pretend to be two.
            whole.push_str(&format!("{}:{value}", value.len()));
        }
        Some(whole)
    }

    /// Whether it asks for the value of this cookie and nothing else.
    pub fn cookie(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Cookie(name)] => Some(name),
            _ => None,
        }
    }
}

fn bounded(value: String) -> String {
    if value.len() <= VALUE_MAX && !value.starts_with(HASHED) {
        return value;
    }
    let hash = Sha256::digest(value.as_bytes());
    hash.iter().fold(String::from(HASHED), |text, byte| text + &format!("{byte:02x}"))
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Part::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = OneOrMany::<Part>::deserialize(deserializer)?.0;
        match parts.is_empty() {
            true => Err(de::Error::custom(format!("{KNOWN}, found an empty list"))),
            false => Ok(Key { parts }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read() {
        for good in ["source", "header:X-A", "cookie:sid", "query:a b", "note:a:b", "path.id", "route"] {
            assert!(Part::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "sauce", "header:", "header:a b", "path.", "source:1", "note:"] {
            assert!(Part::parse(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Key>("[]").is_err());
        assert_eq!(serde_json::from_str::<Key>(r#""cookie:sid""#).unwrap().cookie(), Some("sid"));
    }

    #[test]
    fn long_values_are_bounded_and_stay_apart() {
        let (one, two) = ("a".repeat(1000), "a".repeat(1001));
        assert_eq!(bounded(one.clone()), bounded(one.clone()));
        assert_ne!(bounded(one.clone()), bounded(two));
        assert_eq!(bounded(one.clone()).len(), 65);
        assert_ne!(bounded(bounded(one.clone())), bounded(one), "nobody can send what another's becomes");
        assert_eq!(bounded("a".repeat(VALUE_MAX)).len(), VALUE_MAX);
    }
}
