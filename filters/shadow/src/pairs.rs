//! The last pairs of answers that differed, newest first, as one value of a store, where the admin shows it.

use serde_json::Value;
use tamis_sdk::log;
use tamis_sdk::store::{Error, Store};

/// Others may write at the same moment; after so many times a pair is left out: the next one will do as well.
const ATTEMPTS_MAX: usize = 4;

/// Puts one in front of those that are there. Where they do not fit into one value, the oldest go.
pub fn keep(store: &Store, rule: &str, pairs_max: usize, pair: Value) {
    let key = format!("shadow.{rule}");
    for _ in 0..ATTEMPTS_MAX {
        match attempt(store, &key, pairs_max, &pair) {
            Ok(true) => return,
            Ok(false) => {}
            Err(why) => return log::warn!("a pair that differs is not kept: {why}"),
        }
    }
}

fn attempt(store: &Store, key: &str, pairs_max: usize, pair: &Value) -> Result<bool, Error> {
    let present = store.get(key)?;
    let known = present.as_deref().and_then(|json| serde_json::from_slice::<Vec<Value>>(json).ok()).unwrap_or_default();
    let mut pairs: Vec<Value> = std::iter::once(pair.clone()).chain(known).take(pairs_max).collect();
    loop {
        let json = Value::from(pairs.clone()).to_string();
        match store.compare_and_set(key, present.as_deref(), json, None) {
            Err(Error::TooLarge) if pairs.len() > 1 => pairs.truncate(pairs.len() / 2),
            other => return other,
        }
    }
}
