//! What a configuration says, as plain data: no I/O, no runtime state, no atomics.
//!
//! Two values are equal when they would build the same part, which is how a new snapshot knows what to carry over.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use access_log::*;
pub use admin::*;
pub use clusters::*;
pub use listeners::*;
pub use proxy_wasm::*;
pub use redact::*;
pub use sidecar::*;
pub use stores::*;
pub use tcp::*;
pub use tls::*;
pub use tracing::*;
pub use upgrade::*;

use super::defaults;

macro_rules! from_defaults {
    ($type:ident { $($field:ident: $constant:ident),+ $(,)? }) => {
        impl Default for $type {
            fn default() -> Self {
                Self { $($field: defaults::$constant),+ }
            }
        }
    };
}

mod access_log;
mod admin;
mod clusters;
mod listeners;
mod proxy_wasm;
mod redact;
mod sidecar;
mod stores;
mod tcp;
mod tls;
mod tracing;
mod upgrade;

/// Everything one instance of the proxy is told. Maps are keyed by the name in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Worker threads; `None` means one a core.
    pub workers: Option<usize>,
    /// What connections are marked with that the proxy opens, for firewalls and routes.
    pub mark: Option<u32>,
    pub admin: Option<Admin>,
    pub state: State,
    pub access_log: AccessLog,
    pub redact: Redact,
    /// `None`: fields of traces pass as they are.
    pub tracing: Option<Arc<Tracing>>,
    pub limits: ProcessLimits,
    pub drain: Drain,
    pub upgrade: Upgrade,
    pub dns: Dns,
    pub modules: Modules,
    pub spiffe: Option<Spiffe>,
    /// What stands for some of what follows.
    pub sidecar: Option<Sidecar>,
    pub services: BTreeMap<Arc<str>, Arc<Service>>,
    pub listeners: BTreeMap<Arc<str>, Arc<Listener>>,
    pub clusters: BTreeMap<Arc<str>, Arc<Cluster>>,
    pub filters: BTreeMap<Arc<str>, Arc<Filter>>,
    pub chains: BTreeMap<Arc<str>, Arc<Chain>>,
    pub stores: BTreeMap<Arc<str>, Arc<Store>>,
}

/// `[state]`: what is pushed through the admin, and how much of it is remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Where it is kept; `None`: until the process ends.
    pub directory: Option<PathBuf>,
    /// Versions of a filter that can be gone back to, the live one included.
    pub versions: usize,
}

/// `[limits]`: what holds for the whole process.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessLimits {
    /// Downstream connections of all listeners; one more is closed at once.
    pub connections: usize,
    /// Exchanges under way; one more is answered 503 `overloaded`.
    pub exchanges: usize,
    /// Instances of all filters at once; one more fails its exchange as the filter's `on-failure` says.
    pub instances: usize,
    /// Exchanges that are over and whose complete hooks are pending; those of one more are left out, with a line in the log.
    pub complete_hooks: usize,
    /// Hooks and attempts that are kept of an exchange that somebody looks at; further ones are counted.
    pub trail_steps: usize,
}

/// `[drain]`: how the proxy leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Drain {
    /// Between the moment `/ready` turns 503 and the moment listeners close.
    pub pre_stop: Duration,
    /// What is still under way after this long is cut.
    pub timeout: Duration,
}

/// `[dns]`: how names in `endpoints` are resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Dns {
    /// Empty: the servers of the system's resolv.conf.
    pub servers: Vec<SocketAddr>,
    pub query_timeout: Duration,
    /// An answer is asked again after its TTL, but not sooner than this.
    pub ttl_min: Duration,
    /// After a failed query the last good answer is kept and the next query waits this long.
    pub retry: Duration,
}

/// `[modules]`: how modules are fetched, and what is kept of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Modules {
    pub cache: ModuleCache,
    /// Of everything in the cache; the oldest-used goes first.
    pub cache_bytes: u64,
    /// PEM files of authorities that are trusted besides those of the system.
    pub ca: Vec<PathBuf>,
    /// For all modules of one load together.
    pub fetch_timeout: Duration,
    /// Of connections for fetching.
    pub mark: Option<u32>,
    /// Core modules are entered as such where that is the same; otherwise as components.
    pub direct: bool,
}

/// `cache = "a/folder" | "off"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleCache {
    /// `$XDG_CACHE_HOME/tamis` or `~/.cache/tamis`; without a home there is none.
    User,
    Off,
    Folder(PathBuf),
}

/// `[filters.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    pub module: ModuleSource,
    pub on_failure: OnFailure,
    /// CPU time one hook may use; waiting does not count.
    pub deadline: Duration,
    /// CPU time `configure` may use.
    pub configure_deadline: Duration,
    /// Wall time of one hook, waiting included; zero: as long as it takes.
    pub hook_timeout: Duration,
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    pub isolation: Isolation,
    /// At work at once, on all workers together.
    pub instances_max: usize,
    /// How long an exchange waits for one.
    pub instances_wait: Duration,
    /// Hooks after which an instance is replaced; 0: never.
    pub retire_after: u64,
    /// Linear memory past which it is, in bytes.
    pub retire_memory: usize,
    /// Lines a second; 0: no limit.
    pub log_lines: u64,
    /// `None`: it is called however often it fails.
    pub trip: Option<Trip>,
    pub mode: Mode,
    /// A second version that is only watched.
    pub observe: Option<ModuleSource>,
    /// Whether what is watched may send requests of its own.
    pub observe_calls: bool,
    /// A second version that gets a share of the exchanges.
    pub canary: Option<Canary>,
    /// A version that keeps failing within this long of going live makes way for the one before; zero: never.
    pub probation: Duration,
    /// What `configure` is given beside its configuration.
    pub inputs: BTreeMap<Arc<str>, Input>,
    pub allow: Allow,
    /// For a module made for that ABI.
    pub proxy_wasm: ProxyWasm,
    /// What `configure` is given, as JSON.
    pub config: Arc<serde_json::Value>,
}

/// `allow = { clusters = ["idp"], stores = ["quota"], environment = { REGION = "eu" } }`: what a filter can reach beyond
/// the exchange in hand. Nothing, unless it is granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow {
    /// Clusters it may send requests of its own to.
    pub clusters: Vec<Arc<str>>,
    pub stores: Vec<Arc<str>>,
    /// The environment variables it sees; those of the proxy it never does.
    pub environment: BTreeMap<String, String>,
}

impl Filter {
    /// Every module that it names.
    pub fn modules(&self) -> impl Iterator<Item = &ModuleSource> {
        let canary = self.canary.as_ref().map(|canary| &canary.module);
        std::iter::once(&self.module).chain(&self.observe).chain(canary)
    }
}

/// `module = "builtin:router"`, a path relative to the file that names it, or `https://…`; and its `sha256`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModuleSource {
    Builtin(Arc<str>),
    Path {
        path: PathBuf,
        /// What the file must have, if somebody said so.
        sha256: Option<Sha256>,
    },
    /// Its hash tells what it is; the address only tells where to get it.
    Https {
        url: http::Uri,
        sha256: Sha256,
    },
}

/// `mode = "enforce" | "observe"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Enforce,
    /// It sees a copy of every exchange, and what it decides is counted and not applied.
    Observe,
}

/// `canary = { module = "…", percent = 5 }`
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    pub module: ModuleSource,
    pub percent: u32,
}

/// `isolation = "reuse" | "fresh"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// An instance serves one exchange after the other.
    Reuse,
    /// Every hook gets an instance that nothing has run in before.
    Fresh,
}

/// `[filters.NAME.trip]`: when a filter that keeps failing is left alone for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Trip {
    pub calls: u64,
    pub percent: u32,
    pub backoff: Duration,
    pub backoff_max: Duration,
}

/// `inputs = { blocked = "blocked.txt", keys = { cluster = "idp", url = "/jwks.json", every = "5m" } }`
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Input {
    /// It is watched.
    File(PathBuf),
    /// It is fetched again and again.
    Resource { cluster: Arc<str>, target: Arc<str>, every: Duration },
}

/// `[chains.NAME]`: filters that an exchange goes through after those of its listener, if one of them says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    pub filters: Vec<Arc<str>>,
}

/// A SHA-256, shown in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256(pub [u8; 32]);

/// What an exchange gets when the filter fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// 500 `filter-failed`.
    Closed,
    /// The exchange goes on as if the filter were not there.
    Open,
}

from_defaults!(ProcessLimits {
    connections: CONNECTIONS,
    exchanges: EXCHANGES,
    instances: INSTANCES,
    complete_hooks: COMPLETE_HOOKS,
    trail_steps: TRAIL_STEPS,
});
from_defaults!(Drain { pre_stop: DRAIN_PRE_STOP, timeout: DRAIN_TIMEOUT });

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            query_timeout: defaults::DNS_QUERY,
            ttl_min: defaults::DNS_TTL_MIN,
            retry: defaults::DNS_RETRY,
        }
    }
}

impl Default for Modules {
    fn default() -> Self {
        Self {
            cache: ModuleCache::User,
            cache_bytes: defaults::MODULE_CACHE_BYTES,
            ca: Vec::new(),
            fetch_timeout: defaults::MODULE_FETCH,
            mark: None,
            direct: true,
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self { directory: None, versions: defaults::STATE_VERSIONS }
    }
}

impl Default for Trip {
    fn default() -> Self {
        Self {
            calls: defaults::TRIP_CALLS,
            percent: defaults::TRIP_PERCENT,
            backoff: defaults::TRIP_BACKOFF,
            backoff_max: defaults::TRIP_BACKOFF_MAX,
        }
    }
}

impl std::fmt::Display for ModuleSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ModuleSource::Builtin(name) => write!(f, "builtin:{name}"),
            ModuleSource::Path { path, .. } => path.display().fmt(f),
            // A query may hold what lets somebody in.
            ModuleSource::Https { url, .. } => {
                write!(f, "https://{}{}", url.authority().map_or("", |authority| authority.as_str()), url.path())
            }
        }
    }
}

impl std::fmt::Display for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
