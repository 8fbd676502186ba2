//! What the configuration says, as plain data. What can be wrong with one value is refused here, with its path.

use std::collections::BTreeMap;
use std::time::Duration;

use matching::change::{Fields, Name};
use matching::name::{Authority, Path};
use matching::regex::Regex;
use matching::{Key, Match, Template, Text};
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use tamis_sdk::config::{OneOrMany, optional_duration};
use tamis_sdk::prelude::*;

use crate::names::Dtab;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub routes: Vec<Route>,
    /// What logical names stand for; later entries come before earlier ones.
    #[serde(default)]
    pub names: OneOrMany<Dtab>,
    pub overrides: Option<Overrides>,
}

/// Who may give names another meaning for a request of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overrides {
    /// Peers in the listener's trusted ranges.
    Trusted,
    Nobody,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Route {
    pub name: Option<String>,
    #[serde(rename = "match", default)]
    pub matches: Match,
    pub to: Option<OneOrMany<Target>>,
    pub redirect: Option<Redirect>,
    pub respond: Option<Respond>,
    /// Which of several clusters an exchange belongs to for good.
    pub sticky: Option<Sticky>,
    pub rewrite_prefix: Option<Path>,
    pub rewrite_path: Option<Template>,
    pub rewrite_regex: Option<RewriteRegex>,
    pub rewrite_host: Option<Template>,
    #[serde(default)]
    pub request: Fields,
    #[serde(default)]
    pub response: Fields,
    #[serde(default, deserialize_with = "optional_duration")]
    pub timeout: Option<Duration>,
    pub retry: Option<Retry>,
    pub hash_key: Option<Key>,
    #[serde(default)]
    pub subset: BTreeMap<String, Template>,
    pub fallback: Option<String>,
    pub chain: Option<String>,
}

/// A cluster or a logical name, and its share: `"users-v1"`, `"/svc/users"`, or `{ cluster = "users-v1", weight = 90 }`.
#[derive(Debug)]
pub struct Target {
    pub cluster: String,
    pub weight: u32,
}

/// By values of the exchange, or by a cookie that the router sets where it is missing.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected parts of a key, or a table with `cookie`")]
pub enum Sticky {
    Key(Key),
    Cookie(StickyCookie),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StickyCookie {
    pub cookie: String,
    /// Until the browser is closed, if it is not said.
    #[serde(default, deserialize_with = "optional_duration")]
    pub max_age: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RewriteRegex {
    pub pattern: Regex,
    pub replacement: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Retry {
    pub attempts: u32,
    #[serde(default)]
    pub on: OneOrMany<String>,
    #[serde(default, deserialize_with = "optional_duration")]
    pub per_try_timeout: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Respond {
    pub status: u16,
    pub body: Option<Text>,
    pub content_type: Option<Template>,
    #[serde(default)]
    pub headers: BTreeMap<Name, Template>,
    #[serde(default, deserialize_with = "optional_duration")]
    pub retry_after: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Redirect {
    #[serde(default)]
    pub status: RedirectStatus,
    pub location: Option<String>,
    pub host: Option<Authority>,
    pub path_prefix: Option<Path>,
    #[serde(default)]
    pub https: bool,
}

/// 302 unless told otherwise, because browsers keep the permanent ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedirectStatus(pub StatusCode);

impl Default for RedirectStatus {
    fn default() -> Self {
        RedirectStatus(StatusCode::FOUND)
    }
}

impl<'de> Deserialize<'de> for RedirectStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let status = u16::deserialize(deserializer)?;
        match (status, StatusCode::from_u16(status)) {
            (301 | 302 | 303 | 307 | 308, Ok(status)) => Ok(RedirectStatus(status)),
            _ => Err(de::Error::custom(format!("expected 301, 302, 303, 307 or 308, found {status}"))),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        struct Table {
            cluster: String,
            #[serde(default = "one")]
            weight: u32,
        }

        struct TargetVisitor;

        impl<'de> Visitor<'de> for TargetVisitor {
            type Value = Target;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a cluster, or a table with `cluster` and `weight`")
            }

            fn visit_str<E: de::Error>(self, cluster: &str) -> Result<Target, E> {
                Ok(Target { cluster: cluster.to_owned(), weight: 1 })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Target, A::Error> {
                let Table { cluster, weight } = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Target { cluster, weight })
            }
        }

        deserializer.deserialize_any(TargetVisitor)
    }
}

fn one() -> u32 {
    1
}
