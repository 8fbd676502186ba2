//! What the configuration says, as plain data. What can be wrong with one value is refused here, with its path.

use std::collections::BTreeMap;

use matching::change::Name;
use matching::name::{Token, is_token};
use matching::{Key, Matcher, Share, Template};
use serde::de::{self, Deserializer};
use tamis_sdk::config::OneOrMany;
use tamis_sdk::prelude::*;

use crate::size::Size;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub rules: Vec<Rule>,
    #[serde(default = "shadow")]
    pub note: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    pub name: Option<RuleName>,
    #[serde(rename = "match", default)]
    pub matches: Matcher,
    pub cluster: String,
    #[serde(default)]
    pub percent: Share,
    pub key: Option<Key>,
    #[serde(default = "shadow_host")]
    pub host: Template,
    #[serde(default = "mark")]
    pub mark: Name,
    #[serde(default)]
    pub fields: BTreeMap<Name, Template>,
    #[serde(default = "body_limit")]
    pub body_limit: Size,
    pub compare: Option<Compare>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Compare {
    #[serde(default = "yes")]
    pub status: bool,
    #[serde(default)]
    pub headers: OneOrMany<Token>,
    #[serde(default = "yes")]
    pub body: bool,
    /// Where pairs that differ are kept.
    pub store: Option<String>,
    #[serde(default = "twenty")]
    pub keep: Keep,
}

/// Pairs that are kept of a rule.
#[derive(Debug, Clone, Copy)]
pub struct Keep(pub usize);

/// More would be one value of a store that nobody reads at once.
pub const KEEP_MAX: usize = 100;

/// A label of metrics and a part of a key.
#[derive(Debug)]
pub struct RuleName(pub String);

impl<'de> Deserialize<'de> for RuleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match is_token(&name) {
            true => Ok(RuleName(name)),
            false => Err(de::Error::custom(format!("expected a name without spaces and separators, found \"{name}\""))),
        }
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = usize::deserialize(deserializer)?;
        match (1..=KEEP_MAX).contains(&pairs) {
            true => Ok(Keep(pairs)),
            false => Err(de::Error::custom(format!("expected 1 to {KEEP_MAX} pairs, found {pairs}"))),
        }
    }
}

fn shadow() -> String {
    "shadow".to_owned()
}

/// As Envoy and Istio name it, so that logs and virtual hosts of the other side can tell copies apart.
fn shadow_host() -> Template {
    Template::parse("{host}-shadow").unwrap_or_else(|_| Template::text(""))
}

fn mark() -> Name {
    Name("x-shadow".to_owned())
}

/// Most requests of an API; a copy waits in the proxy's memory until it is complete.
fn body_limit() -> Size {
    Size(64 << 10)
}

fn yes() -> bool {
    true
}

fn twenty() -> Keep {
    Keep(20)
}
