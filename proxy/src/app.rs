//! The running proxy: built from a configuration, bound to its addresses, then run until it is told to leave.
//!
//! [`App::build`] does everything that can fail, so that a [`Bound`] has real addresses and only needs to run. What
//! changes while it runs happens in `control`, one thing after the other.

mod application;
mod canary;
mod certificates;
mod control;
mod handle;
mod inherited;
mod inputs;
mod listeners;
mod manager;
mod prepare;
mod push;
mod reload;
mod restore;
mod signals;
mod state;
mod trial;
mod upgrade;
mod waiting;
mod wards;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::admin::configs::Configs;
use crate::admin::guard::Guard;
use crate::admin::ledger::Ledger;
use crate::admin::socket;
use crate::cluster::discovery::{self, Resolved, Resolver};
use crate::config::{self, AdminListen, Config, Examined, Loaded, ModuleSource, Problems, Source, Step};
use crate::filter::cache::Compiled;
use crate::filter::source::Modules;
use crate::filter::{Engine, Entry, Module};
use crate::snapshot::{Live, Parts, Snapshot, filter_problems};
use crate::tls::workload::{self, WorkloadError};
use application::Application;
use control::{Control, Event};
pub use handle::Handle;
pub use inherited::Inherited;
use inputs::Contents;
use listeners::Listeners;
pub use restore::{Keep, RestoreError};
use signals::Signals;
use state::{AllVersions, Shelf};
pub use upgrade::Launch;

/// Events that wait for the control loop. Watchers wait when it is full.
const EVENTS: usize = 1024;

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Config(#[from] Problems),
    #[error("the admin cannot listen on {address}: {source}")]
    Admin { address: AdminListen, source: io::Error },
    #[error("the SPIFFE Workload API does not say who the proxy is: {0}")]
    Workload(#[from] WorkloadError),
    #[error("the admin cannot tell who may change something: {0}")]
    Token(String),
    #[error("{0}")]
    State(#[from] RestoreError),
    #[error("the Wasm engine cannot be set up: {0}")]
    Engine(String),
    #[error("names cannot be resolved: {0}")]
    Resolver(String),
    #[error("no runtime: {0}")]
    Runtime(io::Error),
    #[error("signals cannot be handled: {0}")]
    Signals(io::Error),
    #[error("it was told to leave while its modules were loaded")]
    Told,
    #[error("the service manager has opened addresses that nobody listens on here: {}", .0.join(", "))]
    Activated(Vec<String>),
}

/// Why a running proxy ended other than by being told.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("a worker cannot be started: {0}")]
    Worker(io::Error),
    #[error("nothing is taken over: {0}")]
    Handover(io::Error),
}

/// How it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Everything under way finished.
    Drained,
    /// What was still under way at the deadline was cut.
    Cut,
    /// The application that ran beside it has ended, with this.
    With(u8),
}

/// What a process of its own is beside the proxy that it runs.
#[derive(Debug, Default)]
pub struct Own {
    pub keep: Keep,
    /// Sockets that were open before.
    pub inherited: Inherited,
    /// How another process of it is started; `None`: nobody takes over.
    pub launch: Option<Launch>,
    /// A program with its arguments, which runs as long as the proxy does.
    pub with: Option<Vec<OsString>>,
}

/// Builds a proxy.
#[derive(Debug)]
pub struct App;

impl App {
    /// Resolves names, compiles and configures filters, reads certificates and binds every address.
    pub fn build(loaded: Loaded) -> Result<Bound, StartError> {
        Self::build_keeping(loaded, Keep::Ask)
    }

    /// The same, where it is known what holds if the file has changed under what was pushed.
    pub fn build_keeping(loaded: Loaded, keep: Keep) -> Result<Bound, StartError> {
        Self::build_for(loaded, Own { keep, ..Own::default() }, false)
    }

    /// The same for a process of its own: SIGHUP reloads, SIGTERM and SIGINT drain, a second one stops at once. They are
    /// heeded before the first address is open, so that nobody who sees it serve can end it by accident.
    pub fn build_with_signals(loaded: Loaded, own: Own) -> Result<Bound, StartError> {
        Self::build_for(loaded, own, true)
    }

    fn build_for(loaded: Loaded, own: Own, signals: bool) -> Result<Bound, StartError> {
        let Own { keep, mut inherited, launch, with } = own;
        let file = Some(loaded.source.file().to_owned()).filter(|file| file.exists());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
        let mut signals = if signals {
            let _inside = runtime.enter();
            Some(Signals::new(with.is_some()).map_err(StartError::Signals)?)
        } else {
            None
        };
        // Where it is kept is always what the file says.
        let directory = loaded.config.state.directory.clone();
        let lock = directory.as_deref().and_then(|directory| inherited.lock(directory));
        let (shelf, versions) = Shelf::open(directory.as_deref(), lock).map_err(RestoreError::from)?;
        let (Loaded { mut config, source }, configs) = restore::configuration(loaded, &shelf)?;
        let workers = *config.workers.get_or_insert_with(cores);
        let engine = Engine::new(config.limits.instances, Entry::of(&config.modules))
            .map_err(|error| StartError::Engine(format!("{error:#}")))?;
        let modules = Modules::new(engine);
        if let Some(spiffe) = &config.spiffe {
            runtime.block_on(workload::first(spiffe))?;
        }
        let resolver = match Resolver::build(&config.dns) {
            Ok(resolver) => Some(resolver),
            Err(_) if !discovery::needs_dns(&config) => None,
            Err(error) => return Err(StartError::Resolver(error.to_string())),
        };
        let resolved = runtime.block_on(discovery::find_new(resolver.as_ref(), &config, Resolved::default()));
        let guard =
            Guard::build(config.admin.as_ref().and_then(|admin| admin.token_file.as_deref())).map_err(StartError::Token)?;
        let load = move || Self::load(config, source, resolved, modules, keep, shelf, versions);
        let (events, queue) = mpsc::channel(EVENTS);
        let loaded = runtime.block_on(unless_told(runtime.spawn_blocking(load), &mut signals, &events));
        let Some(loaded) = loaded else {
            // What is being fetched or compiled is not waited for.
            runtime.shutdown_background();
            return Err(StartError::Told);
        };
        let (parts, modules, shelf, versions, snapshot) = loaded?;
        let listeners = Listeners::bind(&parts, workers, &mut inherited)?;
        let admin = match &parts.config.admin {
            Some(admin) => {
                let bound = match inherited.admin(&admin.listen) {
                    Some(socket) => socket::Bound::adopt(&admin.listen, socket),
                    None => socket::Bound::bind(&admin.listen),
                };
                let socket = bound.map_err(|source| StartError::Admin { address: admin.listen.clone(), source })?;
                Some(BoundAdmin { socket, guard, config: Arc::new(admin.clone()) })
            }
            None => None,
        };
        let left = inherited.left();
        if !inherited.is_heir() && !left.is_empty() {
            return Err(StartError::Activated(left));
        }
        let ledger = Arc::new(Ledger::default());
        ledger.live(&snapshot, restore::standings(&parts, &versions));
        let live = Arc::new(Live::from_pointee(snapshot));
        let shelf = Arc::new(shelf);
        Ok(Bound {
            file,
            runtime,
            workers,
            parts,
            modules,
            resolver,
            versions,
            shelf,
            configs: Arc::new(configs),
            listeners,
            admin,
            ledger,
            live,
            events,
            queue,
            signals,
            inherited,
            launch,
            application: with.map(Application::new),
        })
    }
}

/// What a proxy is made of, before it has an address.
type Made = (Parts, Modules, Shelf, AllVersions, Snapshot);

impl App {
    /// The slow half of building one.
    fn load(
        config: Config,
        source: Source,
        mut resolved: Resolved,
        mut modules: Modules,
        keep: Keep,
        shelf: Shelf,
        versions: AllVersions,
    ) -> Result<Made, StartError> {
        let (loaded, mut problems) = load_modules(&mut modules, &config, &source);
        problems.merge(inputs::load_endpoints(&config, &source, &mut resolved));
        let (inputs, unread) = inputs::load(&config, &source, &resolved, &Contents::default());
        problems.merge(unread);
        let (config, overrides) = (Arc::new(config), BTreeMap::new());
        let mut parts = Parts { config, source, modules: loaded, overrides, resolved, inputs };
        if !problems.is_empty() {
            // The filters that could be loaded are judged as well; what was pushed has to wait for a file that is right.
            if let Err(more) = Snapshot::build(&parts, None, true) {
                problems.merge(more);
            }
            return Err(StartError::Config(problems));
        }
        let versions = restore::restore(&mut parts, &mut modules, keep, &shelf, versions)?;
        let snapshot = Snapshot::build(&parts, None, true)?;
        snapshot.notes(&parts.source).iter().for_each(|note| tracing::warn!("{note}"));
        snapshot.stores.values().for_each(|store| store.begin(Some(STORE_WAIT)));
        Ok((parts, modules, shelf, versions, snapshot))
    }

    /// Finds everything that is wrong with a configuration, what its filters say included, except what only resolving
    /// names and opening addresses would show.
    /// What is no mistake but may surprise comes back.
    pub fn check(examined: Examined) -> Result<Problems, Problems> {
        let Examined { loaded: Loaded { mut config, source }, mut problems } = examined;
        // An access log is not written while checking.
        config.access_log.output = config::AccessLogOutput::Off;
        let whole = |message: String| Problems::from(vec![source.problem_at(&[], message)]);
        let engine = Engine::new(config.limits.instances, Entry::of(&config.modules))
            .map_err(|error| whole(format!("the Wasm engine cannot be set up: {error:#}")))?;
        let mut modules = Modules::new(engine);
        let (modules, failed) = load_modules(&mut modules, &config, &source);
        problems.merge(failed);
        let (inputs, unread) = inputs::load_files(&config, &source);
        problems.merge(unread);
        problems.merge(inputs::load_endpoints(&config, &source, &mut Resolved::default()));
        let (config, overrides) = (Arc::new(config), BTreeMap::new());
        let parts = Parts { config, source, modules, overrides, resolved: Resolved::default(), inputs };
        let notes = match Snapshot::build(&parts, None, true) {
            Ok(snapshot) => snapshot.notes(&parts.source),
            Err(more) => {
                problems.merge(more);
                Problems::new()
            }
        };
        if problems.is_empty() { Ok(notes) } else { Err(problems) }
    }
}

impl App {
    /// A configuration whose text has no mistake. With one, everything else that is wrong is told at once.
    pub fn sound(examined: Examined) -> Result<Loaded, Problems> {
        if examined.problems.is_empty() {
            return Ok(examined.loaded);
        }
        let known = examined.problems.clone();
        Err(App::check(examined).err().unwrap_or(known))
    }
}

/// The operator's listener, before it is served.
struct BoundAdmin {
    socket: socket::Bound,
    guard: Guard,
    config: Arc<config::Admin>,
}

/// A proxy that is ready to run: its addresses are open and its filters configured.
pub struct Bound {
    runtime: tokio::runtime::Runtime,
    workers: usize,
    /// The configuration, if it was read from a file.
    file: Option<PathBuf>,
    parts: Parts,
    modules: Modules,
    resolver: Option<Resolver>,
    versions: AllVersions,
    shelf: Arc<Shelf>,
    configs: Arc<Configs>,
    listeners: Listeners,
    admin: Option<BoundAdmin>,
    ledger: Arc<Ledger>,
    live: Arc<Live>,
    events: mpsc::Sender<Event>,
    queue: mpsc::Receiver<Event>,
    signals: Option<Signals>,
    inherited: Inherited,
    /// `None`: it is part of another program.
    launch: Option<Launch>,
    application: Option<Application>,
}

impl Bound {
    /// The real address of a listener.
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.address(name)
    }

    /// Every listener with its real address.
    pub fn listeners(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.listeners.addresses()
    }

    /// The real address of the admin.
    pub fn admin(&self) -> Option<AdminListen> {
        self.admin.as_ref().and_then(|admin| admin.socket.address())
    }

    pub fn handle(&self) -> Handle {
        Handle::new(self.events.clone())
    }

    /// Serves until it is told to leave.
    pub fn run(self) -> Result<Left, RunError> {
        Control::run(self)
    }
}

/// Waits for what takes long; `None` if the operator wants to leave before. A reload is kept for later.
async fn unless_told<T>(mut long: JoinHandle<T>, signals: &mut Option<Signals>, events: &mpsc::Sender<Event>) -> Option<T> {
    loop {
        tokio::select! {
            done = &mut long => return Some(done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))),
            event = Signals::next(signals) => match event {
                // One that waits already will do.
                Event::Reload => drop(events.try_send(event)),
                // The file is not open yet.
                Event::ReopenLog => {}
                _ => return None,
            },
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Every module that the configuration names, and what is wrong with those that are missing.
fn load_modules(modules: &mut Modules, config: &Config, source: &Source) -> (HashMap<ModuleSource, Arc<Module>>, Problems) {
    let mut problems = Problems::new();
    if let Err(error) = modules.configure(&config.modules) {
        let mut path: Vec<Step<'_>> = vec!["modules".into(), "ca".into()];
        path.extend(error.index().map(Step::Index));
        problems.push(source.problem_at(&path, error.to_string()));
        return (HashMap::new(), problems);
    }
    let started = std::time::Instant::now();
    let outcomes = modules.load_all(config.filters.values().flat_map(|filter| filter.modules()));
    if started.elapsed() > SLOW_LOAD {
        let compiled = outcomes.values().flatten().filter(|module| module.compiled == Compiled::Now).count();
        tracing::info!(modules = outcomes.len(), compiled, took = ?started.elapsed(), "loaded");
    }
    for (name, filter) in &config.filters {
        for module in filter.modules() {
            if let Some(Err(error)) = outcomes.get(module) {
                problems.extend(filter_problems(source, name, error));
            }
        }
    }
    let loaded = outcomes.into_iter().filter_map(|(source, outcome)| Some((source.clone(), outcome.ok()?))).collect();
    (loaded, problems)
}

/// How long a start waits for the backends of stores. Without them it goes on, as it would without them later.
const STORE_WAIT: Duration = Duration::from_secs(1);
/// Loads that take longer are worth a line in the log.
const SLOW_LOAD: Duration = Duration::from_secs(1);
