//! What a rule does to exchanges, ready to be done.

use std::fmt;

use matching::{Key, Matcher, Share};
use tamis_sdk::prelude::*;

use crate::config;
use crate::delay::Time;
use crate::until::Until;

/// A rule: for whom it is, and what happens to them.
#[derive(Debug)]
pub struct Rule {
    pub name: String,
    pub matches: Matcher,
    until: Option<Until>,
    pub key: Option<Key>,
    pub faults: Faults,
}

/// Each is for a share of the exchanges.
#[derive(Debug, Default)]
pub struct Faults {
    pub delay: Option<Delay>,
    pub abort: Option<Abort>,
    pub rate: Option<Rate>,
}

#[derive(Debug)]
pub struct Delay {
    pub time: Time,
    pub share: Share,
}

#[derive(Debug)]
pub struct Abort {
    pub what: What,
    pub share: Share,
}

/// What the client gets instead.
#[derive(Debug, PartialEq)]
pub enum What {
    Status(StatusCode, String),
    Grpc(u32, String),
    Reset,
}

#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub bytes_per_second: u64,
    pub share: Share,
}

/// Paths of errors are those of the configuration.
pub fn build(rules: Vec<config::Rule>) -> Result<Vec<Rule>, ConfigError> {
    let each = rules.into_iter().enumerate();
    each.map(|(at, rule)| Rule::build(rule).map_err(|error| error.within(format_args!("rules[{at}]")))).collect()
}

impl Rule {
    fn build(rule: config::Rule) -> Result<Self, ConfigError> {
        let delay = rule.delay.map(|delay| Ok(Delay { time: delay.time()?, share: delay.percent })).transpose();
        let abort = rule.abort.map(Abort::build).transpose();
        let rate = rule.response_rate.map(|rate| Rate { bytes_per_second: rate.bytes_per_second.0, share: rate.percent });
        let faults = Faults {
            delay: delay.map_err(|error: ConfigError| error.within("delay"))?,
            abort: abort.map_err(|error| error.within("abort"))?,
            rate,
        };
        if faults.delay.is_none() && faults.abort.is_none() && faults.rate.is_none() {
            return Err(ConfigError::new("expected some of `delay`, `abort` and `response-rate`, found none"));
        }
        Ok(Rule { name: rule.name, matches: rule.matches, until: rule.until, key: rule.key, faults })
    }

    /// A rule that is over is as if it were not there.
    pub fn is_for(&self, request: &Request) -> bool {
        self.matches.holds(request) && !self.until.is_some_and(|until| until.is_over(clock::now()))
    }
}

impl Abort {
    fn build(abort: config::Abort) -> Result<Self, ConfigError> {
        let what = match (abort.status, abort.grpc_status, abort.reset) {
            (Some(status), None, false) => What::Status(status.0, abort.message),
            (None, Some(code), false) => What::Grpc(code.0, abort.message),
            (None, None, true) => What::Reset,
            (None, None, false) => {
                return Err(ConfigError::new("expected one of `status`, `grpc-status` and `reset = true`, found none"));
            }
            _ => return Err(ConfigError::new("expected one of `status`, `grpc-status` and `reset = true`, found several")),
        };
        Ok(Abort { what, share: abort.percent })
    }
}

impl What {
    pub fn verdict(&self) -> Verdict {
        match self {
            What::Status(status, message) => Reply::new(*status).text(&format!("{message}\n")).into(),
            What::Grpc(code, message) => Reply::grpc(*code, message).into(),
            What::Reset => Verdict::Reset,
        }
    }
}

/// As the note has it.
impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Status(status, _) => write!(f, "abort {}", status.as_u16()),
            What::Grpc(code, _) => write!(f, "abort grpc {code}"),
            What::Reset => f.write_str("abort reset"),
        }
    }
}
