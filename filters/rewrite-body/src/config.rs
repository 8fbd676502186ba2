//! What the configuration says, as plain data. What can be wrong with one value is refused here, with its path.

use matching::Matcher;
use matching::name::Token;
use serde::de::{self, Deserializer};
use tamis_sdk::config::OneOrMany;
use tamis_sdk::prelude::*;

/// Fits twice into an instance's 16 MiB with much to spare, and is read by an expression in a few milliseconds.
const BODY_BYTES_MAX: u32 = 1024 * 1024;
/// A body in which more is to be replaced is hardly the one that the rule was written for.
const COUNT_MAX: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    pub rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    pub name: Option<Token>,
    #[serde(default, rename = "match")]
    pub matches: Matcher,
    #[serde(default)]
    pub of: Message,
    #[serde(default)]
    pub types: OneOrMany<MediaType>,
    pub replace: OneOrMany<Replacement>,
    #[serde(default)]
    pub ignore_case: bool,
    #[serde(default = "body_bytes_max")]
    pub body_bytes_max: u32,
    #[serde(default = "count_max")]
    pub count_max: usize,
    #[serde(default)]
    pub on_compressed: OnUnfit,
    #[serde(default)]
    pub on_too_large: OnUnfit,
    #[serde(default = "yes")]
    pub ask_for_plain: bool,
}

/// Whose body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    Request,
    #[default]
    Response,
}

/// What becomes of a body that cannot be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnUnfit {
    /// It goes on as it is.
    #[default]
    Pass,
    /// The exchange gets an error.
    Fail,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Replacement {
    pub find: Option<String>,
    pub regex: Option<String>,
    pub with: String,
}

/// `text/html`, `text/*` or `application/*+json`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    kind: String,
    sub: Sub,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Sub {
    Exact(String),
    /// What it ends with; nothing for any.
    Ends(String),
}

impl MediaType {
    fn parse(text: &str) -> Option<Self> {
        let (kind, sub) = text.split_once('/')?;
        let token = |text: &str| matching::name::is_token(text) && !text.contains('*');
        let sub = match sub.strip_prefix('*') {
            Some(end) if end.is_empty() || end.starts_with('+') && token(end) => Sub::Ends(end.to_ascii_lowercase()),
            None if token(sub) => Sub::Exact(sub.to_ascii_lowercase()),
            _ => return None,
        };
        token(kind).then(|| MediaType { kind: kind.to_ascii_lowercase(), sub })
    }

    /// Whether a body of this type, in lower case and without parameters, is one. A stream of events is one only by its name
    /// where the whole body is waited for: it has no end.
    pub fn fits(&self, found: &str, whole: bool) -> bool {
        let Some((kind, sub)) = found.split_once('/') else { return false };
        kind == self.kind
            && match &self.sub {
                Sub::Exact(known) => known == sub,
                Sub::Ends(end) => sub.ends_with(end.as_str()) && !(whole && found == "text/event-stream"),
            }
    }
}

/// What is text, as far as its type says so.
pub fn text() -> Vec<MediaType> {
    let types =
        ["text/*", "application/json", "application/*+json", "application/xml", "application/*+xml", "application/javascript"];
    types.iter().filter_map(|text| MediaType::parse(text)).collect()
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        MediaType::parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "expected a type such as \"text/html\", \"text/*\" or \"application/*+json\", found \"{text}\""
            ))
        })
    }
}

fn body_bytes_max() -> u32 {
    BODY_BYTES_MAX
}

fn count_max() -> usize {
    COUNT_MAX
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_compared() {
        let fits = |pattern: &str, found: &str| MediaType::parse(pattern).unwrap().fits(found, true);
        assert!(
            fits("text/*", "text/html") && fits("Text/HTML", "text/html") && fits("application/*+json", "application/hal+json")
        );
        assert!(
            !fits("text/*", "application/text") && !fits("application/*+json", "application/json") && !fits("text/*", "text")
        );
        assert!(!fits("text/*", "text/event-stream") && fits("text/event-stream", "text/event-stream"));
        for bad in ["text", "*/*", "text/", "/html", "text/*html", "te xt/html", "text/html; charset=utf-8"] {
            assert!(MediaType::parse(bad).is_none(), "{bad}");
        }
    }
}
