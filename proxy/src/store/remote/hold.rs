//! What runs at once. A process counts what it holds of each quota, and tells Redis the whole count: what is told twice or late
//! does no harm, and a process that is killed is forgotten after the hold time.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Remote;

/// What this process holds of the quotas of a store, by their keys in Redis.
#[derive(Debug, Default)]
pub struct Holds {
    counts: Mutex<HashMap<Arc<str>, u64>>,
    /// Counts that have changed since Redis was told.
    changed: Mutex<HashSet<Arc<str>>>,
    /// Orders what is told.
    said: AtomicU64,
}

/// So much of one, until it is dropped.
#[derive(Debug)]
pub struct HeldThere {
    remote: Arc<Remote>,
    key: Arc<str>,
    cost: u64,
}

/// A count as it is told.
#[derive(Debug, Clone)]
pub struct Told {
    pub key: Arc<str>,
    pub held: u64,
    pub said: u64,
}

impl HeldThere {
    /// Counts at once, before Redis has been asked: what is asked for at the same time sees it.
    pub fn begin(remote: &Arc<Remote>, key: &str, cost: u64) -> Self {
        let holds = &remote.holds;
        let mut counts = locked(&holds.counts);
        let key = match counts.get_key_value(key) {
            Some((key, _)) => Arc::clone(key),
            None => Arc::from(key),
        };
        let count = counts.entry(Arc::clone(&key)).or_default();
        *count = count.saturating_add(cost);
        Self { remote: Arc::clone(remote), key, cost }
    }
}

impl Drop for HeldThere {
    fn drop(&mut self) {
        let holds = &self.remote.holds;
        let mut counts = locked(&holds.counts);
        if let Some(count) = counts.get_mut(&self.key) {
            *count = count.saturating_sub(self.cost);
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
        drop(counts);
        locked(&holds.changed).insert(Arc::clone(&self.key));
        self.remote.link.wake.notify_one();
    }
}

impl Holds {
    /// What is held of one now, in the words of a script.
    pub fn tell(&self, key: &str) -> (u64, u64) {
        let counts = locked(&self.counts);
        // While nobody else counts, so that what is said later is also newer.
        (counts.get(key).copied().unwrap_or(0), self.said.fetch_add(1, Ordering::Relaxed))
    }

    /// What has changed since it was told last; `all`: and everything that is held.
    pub fn changed(&self, all: bool) -> Vec<Told> {
        let mut keys = std::mem::take(&mut *locked(&self.changed));
        if all {
            keys.extend(locked(&self.counts).keys().cloned());
        }
        keys.into_iter()
            .map(|key| {
                let (held, said) = self.tell(&key);
                Told { key, held, said }
            })
            .collect()
    }

    /// It could not be told.
    pub fn again(&self, told: Vec<Told>) {
        locked(&self.changed).extend(told.into_iter().map(|told| told.key));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
