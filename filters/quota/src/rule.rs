//! One rule: whom it is for, whose quota it takes of, and how much.

use matching::{Key, Matcher};
use std::time::Duration;

use tamis_sdk::clock;
use tamis_sdk::prelude::*;
use tamis_sdk::quota::Ask;

use crate::config::{Cost, RuleConfig};
use crate::limit::Limit;

/// Limits of one rule: the proxy decides about 64 at once.
const LIMITS_MAX: usize = 8;

#[derive(Debug)]
pub struct Rule {
    pub name: String,
    matcher: Matcher,
    key: Option<Key>,
    pub limits: Vec<Limit>,
    burst: Option<u64>,
    pub concurrency: Option<u64>,
    cost: Cost,
    pub dry_run: bool,
}

impl Rule {
    /// Without a name it is called by its position, counted from one.
    pub fn build(config: RuleConfig, position: usize) -> Result<Self, ConfigError> {
        let RuleConfig { name, matches, key, limit, burst, concurrency, cost, dry_run } = config;
        let limits = limit.0;
        if limits.is_empty() && concurrency.is_none() {
            return Err(ConfigError::new("expected `limit` or `concurrency`, found neither"));
        }
        if limits.len() > LIMITS_MAX {
            let message = format!("expected at most {LIMITS_MAX} limits, found {}", limits.len());
            return Err(ConfigError::new(message).within("limit"));
        }
        if concurrency == Some(0) {
            return Err(ConfigError::new("expected at least 1, found 0").within("concurrency"));
        }
        let rates = limits.iter().any(|limit| !limit.unit.is_calendar());
        match burst {
            Some(_) if !rates => {
                return Err(ConfigError::new("expected a limit per s, m or h beside it, found none").within("burst"));
            }
            Some(0) => return Err(ConfigError::new("expected at least 1, found 0").within("burst")),
            _ => {}
        }
        let name = name.map_or_else(|| format!("rule-{}", position + 1), |name| name.0);
        Ok(Rule { name, matcher: matches, key, limits, burst, concurrency, cost, dry_run })
    }

    /// What it asks for; `None` if it is not for this exchange.
    pub fn asks(&self, request: &Request) -> Option<Vec<Ask>> {
        if !self.matcher.holds(request) {
            return None;
        }
        let value = match &self.key {
            Some(key) => key.value(request, self.matcher.pattern())?,
            None => String::new(),
        };
        Some(self.asks_of(&value, self.cost(request)))
    }

    /// The same for a raw connection, which costs what a request costs that says nothing of it.
    pub fn asks_for(&self, connection: &Connection) -> Option<Vec<Ask>> {
        if !self.matcher.holds_for(connection) {
            return None;
        }
        let value = match &self.key {
            Some(key) => key.value_for(connection)?,
            None => String::new(),
        };
        Some(self.asks_of(&value, self.cost.default.min(self.cost.max)))
    }

    fn asks_of(&self, value: &str, cost: u64) -> Vec<Ask> {
        let key = format!("{}:{value}", self.name);
        let mut asks = Vec::with_capacity(self.limits.len() + 1);
        let now = if self.limits.is_empty() { Duration::ZERO } else { clock::now() };
        // Rates over longer times save up all of theirs: what holds back a second would starve an hour.
        let shortest = self.limits.iter().map(|limit| limit.unit).min();
        for limit in &self.limits {
            let burst = self.burst.filter(|_| Some(limit.unit) == shortest);
            let window = limit.unit.window(now).length;
            let ask = if limit.unit.is_calendar() {
                Ask::calendar(&key, limit.count, window)
            } else {
                Ask::rate(&key, limit.count, window).burst(burst.unwrap_or(limit.count))
            };
            asks.push(ask.cost(cost));
        }
        asks.extend(self.concurrency.map(|at_once| Ask::concurrency(&key, at_once)));
        asks
    }

    /// What is not a number in the header counts as the default: who sends nonsense does not go free.
    fn cost(&self, request: &Request) -> u64 {
        let header = self.cost.header.as_ref().and_then(|name| request.header(&name.0));
        let header = header.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        let method = || {
            let methods = &self.cost.methods;
            if methods.is_empty() {
                return None;
            }
            let method = request.method();
            methods.iter().find(|(name, _)| name.0 == method.as_str()).map(|(_, cost)| *cost)
        };
        header.or_else(method).unwrap_or(self.cost.default).min(self.cost.max)
    }
}
