//! What the benches share: a request as a browser sends it, filters as they ship, and an exchange that holds both.

use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request};
use tamis::cluster::Cluster;
use tamis::cluster::discovery::Resolved;
use tamis::config;
use tamis::exchange::{Connection, Exchange, Inflow, Kind, Names, Record};
use tamis::filter::source::Modules;
use tamis::filter::{Around, Engine, Entry, Filter, Grants, Plan, Reach, Taken};
use tamis::store::Store;
use tamis::telemetry::access_log::AccessLog;
use tamis::telemetry::metrics::Registry;
use tamis::telemetry::redact::Redact;
use tamis::telemetry::traffic::Traffic;

/// The fields of an ordinary browser.
pub const FIELDS: [(&str, &str); 11] = [
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0)"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("cookie", "session=0123456789abcdef; theme=dark"),
    ("x-forwarded-for", "192.0.2.7"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "4caf58aa332217d05e30072f5ef30cb6"),
    ("cache-control", "no-cache"),
    ("referer", "https://example.com/"),
    ("dnt", "1"),
];

/// A shipped filter with a configuration in TOML.
///
/// # Panics
/// If the filter is not built in or refuses the configuration.
pub fn filter(name: &str, toml: &str) -> Arc<Filter> {
    filter_of(&format!("builtin:{name}"), name, toml)
}

/// A filter of this module with a configuration in TOML.
///
/// # Panics
/// If there is no such module or it refuses the configuration.
pub fn filter_of(module: &str, name: &str, toml: &str) -> Arc<Filter> {
    filter_by(Entry::Direct, module, name, toml)
}

/// The same, entered in this way.
///
/// # Panics
/// As [`filter_of`].
pub fn filter_by(entry: Entry, module: &str, name: &str, toml: &str) -> Arc<Filter> {
    let config = configuration(&format!("[filters.{name}]\nmodule = \"{module}\"\n{toml}"));
    let stores = config.stores.iter().map(|(name, store)| (Arc::clone(name), Store::build(name, store, None))).collect();
    let mut modules = Modules::new(Engine::new(config.limits.instances, entry).expect("an engine"));
    let config = Arc::clone(&config.filters[name]);
    let module = modules.load(&config.module).expect("a module that loads");
    let grants = Grants::new(&config.allow, &stores);
    let plan = Plan { name: name.into(), config, module, grants, inputs: Arc::default(), beside: None };
    let around = Around { workers: 1, previous: None, metrics: &Registry::default(), taken: Taken::default() };
    Filter::build(plan, &around).expect("a configuration that the filter takes")
}

fn configuration(toml: &str) -> config::Config {
    let text = format!("[listeners.l]\nlisten = \"127.0.0.1:0\"\n[clusters.users]\nendpoints = []\n{toml}");
    config::parse(&text, std::path::Path::new("bench.toml")).expect("a configuration of this bench").config
}

/// What an exchange of these benches can reach: the cluster `users`.
///
/// # Panics
/// Never: the configuration is valid.
pub fn reach() -> Arc<Reach> {
    let config = configuration("");
    let build = |(name, cluster)| (Arc::clone(name), Cluster::build(name, cluster, &Resolved::default(), None));
    Arc::new(Reach { clusters: config.clusters.iter().map(build).collect(), ..Reach::default() })
}

/// An exchange at the beginning of its request phase.
///
/// # Panics
/// Never: the request is valid.
pub fn record(path: &str) -> Record {
    let mut request = Request::get(path).body(()).expect("a valid path");
    for (name, value) in FIELDS {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let (request, ()) = request.into_parts();
    let connection = Connection {
        listener: "l".into(),
        peer: ([192, 0, 2, 7], 40_000).into(),
        local: ([192, 0, 2, 1], 443).into(),
        trusted: false,
        original_destination: None,
        is_own: false,
        proxied: None,
        tls_version: None,
        server_name: None,
        client: None,
        strict_sni: false,
        permit: None,
        open: None,
        ended: std::sync::OnceLock::new(),
    };
    let clusters = Arc::new(Names::from(["users".into()]));
    let id = "4caf58aa332217d05e30072f5ef30cb6".to_owned();
    let exchange = Exchange::new(Arc::new(connection), request, "example.com".to_owned(), id, clusters);
    let silent = config::AccessLog { output: config::AccessLogOutput::Off, ..config::AccessLog::default() };
    let redact = Arc::new(Redact::new(&config::Redact::default()));
    let log = Arc::new(AccessLog::open(&silent, &redact, None).expect("a log that is off"));
    let traffic = Traffic::new(&"l".into(), std::iter::empty(), 1, Kind::REASONS, None);
    Record::new(exchange, Rc::new(Inflow::new(true)), log, Arc::new(traffic))
}
