//! Stores in memory, and the decisions about rates over them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::host::quota::{Ask, Decision, Kind};
use super::host::store::Error;

const KEY_BYTES_MAX: usize = 1024;
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Stores by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Stores(pub BTreeMap<String, Store>);

#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    values: BTreeMap<String, Value>,
    quotas: BTreeMap<String, Quota>,
    unavailable: bool,
}

#[derive(Debug, Clone)]
struct Value {
    bytes: Vec<u8>,
    ends: Option<Duration>,
}

/// How much of a quota is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quota {
    /// When the last taken token will be back, in nanoseconds since the epoch.
    Rate(u128),
    /// The number of the window, and what was taken in it.
    Calendar(u128, u64),
    Concurrency(u64),
}

impl Stores {
    pub(super) fn find(&mut self, name: &str) -> Result<&mut Store, Error> {
        match self.0.get_mut(name) {
            None => Err(Error::NotAllowed),
            Some(store) if store.unavailable => Err(Error::Unavailable),
            Some(store) => Ok(store),
        }
    }
}

impl Store {
    pub(super) fn unavailable() -> Self {
        Store { unavailable: true, ..Store::default() }
    }

    pub(super) fn get(&self, key: &str, now: Duration) -> Option<&[u8]> {
        let value = self.values.get(key)?;
        value.ends.is_none_or(|ends| now < ends).then_some(value.bytes.as_slice())
    }

    pub(super) fn set(&mut self, key: &str, bytes: &[u8], ttl_ms: Option<u64>, now: Duration) -> Result<(), Error> {
        if key.len() > KEY_BYTES_MAX || bytes.len() > VALUE_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        let ends = ttl_ms.map(|ttl| now + Duration::from_millis(ttl));
        self.values.insert(key.to_owned(), Value { bytes: bytes.to_vec(), ends });
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &str) {
        self.values.remove(key);
    }

    /// Numbers are kept as decimal text. What is no number counts as none.
    pub(super) fn increment(&mut self, key: &str, by: i64, ttl_ms: Option<u64>, now: Duration) -> Result<i64, Error> {
        let present = self.get(key, now).map(|bytes| str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(0));
        let sum = i64::saturating_add(present.unwrap_or(0), by);
        match (present, self.values.get_mut(key)) {
            (Some(_), Some(value)) => value.bytes = sum.to_string().into_bytes(),
            _ => self.set(key, sum.to_string().as_bytes(), ttl_ms, now)?,
        }
        Ok(sum)
    }

    /// All or nothing.
    pub(super) fn take(&mut self, asks: &[Ask], now: Duration) -> Vec<Decision> {
        let before = self.quotas.clone();
        let taken: Vec<Decision> = asks.iter().map(|ask| self.decide(ask, ask.cost, now)).collect();
        if taken.iter().all(|decision| decision.allowed) {
            return taken;
        }
        self.quotas = before;
        let left = asks.iter().map(|ask| self.decide(ask, 0, now));
        let left = taken.iter().zip(left.collect::<Vec<_>>());
        left.map(|(decided, left)| Decision { remaining: left.remaining, reset_after_ms: left.reset_after_ms, ..*decided })
            .collect()
    }

    pub(super) fn give_back(&mut self, key: &str, cost: u64) {
        if let Some(Quota::Concurrency(taken)) = self.quotas.get_mut(key) {
            *taken = taken.saturating_sub(cost);
        }
    }

    fn decide(&mut self, ask: &Ask, cost: u64, now: Duration) -> Decision {
        let now_ns = now.as_nanos();
        match ask.kind {
            Kind::Rate => self.rate(ask, cost, now_ns),
            Kind::Calendar => {
                let length = u128::from(ask.window_ms.max(1)) * 1_000_000;
                let window = now_ns / length;
                let taken = match self.quotas.get(&ask.key) {
                    Some(Quota::Calendar(then, taken)) if *then == window => *taken,
                    _ => 0,
                };
                let over = ms((window + 1) * length - now_ns);
                let allowed = taken.saturating_add(cost) <= ask.limit;
                let taken = if allowed { taken + cost } else { taken };
                self.quotas.insert(ask.key.clone(), Quota::Calendar(window, taken));
                decision(allowed, ask.limit.saturating_sub(taken), over, over)
            }
            Kind::Concurrency => {
                let taken = match self.quotas.get(&ask.key) {
                    Some(Quota::Concurrency(taken)) => *taken,
                    _ => 0,
                };
                let allowed = taken.saturating_add(cost) <= ask.limit;
                let taken = if allowed { taken + cost } else { taken };
                self.quotas.insert(ask.key.clone(), Quota::Concurrency(taken));
                decision(allowed, ask.limit.saturating_sub(taken), 1, 0)
            }
        }
    }

    /// GCRA: each token takes its time to come back, and as many as the burst may be owed.
    fn rate(&mut self, ask: &Ask, cost: u64, now: u128) -> Decision {
        if ask.limit == 0 {
            return decision(cost == 0, 0, ask.window_ms, ask.window_ms);
        }
        let each = (u128::from(ask.window_ms) * 1_000_000 / u128::from(ask.limit)).max(1);
        let full = each * u128::from(ask.burst.max(1));
        let owed = match self.quotas.get(&ask.key) {
            Some(Quota::Rate(back)) => (*back).max(now),
            _ => now,
        };
        let wanted = owed + each * u128::from(cost);
        let allowed = wanted <= now + full;
        let back = if allowed { wanted } else { owed };
        self.quotas.insert(ask.key.clone(), Quota::Rate(back));
        let left = (now + full).saturating_sub(back) / each;
        decision(allowed, left as u64, ms(wanted.saturating_sub(now + full)), ms(back - now))
    }
}

fn decision(allowed: bool, remaining: u64, retry_after_ms: u64, reset_after_ms: u64) -> Decision {
    Decision { allowed, remaining, retry_after_ms: if allowed { 0 } else { retry_after_ms.max(1) }, reset_after_ms }
}

/// Nanoseconds, rounded up.
fn ms(ns: u128) -> u64 {
    ns.div_ceil(1_000_000) as u64
}
