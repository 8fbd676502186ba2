//! What the control loop does about one change: begins its slow half, and when that is done lets it go live and says so.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;

use super::under_way::{About, Running};
use super::{Control, Event, Following};
use crate::admin::api::{Command, Refused};
use crate::admin::config::{self as admin_config, NotConfigured, Reconfigure, Reconfigured};
use crate::app::inherited::Inherited;
use crate::app::prepare::{Ground, NotReady, Outcome, Ready, Task, prepare};
use crate::app::restore::standings;
use crate::app::trial::Failed;
use crate::app::waiting::{Change, Waiting};
use crate::app::{certificates, inputs, manager, push};
use crate::cluster::discovery::{self, Query};
use crate::cluster::pool;
use crate::config::{self, Input, ModuleSource, Problems};
use crate::filter::{self, Filter};

impl Control {
    /// Begins the slow half of a change.
    pub(super) fn prepare(&self, change: Change) -> Running {
        let (about, task) = match change {
            Change::Reload { if_changed } => (About::Reload, Task::Reload { if_changed }),
            Change::Module(file) => (About::Module(file.clone()), Task::Module(file)),
            Change::GoBack(failed) => (About::GoBack(failed.clone()), Task::GoBack(failed)),
            Change::Input(input, content) => (About::Input(input.clone()), Task::Input(input, content)),
            Change::Certificates => (About::Certificates, Task::Certificates),
            Change::Found(query, answer) => (About::Found(query.clone()), Task::Found(query, answer)),
            Change::Command(Command { filter, change, over_file, answer, held }) => {
                let about = About::Command { filter: Arc::clone(&filter), what: change.name(), answer, _held: held };
                (about, Task::Push { filter, wanted: change, over_file })
            }
            Change::Configure(wanted) => {
                let Reconfigure { wanted, expected, dry_run, answer, held } = *wanted;
                (About::Configure { answer, _held: held }, Task::Configure { wanted, expected, dry_run })
            }
        };
        let ground = Ground {
            parts: self.parts.clone(),
            modules: self.modules.clone(),
            live: self.live.load_full(),
            resolver: self.resolver.clone(),
            versions: self.versions.clone(),
            shelf: Arc::clone(&self.shelf),
            configs: Arc::clone(&self.configs),
            file: self.file.clone(),
            asking: self.resolver.clone(),
        };
        Running { about, task: tokio::spawn(prepare(task, ground)) }
    }

    /// The slow half is done: the change goes live, and whoever waits for it is told.
    pub(super) async fn finish(&mut self, about: About, outcome: Outcome, waiting: &mut Waiting) {
        let Outcome { built, modules } = outcome;
        let mut reconfigured = None;
        let done = match built {
            Ok(Some(mut ready)) => {
                reconfigured = ready.reconfigured.take();
                if ready.resolver.is_some() {
                    waiting.forget_found();
                }
                let done = ready.done.take();
                let kept = ready.configs.is_some();
                let live = self.go_live(ready).await.map(|()| Some(done)).map_err(NotReady::from);
                if live.is_err() && kept {
                    self.keep_what_is_live().await;
                }
                live
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        if let Some(modules) = modules {
            // What did not go live, or was only tried, has set nothing; what was compiled for it may be of use yet.
            self.modules = if matches!(done, Ok(Some(_))) { modules } else { modules.set_as(&self.modules) };
        }
        match about {
            About::Reload => self.reloaded(done.map(|done| done.is_some())),
            About::Module(file) => self.swapped(&file, done.map(|done| done.is_some())),
            About::GoBack(failed) => self.went_back(&failed, done.map(|done| done.is_some())),
            About::Input(input) => self.reconfigured(&input, done.map(|done| done.is_some())),
            About::Certificates => self.renewed(done.map(|done| done.is_some())),
            About::Found(query) => {
                if let Err(error) = done {
                    tracing::error!("{query} has another answer, which could not be used\n{error}");
                }
            }
            About::Configure { answer, .. } => {
                let done = match (done, reconfigured) {
                    (Ok(_), Some(done)) => Ok(done),
                    (Err(NotReady::Tried(done)), _) => Ok(*done),
                    (Err(NotReady::Problems(problems)), _) => Err(NotConfigured::Problems(problems)),
                    (Err(NotReady::Refused(refused)), _) => Err(NotConfigured::Refused(refused)),
                    (Err(error), _) => Err(NotConfigured::Refused(Refused::Failed(error.to_string()))),
                    (Ok(_), None) => Err(NotConfigured::Refused(Refused::Failed("nothing came of it".to_owned()))),
                };
                if let Ok(Reconfigured { version, dry_run: false, kept, .. }) = &done {
                    self.ledger.healed(self.parts.config.filters.keys().map(|name| &**name));
                    tracing::info!(version, kept, "the configuration was changed through the admin");
                }
                let _ = answer.send(done);
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

    /// What was kept before it went live, and did not, is not what the next start begins with.
    async fn keep_what_is_live(&self) {
        let (shelf, configs) = (Arc::clone(&self.shelf), Arc::clone(&self.configs));
        let kept = tokio::task::spawn_blocking(move || shelf.keep_configs(&configs)).await;
        if let Ok(Err(error)) = kept {
            tracing::error!(%error, "the state directory has a configuration that did not go live");
        }
    }

    /// What the admin tells of the configuration.
    pub(super) fn tell_ledger(&self) {
        let (configs, source) = (Arc::clone(&self.configs), self.parts.source.clone());
        let listening = self.listeners.addresses().map(|(name, address)| (Arc::from(name), address)).collect();
        self.ledger.running(admin_config::Running { configs, source, file: self.file.clone() }, listening);
    }

    fn reloaded(&self, done: Result<bool, NotReady>) {
        manager::ready();
        match done {
            Ok(true) => {
                self.ledger.healed(self.parts.config.filters.keys().map(|name| &**name));
                let file = self.file.as_deref().unwrap_or(self.parts.source.file());
                tracing::info!(file = %file.display(), "reloaded");
                self.live.load().notes(&self.parts.source).iter().for_each(|note| tracing::warn!("{note}"));
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

    /// A version has failed its probation.
    fn went_back(&self, failed: &Failed, done: Result<bool, NotReady>) {
        let (filter, module) = (&*failed.filter, &*failed.module.hash);
        match done {
            Ok(false) => {}
            Ok(true) => {
                let live = self.live.load().filters.get(filter).map(|live| Arc::clone(&live.module.hash)).unwrap_or_default();
                let said = format!("the module sha256:{module} kept failing while on probation; the one before serves again");
                self.ledger.failed([filter].into_iter(), &said);
                tracing::error!(
                    filter,
                    failed = module,
                    live = &*live,
                    "a new version kept failing; the one before serves again"
                );
            }
            Err(error) => {
                tracing::error!(filter, failed = module, %error, "a new version keeps failing, and the one before cannot serve again")
            }
        }
    }

    /// An input was read again.
    fn reconfigured(&self, input: &Input, done: Result<bool, NotReady>) {
        let having = |filter: &Arc<config::Filter>| filter.inputs.values().any(|other| other == input);
        let filters = self.parts.config.filters.iter().filter(|(_, filter)| having(filter)).map(|(name, _)| &**name);
        match done {
            Ok(live) => {
                self.ledger.healed(filters.clone());
                if live {
                    let filters: Vec<_> = filters.collect();
                    tracing::info!(?filters, "configured anew: an input has changed");
                }
            }
            Err(error) => {
                self.ledger.failed(filters, &error.to_string());
                tracing::error!("an input has changed and was not taken; what was serving goes on\n{error}");
            }
        }
    }

    fn renewed(&mut self, done: Result<bool, NotReady>) {
        match done {
            Ok(true) => {
                tracing::info!("certificates have changed; new connections see them");
                self.expiries.tell(&self.live.load());
            }
            Ok(false) => {}
            Err(error) => tracing::error!("certificates have changed and were not taken; what was serving goes on\n{error}"),
        }
    }

    fn swapped(&self, file: &Path, done: Result<bool, NotReady>) {
        let is_file = |source: &&ModuleSource| matches!(source, ModuleSource::Path { path, .. } if path == file);
        let named = self.parts.config.filters.iter().filter(|(_, filter)| filter.modules().any(|source| is_file(&source)));
        let filters = named.map(|(name, _)| name);
        let overridden = |name: &Arc<str>| self.parts.overrides.get(name).is_some_and(|over| over.module.is_some());
        match done {
            Ok(live) => {
                self.ledger.healed(filters.clone().map(|name| &**name));
                if live && !filters.clone().all(overridden) {
                    let loaded = self.parts.modules.iter().find(|(source, _)| is_file(source));
                    let hash = loaded.map(|(_, module)| &*module.hash);
                    tracing::info!(module = %file.display(), hash, "swapped");
                }
            }
            Err(error) => {
                self.ledger.failed(filters.map(|name| &**name), &error.to_string());
                tracing::error!(module = %file.display(), "the module was not swapped; what was serving goes on\n{error}");
            }
        }
    }

    /// Opens what the snapshot needs, and swaps it in.
    async fn go_live(&mut self, ready: Ready) -> Result<(), Problems> {
        let Ready { parts, snapshot, versions, resolver, configs, .. } = ready;
        let opened = self.listeners.open(&parts, self.workers.len(), &mut Inherited::default())?;
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
        self.trials.begin(&self.live.load(), &snapshot);
        snapshot.stores.values().for_each(|store| store.begin(None));
        self.live.store(Arc::new(snapshot));
        self.leaving.retain(|trigger| trigger.remaining() > 0);
        self.leaving.extend(self.listeners.adopt(opened, &parts));
        self.listeners.start(&self.workers, &self.live).await;
        (self.parts, self.versions) = (parts, versions);
        if let Some(configs) = configs {
            self.configs = configs;
        }
        self.tell_ledger();
        if resolver.is_some() {
            self.resolver = resolver;
            for (_, following) in std::mem::take(&mut self.following) {
                following.task.abort();
            }
        }
        self.sweep().await;
        self.wards.follow(&self.live.load().reach.clusters);
        self.follow_sources();
        self.follow_inputs();
        self.watch_files();
        Ok(())
    }

    /// Workers forget instances and connections that the snapshot does not know any more.
    pub(super) async fn sweep(&self) {
        let snapshot = self.live.load();
        let second = |filter: &Arc<Filter>| filter.beside.as_ref().map(|(filter, _)| filter.id);
        let filters = snapshot.filters.values().flat_map(|filter| [Some(filter.id), second(filter)]).flatten();
        let filters: BTreeSet<u64> = filters.collect();
        let endpoints = snapshot.reach.clusters.values().flat_map(|cluster| &cluster.endpoints);
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
        let second = |filter: &Arc<Filter>| filter.beside.as_ref().map(|(filter, _)| Arc::clone(filter));
        let shared = snapshot.filters.values().flat_map(|filter| [Some(Arc::clone(filter)), second(filter)]).flatten();
        let shared: Vec<_> = shared.filter(|filter| filter.module.prepared.is_shared()).collect();
        for worker in &self.workers {
            let (shared, reach) = (shared.clone(), Arc::clone(&snapshot.reach));
            worker.post(move || filter::abi::proxy_wasm::worker::set(shared, reach)).await;
        }
        let ticking: Vec<_> = snapshot.filters.values().filter(|filter| filter.setup.tick_every().is_some()).cloned().collect();
        let reach = Arc::clone(&snapshot.reach);
        if let Some(worker) = self.workers.first() {
            worker.post(move || filter::tick::set(ticking, reach)).await;
        }
    }

    /// Resources are fetched again and again, for as long as a filter names them.
    pub(super) fn follow_inputs(&mut self) {
        let wanted = inputs::resources(&self.parts.config);
        self.fetching.retain(|input, task| {
            wanted.contains(input) || {
                task.abort();
                false
            }
        });
        for input in wanted {
            let Input::Resource { every, .. } = input else { continue };
            if self.fetching.contains_key(&input) {
                continue;
            }
            let (events, live, wanted) = (self.events.clone(), Arc::clone(&self.live), input.clone());
            // Beside the queue of changes, for a cluster that does not answer must hold nobody up.
            let task = tokio::spawn(async move {
                loop {
                    tokio::time::sleep(every).await;
                    let (reach, input) = (Arc::clone(&live.load().reach), wanted.clone());
                    let fetched = tokio::task::spawn_blocking(move || inputs::fetch_again(&input, &reach)).await;
                    match fetched.map_err(|error| error.to_string()).flatten() {
                        Ok(content) => {
                            if events.send(Event::Fetched { input: wanted.clone(), content }).await.is_err() {
                                return;
                            }
                        }
                        Err(error) => tracing::warn!(%error, "an input was not fetched again; it stays as it was"),
                    }
                }
            });
            self.fetching.insert(input, task);
        }
    }

    /// One question after the other to each source of endpoints, for as long as a cluster mentions it.
    pub(super) fn follow_sources(&mut self) {
        let queries = discovery::queries(&self.parts.config);
        self.parts.resolved.forget_all_but(&queries);
        self.following.retain(|query, following| {
            queries.contains(query) || {
                following.task.abort();
                false
            }
        });
        for query in queries {
            if self.following.contains_key(&query) {
                continue;
            }
            let Some(source) = discovery::source(&query, self.resolver.as_ref()) else { continue };
            let (events, changed) = (self.events.clone(), Arc::<Notify>::default());
            let report = async move |query: &Query, answer| events.send(Event::Found(query.clone(), answer)).await.is_ok();
            let task = tokio::spawn(discovery::follow(query.clone(), source, Arc::clone(&changed), report));
            self.following.insert(query, Following { task, changed });
        }
    }

    pub(super) fn watch_files(&mut self) {
        let modules = self.parts.config.filters.values().flat_map(|filter| filter.modules()).filter_map(|source| match source {
            ModuleSource::Path { path, .. } => Some(path.clone()),
            ModuleSource::Builtin(_) | ModuleSource::Https { .. } => None,
        });
        let inputs = self.parts.inputs.keys().filter_map(|input| match input {
            Input::File(path) => Some(path.clone()),
            Input::Resource { .. } => None,
        });
        let lists =
            self.parts.config.clusters.values().filter_map(|cluster| Some(cluster.endpoints_file.as_ref()?.to_path_buf()));
        let certificates = certificates::files(&self.parts.config).cloned();
        self.watch.set(modules.chain(inputs).chain(lists).chain(certificates).chain(self.file.clone()).collect());
    }
}
