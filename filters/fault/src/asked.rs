//! Faults that a request asks for itself, if it comes from somebody who may.

use std::time::Duration;

use matching::{Share, identity, source};
use tamis_sdk::prelude::*;

use crate::config::{self, GrpcStatus, Status};
use crate::delay::Time;
use crate::fault::{Abort, Delay, Faults, Rate, What};

/// What stands in the place of a rule's name.
pub const BY_HEADER: &str = "by-header";

const DELAY: &str = "x-tamis-fault-delay";
const ABORT: &str = "x-tamis-fault-abort";
const RATE: &str = "x-tamis-fault-rate";
const PERCENT: &str = "x-tamis-fault-percent";

/// Longest delay that can be asked for, without a word.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// Who may ask.
#[derive(Debug)]
pub struct AskedBy {
    sources: Vec<source::Range>,
    identities: Vec<identity::Pattern>,
    trusted: bool,
    delay_max: Duration,
}

impl AskedBy {
    pub fn build(config: config::AskedBy) -> Result<Self, ConfigError> {
        let config::AskedBy { source, identity, trusted, delay_max } = config;
        if source.0.is_empty() && identity.0.is_empty() && !trusted {
            return Err(ConfigError::new("expected some of `source`, `identity` and `trusted = true`, found none"));
        }
        Ok(AskedBy { sources: source.0, identities: identity.0, trusted, delay_max: delay_max.unwrap_or(DELAY_MAX) })
    }

    /// What is asked for. The fields go no further, whoever sent them: the next hop may trust this one.
    pub fn take(&self, request: &mut Request) -> Result<Option<Faults>, String> {
        let mut field = |name: &str| {
            let value = request.header(name)?;
            request.remove_header(name);
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let [delay, abort, rate, percent] = [DELAY, ABORT, RATE, PERCENT].map(&mut field);
        if (delay.is_none() && abort.is_none() && rate.is_none()) || !self.trusts(request) {
            return Ok(None);
        }
        let share = match &percent {
            Some(text) => read(PERCENT, text, "a percentage from 0 to 100", |text| Share::percent(text.parse().ok()?))?,
            None => Share::ALL,
        };
        Ok(Some(Faults {
            delay: delay.map(|text| self.delay(&text, share)).transpose()?,
            abort: abort.map(|text| abort_of(&text, share)).transpose()?,
            rate: rate.map(|text| rate_of(&text, share)).transpose()?,
        }))
    }

    fn trusts(&self, request: &Request) -> bool {
        let connection = request.connection();
        let in_range = || {
            let source = connection.source_ip().map(|address| address.to_canonical());
            source.is_some_and(|address| self.sources.iter().any(|range| range.contains(address)))
        };
        let is_known = || {
            let names = connection.client_identities();
            names.iter().any(|name| self.identities.iter().any(|pattern| pattern.matches(name)))
        };
        (self.trusted && connection.trusted())
            || (!self.sources.is_empty() && in_range())
            || (!self.identities.is_empty() && is_known())
    }

    fn delay(&self, text: &str, share: Share) -> Result<Delay, String> {
        let time = read(DELAY, text, "milliseconds", |text| text.parse().ok().map(Duration::from_millis))?;
        Ok(Delay { time: Time::fixed(time, self.delay_max), share })
    }
}

fn abort_of(text: &str, share: Share) -> Result<Abort, String> {
    let what = read(ABORT, text, "a status, `grpc` and a code, or `reset`", |text| match text.split_once(' ') {
        Some(("grpc", code)) => Some(What::Grpc(GrpcStatus::of(code.parse().ok()?)?.0, config::injected())),
        None if text == "reset" => Some(What::Reset),
        None => Some(What::Status(Status::of(text.parse().ok()?)?.0, config::injected())),
        Some(_) => None,
    })?;
    Ok(Abort { what, share })
}

fn rate_of(text: &str, share: Share) -> Result<Rate, String> {
    let rate = read(RATE, text, "bytes a second, at least 1", |text| text.parse().ok().filter(|rate| *rate > 0))?;
    Ok(Rate { bytes_per_second: rate, share })
}

fn read<T>(name: &str, text: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    parse(text.trim()).ok_or_else(|| format!("{name}: expected {expected}, found {text:?}"))
}
