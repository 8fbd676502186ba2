//! How an exchange is to be treated on its way: time, retries, endpoints, what comes after this chain.

use std::time::Duration;

use matching::{Key, Pattern, Template};
use tamis_sdk::prelude::*;

use crate::config;

/// Occasions that the proxy knows by name; beside them stand status codes.
const OCCASIONS: [&str; 12] = [
    "connect",
    "reset",
    "timeout",
    "5xx",
    "gateway-error",
    "retriable-4xx",
    "refused-stream",
    "cancelled",
    "deadline-exceeded",
    "resource-exhausted",
    "internal",
    "unavailable",
];
/// Where nothing is said: nothing has reached the service then, so that even what must not be done twice may be tried again.
const SAFE: [&str; 2] = ["connect", "refused-stream"];

#[derive(Debug, Default)]
pub struct Settings {
    timeout: Option<Duration>,
    retry: Option<Retry>,
    hash_key: Option<Key>,
    subset: Vec<(String, Template)>,
    fallback: Option<String>,
    chain: Option<String>,
}

#[derive(Debug)]
struct Retry {
    attempts: u32,
    on: Vec<String>,
    per_try: Option<Duration>,
}

impl Settings {
    pub fn build(route: &mut config::Route) -> Result<Self, ConfigError> {
        Ok(Settings {
            timeout: route.timeout.take(),
            retry: route.retry.take().map(Retry::build).transpose().map_err(|error| error.within("retry"))?,
            hash_key: route.hash_key.take(),
            subset: std::mem::take(&mut route.subset).into_iter().collect(),
            fallback: route.fallback.take(),
            chain: route.chain.take(),
        })
    }

    /// A reply where the exchange must not go on: a chain that is not there may be the one that decides about access.
    pub fn apply(&self, request: &mut Request, pattern: &Pattern) -> Result<(), Reply> {
        let mut destination = request.destination();
        if let Some(timeout) = self.timeout {
            destination.set_timeout((!timeout.is_zero()).then_some(timeout));
        }
        if let Some(retry) = &self.retry {
            let on: Vec<&str> = retry.on.iter().map(String::as_str).collect();
            told(destination.set_retry(retry.attempts, &on, retry.per_try));
        }
        if let Some(key) = &self.hash_key
            && let Some(key) = key.value(request, Some(pattern))
        {
            destination.set_hash_key(key);
        }
        if !self.subset.is_empty() {
            let text = |template: &Template| String::from_utf8_lossy(&template.expand(request)).into_owned();
            let labels: Vec<(&str, String)> = self.subset.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
            let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            destination.set_subset(&labels);
        }
        if let Some(fallback) = &self.fallback {
            told(destination.set_fallback(fallback));
        }
        if let Some(chain) = &self.chain
            && let Err(why) = destination.set_chain(chain)
        {
            log::error!("{why}");
            return Err(Reply::new(StatusCode::SERVICE_UNAVAILABLE).text("unknown chain\n"));
        }
        Ok(())
    }
}

impl Retry {
    fn build(retry: config::Retry) -> Result<Self, ConfigError> {
        if retry.attempts == 0 {
            return Err(ConfigError::at("attempts", "expected at least 1, found 0"));
        }
        for (position, occasion) in retry.on.0.iter().enumerate() {
            let status = occasion.parse::<u16>().is_ok_and(|status| (100..600).contains(&status));
            if !status && !OCCASIONS.contains(&occasion.as_str()) {
                let known = OCCASIONS.map(|word| format!("`{word}`")).join(", ");
                let message = format!("expected {known} or a status code such as \"503\", found \"{occasion}\"");
                return Err(ConfigError::at(format_args!("on[{position}]"), message));
            }
        }
        let on = if retry.on.0.is_empty() { SAFE.map(str::to_owned).to_vec() } else { retry.on.0 };
        Ok(Retry { attempts: retry.attempts, on, per_try: retry.per_try_timeout })
    }
}

/// The exchange is well without it.
fn told(result: Result<(), Refused>) {
    if let Err(why) = result {
        log::error!("{why}");
    }
}
