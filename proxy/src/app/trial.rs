//! New versions on probation: one that keeps failing soon after it went live makes way for the one before.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::filter::Module;
use crate::snapshot::Snapshot;

/// How often versions on probation are looked at.
pub const LOOK: Duration = Duration::from_millis(100);

/// One version that has to show that it works.
#[derive(Debug)]
struct Trial {
    /// The filter as it was built; another one of the same name is another trial.
    id: u64,
    until: Instant,
    before: Arc<Module>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Trials {
    under_way: BTreeMap<Arc<str>, Trial>,
    /// Modules that have failed, by filter: nobody goes back to one.
    failed: BTreeMap<Arc<str>, HashSet<Arc<str>>>,
}

/// A version that has failed its probation.
#[derive(Debug, Clone)]
pub struct Failed {
    pub filter: Arc<str>,
    pub module: Arc<Module>,
    pub before: Arc<Module>,
}

impl Trials {
    /// One snapshot takes the place of another.
    pub fn begin(&mut self, old: &Snapshot, new: &Snapshot) {
        let now = Instant::now();
        self.under_way.retain(|name, trial| new.filters.get(name).is_some_and(|filter| filter.id == trial.id));
        self.failed.retain(|name, _| new.filters.contains_key(name));
        for (name, filter) in &new.filters {
            let Some(before) = old.filters.get(name).filter(|before| before.id != filter.id) else { continue };
            let probation = filter.config.probation;
            let back = self.failed.get(name).is_some_and(|failed| failed.contains(&before.module.hash));
            if before.module.hash == filter.module.hash || probation.is_zero() || back {
                continue;
            }
            let before = Arc::clone(&before.module);
            self.under_way.insert(Arc::clone(name), Trial { id: filter.id, until: now + probation, before });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Those that have failed; those that have passed are let go.
    pub fn failed(&mut self, live: &Snapshot) -> Vec<Failed> {
        let now = Instant::now();
        let mut failed = Vec::new();
        let known = &mut self.failed;
        self.under_way.retain(|name, trial| {
            let Some(filter) = live.filters.get(name).filter(|filter| filter.id == trial.id) else { return false };
            if !filter.health.has_failed() {
                return now < trial.until;
            }
            let (module, before) = (Arc::clone(&filter.module), Arc::clone(&trial.before));
            known.entry(Arc::clone(name)).or_default().insert(Arc::clone(&module.hash));
            failed.push(Failed { filter: Arc::clone(name), module, before });
            false
        });
        failed
    }
}
