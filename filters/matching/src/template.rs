//! Texts with values of the exchange in them: `from {source}, by way of {header:via|nobody}`.

use serde::de::{self, Deserialize, Deserializer};
use tamis_sdk::Request;

use crate::name::is_token;
use crate::{host, value};

/// A text with values of the exchange in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Value, String),
}

/// A value of the exchange; where it is not there, the text beside it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Source,
    Identity,
    Host,
    Authority,
    Method,
    Scheme,
    Path,
    Query,
    RequestId,
    Listener,
    Protocol,
    TlsVersion,
    ServerName,
    Route,
    Cluster,
    Header(String),
    Cookie(String),
    Parameter(String),
    Note(String),
    /// Of the path, counted from one.
    Segment(usize),
}

impl Template {
    /// This text, whatever is in it.
    pub fn text(text: impl Into<String>) -> Self {
        Template { parts: vec![Part::Text(text.into())] }
    }

    /// Reads a template for what stands in one line, as fields do. `{{` and `}}` stand for the braces themselves.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.chars().find(|c| c.is_control() && *c != '\t') {
            Some(bad) => Err(format!("expected a value that HTTP allows, found {bad:?} in it")),
            None => Template::parse_text(text),
        }
    }

    /// The same for a text of any characters, such as a body.
    pub fn parse_text(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            literal.push_str(&rest[..brace]);
            rest = &rest[brace..];
            if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
                literal.push_str(&rest[..1]);
                rest = after;
                continue;
            }
            let end = rest.find('}').filter(|_| rest.starts_with('{'));
            let Some(end) = end else {
                return Err(format!("expected \"{{\" and \"}}\" in pairs, or doubled, found \"{text}\""));
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::parse(&rest[1..end])?);
            rest = &rest[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Template { parts })
    }

    /// The value for this exchange. What is not there is empty.
    pub fn expand(&self, request: &Request) -> Vec<u8> {
        let mut whole = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => whole.extend_from_slice(text.as_bytes()),
                Part::Value(value, missing) => match value.of(request) {
                    // As it came, where it is all that there is.
                    Some(value) if self.parts.len() == 1 => return value,
                    Some(value) => whole.extend_from_slice(&value),
                    None => whole.extend_from_slice(missing.as_bytes()),
                },
            }
        }
        whole
    }
}

impl Part {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, missing) = text.split_once('|').unwrap_or((text, ""));
        Ok(Part::Value(
            Value::parse(name)
                .ok_or_else(|| format!("expected a value such as {{source}}, {{path}} or {{header:NAME}}, found {{{name}}}"))?,
            missing.to_owned(),
        ))
    }
}

impl Value {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.split_once(':') {
            Some(("header", name)) if is_token(name) => Value::Header(name.to_ascii_lowercase()),
            Some(("cookie", name)) if is_token(name) => Value::Cookie(name.to_owned()),
            Some(("query", name)) if !name.is_empty() => Value::Parameter(name.to_owned()),
            Some(("note", key)) if !key.is_empty() => Value::Note(key.to_owned()),
            Some(("segment", number)) => Value::Segment(number.parse().ok().filter(|number| *number > 0)?),
            Some(_) => return None,
            None => match name {
                "source" => Value::Source,
                "identity" => Value::Identity,
                "host" => Value::Host,
                "authority" => Value::Authority,
                "method" => Value::Method,
                "scheme" => Value::Scheme,
                "path" => Value::Path,
                "query" => Value::Query,
                "request-id" => Value::RequestId,
                "listener" => Value::Listener,
                "protocol" => Value::Protocol,
                "tls-version" => Value::TlsVersion,
                "server-name" => Value::ServerName,
                "route" => Value::Route,
                "cluster" => Value::Cluster,
                // Where the router leaves it.
                _ if name.len() > "path.".len() && name.starts_with("path.") => Value::Note(name.to_owned()),
                _ => return None,
            },
        })
    }

    /// `None` where the exchange has no such value, or an empty one.
    fn of(&self, request: &Request) -> Option<Vec<u8>> {
        let connection = request.connection();
        let text = match self {
            Value::Header(name) => {
                return request.header_bytes(name).filter(|value| !value.is_empty());
            }
            Value::Parameter(name) => {
                let query = request.query()?;
                return value::parameters(&query, name).next().filter(|value| !value.is_empty());
            }
            Value::Cookie(name) => value::cookies(request, name).into_iter().next(),
            Value::Source => Some(connection.source()),
            Value::Identity => connection.client_identities().into_iter().next(),
            Value::Host => {
                let authority = request.authority();
                Some(host::without_port(&authority).to_owned())
            }
            Value::Authority => Some(request.authority()),
            Value::Method => Some(request.method().to_string()),
            Value::Scheme => Some(request.scheme()),
            Value::Path => Some(request.path()),
            Value::Query => request.query(),
            Value::RequestId => Some(request.id()),
            Value::Listener => Some(connection.listener()),
            Value::Protocol => Some(connection.protocol()),
            Value::TlsVersion => connection.tls_version(),
            Value::ServerName => connection.server_name(),
            Value::Route => request.destination().route(),
            Value::Cluster => request.destination().cluster(),
            Value::Note(key) => request.notes().get(key),
            Value::Segment(number) => request.path().split('/').nth(*number).map(str::to_owned),
        };
        text.map(String::into_bytes).filter(|text| !text.is_empty())
    }
}

/// A [`Template`] for a text of any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub Template);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Template::parse_text(&String::deserialize(deserializer)?).map(Text).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Template::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_written_doubled() {
        let template = Template::parse("{{{source}}} {{x}}").unwrap();
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(template.parts, [text("{"), Part::Value(Value::Source, String::new()), text("} {x}")]);
        assert_eq!(Template::parse("").unwrap().parts, []);
    }

    #[test]
    fn names_keep_what_follows_the_colon() {
        let template = Template::parse("{header:X-A}{note:a:b|none}{path.id}").unwrap();
        let note = |key: &str| Value::Note(key.to_owned());
        let values = [(Value::Header("x-a".to_owned()), ""), (note("a:b"), "none"), (note("path.id"), "")];
        assert_eq!(template.parts, values.map(|(value, missing)| Part::Value(value, missing.to_owned())));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for bad in [
            "{",
            "}",
            "{source",
            "a}b",
            "{}",
            "{sourc}",
            "{header:}",
            "{header:a b}",
            "{note:}",
            "{{source}",
            "a\nb",
            "{segment:0}",
            "{path.}",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
