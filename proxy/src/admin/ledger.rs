//! What has happened to each filter since the process began. Written by whoever swaps snapshots, read by the admin.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::snapshot::Snapshot;

/// One filter's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When its present module went live.
    pub since: SystemTime,
    /// How often another module has taken its place.
    pub swaps: u64,
    /// The last load that failed since the last one that did not.
    pub failed: Option<Failed>,
    hash: Arc<str>,
}

/// A load that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub at: SystemTime,
    pub error: String,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<BTreeMap<Arc<str>, Entry>>);

impl Ledger {
    /// A snapshot went live.
    pub fn live(&self, snapshot: &Snapshot) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|name, _| snapshot.filters.contains_key(name));
        let now = SystemTime::now();
        for (name, filter) in &snapshot.filters {
            let hash = &filter.module.hash;
            let entry = entries.entry(Arc::clone(name)).or_insert_with(|| Entry::new(now, hash));
            if entry.hash != *hash {
                *entry = Entry { swaps: entry.swaps + 1, ..Entry::new(now, hash) };
            }
        }
    }

    /// A load of these filters' module failed; what served goes on serving.
    pub fn failed<'a>(&self, filters: impl Iterator<Item = &'a str>, error: &str) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for filter in filters {
            if let Some(entry) = entries.get_mut(filter) {
                entry.failed = Some(Failed { at: SystemTime::now(), error: error.to_owned() });
            }
        }
    }

    /// A load of these filters' module went well although nothing about it was new.
    pub fn healed<'a>(&self, filters: impl Iterator<Item = &'a str>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for filter in filters {
            if let Some(entry) = entries.get_mut(filter) {
                entry.failed = None;
            }
        }
    }

    pub fn of(&self, filter: &str) -> Entry {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(filter).cloned().unwrap_or_else(|| Entry::new(SystemTime::now(), &"".into()))
    }
}

impl Entry {
    fn new(since: SystemTime, hash: &Arc<str>) -> Self {
        Self { since, swaps: 0, failed: None, hash: Arc::clone(hash) }
    }
}
