//! What the configuration says, as plain data. What can be wrong with one value is refused here, with its path.

use std::time::Duration;

use matching::{Key, Matcher, Share, identity, source};
use serde::de::{self, Deserializer};
use tamis_sdk::config::{OneOrMany, optional_duration};
use tamis_sdk::prelude::*;

use crate::delay::Table as Delay;
use crate::until::Until;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub rules: Vec<Rule>,
    pub seed: Option<u64>,
    pub delayed_max: Option<u64>,
    pub store: Option<String>,
    pub asked_by: Option<AskedBy>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    pub name: String,
    #[serde(rename = "match", default)]
    pub matches: Matcher,
    pub until: Option<Until>,
    pub key: Option<Key>,
    pub delay: Option<Delay>,
    pub abort: Option<Abort>,
    pub response_rate: Option<Rate>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Abort {
    pub status: Option<Status>,
    pub grpc_status: Option<GrpcStatus>,
    #[serde(default)]
    pub reset: bool,
    #[serde(default = "injected")]
    pub message: String,
    #[serde(default)]
    pub percent: Share,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rate {
    pub bytes_per_second: BytesPerSecond,
    #[serde(default)]
    pub percent: Share,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AskedBy {
    #[serde(default)]
    pub source: OneOrMany<source::Range>,
    #[serde(default)]
    pub identity: OneOrMany<identity::Pattern>,
    #[serde(default)]
    pub trusted: bool,
    #[serde(default, deserialize_with = "optional_duration")]
    pub delay_max: Option<Duration>,
}

/// One that an answer may have.
#[derive(Debug, Clone, Copy)]
pub struct Status(pub StatusCode);

/// A code of gRPC that is an error.
#[derive(Debug, Clone, Copy)]
pub struct GrpcStatus(pub u32);

/// Not zero: that would be as fast as it can.
#[derive(Debug, Clone, Copy)]
pub struct BytesPerSecond(pub u64);

/// The highest code that gRPC knows.
const UNAUTHENTICATED: u32 = 16;

impl Status {
    pub fn of(status: u16) -> Option<Self> {
        StatusCode::from_u16(status).ok().filter(|status| (200..=599).contains(&status.as_u16())).map(Status)
    }
}

impl GrpcStatus {
    pub fn of(code: u32) -> Option<Self> {
        (1..=UNAUTHENTICATED).contains(&code).then_some(GrpcStatus(code))
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let status = u16::deserialize(deserializer)?;
        Status::of(status).ok_or_else(|| de::Error::custom(format!("expected a status from 200 to 599, found {status}")))
    }
}

impl<'de> Deserialize<'de> for GrpcStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = u32::deserialize(deserializer)?;
        let known = || de::Error::custom(format!("expected a code of gRPC from 1 to {UNAUTHENTICATED}, found {code}"));
        GrpcStatus::of(code).ok_or_else(known)
    }
}

impl<'de> Deserialize<'de> for BytesPerSecond {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            0 => Err(de::Error::custom("expected at least 1 byte a second, found 0")),
            rate => Ok(BytesPerSecond(rate)),
        }
    }
}

pub fn injected() -> String {
    "a fault was injected".to_owned()
}
