//! What the configuration says, as plain data.

use std::collections::BTreeMap;
use std::time::Duration;

use matching::Matcher;
use matching::change::Name;
use serde::de::{self, Deserializer};
use tamis_sdk::config::{OneOrMany, duration, optional_duration};
use tamis_sdk::prelude::*;

use crate::algorithm::Algorithm;
use crate::claims::{Condition, Path};
use crate::jwk::Jwk;
use crate::source::Source;

/// Clocks of two machines are rarely further apart than this.
const LEEWAY: Duration = Duration::from_secs(60);
/// Tokens with many roles have 2 to 4 KiB; servers rarely take a field of more than 8.
const TOKEN_BYTES_MAX: usize = 8192;
/// Of each instance: a busy service has some hundred clients at a time.
const CACHE: usize = 256;
/// What is kept of a token is rarely more than a KiB, and an instance has 16 MiB.
pub const CACHE_MAX: usize = 4096;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    pub providers: BTreeMap<String, Provider>,
    #[serde(default)]
    pub rules: Vec<Rule>,
    #[serde(default)]
    pub otherwise: Demand,
    pub realm: Option<Realm>,
    #[serde(default = "cache")]
    pub cache: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Provider {
    #[serde(default)]
    pub issuer: OneOrMany<String>,
    #[serde(default)]
    pub audience: OneOrMany<String>,
    #[serde(default)]
    pub algorithms: OneOrMany<Algorithm>,
    pub jwks: Option<String>,
    #[serde(default)]
    pub keys: Vec<Jwk>,
    pub secret: Option<Secret>,
    #[serde(default)]
    pub from: OneOrMany<Source>,
    #[serde(default)]
    pub forward: bool,
    #[serde(default = "leeway", deserialize_with = "duration")]
    pub leeway: Duration,
    #[serde(default = "yes")]
    pub needs_expiry: bool,
    #[serde(default, deserialize_with = "optional_duration")]
    pub age_max: Option<Duration>,
    #[serde(default, rename = "type")]
    pub kind: OneOrMany<String>,
    #[serde(default = "token_bytes_max")]
    pub token_bytes_max: usize,
    #[serde(default)]
    pub notes: BTreeMap<String, Path>,
    #[serde(default)]
    pub headers: BTreeMap<Name, Path>,
}

/// A key for HMAC, in an input of its own: what is in the configuration is read by many.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Secret {
    pub input: String,
    pub kid: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    #[serde(default, rename = "match")]
    pub matches: Matcher,
    #[serde(default)]
    pub token: Demand,
    #[serde(default)]
    pub providers: OneOrMany<String>,
    #[serde(default)]
    pub scopes: OneOrMany<String>,
    #[serde(default)]
    pub claims: BTreeMap<Path, Condition>,
}

/// What is asked of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// A good token.
    #[default]
    Required,
    /// None, or a good one.
    Optional,
    /// None, a bad one or a good one: only a good one is told on.
    Lenient,
    /// Nothing: tokens are not looked at.
    Off,
}

/// What clients are told that the token is for; it stands between quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm(pub String);

impl<'de> Deserialize<'de> for Realm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.bytes().all(|byte| matches!(byte, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            true => Ok(Realm(text)),
            false => Err(de::Error::custom(format!("expected ASCII text without quotes and backslashes, found {text:?}"))),
        }
    }
}

fn cache() -> usize {
    CACHE
}

fn leeway() -> Duration {
    LEEWAY
}

fn token_bytes_max() -> usize {
    TOKEN_BYTES_MAX
}

fn yes() -> bool {
    true
}
