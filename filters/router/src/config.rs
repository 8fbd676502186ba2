//! What the configuration says, as plain data. What can be wrong with one value is refused here, with its path.

use std::time::Duration;

use matching::Match;
use matching::name::{Authority, Path};
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use tamis_sdk::config::{OneOrMany, optional_duration};
use tamis_sdk::prelude::*;

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
