//! What the configuration says, as plain data. What can be wrong with one value is refused here, with its path.

use std::collections::BTreeMap;

use matching::name::Token;
use matching::{Key, Matcher};
use serde::de::{self, Deserializer};
use tamis_sdk::config::OneOrMany;
use tamis_sdk::prelude::*;

use crate::limit::Limit;

/// The most that one exchange can cost, unless the rule says otherwise: a header that a client sends should not use up
/// a quota at once.
pub const COST_MAX: u64 = 1000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default = "store")]
    pub store: String,
    #[serde(default)]
    pub on_store_failure: OnStoreFailure,
    /// Whether answers carry `RateLimit` and `RateLimit-Policy`.
    #[serde(default = "yes")]
    pub fields: bool,
    #[serde(default)]
    pub status: Status,
    #[serde(default)]
    pub body: String,
    #[serde(default)]
    pub rules: Vec<RuleConfig>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnStoreFailure {
    #[default]
    Open,
    Closed,
}

/// Of what refuses.
#[derive(Debug, Clone, Copy)]
pub struct Status(pub StatusCode);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RuleConfig {
    pub name: Option<RuleName>,
    #[serde(rename = "match", default)]
    pub matches: Matcher,
    pub key: Option<Key>,
    #[serde(default)]
    pub limit: OneOrMany<Limit>,
    /// Of the shortest limit, which is a rate.
    pub burst: Option<u64>,
    pub concurrency: Option<u64>,
    #[serde(default)]
    pub cost: Cost,
    #[serde(default)]
    pub dry_run: bool,
}

/// What stands in fields, metrics and keys.
#[derive(Debug)]
pub struct RuleName(pub String);

/// `5`, or by method and header.
#[derive(Debug)]
pub struct Cost {
    pub default: u64,
    pub methods: BTreeMap<Token, u64>,
    pub header: Option<Token>,
    pub max: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CostTable {
    #[serde(default = "one")]
    default: u64,
    #[serde(default)]
    methods: BTreeMap<Token, u64>,
    header: Option<Token>,
    #[serde(default = "cost_max")]
    max: u64,
}

impl Default for Cost {
    fn default() -> Self {
        Cost { default: 1, methods: BTreeMap::new(), header: None, max: COST_MAX }
    }
}

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Cost;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, or a table with `default`, `methods`, `header` and `max`")
            }

            fn visit_u64<E: de::Error>(self, default: u64) -> Result<Cost, E> {
                Ok(Cost { default, max: COST_MAX.max(default), ..Cost::default() })
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Cost, E> {
                u64::try_from(number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
                    .and_then(|number| self.visit_u64(number))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Cost, A::Error> {
                let CostTable { default, methods, header, max } =
                    CostTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Cost { default, methods, header, max })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Default for Status {
    fn default() -> Self {
        Status(StatusCode::TOO_MANY_REQUESTS)
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u16::deserialize(deserializer)?;
        let known = StatusCode::from_u16(number).ok().filter(|status| (400..600).contains(&status.as_u16()));
        known.map(Status).ok_or_else(|| de::Error::custom(format!("expected a status from 400 to 599, found {number}")))
    }
}

impl<'de> Deserialize<'de> for RuleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let good =
            (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        match good {
            true => Ok(RuleName(name)),
            false => Err(de::Error::custom(format!("expected 1 to 64 letters, digits, `-`, `_` and `.`, found \"{name}\""))),
        }
    }
}

fn store() -> String {
    "quota".to_owned()
}

fn yes() -> bool {
    true
}

fn one() -> u64 {
    1
}

fn cost_max() -> u64 {
    COST_MAX
}
