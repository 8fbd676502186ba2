//! Stores: small state that every worker shares, and quotas over it.
//!
//! A store in memory is bounded in keys and in bytes; what is new pushes out what has expired, then what is used least. It never
//! waits: a lock is held for one operation on one shard (for `take`, on the shards of its quotas), never longer. One in Redis
//! is shared by a fleet, and waits for it.

mod clock;
mod memory;
pub mod quota;
#[cfg(feature = "redis")]
mod remote;
mod shard;

use std::collections::HashMap;
use std::sync::Arc;

pub use clock::Now;
pub use memory::Memory;
pub use quota::{Ask, Decision, Held, Kind};
#[cfg(feature = "redis")]
pub use remote::{Counts, Remote};

use crate::config;

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
pub type Stores = HashMap<Arc<str>, Store>;

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

/// A store of a snapshot. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Store {
    Memory(Arc<Memory>),
    #[cfg(feature = "redis")]
    Redis(Arc<Remote>),
}

impl Store {
    /// Builds a store, or carries the previous one over when nothing about it has changed.
    pub fn build(name: &Arc<str>, config: &Arc<config::Store>, previous: Option<&Self>) -> Self {
        if let Some(previous) = previous.filter(|previous| previous.config() == config) {
            return previous.clone();
        }
        match &config.backend {
            config::Backend::Memory => Self::Memory(Memory::build(name, config)),
            #[cfg(feature = "redis")]
            config::Backend::Redis(redis) => Self::Redis(Remote::build(name, config, redis)),
            // It was refused when the configuration was read.
            #[cfg(not(feature = "redis"))]
            config::Backend::Redis(_) => Self::Memory(Memory::build(name, config)),
        }
    }

    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Memory(memory) => &memory.name,
            #[cfg(feature = "redis")]
            Self::Redis(remote) => &remote.name,
        }
    }

    fn config(&self) -> &Arc<config::Store> {
        match self {
            Self::Memory(memory) => &memory.config,
            #[cfg(feature = "redis")]
            Self::Redis(remote) => &remote.config,
        }
    }

    /// What is kept in this process: all of it, or what decides while the backend is lost.
    pub fn memory(&self) -> &Arc<Memory> {
        match self {
            Self::Memory(memory) => memory,
            #[cfg(feature = "redis")]
            Self::Redis(remote) => remote.memory(),
        }
    }

    /// Where it is elsewhere.
    #[cfg(feature = "redis")]
    pub fn remote(&self) -> Option<&Remote> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(remote) => Some(remote),
        }
    }

    /// An operation may have to wait for somebody else.
    pub fn waits(&self) -> bool {
        !matches!(self, Self::Memory(_))
    }

    /// Connects, if there is anything to connect to. Whoever has time waits until that has been tried once, so that the first
    /// exchange finds a connection.
    pub fn begin(&self, wait: Option<std::time::Duration>) {
        match self {
            Self::Memory(_) => {
                let _ = wait;
            }
            #[cfg(feature = "redis")]
            Self::Redis(remote) => remote.begin(wait),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Memory(one), Self::Memory(other)) => Arc::ptr_eq(one, other),
            #[cfg(feature = "redis")]
            (Self::Redis(one), Self::Redis(other)) => Arc::ptr_eq(one, other),
            #[cfg(feature = "redis")]
            _ => false,
        }
    }
}

/// A store as one filter reaches it. Cheap to clone. Nothing here waits where the store is in memory: such a future is ready
/// when it is first polled, and only what goes to a backend is kept in a box.
#[derive(Debug, Clone)]
pub struct Access {
    store: Store,
    namespace: Arc<str>,
}

impl Access {
    /// The keys that everybody sees.
    pub fn new(store: Store) -> Self {
        Self::within(store, "".into())
    }

    /// Keys that only users of the same namespace see: for a filter that is tried out and must change nothing for others.
    pub fn within(store: Store, namespace: Arc<str>) -> Self {
        Self { store, namespace }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The value, or none if there is no such key, or no longer.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        match &self.store {
            Store::Memory(memory) => memory.get(self.value(key), Now::read()),
            #[cfg(feature = "redis")]
            Store::Redis(remote) => Box::pin(remote.get(&self.namespace, key)).await,
        }
    }

    /// Without a time to live, the value stays until it is deleted or pushed out.
    pub async fn set(&self, key: &str, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<(), Error> {
        match &self.store {
            Store::Memory(memory) => memory.set(self.value(key), value, ttl_ms, Now::read()),
            #[cfg(feature = "redis")]
            Store::Redis(remote) => Box::pin(remote.set(&self.namespace, key, value, ttl_ms)).await,
        }
    }

    /// Writes only if the present value is `expected`; false if it is not.
    pub async fn compare_and_set(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Result<bool, Error> {
        match &self.store {
            Store::Memory(memory) => memory.compare_and_set(self.value(key), expected, value, ttl_ms, Now::read()),
            #[cfg(feature = "redis")]
            Store::Redis(remote) => Box::pin(remote.compare_and_set(&self.namespace, key, expected, value, ttl_ms)).await,
        }
    }

    /// No error if there is no such key.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        match &self.store {
            Store::Memory(memory) => memory.delete(self.value(key)),
            #[cfg(feature = "redis")]
            Store::Redis(remote) => Box::pin(remote.delete(&self.namespace, key)).await,
        }
    }

    /// Adds to a number that begins at zero, and returns the sum; see [`Memory::increment`].
    pub async fn increment(&self, key: &str, by: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
        match &self.store {
            Store::Memory(memory) => memory.increment(self.value(key), by, ttl_ms, Now::read()),
            #[cfg(feature = "redis")]
            Store::Redis(remote) => Box::pin(remote.increment(&self.namespace, key, by, ttl_ms)).await,
        }
    }

    /// All or nothing; see [`quota`]. What is held at once goes into `held`, and is given back when that is dropped.
    pub async fn take(&self, asks: &[Ask], held: &mut Vec<Held>) -> Result<Vec<Decision>, Error> {
        match &self.store {
            Store::Memory(memory) => memory.take(&self.namespace, asks, Now::read(), held),
            #[cfg(feature = "redis")]
            Store::Redis(remote) => Box::pin(remote.take(&self.namespace, asks, held)).await,
        }
    }

    fn value<'a>(&'a self, key: &'a str) -> Name<'a> {
        Name { space: Space::Value, namespace: &self.namespace, key }
    }
}

/// What becomes of a future that has nothing to wait for; `None` if it waits after all.
pub fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match std::pin::pin!(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

/// Two are equal when they reach the same keys of the same store, which is how a snapshot knows what to carry over.
impl PartialEq for Access {
    fn eq(&self, other: &Self) -> bool {
        self.store.is(&other.store) && self.namespace == other.namespace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_store_is_carried_over() {
        let config = Arc::new(config::Store::default());
        let store = Store::build(&"s".into(), &config, None);
        assert!(store.is(&Store::build(&"s".into(), &Arc::new((*config).clone()), Some(&store))));
        let other = Arc::new(config::Store { entries: 5000, ..(*config).clone() });
        assert!(!store.is(&Store::build(&"s".into(), &other, Some(&store))));
    }
}
