//! What the configuration says, as plain data. What can be wrong with one value is refused here, with its path.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use tamis_sdk::config::{OneOrMany, optional_duration};
use tamis_sdk::prelude::*;

use crate::host::Pattern as Host;
use crate::pattern::Template;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub routes: Vec<Route>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Route {
    pub name: Option<String>,
    #[serde(rename = "match", default)]
    pub matches: Match,
    pub to: Option<OneOrMany<Target>>,
    #[serde(default)]
    pub rewrite_prefix: Option<Path>,
    pub redirect: Option<Redirect>,
    #[serde(default, deserialize_with = "optional_duration")]
    pub timeout: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Match {
    pub host: Option<Host>,
    pub path: Option<Path>,
    pub path_prefix: Option<Path>,
    pub path_template: Option<Template>,
    #[serde(default)]
    pub method: OneOrMany<Token>,
    #[serde(default)]
    pub headers: BTreeMap<Token, FieldMatch>,
}

/// A cluster and its share: `"users-v1"`, or `{ cluster = "users-v1", weight = 90 }`.
#[derive(Debug)]
pub struct Target {
    pub cluster: String,
    pub weight: u32,
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

/// What one value of a field must be: `"beta"` is short for `{ exact = "beta" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldMatch {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Present(bool),
}

/// A path that begins with a slash and has neither query nor fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(pub String);

/// A name as HTTP has them: of a method or a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub String);

/// A host, with a port or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority(pub String);

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

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        check_path(&text).map_err(de::Error::custom)?;
        Ok(Path(text))
    }
}

/// What holds for every path of the configuration.
pub(crate) fn check_path(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err(format!("expected a path that begins with \"/\", found \"{text}\""));
    }
    match text.chars().find(|c| matches!(c, '?' | '#' | ' ') || c.is_control()) {
        Some(c) => Err(format!("expected a path without query or fragment, found \"{text}\" with {c:?}")),
        None => Ok(()),
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match !text.is_empty() && text.bytes().all(allowed) {
            true => Ok(Token(text)),
            false => Err(de::Error::custom(format!("expected a name without spaces and separators, found \"{text}\""))),
        }
    }
}

impl<'de> Deserialize<'de> for Authority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte);
        match !text.is_empty() && text.bytes().all(allowed) {
            true => Ok(Authority(text)),
            false => Err(de::Error::custom(format!("expected a host, with a port or without, found \"{text}\""))),
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

impl<'de> Deserialize<'de> for FieldMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Table {
            Exact(String),
            Prefix(String),
            Suffix(String),
            Contains(String),
            Present(bool),
        }

        struct FieldVisitor;

        impl<'de> Visitor<'de> for FieldVisitor {
            type Value = FieldMatch;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value, or a table with one of `exact`, `prefix`, `suffix`, `contains`, `present`")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<FieldMatch, E> {
                Ok(FieldMatch::Exact(value.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldMatch, A::Error> {
                Ok(match Table::deserialize(MapAccessDeserializer::new(map))? {
                    Table::Exact(value) => FieldMatch::Exact(value),
                    Table::Prefix(value) => FieldMatch::Prefix(value),
                    Table::Suffix(value) => FieldMatch::Suffix(value),
                    Table::Contains(value) => FieldMatch::Contains(value),
                    Table::Present(value) => FieldMatch::Present(value),
                })
            }
        }

        deserializer.deserialize_any(FieldVisitor)
    }
}
