//! Small state that lasts.

use crate::testing::hand::with_process;
use crate::testing::store::Store;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    NotAllowed,
    Unavailable,
    TooLarge,
}

/// The store of that name, and the time.
fn with_store<T>(name: &str, call: impl FnOnce(&mut Store, std::time::Duration) -> Result<T, Error>) -> Result<T, Error> {
    with_process(|process| {
        let now = process.clock.now();
        call(process.stores.find(name)?, now)
    })
}

pub fn get(store: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
    with_store(store, |store, now| Ok(store.get(key, now).map(<[u8]>::to_vec)))
}

pub fn set(store: &str, key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Error> {
    with_store(store, |store, now| store.set(key, value, ttl_ms, now))
}

pub fn compare_and_set(
    store: &str,
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    ttl_ms: Option<u64>,
) -> Result<bool, Error> {
    with_store(store, |store, now| {
        if store.get(key, now) != expected {
            return Ok(false);
        }
        store.set(key, value, ttl_ms, now)?;
        Ok(true)
    })
}

pub fn delete(store: &str, key: &str) -> Result<(), Error> {
    with_store(store, |store, _| {
        store.delete(key);
        Ok(())
    })
}

pub fn increment(store: &str, key: &str, by: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
    with_store(store, |store, now| store.increment(key, by, ttl_ms, now))
}
