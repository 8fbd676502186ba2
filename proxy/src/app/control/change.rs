//! What the control loop does about one change: begins its slow half, and when that is done lets it go live and says so.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{About, Control, Event, Running};
use crate::admin::api::{Command, Refused};
use crate::app::prepare::{Ground, NotReady, Outcome, Ready, Task, prepare};
use crate::app::push;
use crate::app::restore::standings;
use crate::app::waiting::{Change, Waiting};
use crate::cluster::{discovery, pool};
use crate::config::{ModuleSource, Problems};
use crate::filter;

impl Control {
    /// Begins the slow half of a change.
    pub(super) fn prepare(&self, change: Change) -> Running {
        let (about, task) = match change {
            Change::Reload { if_changed } => (About::Reload, Task::Reload { if_changed }),
            Change::Module(file) => (About::Module(ModuleSource::Path(file.clone())), Task::Module(file)),
            Change::Resolved { host, addresses } => (About::Resolved(Arc::clone(&host)), Task::Resolved { host, addresses }),
            Change::Command(Command { filter, change, over_file, answer, held }) => {
                let about = About::Command { filter: Arc::clone(&filter), what: change.name(), answer, _held: held };
                (about, Task::Push { filter, wanted: change, over_file })
            }
        };
        let ground = Ground {
            parts: self.parts.clone(),
            modules: self.modules.clone(),
            live: self.live.load_full(),
            resolver: self.resolver.clone(),
            versions: self.versions.clone(),
            shelf: Arc::clone(&self.shelf),
        };
        Running { about, task: tokio::spawn(prepare(task, ground)) }
    }

    /// The slow half is done: the change goes live, and whoever waits for it is told.
    pub(super) async fn finish(&mut self, about: About, outcome: Outcome, waiting: &mut Waiting) {
        let Outcome { built, modules } = outcome;
        if let Some(modules) = modules {
            self.modules = modules;
        }
        let done = match built {
            Ok(Some(mut ready)) => {
                if ready.resolver.is_some() {
                    waiting.forget_resolved();
                }
                let done = ready.done.take();
                self.go_live(ready).await.map(|()| Some(done)).map_err(NotReady::from)
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match about {
            About::Reload => self.reloaded(done.map(|done| done.is_some())),
            About::Module(source) => self.swapped(&source, done.map(|done| done.is_some())),
            About::Resolved(host) => {
                if let Err(error) = done {
                    tracing::error!(%host, "the new addresses could not be used\n{error}");
                }
            }
            About::Command { filter, what, answer, .. } => {
                let done = match done {
                    Ok(done) => done.flatten().ok_or_else(|| Refused::Failed("nothing came of it".to_owned())),
                    Err(NotReady::Refused(refused)) => Err(refused),
                    Err(error) => Err(Refused::Failed(error.to_string())),
                };
                match &done {
                    Ok(done) => {
                        tracing::info!(%filter, what, version = done.version, kept = done.kept, "changed through the admin")
                    }
                    Err(refused) => {
                        tracing::warn!(%filter, what, %refused, "not changed through the admin; what was serving goes on")
                    }
                }
                let _ = answer.send(done);
            }
        }
    }

    fn reloaded(&self, done: Result<bool, NotReady>) {
        match done {
            Ok(true) => {
                self.ledger.healed(self.parts.config.filters.keys().map(|name| &**name));
                tracing::info!(file = %self.parts.source.file().display(), "reloaded");
            }
            Ok(false) => {}
            Err(error) => {
                if let NotReady::Problems(problems) = &error {
                    for problem in problems.iter() {
                        self.ledger.failed(problem.filter.as_deref().into_iter(), &problem.to_string());
                    }
                }
                tracing::error!("the configuration was not reloaded; what was serving goes on\n{error}");
            }
        }
    }

    fn swapped(&self, source: &ModuleSource, done: Result<bool, NotReady>) {
        let named = self.parts.config.filters.iter().filter(|(_, filter)| filter.module == *source);
        let filters = named.map(|(name, _)| name);
        let overridden = |name: &Arc<str>| self.parts.overrides.get(name).is_some_and(|over| over.module.is_some());
        match done {
            Ok(live) => {
                self.ledger.healed(filters.clone().map(|name| &**name));
                if live && !filters.clone().all(overridden) {
                    let hash = self.parts.modules.get(source).map(|module| &*module.hash);
                    tracing::info!(module = %source, hash, "swapped");
                }
            }
            Err(error) => {
                self.ledger.failed(filters.map(|name| &**name), &error.to_string());
                tracing::error!(module = %source, "the module was not swapped; what was serving goes on\n{error}");
            }
        }
    }

    /// Opens what the snapshot needs, and swaps it in.
    async fn go_live(&mut self, ready: Ready) -> Result<(), Problems> {
        let Ready { parts, snapshot, versions, resolver, .. } = ready;
        let opened = self.listeners.open(&parts, self.workers.len())?;
        let standings = standings(&parts, &versions);
        for (filter, standing) in &standings {
            let conflicts = standing.conflicts();
            let known = self.ledger.standing(filter).is_some_and(|before| before.conflicts() == conflicts);
            if !conflicts.is_empty() && !known {
                let what = push::listed(&conflicts);
                tracing::warn!(%filter, "the file has changed the {what}, over which something is pushed; that goes on serving");
            }
        }
        self.ledger.live(&snapshot, standings);
        self.live.store(Arc::new(snapshot));
        self.leaving.retain(|trigger| trigger.remaining() > 0);
        self.leaving.extend(self.listeners.adopt(opened, &parts));
        self.listeners.start(&self.workers, &self.live).await;
        (self.parts, self.versions) = (parts, versions);
        if resolver.is_some() {
            self.resolver = resolver;
            for (_, task) in std::mem::take(&mut self.following) {
                task.abort();
            }
        }
        self.sweep().await;
        self.follow_names();
        self.watch_files();
        Ok(())
    }

    /// Workers forget instances and connections that the snapshot does not know any more.
    async fn sweep(&self) {
        let snapshot = self.live.load();
        let filters: BTreeSet<u64> = snapshot.filters.values().map(|filter| filter.id).collect();
        let endpoints = snapshot.clusters.values().flat_map(|cluster| &cluster.endpoints);
        let endpoints: BTreeSet<u64> = endpoints.map(|endpoint| endpoint.id).collect();
        let (filters, endpoints) = (Arc::new(filters), Arc::new(endpoints));
        for worker in &self.workers {
            let (filters, endpoints) = (Arc::clone(&filters), Arc::clone(&endpoints));
            worker
                .post(move || {
                    filter::pool::sweep(&filters);
                    pool::sweep(&endpoints);
                })
                .await;
        }
    }

    /// One question after the other for each name, for as long as a cluster mentions it.
    pub(super) fn follow_names(&mut self) {
        let names = discovery::names(&self.parts.config);
        self.parts.resolved.forget_all_but(&names);
        self.following.retain(|host, task| {
            names.contains(host) || {
                task.abort();
                false
            }
        });
        for host in names {
            if self.following.contains_key(&host) {
                continue;
            }
            let Some(resolver) = self.resolver.clone() else { return };
            let events = self.events.clone();
            let report = async move |host: &Arc<str>, addresses| {
                events.send(Event::Resolved { host: Arc::clone(host), addresses }).await.is_ok()
            };
            let task = tokio::spawn(resolver.follow(Arc::clone(&host), report));
            self.following.insert(host, task);
        }
    }

    pub(super) fn watch_files(&mut self) {
        let modules = self.parts.config.filters.values().filter_map(|filter| match &filter.module {
            ModuleSource::Path(path) => Some(path.clone()),
            ModuleSource::Builtin(_) => None,
        });
        self.watch.set(modules.chain(self.file.clone()).collect());
    }
}
