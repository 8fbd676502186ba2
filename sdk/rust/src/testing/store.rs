//! Stores in memory, and the decisions about rates over them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::host::quota::{Ask, Decision, Kind};
use super::host::store::Error;

const KEY_BYTES_MAX: usize = 1024;
const VALUE_BYTES_MAX: usize = 64 * 1024;
const ASKS_MAX: usize = 64;
/// Nobody knows when an exchange will end.
const CONCURRENCY_RETRY_MS: u64 = 1000;

/// Stores by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Stores(pub BTreeMap<String, Store>);

#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    values: BTreeMap<String, Value>,
    quotas: BTreeMap<Name, Quota>,
    unavailable: bool,
}

#[derive(Debug, Clone)]
struct Value {
    bytes: Vec<u8>,
    ends: Option<Duration>,
}

/// What a quota is: the same key under another limit is another one.
type Name = (Kind, u64, u64, String);

/// How much of a quota is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quota {
    /// When all would be back, in nanoseconds since the epoch times the limit, so that nothing is rounded.
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

    /// Numbers are kept as decimal digits. What is no number stays what it is.
    pub(super) fn increment(&mut self, key: &str, by: i64, ttl_ms: Option<u64>, now: Duration) -> Result<i64, Error> {
        let number = |bytes: &[u8]| str::from_utf8(bytes).ok().and_then(|digits| digits.parse::<i64>().ok());
        let present = self.get(key, now).map(|bytes| number(bytes).ok_or(Error::Unavailable)).transpose()?;
        let sum = present.unwrap_or(0).saturating_add(by);
        match (present, self.values.get_mut(key)) {
            (Some(_), Some(value)) => value.bytes = sum.to_string().into_bytes(),
            _ => self.set(key, sum.to_string().as_bytes(), ttl_ms, now)?,
        }
        Ok(sum)
    }

    /// All or nothing.
    pub(super) fn take(&mut self, asks: &[Ask], now: Duration) -> Result<Vec<Decision>, Error> {
        if asks.len() > ASKS_MAX || asks.iter().any(|ask| ask.key.len() > KEY_BYTES_MAX) {
            return Err(Error::TooLarge);
        }
        let before = self.quotas.clone();
        let denied: Vec<Option<u64>> = asks.iter().map(|ask| self.judge(ask, now)).collect();
        if denied.iter().any(Option::is_some) {
            self.quotas = before;
        }
        Ok(asks.iter().zip(denied).map(|(ask, denied)| self.decision(ask, denied, now)).collect())
    }

    pub(super) fn give_back(&mut self, ask: &Ask) {
        if let Some(Quota::Concurrency(used)) = self.quotas.get_mut(&name(ask)) {
            *used = used.saturating_sub(ask.cost);
        }
    }

    /// Takes it, or says after how many milliseconds asking again may help.
    fn judge(&mut self, ask: &Ask, now: Duration) -> Option<u64> {
        if ask.cost == 0 {
            return None;
        }
        let most = if ask.kind == Kind::Rate { ask.burst } else { ask.limit };
        let empty = ask.kind != Kind::Concurrency && (ask.window_ms == 0 || ask.limit == 0);
        if empty || ask.cost > most {
            return Some(u64::MAX);
        }
        let quota = match self.quota(ask, now) {
            Quota::Rate(back) => {
                let latest = scaled(ask, now) + token(ask) * u128::from(ask.burst);
                let wanted = back + token(ask) * u128::from(ask.cost);
                if wanted > latest {
                    return Some(ms((wanted - latest).div_ceil(u128::from(ask.limit))));
                }
                Quota::Rate(wanted)
            }
            Quota::Calendar(window, used) if used + ask.cost <= ask.limit => Quota::Calendar(window, used + ask.cost),
            Quota::Calendar(window, _) => return Some(ms((window + 1) * token(ask) - now.as_nanos()).max(1)),
            Quota::Concurrency(used) if used + ask.cost <= ask.limit => Quota::Concurrency(used + ask.cost),
            Quota::Concurrency(_) => return Some(CONCURRENCY_RETRY_MS),
        };
        self.quotas.insert(name(ask), quota);
        None
    }

    fn decision(&self, ask: &Ask, denied: Option<u64>, now: Duration) -> Decision {
        let empty = ask.kind != Kind::Concurrency && (ask.window_ms == 0 || ask.limit == 0);
        let (remaining, reset_after_ms) = match self.quota(ask, now) {
            _ if empty => (0, 0),
            Quota::Rate(back) => {
                let owed = back - scaled(ask, now);
                let left = (token(ask) * u128::from(ask.burst)).saturating_sub(owed) / token(ask);
                (left as u64, ms(owed.div_ceil(u128::from(ask.limit))))
            }
            Quota::Calendar(_, 0) => (ask.limit, 0),
            Quota::Calendar(window, used) => (ask.limit.saturating_sub(used), ms((window + 1) * token(ask) - now.as_nanos())),
            Quota::Concurrency(used) => (ask.limit.saturating_sub(used), if used == 0 { 0 } else { CONCURRENCY_RETRY_MS }),
        };
        Decision { allowed: denied.is_none(), remaining, retry_after_ms: denied.unwrap_or(0), reset_after_ms }
    }

    fn quota(&self, ask: &Ask, now: Duration) -> Quota {
        match (ask.kind, self.quotas.get(&name(ask))) {
            (Kind::Rate, Some(Quota::Rate(back))) => Quota::Rate((*back).max(scaled(ask, now))),
            (Kind::Rate, _) => Quota::Rate(scaled(ask, now)),
            (Kind::Calendar, present) => {
                let window = now.as_nanos() / token(ask).max(1);
                match present {
                    Some(Quota::Calendar(then, used)) if *then == window => Quota::Calendar(window, *used),
                    _ => Quota::Calendar(window, 0),
                }
            }
            (Kind::Concurrency, Some(Quota::Concurrency(used))) => Quota::Concurrency(*used),
            (Kind::Concurrency, _) => Quota::Concurrency(0),
        }
    }
}

fn name(ask: &Ask) -> Name {
    let window = if ask.kind == Kind::Concurrency { 0 } else { ask.window_ms };
    (ask.kind, ask.limit, window, ask.key.clone())
}

/// A window in nanoseconds: what one token takes to come back, on a clock that runs `limit` times as fast.
fn token(ask: &Ask) -> u128 {
    u128::from(ask.window_ms) * 1_000_000
}

fn scaled(ask: &Ask, now: Duration) -> u128 {
    now.as_nanos() * u128::from(ask.limit)
}

/// Nanoseconds, rounded up.
fn ms(ns: u128) -> u64 {
    ns.div_ceil(1_000_000) as u64
}
