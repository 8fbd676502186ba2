//! The proxy under test, in this process: built from a configuration, run on a thread of its own, stopped when dropped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tamis::app::{App, Handle};
use tamis::config::AdminListen;
use tempfile::TempDir;

use crate::access_log::AccessLog;
use crate::certificates;
use crate::client::{self, Answer, Client};
use crate::edge::{Edge, Protocol};
use crate::guests::module_cache;
use crate::logged;
use crate::raw::Raw;

/// How often something of the proxy that nobody announces is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// After so many looks a test gives up: far more than a busy machine needs.
const LOOKS_MAX: usize = 4000;
/// Instances of filters that a proxy of a scenario has.
const INSTANCES: i64 = 500;

/// A proxy whose listener `edge` speaks without TLS.
pub fn proxy(toml: impl AsRef<str>) -> Proxy {
    start(toml.as_ref(), Edge::HTTP1_PLAIN)
}

/// What the proxy says about a configuration that it does not start with.
pub fn refused(toml: impl AsRef<str>) -> String {
    logged::listen();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("tamis.toml");
    let cache = if toml.as_ref().contains("[modules]") {
        String::new()
    } else {
        format!("\n[modules]\ncache = '{}'\n", module_cache().display())
    };
    std::fs::write(&file, format!("{}{cache}", toml.as_ref())).expect("the configuration can be written");
    match build(&file) {
        Ok(_) => panic!("the proxy starts with this configuration"),
        Err(why) => why,
    }
}

pub(crate) fn start(toml: &str, edge: Edge) -> Proxy {
    logged::listen();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("tamis.toml");
    std::fs::write(&file, completed(toml, edge, folder.path())).expect("the configuration can be written");
    run(&file, listener_names(toml), edge, folder)
}

/// A proxy of a file as it stands, whose listeners are in it.
pub fn at(file: &Path) -> Proxy {
    logged::listen();
    let text = std::fs::read_to_string(file).expect("the configuration can be read");
    run(file, listener_names(&text), Edge::HTTP1_PLAIN, tempfile::tempdir().expect("a temporary folder can be made"))
}

fn run(file: &Path, names: Vec<String>, edge: Edge, folder: TempDir) -> Proxy {
    let bound = build(file).unwrap_or_else(|why| panic!("the proxy does not start:\n{why}"));
    let listeners = names.into_iter().map(|name| (bound.listener(&name).expect("the listener is bound"), name)).collect();
    let admin = bound.admin().expect("the admin is bound");
    let handle = bound.handle();
    let thread = std::thread::Builder::new().name("proxy".into()).spawn(move || {
        if let Err(error) = bound.run() {
            panic!("the proxy ended with: {error}");
        }
    });
    let access_log = AccessLog::new(folder.path().join("access.log"));
    Proxy { edge, listeners, admin, handle, access_log, folder, thread: Some(thread.expect("a thread can be started")) }
}

/// On a thread of its own, because a scenario runs on a runtime and the proxy brings its own.
fn build(file: &Path) -> Result<tamis::app::Bound, String> {
    let building = || {
        let text = std::fs::read_to_string(file).expect("the configuration was just written");
        let loaded = tamis::config::parse(&text, file).map_err(|problems| problems.to_string())?;
        App::build(loaded).map_err(|error| error.to_string())
    };
    std::thread::scope(|scope| scope.spawn(building).join()).expect("building does not panic")
}

/// A running proxy.
pub struct Proxy {
    edge: Edge,
    listeners: Vec<(SocketAddr, String)>,
    admin: AdminListen,
    handle: Handle,
    access_log: AccessLog,
    folder: TempDir,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Where the listener `edge` listens.
    pub fn address(&self) -> SocketAddr {
        self.listener("edge")
    }

    pub fn listener(&self, name: &str) -> SocketAddr {
        let found = self.listeners.iter().find(|(_, listener)| listener == name);
        found.unwrap_or_else(|| panic!("the proxy has no listener `{name}`")).0
    }

    /// A connection of the edge that the proxy was started with.
    pub async fn client(&self) -> Client {
        client::connect(self.address()).edge(self.edge).open().await
    }

    /// A connection of the edge's kind on which bytes are written by hand.
    pub async fn raw(&self) -> Raw {
        let alpn: &[u8] = if self.edge.is_http2() { b"h2" } else { b"http/1.1" };
        if self.edge.tls { Raw::tls(self.address(), alpn).await } else { Raw::plain(self.address()).await }
    }

    pub fn access_log(&self) -> &AccessLog {
        &self.access_log
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What the admin answers to a GET of this path.
    pub async fn admin(&self, path: &str) -> Answer {
        self.operator().await.get(path).await
    }

    /// A connection to the admin.
    pub async fn operator(&self) -> Client {
        let admin = Edge { protocol: Protocol::Http1, tls: false };
        let address = self.admin_address();
        client::connect(address).edge(admin).name(&address.to_string()).open().await
    }

    pub fn admin_address(&self) -> SocketAddr {
        match &self.admin {
            AdminListen::Address(address) => *address,
            AdminListen::Unix(path) => panic!("the admin is at {}, which is no address", path.display()),
        }
    }

    /// What the admin tells of one filter.
    pub async fn filter(&self, name: &str) -> Value {
        let filters = self.admin("/filters").await.json();
        let all = filters["filters"].as_array().expect("the admin lists filters").clone();
        all.into_iter()
            .find(|filter| filter["name"] == name)
            .unwrap_or_else(|| panic!("the admin knows no filter `{name}`: {filters}"))
    }

    /// Waits until what the admin tells of a filter is as wished.
    pub async fn filter_becomes(&self, name: &str, wished: impl Fn(&Value) -> bool) -> Value {
        loop {
            let filter = self.filter(name).await;
            if wished(&filter) {
                return filter;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What `/metrics` says of a series, as it stands there: `name{label="value"}`. Without one: nothing was counted.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let metrics = self.admin("/metrics").await;
        let line = metrics.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap_or_else(|_| panic!("no number: {value}")))
    }

    /// Waits until `/metrics` says of a series what is wished for.
    pub async fn metric_becomes(&self, series: &str, wished: impl Fn(f64) -> bool) -> f64 {
        let mut found = None;
        for _ in 0..LOOKS_MAX {
            found = self.metric(series).await;
            match found.filter(|value| wished(*value)) {
                Some(value) => return value,
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
        panic!("{series} is {found:?}, for a long time");
    }

    /// How often a filter failed in any way.
    pub async fn failures(&self, filter: &str) -> u64 {
        let metrics = self.admin("/metrics").await;
        let series = format!("tamis_filter_failures_total{{filter=\"{filter}\",");
        let lines = metrics.text().lines().filter(|line| line.starts_with(&series));
        lines.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).expect("a count")).sum()
    }

    /// Writes another configuration into the file that the proxy was started with. The proxy notices by itself.
    pub fn rewrite(&self, toml: impl AsRef<str>) {
        let completed = completed(toml.as_ref(), self.edge, self.folder.path());
        replace(&self.file(), completed.as_bytes());
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("tamis.toml")
    }

    /// The folder of the configuration, to which paths in it are relative.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until the proxy has ended by itself.
    pub async fn ended(&mut self) {
        let thread = self.thread.take().expect("the proxy was not waited for before");
        tokio::task::spawn_blocking(move || thread.join())
            .await
            .expect("waiting does not fail")
            .expect("the proxy ends without a panic");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.handle.stop();
        let Some(thread) = self.thread.take() else { return };
        if thread.join().is_err() && !std::thread::panicking() {
            panic!("the proxy panicked");
        }
    }
}

/// Puts a whole file in the place of another in one step, as tools that deploy do.
pub fn replace(file: &Path, content: &[u8]) {
    let mut next = file.as_os_str().to_owned();
    next.push(".next");
    std::fs::write(&next, content).expect("the file's successor can be written");
    std::fs::rename(&next, file).expect("the file can be replaced");
}

fn listener_names(toml: &str) -> Vec<String> {
    let table: toml::Table = toml.parse().unwrap_or_else(|error| panic!("the scenario's configuration is no TOML: {error}"));
    table
        .get("listeners")
        .and_then(toml::Value::as_table)
        .map(|listeners| listeners.keys().cloned().collect())
        .unwrap_or_default()
}

/// Adds what a scenario does not care about: free ports, the edge's certificate, a log in the scenario's folder, quick draining,
/// the tests' own cache of modules.
fn completed(toml: &str, edge: Edge, folder: &Path) -> String {
    let mut table: toml::Table = toml.parse().unwrap_or_else(|error| panic!("the scenario's configuration is no TOML: {error}"));
    table.entry("workers").or_insert(2.into());
    set(&mut table, "admin", "listen", "127.0.0.1:0");
    set(&mut table, "access-log", "output", &folder.join("access.log").display().to_string());
    set(&mut table, "drain", "pre-stop", "0s");
    // Address space is set aside for each: a scenario may have many proxies, and all run in one process.
    let limits = table.entry("limits").or_insert_with(|| toml::Table::new().into());
    limits.as_table_mut().expect("a part is a table").entry("instances").or_insert(INSTANCES.into());
    set(&mut table, "modules", "cache", &module_cache().display().to_string());
    // The other way into a filter, which has to be the same for everybody: `make test` runs what concerns filters both ways.
    if let Ok(enter) = std::env::var("TAMIS_TEST_ENTER") {
        set(&mut table, "modules", "enter", &enter);
    }
    let Some(listeners) = table.get_mut("listeners").and_then(toml::Value::as_table_mut) else { return table.to_string() };
    for (name, listener) in listeners.iter_mut() {
        let listener = listener.as_table_mut().expect("a listener is a table");
        listener.entry("listen").or_insert("127.0.0.1:0".into());
        if name == "edge" && edge.tls && !listener.contains_key("tls") {
            listener.insert("tls".into(), certificates::edge().tls());
        }
    }
    table.to_string()
}

fn set(table: &mut toml::Table, part: &str, key: &str, default: &str) {
    let part = table.entry(part).or_insert_with(|| toml::Table::new().into());
    part.as_table_mut().expect("a part is a table").entry(key).or_insert(default.into());
}
