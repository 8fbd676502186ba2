//! Delays, aborts and slows down exchanges on purpose, to see how those who wait for them get along. README.md has every option.

mod asked;
mod config;
mod delay;
mod draw;
mod fault;
mod until;

use tamis_sdk::metrics::Counter;
use tamis_sdk::prelude::*;
use tamis_sdk::quota::{self, Ask};
use tamis_sdk::store::Store;

use asked::{AskedBy, BY_HEADER};
use draw::Draw;
use fault::{Abort, Faults, Rule};

/// The note that the access log has.
const NOTE: &str = "fault";
/// Whose quota it is. Filters with the same store share it.
const DELAYED_KEY: &str = "fault.delayed";

/// The rules of one configuration.
#[derive(Debug)]
pub struct Fault {
    rules: Vec<Rule>,
    asked_by: Option<AskedBy>,
    seed: Option<u64>,
    cap: Option<(Store, u64)>,
    injected: Counter,
    capped: Counter,
}

impl Filter for Fault {
    type Config = config::Config;

    fn configure(config: config::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        let cap = match (config.delayed_max, config.store) {
            (Some(limit), Some(store)) => Some((Store::from(store), limit)),
            (None, None) => None,
            (Some(_), None) => return Err(ConfigError::at("delayed-max", "expected a `store` that counts, found none")),
            (None, Some(_)) => return Err(ConfigError::at("store", "expected `delayed-max` beside it, found none")),
        };
        let injected = setup.counter("fault_injected_total", "Faults by rule and kind", &["rule", "fault"]);
        let capped = setup.counter("fault_capped_total", "Delays that were left out because of `delayed-max`", &["rule"]);
        Ok(Fault {
            rules: fault::build(config.rules)?,
            asked_by: config.asked_by.map(AskedBy::build).transpose().map_err(|error| error.within("asked-by"))?,
            seed: config.seed,
            cap,
            injected: injected.map_err(ConfigError::new)?,
            capped: capped.map_err(ConfigError::new)?,
        })
    }
}

impl RequestHook for Fault {
    fn on_request(&self, request: &mut Request) -> Verdict {
        if let Some(asked_by) = &self.asked_by {
            match asked_by.take(request) {
                Ok(None) => {}
                Ok(Some(asked)) => {
                    let draw = Draw::new(self.seed, BY_HEADER, None, request);
                    return self.inject(BY_HEADER, &asked, &draw, request);
                }
                Err(why) => return Reply::new(StatusCode::BAD_REQUEST).text(&format!("{why}\n")).into(),
            }
        }
        match self.rules.iter().find(|rule| rule.is_for(request)) {
            Some(rule) => {
                let key = rule.key.as_ref().and_then(|key| key.value(request, rule.matches.pattern()));
                let draw = Draw::new(self.seed, &rule.name, key.as_deref(), request);
                self.inject(&rule.name, &rule.faults, &draw, request)
            }
            None => Verdict::Next,
        }
    }
}

tamis_sdk::export!(Fault: request);
tamis_sdk::config_schema!("schema.json");

impl Fault {
    /// Each fault is drawn by itself. The delay comes first, so that an abort can come late.
    fn inject(&self, rule: &str, faults: &Faults, draw: &Draw, request: &mut Request) -> Verdict {
        let mut told = Vec::new();
        let count = |fault: &str| self.injected.add(&[rule, fault], 1.0);
        let delay = faults.delay.as_ref().filter(|delay| draw.is_in(delay.share, "delay"));
        let rate = faults.rate.filter(|rate| draw.is_in(rate.share, "rate"));
        let abort = faults.abort.as_ref().filter(|abort| draw.is_in(abort.share, "abort"));
        if let Some(rate) = rate.filter(|_| abort.is_none()) {
            count("rate");
            told.push(format!("rate {}", rate.bytes_per_second));
            request.destination().set_response_rate(Some(rate.bytes_per_second));
        }
        let time = delay.map(|delay| delay.time.draw(draw)).filter(|time| !time.is_zero() && self.has_room(rule));
        if let Some(time) = time {
            count("delay");
            told.push(format!("delay {}ms", time.as_millis()));
        }
        if let Some(abort) = abort {
            count("abort");
            told.push(abort.what.to_string());
        }
        if !told.is_empty() {
            request.notes().set(NOTE, &format!("{rule}: {}", told.join(", ")));
        }
        if let Some(time) = time {
            clock::sleep(time);
        }
        match abort {
            None => Verdict::Next,
            Some(Abort { what, .. }) => what.verdict(),
        }
    }

    /// Whether one more exchange may be delayed. It counts until the exchange has ended, as everything does that is held.
    fn has_room(&self, rule: &str) -> bool {
        let Some((store, limit)) = &self.cap else { return true };
        match quota::take(store, &[Ask::concurrency(DELAYED_KEY, *limit)]) {
            Ok(decisions) if decisions.iter().all(|decision| decision.allowed) => true,
            Ok(_) => {
                self.capped.add(&[rule], 1.0);
                false
            }
            Err(why) => {
                log::warn!("no delay, for nobody can count them: {why}");
                false
            }
        }
    }
}
