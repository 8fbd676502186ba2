//! Values with holes: `from {source}, by way of {header:via}`.

use serde::de::{self, Deserialize, Deserializer};
use tamis_sdk::Request;

use crate::config::is_name;

/// A text with values of the exchange in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Source,
    Host,
    Path,
    RequestId,
    Header(String),
    Note(String),
}

impl Template {
    /// Reads a template. `{{` and `}}` stand for the braces themselves.
    pub fn parse(text: &str) -> Result<Self, String> {
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
        if let Some(bad) = literal.chars().find(|c| c.is_control() && *c != '\t') {
            return Err(format!("expected a value that HTTP allows, found {bad:?} in it"));
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Template { parts })
    }

    /// The value for this exchange. What is not there is empty.
    pub fn expand(&self, request: &Request) -> Vec<u8> {
        match self.parts.as_slice() {
            [Part::Text(text)] => text.clone().into_bytes(),
            parts => parts.iter().flat_map(|part| part.expand(request)).collect(),
        }
    }
}

impl Part {
    fn parse(name: &str) -> Result<Self, String> {
        match name.split_once(':') {
            Some(("header", field)) if is_name(field) => return Ok(Part::Header(field.to_ascii_lowercase())),
            Some(("note", key)) if !key.is_empty() => return Ok(Part::Note(key.to_owned())),
            _ => {}
        }
        match name {
            "source" => Ok(Part::Source),
            "host" => Ok(Part::Host),
            "path" => Ok(Part::Path),
            "request-id" => Ok(Part::RequestId),
            _ => Err(format!(
                "expected {{source}}, {{host}}, {{path}}, {{request-id}}, {{header:NAME}} or {{note:NAME}}, found {{{name}}}"
            )),
        }
    }

    fn expand(&self, request: &Request) -> Vec<u8> {
        match self {
            Part::Text(text) => text.clone().into_bytes(),
            Part::Source => request.connection().source().into_bytes(),
            Part::Host => without_port(request.authority()).into_bytes(),
            Part::Path => request.path().into_bytes(),
            Part::RequestId => request.id().into_bytes(),
            Part::Header(name) => request.header(name).map(|value| value.as_bytes().to_vec()).unwrap_or_default(),
            Part::Note(key) => request.notes().get(key).unwrap_or_default().into_bytes(),
        }
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Template::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn without_port(mut authority: String) -> String {
    if let Some(colon) = authority.rfind(':')
        && authority[colon + 1..].bytes().all(|byte| byte.is_ascii_digit())
    {
        authority.truncate(colon);
    }
    authority
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_written_doubled() {
        let template = Template::parse("{{{source}}} {{x}}").unwrap();
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(template.parts, [text("{"), Part::Source, text("} {x}")]);
        assert_eq!(Template::parse("").unwrap().parts, []);
    }

    #[test]
    fn names_keep_what_follows_the_colon() {
        let template = Template::parse("{header:X-A}{note:a:b}").unwrap();
        assert_eq!(template.parts, [Part::Header("x-a".to_owned()), Part::Note("a:b".to_owned())]);
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for bad in ["{", "}", "{source", "a}b", "{}", "{sourc}", "{header:}", "{header:a b}", "{note:}", "{{source}", "a\nb"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
