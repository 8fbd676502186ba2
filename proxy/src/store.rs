//! Stores: small state that every worker shares, and quotas over it.
//!
//! A store is bounded in keys and in bytes; what is new pushes out what has expired, then what is used least. Nothing here
//! waits: a lock is held for one operation on one shard (for `take`, on the shards of its quotas), never longer.

mod clock;
mod memory;
pub mod quota;
mod shard;

use std::collections::HashMap;
use std::sync::Arc;

pub use clock::Now;
pub use memory::Store;
pub use quota::{Ask, Decision, Held, Kind};

/// What the filter is told, in the words of wit/.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such store, or the filter is not granted it.
    #[error("the store is not granted")]
    NotAllowed,
    /// The store cannot do it now, or not with the value that is there.
    #[error("the store cannot do it")]
    Unavailable,
    /// Key or value is longer than the store allows, or there are too many quotas at once.
    #[error("too large for the store")]
    TooLarge,
}

/// The stores of one snapshot.
pub type Stores = HashMap<Arc<str>, Arc<Store>>;

/// A key, and which of the things that are kept under it is meant.
#[derive(Debug, Clone, Copy)]
struct Name<'a> {
    space: Space,
    /// Empty: the keys that everybody sees.
    namespace: &'a str,
    key: &'a str,
}

/// Values and quotas of one key do not touch each other, nor do quotas of another kind, limit or window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Space {
    Value,
    Quota { kind: Kind, limit: u64, window_ms: u64 },
}

/// A store as one filter reaches it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    store: Arc<Store>,
    namespace: Arc<str>,
}

impl Access {
    /// The keys that everybody sees.
    pub fn new(store: Arc<Store>) -> Self {
        Self::within(store, "".into())
    }

    /// Keys that only users of the same namespace see: for a filter that is tried out and must change nothing for others.
    pub fn within(store: Arc<Store>, namespace: Arc<str>) -> Self {
        Self { store, namespace }
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The value, or none if there is no such key, or no longer.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.store.get(self.value(key), Now::read())
    }

    /// Without a time to live, the value stays until it is deleted or pushed out.
    pub fn set(&self, key: &str, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<(), Error> {
        self.store.set(self.value(key), value, ttl_ms, Now::read())
    }

    /// Writes only if the present value is `expected`; false if it is not.
    pub fn compare_and_set(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Result<bool, Error> {
        self.store.compare_and_set(self.value(key), expected, value, ttl_ms, Now::read())
    }

    /// No error if there is no such key.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        self.store.delete(self.value(key))
    }

    /// Adds to a number that begins at zero, and returns the sum; see [`Store::increment`].
    pub fn increment(&self, key: &str, by: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
        self.store.increment(self.value(key), by, ttl_ms, Now::read())
    }

    /// All or nothing; see [`quota`]. What is held at once goes into `held`, and is given back when that is dropped.
    pub fn take(&self, asks: &[Ask], held: &mut Vec<Held>) -> Result<Vec<Decision>, Error> {
        self.store.take(&self.namespace, asks, Now::read(), held)
    }

    fn value<'a>(&'a self, key: &'a str) -> Name<'a> {
        Name { space: Space::Value, namespace: &self.namespace, key }
    }
}

/// Two are equal when they reach the same keys of the same store, which is how a snapshot knows what to carry over.
impl PartialEq for Access {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.store, &other.store) && self.namespace == other.namespace
    }
}
