//! What has happened to each filter since the process began, and what is pushed over the file. Written by whoever swaps
//! snapshots, read by the admin.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::config::Running;
use super::versions::{Base, Part, Versions};
use crate::filter::Filter;
use crate::snapshot::Snapshot;

/// One filter's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When its present module and configuration went live.
    pub since: SystemTime,
    /// How often another module has taken its place.
    pub swaps: u64,
    /// The last load that failed since the last one that did not.
    pub failed: Option<Failed>,
    /// Modules and configurations that went live, the first one included, and those that did not.
    pub loads: u64,
    pub loads_failed: u64,
    hash: Arc<str>,
    config: Arc<str>,
}

/// A load that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub at: SystemTime,
    pub error: String,
}

/// What is pushed over the file for one filter, and how it stands to what the file says now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub versions: Arc<Versions>,
    /// `None`: the file has no such filter any more.
    pub file: Option<Base>,
}

impl Standing {
    pub fn conflicts(&self) -> Vec<Part> {
        self.file.as_ref().map_or_else(Vec::new, |file| self.versions.conflicts(file))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    entries: BTreeMap<Arc<str>, Entry>,
    standings: BTreeMap<Arc<str>, Standing>,
    running: Option<Running>,
    listening: BTreeMap<Arc<str>, SocketAddr>,
}

impl Ledger {
    /// The configuration of what went live, and where it listens.
    pub fn running(&self, running: Running, listening: BTreeMap<Arc<str>, SocketAddr>) {
        let mut book = self.book();
        (book.running, book.listening) = (Some(running), listening);
    }

    /// The configuration that runs; `None` before the first one does.
    pub fn configuration(&self) -> Option<Running> {
        self.book().running.clone()
    }

    /// The real address of each listener.
    pub fn listening(&self) -> BTreeMap<Arc<str>, SocketAddr> {
        self.book().listening.clone()
    }

    /// A snapshot went live.
    pub fn live(&self, snapshot: &Snapshot, standings: BTreeMap<Arc<str>, Standing>) {
        let mut book = self.book();
        book.standings = standings;
        book.entries.retain(|name, _| snapshot.filters.contains_key(name));
        let now = SystemTime::now();
        for (name, filter) in &snapshot.filters {
            let entry = book.entries.entry(Arc::clone(name)).or_insert_with(|| Entry::new(now, filter));
            if entry.hash != filter.module.hash {
                *entry = Entry { swaps: entry.swaps + 1, ..entry.followed_by(now, filter) };
            } else if entry.config != filter.config_json {
                *entry = entry.followed_by(now, filter);
            }
        }
    }

    /// A load of these filters' module failed; what served goes on serving.
    pub fn failed<'a>(&self, filters: impl Iterator<Item = &'a str>, error: &str) {
        let mut book = self.book();
        for filter in filters {
            if let Some(entry) = book.entries.get_mut(filter) {
                entry.loads_failed += 1;
                entry.failed = Some(Failed { at: SystemTime::now(), error: error.to_owned() });
            }
        }
    }

    /// A load of these filters' module went well although nothing about it was new.
    pub fn healed<'a>(&self, filters: impl Iterator<Item = &'a str>) {
        let mut book = self.book();
        for filter in filters {
            if let Some(entry) = book.entries.get_mut(filter) {
                entry.failed = None;
            }
        }
    }

    pub fn known(&self, filter: &str) -> Option<Entry> {
        self.book().entries.get(filter).cloned()
    }

    pub fn of(&self, filter: &Filter) -> Entry {
        self.book().entries.get(&filter.name).cloned().unwrap_or_else(|| Entry::new(SystemTime::now(), filter))
    }

    /// What is pushed over the file for this filter.
    pub fn standing(&self, filter: &str) -> Option<Standing> {
        self.book().standings.get(filter).cloned()
    }

    /// Filters over which something is pushed and which the file does not have any more.
    pub fn waiting(&self) -> Vec<Arc<str>> {
        let book = self.book();
        book.standings.iter().filter(|(_, standing)| standing.file.is_none()).map(|(name, _)| Arc::clone(name)).collect()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(since: SystemTime, filter: &Filter) -> Self {
        let (hash, config) = (Arc::clone(&filter.module.hash), Arc::clone(&filter.config_json));
        Self { since, swaps: 0, failed: None, loads: 1, loads_failed: 0, hash, config }
    }

    /// Something else of the same filter went live.
    fn followed_by(&self, since: SystemTime, filter: &Filter) -> Self {
        let (swaps, loads, loads_failed) = (self.swaps, self.loads + 1, self.loads_failed);
        Self { swaps, loads, loads_failed, ..Self::new(since, filter) }
    }
}
