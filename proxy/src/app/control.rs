//! The control loop: reloads, swapped modules, new addresses and the way out, one after the other.
//!
//! It runs on a runtime of its own. What takes long (compiling, configuring) goes to a thread that may block; meanwhile
//! the admin answers and the workers serve. Whatever fails changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::listeners::Listeners;
use super::signals::Signals;
use super::watch::Watch;
use super::{App, Bound, Left, RunError, inputs, load_modules};
use crate::admin::Admin;
use crate::admin::ledger::Ledger;
use crate::cluster::discovery::{self, Resolver};
use crate::cluster::pool;
use crate::config::{self, Input, ModuleSource, Problems};
use crate::drain;
use crate::exchange;
use crate::filter::source::Modules;
use crate::filter::{self, LoadError, Module};
use crate::snapshot::{Live, Parts, Snapshot};
use crate::worker::Worker;

/// How long the last lines of the access log are waited for at the end.
const FLUSH: Duration = Duration::from_secs(1);
/// How long exchanges that are cut are given to tell the log.
const CUT: Duration = Duration::from_millis(200);

/// Something to see to.
#[derive(Debug)]
pub enum Event {
    Reload,
    Drain,
    Stop,
    /// A hint of the watcher.
    Touched {
        paths: Vec<PathBuf>,
        renamed: bool,
    },
    /// A resource that is an input is to be fetched again.
    InputDue(Input),
    /// A name has other addresses.
    Resolved {
        host: Arc<str>,
        addresses: Vec<IpAddr>,
    },
}

/// See the module.
pub struct Control {
    /// The configuration, if it was read from a file.
    file: Option<PathBuf>,
    parts: Parts,
    modules: Modules,
    live: Arc<Live>,
    ledger: Arc<Ledger>,
    workers: Vec<Worker>,
    listeners: Listeners,
    resolver: Option<Resolver>,
    following: BTreeMap<Arc<str>, JoinHandle<()>>,
    fetching: BTreeMap<Input, JoinHandle<()>>,
    events: mpsc::Sender<Event>,
    watch: Watch,
    /// Listeners that have left the configuration and still serve somebody.
    leaving: Vec<drain::Trigger>,
}

impl Control {
    /// Runs a proxy until it is told to leave.
    pub fn run(bound: Bound) -> Result<Left, RunError> {
        let Bound { runtime, workers, file, parts, modules, resolver, listeners, admin, ledger, live, events, queue, signals } =
            bound;
        let workers = (0..workers).map(Worker::start).collect::<Result<Vec<_>, _>>().map_err(RunError::Worker)?;
        let left = runtime.block_on(async {
            let (trigger, leaving) = drain::channel();
            if let Some(socket) = admin {
                let admin = Admin { live: Arc::clone(&live), ledger: Arc::clone(&ledger), drain: leaving };
                tokio::spawn(admin.serve(socket));
            }
            let watch = Watch::new(events.clone());
            let mut control = Self {
                file,
                parts,
                modules,
                live,
                ledger,
                workers,
                listeners,
                resolver,
                following: BTreeMap::new(),
                fetching: BTreeMap::new(),
                events,
                watch,
                leaving: Vec::new(),
            };
            control.begin().await;
            let left = control.serve(queue, signals, trigger).await;
            control.end();
            Ok(left)
        });
        // A compilation that nobody waits for any more is not waited for either.
        runtime.shutdown_background();
        left
    }

    async fn begin(&mut self) {
        self.listeners.start(&self.workers, &self.live).await;
        for worker in &self.workers {
            worker.post(|| drop(tokio::task::spawn_local(pool::tend()))).await;
        }
        self.sweep().await;
        self.follow_names();
        self.follow_inputs();
        self.watch_files();
    }

    fn end(&mut self) {
        for worker in self.workers.drain(..) {
            worker.stop();
        }
        if !self.live.load().access_log.flush(FLUSH) {
            tracing::warn!("the access log's output does not take what is left; its last lines are lost");
        }
    }

    async fn serve(&mut self, mut queue: mpsc::Receiver<Event>, mut signals: Option<Signals>, trigger: drain::Trigger) -> Left {
        loop {
            let event = tokio::select! {
                Some(event) = queue.recv() => event,
                event = Signals::next(&mut signals) => event,
                file = self.watch.next() => {
                    self.changed(&file).await;
                    continue;
                }
            };
            match event {
                Event::Reload => self.reload().await,
                Event::Touched { paths, renamed } => self.watch.touched(&paths, renamed),
                Event::InputDue(input) => self.input_changed(input).await,
                Event::Resolved { host, addresses } => self.resolved(host, addresses).await,
                Event::Stop => {
                    let triggers = self.listeners.drain();
                    self.cut(&triggers).await;
                    return Left::Cut;
                }
                Event::Drain => {
                    trigger.drain();
                    return self.drain(queue, signals).await;
                }
            }
        }
    }

    /// Fails readiness, waits until others have noticed, closes the listeners and lets what is under way finish.
    async fn drain(&mut self, mut queue: mpsc::Receiver<Event>, mut signals: Option<Signals>) -> Left {
        let drain = self.parts.config.drain.clone();
        tracing::info!(pre_stop = ?drain.pre_stop, timeout = ?drain.timeout, "draining; a second signal stops at once");
        let mut triggers = std::mem::take(&mut self.leaving);
        let listeners = &mut self.listeners;
        let calmly = async {
            tokio::time::sleep(drain.pre_stop).await;
            triggers.extend(listeners.drain());
            let all = async {
                for trigger in &triggers {
                    trigger.finished().await;
                }
            };
            tokio::time::timeout(drain.timeout, all).await.is_ok()
        };
        let told_again = async {
            loop {
                let event = tokio::select! {
                    Some(event) = queue.recv() => event,
                    event = Signals::next(&mut signals) => event,
                };
                if matches!(event, Event::Stop | Event::Drain) {
                    return;
                }
            }
        };
        let drained = tokio::select! {
            drained = calmly => drained,
            () = told_again => false,
        };
        if drained {
            tracing::info!("drained");
            return Left::Drained;
        }
        triggers.extend(self.listeners.drain());
        let remaining: usize = triggers.iter().map(drain::Trigger::remaining).sum();
        tracing::warn!(connections = remaining, "not everything finished in time; the rest is cut");
        self.cut(&triggers).await;
        Left::Cut
    }

    /// Ends what is under way, and lets the log say so.
    async fn cut(&self, triggers: &[drain::Trigger]) {
        for worker in &self.workers {
            worker.post(exchange::cutting).await;
        }
        triggers.iter().for_each(drain::Trigger::cut);
        let finished = async {
            for trigger in triggers {
                trigger.finished().await;
            }
        };
        let _ = tokio::time::timeout(CUT, finished).await;
    }

    /// The configuration and every module are read again.
    async fn reload(&mut self) {
        let file = self.parts.source.file().to_owned();
        let (workers, admin) = (self.parts.config.workers, self.parts.config.admin.clone());
        let (mut modules, resolved) = (self.modules.clone(), self.parts.resolved.clone());
        let known = self.parts.inputs.clone();
        let read = tokio::task::spawn_blocking(move || -> Result<_, Problems> {
            let examined = config::examine(&file)?;
            let mut loaded = App::sound(examined)?;
            if loaded.config.workers.is_some_and(|wanted| Some(wanted) != workers) || loaded.config.admin != admin {
                tracing::warn!("`workers` and `admin` take effect at the next start");
            }
            loaded.config.workers = workers;
            let (built, mut failed) = load_modules(&mut modules, &loaded.config, &loaded.source);
            let (inputs, unread) = inputs::load(&loaded.config, &loaded.source, &resolved, &known);
            failed.merge(unread);
            if !failed.is_empty() {
                return Err(failed);
            }
            let parts = Parts { config: Arc::new(loaded.config), source: loaded.source, modules: built, resolved, inputs };
            Ok((parts, modules))
        });
        let outcome = match read.await {
            Ok(Ok((mut parts, modules))) => {
                self.modules = modules;
                self.take_dns(&parts.config);
                if let Some(resolver) = &self.resolver {
                    parts.resolved = resolver.resolve_new(&parts.config, parts.resolved).await;
                }
                self.apply(parts, true).await
            }
            Ok(Err(problems)) => Err(problems),
            Err(error) => return tracing::error!(%error, "the reload did not finish; nothing has changed"),
        };
        match outcome {
            Ok(()) => tracing::info!(file = %self.parts.source.file().display(), "reloaded"),
            Err(problems) => tracing::error!("the configuration was not reloaded; what was serving goes on\n{problems}"),
        }
    }

    /// A watched file is quiet again after a change.
    async fn changed(&mut self, file: &Path) {
        if file == self.parts.source.file() {
            // Touched but the same: nothing to do, and nothing to say.
            if std::fs::read_to_string(file).is_ok_and(|text| text == self.parts.source.text()) {
                return;
            }
            return self.reload().await;
        }
        let input = Input::File(file.to_owned());
        if self.parts.inputs.contains_key(&input) {
            return self.input_changed(input).await;
        }
        // One source for each hash that somebody expects of the file.
        let mut sources: HashMap<ModuleSource, Vec<Arc<str>>> = HashMap::new();
        for (name, filter) in &self.parts.config.filters {
            if matches!(&filter.module, ModuleSource::Path { path, .. } if path == file) {
                sources.entry(filter.module.clone()).or_default().push(Arc::clone(name));
            }
        }
        for (source, filters) in sources {
            if let Err(error) = self.swap(&source, &filters).await {
                self.ledger.failed(filters.iter().map(|name| &**name), &error);
                tracing::error!(module = %source, "the module was not swapped; what was serving goes on\n{error}");
            }
        }
    }

    /// An input is read again; the filters that have it are configured anew.
    async fn input_changed(&mut self, input: Input) {
        let (config, resolved, wanted) = (Arc::clone(&self.parts.config), self.parts.resolved.clone(), input.clone());
        let read = tokio::task::spawn_blocking(move || inputs::read(&wanted, &config, &resolved));
        let read = read.await.map_err(|error| error.to_string()).flatten();
        match read {
            Ok(content) => self.input(input, content).await,
            Err(error) => tracing::error!(%error, "the input was not read again; what was serving goes on"),
        }
    }

    /// There is this in an input now.
    async fn input(&mut self, input: Input, content: Arc<[u8]>) {
        if self.parts.inputs.get(&input).is_none_or(|known| *known == content) {
            return;
        }
        let mut parts = self.parts.clone();
        let having = |filter: &Arc<config::Filter>| filter.inputs.values().any(|other| *other == input);
        let filters = parts.config.filters.iter().filter(|(_, filter)| having(filter));
        let filters: Vec<Arc<str>> = filters.map(|(name, _)| Arc::clone(name)).collect();
        parts.inputs.insert(input, content);
        match self.apply(parts, false).await {
            Ok(()) => tracing::info!(?filters, "configured anew: an input has changed"),
            Err(problems) => {
                self.ledger.failed(filters.iter().map(|name| &**name), &problems.to_string());
                tracing::error!(?filters, "an input has changed and is refused; what was serving goes on\n{problems}");
            }
        }
    }

    /// Resources are fetched again and again, for as long as a filter names them.
    fn follow_inputs(&mut self) {
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
            let (events, changed) = (self.events.clone(), input.clone());
            let task = tokio::spawn(async move {
                loop {
                    tokio::time::sleep(every).await;
                    if events.send(Event::InputDue(changed.clone())).await.is_err() {
                        return;
                    }
                }
            });
            self.fetching.insert(input, task);
        }
    }

    /// Another build of a module takes the place of the present one, in every filter that names it.
    async fn swap(&mut self, source: &ModuleSource, filters: &[Arc<str>]) -> Result<(), String> {
        let (mut modules, wanted) = (self.modules.clone(), source.clone());
        let load = move || (modules.load(&wanted), modules);
        let (module, modules): (Result<Arc<Module>, LoadError>, Modules) =
            tokio::task::spawn_blocking(load).await.map_err(|error| error.to_string())?;
        self.modules = modules;
        let module = module.map_err(|error| error.to_string())?;
        if self.parts.modules.get(source).is_some_and(|present| present.hash == module.hash) {
            self.ledger.healed(filters.iter().map(|name| &**name));
            return Ok(());
        }
        let mut parts = self.parts.clone();
        let hash = Arc::clone(&module.hash);
        parts.modules.insert(source.clone(), module);
        self.apply(parts, false).await.map_err(|problems| problems.to_string())?;
        tracing::info!(module = %source, %hash, "swapped");
        Ok(())
    }

    async fn resolved(&mut self, host: Arc<str>, addresses: Vec<IpAddr>) {
        let mut parts = self.parts.clone();
        if !parts.resolved.learn(&host, addresses.clone()) {
            return;
        }
        tracing::info!(%host, ?addresses, "the name has other addresses");
        if let Err(problems) = self.apply(parts, false).await {
            tracing::error!(%host, "the new addresses could not be used\n{problems}");
        }
    }

    /// Builds the snapshot, opens what it needs, and swaps it in.
    async fn apply(&mut self, parts: Parts, reread: bool) -> Result<(), Problems> {
        let previous = self.live.load_full();
        let build = move || {
            let built = Snapshot::build(&parts, Some(&previous), reread);
            (parts, built)
        };
        let (parts, snapshot) = match tokio::task::spawn_blocking(build).await {
            Ok((parts, built)) => (parts, built?),
            Err(error) => {
                let problem = self.parts.source.problem_at(&[], format!("building it did not finish: {error}"));
                return Err(Problems::from(vec![problem]));
            }
        };
        let opened = self.listeners.open(&parts, self.workers.len())?;
        self.ledger.live(&snapshot);
        self.live.store(Arc::new(snapshot));
        self.leaving.retain(|trigger| trigger.remaining() > 0);
        self.leaving.extend(self.listeners.adopt(opened, &parts));
        self.listeners.start(&self.workers, &self.live).await;
        self.parts = parts;
        self.sweep().await;
        self.follow_names();
        self.follow_inputs();
        self.watch_files();
        Ok(())
    }

    /// Workers forget instances and connections that the snapshot does not know any more.
    async fn sweep(&self) {
        let snapshot = self.live.load();
        let filters: BTreeSet<u64> = snapshot.filters.values().map(|filter| filter.id).collect();
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
        let ticking: Vec<_> = snapshot.filters.values().filter(|filter| filter.setup.tick_every().is_some()).cloned().collect();
        let reach = Arc::clone(&snapshot.reach);
        if let Some(worker) = self.workers.first() {
            worker.post(move || filter::tick::set(ticking, reach)).await;
        }
    }

    /// Another way to ask is taken before anything is asked for the new configuration.
    fn take_dns(&mut self, config: &config::Config) {
        if self.resolver.is_some() && config.dns == self.parts.config.dns || discovery::names(config).is_empty() {
            return;
        }
        match Resolver::build(&config.dns) {
            Ok(resolver) => {
                self.resolver = Some(resolver);
                for (_, task) in std::mem::take(&mut self.following) {
                    task.abort();
                }
            }
            Err(error) => tracing::error!(%error, "names cannot be resolved as `dns` says"),
        }
    }

    /// One question after the other for each name, for as long as a cluster mentions it.
    fn follow_names(&mut self) {
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

    fn watch_files(&mut self) {
        let modules = self.parts.config.filters.values().filter_map(|filter| match &filter.module {
            ModuleSource::Path { path, .. } => Some(path.clone()),
            ModuleSource::Builtin(_) | ModuleSource::Https { .. } => None,
        });
        let inputs = self.parts.inputs.keys().filter_map(|input| match input {
            Input::File(path) => Some(path.clone()),
            Input::Resource { .. } => None,
        });
        self.watch.set(modules.chain(inputs).chain(self.file.clone()).collect());
    }
}
