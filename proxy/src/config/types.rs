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
pub use redact::*;
pub use tls::*;
pub use tracing::*;

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
mod redact;
mod tls;
mod tracing;

/// Everything one instance of the proxy is told. Maps are keyed by the name in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Worker threads; `None` means one a core.
    pub workers: Option<usize>,
    pub admin: Option<Admin>,
    pub state: State,
    pub access_log: AccessLog,
    pub redact: Redact,
    /// `None`: fields of traces pass as they are.
    pub tracing: Option<Arc<Tracing>>,
    pub limits: ProcessLimits,
    pub drain: Drain,
    pub dns: Dns,
    pub modules: Modules,
    pub spiffe: Option<Spiffe>,
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
}

/// `cache = "a/folder" | "off"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleCache {
    /// `$XDG_CACHE_HOME/tamis` or `~/.cache/tamis`; without a home there is none.
    User,
    Off,
    Folder(PathBuf),
}

/// `[listeners.NAME]`
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    pub listen: SocketAddr,
    pub tls: Option<ServerTls>,
    /// The chain: names of `[filters.…]`, in the order in which request hooks run.
    pub filters: Vec<Arc<str>>,
    /// Where an exchange goes when no filter says otherwise; `None`: 404.
    pub cluster: Option<Arc<str>>,
    /// Peers whose X-Forwarded-* fields are believed.
    pub trusted: Vec<ipnet::IpNet>,
    pub paths: Paths,
    /// `header-underscores = "reject" | "pass"`: field names with `_` are 400, or go on.
    pub reject_underscores: bool,
    /// The field in which clients tell how long they wait; `None`: none.
    pub timeout_header: Option<http::HeaderName>,
    /// `access-log = "on" | "off"`: its exchanges have lines, as far as `[access-log]` says, or none.
    pub access_log: bool,
    pub limits: ListenerLimits,
    pub timeouts: ListenerTimeouts,
}

/// `paths = { normalize = true, merge-slashes = true, escaped-slashes = "reject" }`
#[derive(Debug, Clone, PartialEq)]
pub struct Paths {
    /// Escapes that change nothing are decoded (RFC 3986, 6.2.2.2) and dot segments removed (5.2.4) before any filter sees the path.
    pub normalize: bool,
    /// `//` becomes `/` before any filter sees the path.
    pub merge_slashes: bool,
    /// `%2F` and `%5C` in a path are 400 (`"reject"`), or go on (`"keep"`).
    pub reject_escaped_slashes: bool,
}

/// `[listeners.NAME.limits]`
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerLimits {
    pub connections: usize,
    /// TLS handshakes at once; further ones wait.
    pub handshakes: usize,
    pub backlog: u32,
    pub header_bytes: usize,
    pub header_count: usize,
    pub header_value_bytes: usize,
    pub uri_bytes: usize,
    /// HTTP/1 only; 0 means no limit.
    pub requests_per_connection: u64,
    /// The read and write buffer of one HTTP/1 connection.
    pub buffer_bytes: usize,
    pub streams: u32,
    pub stream_window_bytes: u32,
    pub connection_window_bytes: u32,
    pub frame_bytes: u32,
    pub send_buffer_bytes: usize,
    /// Streams reset by the peer before they were accepted, after which the connection is ended.
    pub pending_resets: usize,
    /// Streams reset by this side because the peer broke the protocol, after which the connection is ended.
    pub local_resets: usize,
}

/// `[listeners.NAME.timeouts]`. Zero switches one off.
#[derive(Debug, Clone, PartialEq)]
pub struct ListenerTimeouts {
    pub tls_handshake: Duration,
    pub protocol_detect: Duration,
    pub request_headers: Duration,
    /// No byte of an awaited request body arrived, or no byte of a response could be written.
    pub progress: Duration,
    /// A connection without an exchange.
    pub idle: Duration,
    /// A connection older than this is drained after its present exchanges.
    pub connection_age: Duration,
    /// Nothing moved in either direction of an exchange that is past its head.
    pub stream_idle: Duration,
    /// Nothing moved in either direction after an upgrade.
    pub upgrade_idle: Duration,
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

/// `[stores.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub backend: Backend,
    /// Keys that are kept, those of quotas included; past it the least used make room.
    pub entries: usize,
    /// Memory for all of them, what each costs besides its key and its value included.
    pub bytes: usize,
    pub key_bytes: usize,
    pub value_bytes: usize,
}

/// `backend = "memory"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// Of this process.
    Memory,
    /// Of whoever names the same Redis.
    Redis(Box<Redis>),
}

/// What a store in Redis has besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// One, or those that a cluster is first asked at.
    pub nodes: Vec<RedisUrl>,
    pub cluster: bool,
    /// Authorities that are trusted in the place of the system's.
    pub ca: Option<PathBuf>,
    /// Of one operation.
    pub timeout: Duration,
    pub on_loss: OnLoss,
    /// How long tokens are served that were taken in advance; zero: none are.
    pub lease_time: Duration,
    pub lease_tokens: u64,
    /// How long what is held is held without its holder.
    pub hold_time: Duration,
}

/// `redis://user:password@host:port/database`
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(pub String);

/// Without what is secret.
impl std::fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0.split_once("://"), self.0.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, place))) => write!(f, "{scheme}://…@{place}"),
            _ => f.write_str(&self.0),
        }
    }
}

/// `on-loss = "local"`: how quotas are decided while Redis does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLoss {
    /// Each process by itself, with its share of the limit.
    Local,
    /// Everything is allowed.
    Open,
    /// The filter is told that the store cannot do it.
    Closed,
}

from_defaults!(ProcessLimits {
    connections: CONNECTIONS,
    exchanges: EXCHANGES,
    instances: INSTANCES,
    complete_hooks: COMPLETE_HOOKS,
    trail_steps: TRAIL_STEPS,
});
from_defaults!(Drain { pre_stop: DRAIN_PRE_STOP, timeout: DRAIN_TIMEOUT });
from_defaults!(ListenerLimits {
    connections: LISTENER_CONNECTIONS,
    handshakes: HANDSHAKES,
    backlog: LISTENER_BACKLOG,
    header_bytes: HEADER_BYTES,
    header_count: HEADER_COUNT,
    header_value_bytes: HEADER_VALUE_BYTES,
    uri_bytes: URI_BYTES,
    requests_per_connection: REQUESTS_PER_CONNECTION,
    buffer_bytes: BUFFER_BYTES,
    streams: STREAMS,
    stream_window_bytes: STREAM_WINDOW_BYTES,
    connection_window_bytes: CONNECTION_WINDOW_BYTES,
    frame_bytes: FRAME_BYTES,
    send_buffer_bytes: SEND_BUFFER_BYTES,
    pending_resets: PENDING_RESETS,
    local_resets: LOCAL_RESETS,
});
from_defaults!(ListenerTimeouts {
    tls_handshake: TLS_HANDSHAKE,
    protocol_detect: PROTOCOL_DETECT,
    request_headers: REQUEST_HEADERS,
    progress: PROGRESS,
    idle: DOWNSTREAM_IDLE,
    connection_age: CONNECTION_AGE,
    stream_idle: STREAM_IDLE,
    upgrade_idle: UPGRADE_IDLE,
});
from_defaults!(Paths {
    normalize: NORMALIZE_PATHS,
    merge_slashes: MERGE_SLASHES,
    reject_escaped_slashes: REJECT_ESCAPED_SLASHES,
});

impl Default for Store {
    fn default() -> Self {
        Self {
            backend: Backend::Memory,
            entries: defaults::STORE_ENTRIES,
            bytes: defaults::STORE_BYTES,
            key_bytes: defaults::STORE_KEY_BYTES,
            value_bytes: defaults::STORE_VALUE_BYTES,
        }
    }
}

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
