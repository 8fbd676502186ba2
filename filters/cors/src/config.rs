//! What the configuration says, as plain data. What can be wrong with one value is refused here, with its path.

use std::time::Duration;

use matching::Matcher;
use matching::name::Token;
use serde::de::{self, Deserializer};
use tamis_sdk::config::{OneOrMany, optional_duration};
use tamis_sdk::prelude::*;

use crate::origin::Origin;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    pub policies: Vec<Policy>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Policy {
    pub name: Option<Token>,
    #[serde(default, rename = "match")]
    pub matches: Matcher,
    pub origins: OneOrMany<Origin>,
    #[serde(default)]
    pub methods: OneOrMany<Token>,
    #[serde(default)]
    pub headers: OneOrMany<Token>,
    #[serde(default)]
    pub expose: OneOrMany<Token>,
    #[serde(default)]
    pub credentials: bool,
    #[serde(default, deserialize_with = "optional_duration")]
    pub max_age: Option<Duration>,
    #[serde(default)]
    pub private_network: bool,
    #[serde(default)]
    pub on_mismatch: OnMismatch,
    #[serde(default)]
    pub preflight_status: PreflightStatus,
}

/// What becomes of a request from an origin that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMismatch {
    /// It goes on, and the browser keeps the answer from the page.
    #[default]
    Pass,
    /// It gets 403.
    Refuse,
    /// It goes on, and what the service says about origins stays.
    Upstream,
}

/// 204 unless told otherwise; some old clients want 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreflightStatus(pub StatusCode);

impl Default for PreflightStatus {
    fn default() -> Self {
        PreflightStatus(StatusCode::NO_CONTENT)
    }
}

impl<'de> Deserialize<'de> for PreflightStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u16::deserialize(deserializer)? {
            200 => Ok(PreflightStatus(StatusCode::OK)),
            204 => Ok(PreflightStatus(StatusCode::NO_CONTENT)),
            // A browser takes any other status for a refusal.
            status => Err(de::Error::custom(format!("expected 200 or 204, found {status}"))),
        }
    }
}
