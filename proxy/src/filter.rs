//! Filters: how a module becomes something that can be called, and what it may do.
//!
//! `source` finds modules, with `fetch` where they are elsewhere; `engine` and `module` compile, and `cache` keeps what they
//! made; `host` is what a filter can ask for, free of any ABI; `abi` carries it across the border of the sandbox; `hand` is
//! what a running hook speaks of; `schema` knows what a configuration looks like; `image` copies what `configure` left in
//! memory, and `heap` gives back what that took; `pool` keeps a worker's instances; `chain` runs them in order; `health` leaves
//! alone what keeps failing; `usage` counts what instances take; `witness` sees it all while somebody watches. Whatever a filter does wrong ends here as a
//! [`Fault`], never as a panic.

pub mod abi;
pub mod cache;
mod calls;
pub mod chain;
pub mod engine;
mod epochs;
pub mod failures;
mod fetch;
mod guest;
pub mod hand;
mod health;
pub mod heap;
pub mod host;
pub mod image;
pub mod limits;
pub mod module;
pub mod observe;
pub mod pool;
mod progress;
pub mod schema;
pub mod source;
pub mod tick;
pub mod usage;
pub mod witness;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

pub use calls::Calls;
pub use chain::Chain;
pub use engine::{Engine, Entry};
pub use failures::Failures;
pub use guest::Guest;
pub use hand::{OutOfPlace, Reach};
pub use health::{Admission, Health};
pub use host::metrics::{Instruments, Taken};
pub use host::setup::{Hook, Setup};
pub use image::{Configured, Image};
pub use module::{LoadError, Module};
pub use observe::Observed;

use crate::config;
use crate::store::Stores;
use crate::telemetry::metrics::Registry;
use abi::Instance;
use abi::proxy_wasm::meters::Meters;
use host::inputs::Inputs;
use limits::thread_cpu_time;
use usage::Usage;

/// What a hook decides. In a chunk hook `Replied` says that other bytes take the place of those that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Next,
    Replied,
    Reset,
}

impl Verdict {
    /// As metrics and logs call it.
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Next => "next",
            Verdict::Replied => "replied",
            Verdict::Reset => "reset",
        }
    }
}

/// How a filter failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("it trapped: {0}")]
    Trap(String),
    #[error("it used more than its {0:?} of CPU time")]
    Deadline(Duration),
    #[error("it took longer than its {0:?}, waiting included")]
    Late(Duration),
    #[error("it wanted more than its {0} bytes of memory: {1}")]
    Memory(usize, String),
    #[error("it begins with {wanted} bytes of memory and may have {allowed}: set its `memory` to {} or more", advised(*wanted))]
    Small { allowed: usize, wanted: usize },
    #[error("no instance could be made: {0}")]
    Instance(String),
    /// `configure` accepted this configuration once and refuses it now.
    #[error("it could not be configured again: {0}")]
    Configure(String),
    /// Another exchange's doing.
    #[error("{0}")]
    Lost(Arc<str>),
    #[error("all of its {max} instances stayed at work for {waited:?}; `instances-max` allows no more")]
    NoRoom { max: usize, waited: Duration },
}

/// What to set for so much at the beginning: half as much again, because hardly a filter never grows, in whole steps of 8 MiB.
fn advised(wanted: usize) -> String {
    const STEP: usize = 8 << 20;
    format!("\"{}MiB\"", (wanted + wanted / 2).div_ceil(STEP) * 8)
}

impl Fault {
    /// The instance it happened in is of no further use.
    pub fn spoils_the_instance(&self) -> bool {
        !matches!(self, Fault::NoRoom { .. })
    }

    /// Whether it speaks against the filter, and not against how much there is to do.
    pub fn is_the_filters(&self) -> bool {
        !matches!(self, Fault::NoRoom { .. } | Fault::Instance(_) | Fault::Lost(_))
    }

    /// One word for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Trap(_) => "trap",
            Fault::Deadline(_) => "deadline",
            Fault::Late(_) => "timeout",
            Fault::Memory(..) | Fault::Small { .. } => "memory",
            Fault::Instance(_) => "instance",
            Fault::Configure(_) => "configure",
            Fault::Lost(_) => "lost",
            Fault::NoRoom { .. } => "no-room",
        }
    }
}

/// What a filter reaches beyond the exchange in hand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grants {
    pub clusters: std::collections::BTreeSet<Arc<str>>,
    pub stores: host::store::Granted,
    pub environment: BTreeMap<String, String>,
}

impl Grants {
    /// What `allow` says, with the stores of a snapshot.
    pub fn new(allow: &config::Allow, stores: &Stores) -> Self {
        Self {
            clusters: allow.clusters.iter().cloned().collect(),
            stores: host::store::grant(&allow.stores, stores, &"".into()),
            environment: allow.environment.clone(),
        }
    }

    /// For a filter that is only watched: keys of its own, and no requests unless `calls` says so.
    pub fn watched(allow: &config::Allow, stores: &Stores, name: &str, calls: bool) -> Self {
        let namespace = format!("observed:{name}").into();
        Self {
            clusters: if calls { allow.clusters.iter().cloned().collect() } else { Default::default() },
            stores: host::store::grant(&allow.stores, stores, &namespace),
            environment: allow.environment.clone(),
        }
    }
}

/// What every instance of a filter knows of it.
#[derive(Debug)]
pub struct Identity {
    pub name: Arc<str>,
    pub config: Arc<config::Filter>,
    pub grants: Grants,
    pub log: host::log::Gate,
    pub usage: Arc<Usage>,
    /// The metrics of other filters, whose names it cannot have.
    pub taken: Taken,
    /// The metrics it declared, once it is configured.
    pub instruments: OnceLock<Instruments>,
    /// Those that a module made for proxy-wasm defines while it runs.
    pub meters: Arc<Meters>,
}

/// One filter of one snapshot: a module, its configuration, and what it said while it was configured.
#[derive(Debug)]
pub struct Filter {
    pub name: Arc<str>,
    pub config: Arc<config::Filter>,
    pub identity: Arc<Identity>,
    pub module: Arc<Module>,
    pub setup: Setup,
    pub inputs: Inputs,
    /// How often it failed.
    pub failures: Failures,
    pub calls: Calls,
    pub beside: Option<(Arc<Filter>, Role)>,
    /// What was seen while it was only watched.
    pub observed: Observed,
    /// What `configure` is given.
    pub config_json: Arc<str>,
    /// Differs for every filter that was ever built, so that workers can key their instances by it.
    pub id: u64,
    /// A worker's share of `instances-max`.
    pub instances_a_worker: usize,
    pub health: Health,
    /// How its instances come to be configured.
    pub configured: Configured,
    /// Made off the workers, so that the first exchange of each worker does not wait for it.
    spares: Mutex<Vec<Instance>>,
}

/// What a filter is built from.
#[derive(Debug, Clone)]
pub struct Plan {
    pub name: Arc<str>,
    pub config: Arc<config::Filter>,
    pub module: Arc<Module>,
    pub grants: Grants,
    pub inputs: Inputs,
    /// A second version, and what it is for.
    pub beside: Option<(Box<Plan>, Role)>,
}

/// What a second version of a filter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sees copies, and nothing of what it decides is done.
    Observed,
    /// It takes the place of the first in so many of a hundred exchanges.
    Canary(u32),
}

impl Role {
    /// What follows the name of the filter in logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Role::Observed => "observed",
            Role::Canary(_) => "canary",
        }
    }
}

/// What a filter is built into.
pub struct Around<'a> {
    pub workers: usize,
    /// The filter of the same name in the snapshot before.
    pub previous: Option<&'a Filter>,
    pub metrics: &'a Registry,
    /// The metrics of the filters beside it.
    pub taken: Taken,
}

impl Filter {
    /// Configures an instance of the module, which proves that it accepts the configuration and says which hooks it wants;
    /// the others are copies of it where that is worth it, or are configured one by one. Runs on a thread that may block.
    pub fn build(plan: Plan, around: &Around<'_>) -> Result<Arc<Self>, LoadError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let Plan { name, config, module, grants, inputs, beside } = plan;
        let beside = match beside {
            Some((plan, role)) => {
                let previous = around.previous.and_then(|previous| previous.beside.as_ref()).map(|(filter, _)| &**filter);
                let around = Around { previous, taken: around.taken.clone(), ..*around };
                let built = Self::build(*plan, &around);
                Some((built.map_err(|error| LoadError::Beside(role.word(), Box::new(error)))?, role))
            }
            None => None,
        };
        let workers = around.workers.max(1);
        let identity = Identity {
            name: Arc::clone(&name),
            config: Arc::clone(&config),
            grants,
            log: host::log::Gate::default(),
            usage: Arc::default(),
            taken: around.taken.clone(),
            instruments: OnceLock::new(),
            meters: around.previous.map(|previous| Arc::clone(&previous.identity.meters)).unwrap_or_default(),
        };
        let mut filter = Self {
            identity: Arc::new(identity),
            setup: Setup::default(),
            inputs,
            failures: Failures::of(&name, around.metrics),
            calls: Calls::of(&name, workers, around.previous.map(|previous| &previous.calls)),
            observed: Observed::of(&name, around.metrics),
            beside,
            config_json: config.config.to_string().into(),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            instances_a_worker: config.instances_max.div_ceil(workers),
            health: Health::new(&config, workers),
            configured: Configured::default(),
            spares: Mutex::default(),
            name,
            config,
            module,
        };
        let spares = filter.judged(workers)?;
        let previous = around.previous.and_then(|previous| previous.identity.instruments.get());
        let instruments = Instruments::build(&filter.name, &filter.setup.metrics, previous);
        let _ = filter.identity.instruments.set(instruments);
        filter.spares = Mutex::new(spares);
        Ok(Arc::new(filter))
    }

    /// Has the filter configured, and its configuration held against the schema that the module may carry. Both have to accept
    /// it: the filter tells its first mistake, in its own words, and the schema the others.
    fn judged(&mut self, workers: usize) -> Result<Vec<Instance>, LoadError> {
        let mistakes = self.module.schema.as_ref().map(|schema| schema.mistakes(&self.config.config)).unwrap_or_default();
        let (configured, mut refused) = match self.configure(workers) {
            Err(LoadError::Refused(said)) => (None, said),
            other => (Some(other?), Vec::new()),
        };
        let untold = mistakes.iter().filter(|mistake| !refused.iter().any(|said| mistake.is_told_by(said)));
        let untold: Vec<String> = untold.map(ToString::to_string).collect();
        refused.extend(untold);
        match configured {
            Some(spares) if refused.is_empty() => Ok(spares),
            _ => Err(LoadError::Refused(refused)),
        }
    }

    /// Finds or makes the image, or else an instance for each worker.
    fn configure(&mut self, workers: usize) -> Result<Vec<Instance>, LoadError> {
        if self.module.prepared.is_shared() {
            return self.configure_each(workers);
        }
        if let Some(kept) = Image::kept(&self.module, &self.identity, &self.config_json, &self.inputs) {
            return Ok(self.copy(kept));
        }
        let (first, setup, took) = self.configure_one()?;
        let mut spares = Vec::with_capacity(workers);
        let why = if self.config.isolation == config::Isolation::Fresh || took > image::worth(&self.module) {
            // What it holds may be as large as the image, and that is made of another one.
            drop(first);
            match Image::make(&self.module, &self.identity, &self.config_json, &self.inputs) {
                Ok(made) => {
                    heap::give_back();
                    return Ok(self.copy(made));
                }
                Err(unfit) => {
                    let why = unfit.to_string();
                    tracing::warn!(filter = %self.name, ?took, why, "each instance is configured by itself");
                    why
                }
            }
        } else {
            spares.push(first);
            let worth = image::worth(&self.module);
            format!("to configure an instance took {took:?}, and an image is made from {worth:?} on")
        };
        (self.setup, self.configured) = (setup, Configured::EachInstance { why });
        while spares.len() < workers {
            spares.push(self.configure_one()?.0);
        }
        Ok(spares)
    }

    /// An instance for each worker, which is all that it has.
    fn configure_each(&mut self, workers: usize) -> Result<Vec<Instance>, LoadError> {
        let (first, setup, _) = self.configure_one()?;
        let why = "the exchanges of a worker share one".to_owned();
        (self.setup, self.configured) = (setup, Configured::EachInstance { why });
        let mut spares = vec![first];
        while spares.len() < workers {
            spares.push(self.configure_one()?.0);
        }
        Ok(spares)
    }

    /// All instances are of this image.
    fn copy(&mut self, (image, spare, setup): (Image, Instance, Setup)) -> Vec<Instance> {
        tracing::info!(filter = %self.name, bytes = image.bytes, took = ?image.took, compiled = image.compiled.word(), "configured");
        (self.setup, self.configured) = (setup, Configured::Image(image));
        vec![spare]
    }

    /// An instance, what it said of itself, and the CPU time it took to configure it.
    fn configure_one(&self) -> Result<(Instance, Setup, Duration), LoadError> {
        let prepared = &self.module.prepared;
        let mut instance = block_on(prepared.waits(&self.identity), prepared.instantiate(&self.identity))??;
        let began = thread_cpu_time();
        let setup = block_on(prepared.waits(&self.identity), instance.configure(&self.config_json, &self.inputs))?;
        let took = thread_cpu_time().saturating_sub(began);
        let mut setup = setup.map_err(refused)?;
        setup.settle(&prepared.hooks()).map_err(|why| LoadError::Refused(vec![why]))?;
        Ok((instance, setup, took))
    }

    /// Whether building it from this plan would make the same.
    pub fn is_built_from(&self, plan: &Plan) -> bool {
        self.config == plan.config
            && self.module.hash == plan.module.hash
            && self.inputs == plan.inputs
            && self.identity.grants == plan.grants
            && match (&self.beside, &plan.beside) {
                (None, None) => true,
                (Some((beside, role)), Some((plan, other))) => role == other && beside.is_built_from(plan),
                _ => false,
            }
    }

    /// The version that is watched in its place or beside it.
    pub fn watched(self: &Arc<Self>) -> Option<&Arc<Self>> {
        match &self.beside {
            _ if self.config.mode == config::Mode::Observe => Some(self),
            Some((second, Role::Observed)) => Some(second),
            _ => None,
        }
    }

    /// The version that takes its place in a share of the exchanges, unless it has shown that it fails.
    pub fn canary(&self) -> Option<(&Arc<Self>, u32)> {
        match &self.beside {
            Some((canary, Role::Canary(percent))) if !canary.health.has_failed() => Some((canary, *percent)),
            _ => None,
        }
    }

    /// What it decides is done.
    pub fn is_enforced(&self) -> bool {
        self.config.mode == config::Mode::Enforce
    }

    /// Whether this hook has to be called, or its call to be watched.
    pub fn wants(self: &Arc<Self>, hook: Hook) -> bool {
        self.setup.wants(hook) || self.watched().is_some_and(|watched| watched.setup.wants(hook))
    }

    /// Whether it judges raw connections: of a port of nothing else (`raw_only`) whatever has a hook for them, of one of both not what may
    /// be for HTTP alone. Modules made with SDKs for proxy-wasm have all hooks, whatever they are for.
    pub fn is_for_connections(&self, raw_only: bool) -> bool {
        let says_so = match &self.module.prepared {
            abi::Prepared::Component(_) => true,
            abi::Prepared::ProxyWasm(prepared) => prepared.is_of_connections() || self.config.proxy_wasm.connections,
        };
        self.setup.wants(Hook::Connection) && (says_so || raw_only)
    }

    /// The same for one of several.
    pub fn wants_one_of(self: &Arc<Self>, hooks: &[Hook]) -> bool {
        self.setup.wants_one_of(hooks) || self.watched().is_some_and(|watched| watched.setup.wants_one_of(hooks))
    }

    /// One of the instances that were made before the filter went live.
    pub fn spare(&self) -> Option<Instance> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// A new, configured instance.
    pub async fn instance(&self) -> Result<Instance, ConfigureError> {
        if let Configured::Image(image) = &self.configured {
            return Ok(image.instantiate(&self.identity).await?);
        }
        let mut instance = self.module.prepared.instantiate(&self.identity).await?;
        instance.configure(&self.config_json, &self.inputs).await?;
        Ok(instance)
    }
}

fn refused(error: ConfigureError) -> LoadError {
    match error {
        ConfigureError::Refused(message) => LoadError::Refused(vec![message]),
        ConfigureError::Fault(fault) => LoadError::Fault(fault),
    }
}

/// Runs what a guest does before anybody serves. `waits`: it runs on a fiber, which needs a runtime to make way.
pub fn block_on<T>(waits: bool, future: impl Future<Output = T>) -> Result<T, LoadError> {
    if waits {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        return Ok(runtime.map_err(|error| LoadError::Link(format!("no runtime: {error}")))?.block_on(future));
    }
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => Ok(value),
        std::task::Poll::Pending => Err(LoadError::Link("it waited although it imports nothing that waits".to_owned())),
    }
}

/// Why an instance could not be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// The filter said so itself.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}
