//! What the host keeps beside one instance. Nothing of an exchange is in it: that is looked up where the instance runs (`here`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use wasmtime::{Memory, TypedFunc};

use super::callout::Planned;
use super::redis::Account;
use super::room::Room;
use super::shared::Scope;
use super::version::Version;
use crate::config;
use crate::filter::Identity;
use crate::filter::limits::{self, CpuClock};

/// The context of the plugin itself. An instance has one, for it is of one filter.
pub const ROOT: u32 = 1;

/// What an answer brought along, while its callback runs.
#[derive(Debug, Default)]
pub struct Answered {
    pub headers: Vec<(Bytes, Bytes)>,
    pub trailers: Vec<(Bytes, Bytes)>,
    /// Of a call: its body, or one message of gRPC.
    pub body: Bytes,
    /// Which buffer that is.
    pub buffer: u32,
    /// The same of the maps.
    pub headers_map: u32,
    pub trailers_map: u32,
}

/// Which configuration can be read at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Nothing,
    Vm,
    Plugin,
}

/// The data of one store.
pub struct State {
    pub identity: Arc<Identity>,
    pub version: Version,
    pub cpu: CpuClock,
    pub limit: limits::Memory,
    pub memory: Option<Memory>,
    pub allocator: Option<TypedFunc<u32, u32>>,
    /// Its start functions have run: it may call everything.
    pub started: bool,
    /// Whom its calls speak of.
    pub context: u32,
    pub reading: Reading,
    pub answered: Option<Box<Answered>>,
    /// Status and message of the gRPC call that a callback is about.
    pub grpc_status: (u32, Bytes),
    /// The last one that was given out.
    token: u32,
    /// It asked for another period of ticks; zero: none.
    pub tick_ms: Option<u32>,
    /// What it asked for before it was on a worker.
    pub planned: Vec<Planned>,
    /// Queues that it wants to hear of, and those whose numbers it was told.
    pub registered: Vec<u32>,
    pub queues: BTreeSet<u32>,
    pub shared: Arc<Scope>,
    /// Services of Redis that it has said how to log in to.
    pub accounts: HashMap<String, Account>,
    /// For what the host holds beside its memory.
    pub room: Room,
    /// What it wrote since the last end of a line: standard output and standard error.
    pub lines: [Vec<u8>; 2],
}

impl State {
    pub fn new(identity: &Arc<Identity>, version: Version) -> Self {
        Self {
            version,
            cpu: CpuClock::default(),
            limit: limits::Memory::new(identity.config.memory, &identity.usage),
            memory: None,
            allocator: None,
            started: false,
            context: ROOT,
            reading: Reading::Nothing,
            answered: None,
            grpc_status: (0, Bytes::new()),
            token: 0,
            tick_ms: None,
            planned: Vec::new(),
            registered: Vec::new(),
            queues: BTreeSet::new(),
            shared: Scope::of(identity),
            accounts: HashMap::new(),
            room: Room::new(identity.config.memory),
            lines: [Vec::new(), Vec::new()],
            identity: Arc::clone(identity),
        }
    }

    /// One that no call under way has: they last seconds, and there are four thousand million.
    pub fn next_token(&mut self) -> u32 {
        self.token = self.token.wrapping_add(1).max(1);
        self.token
    }

    pub fn options(&self) -> &config::ProxyWasm {
        &self.identity.config.proxy_wasm
    }
}

/// What `on_vm_start` is given.
pub fn vm_configuration(config: &config::ProxyWasm) -> Vec<u8> {
    config.vm_config.as_ref().map(written).unwrap_or_default()
}

/// What `on_configure` is given. Without a word in the file it is empty, as in other proxies.
pub fn plugin_configuration(config: &Value) -> Vec<u8> {
    match config {
        Value::Object(object) if object.is_empty() => Vec::new(),
        config => written(config),
    }
}

/// Text as it is, anything else as JSON.
fn written(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.clone().into_bytes(),
        value => value.to_string().into_bytes(),
    }
}

/// What of its configuration cannot be honoured for a module of this ABI.
pub fn refused(config: &config::Filter) -> Option<&'static str> {
    if config.isolation == config::Isolation::Fresh {
        return Some(
            "`isolation = \"fresh\"` cannot be had for a module of proxy-wasm: all exchanges of a worker share an instance",
        );
    }
    if !config.inputs.is_empty() {
        return Some("a module of proxy-wasm has no way to `inputs`");
    }
    None
}

/// Whether a name that the module calls has a meaning: one of its own map, the host in a name of Istio's or Higress', or a
/// cluster's own name.
pub fn upstream<'a>(options: &'a config::ProxyWasm, name: &'a str) -> &'a str {
    let mapped = |name: &str| options.upstreams.get(name).map(|cluster| &**cluster);
    // `outbound|PORT|SUBSET|HOST`, and Redis' options behind a question mark.
    let plain = name.split('?').next().unwrap_or(name);
    let host = plain.rsplit('|').next().unwrap_or(plain);
    mapped(name).or_else(|| mapped(plain)).or_else(|| mapped(host)).unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde_json::json;

    #[test]
    fn a_configuration_of_text_goes_through_as_it_is() {
        assert_eq!(plugin_configuration(&json!("a: 1\n")), b"a: 1\n");
        assert_eq!(plugin_configuration(&json!({ "a": 1 })), b"{\"a\":1}");
        assert_eq!(plugin_configuration(&json!({})), b"");
        assert_eq!(plugin_configuration(&json!("{}")), b"{}");
        assert_eq!(vm_configuration(&config::ProxyWasm::default()), b"");
    }

    #[test]
    fn a_name_of_an_upstream_is_looked_up_whole_and_by_its_host() {
        let upstreams = [("outbound|80||auth.dns", "auth"), ("cache.static", "redis")];
        let upstreams = upstreams.map(|(name, cluster)| (name.to_owned(), cluster.into())).into();
        let options = config::ProxyWasm { upstreams, ..config::ProxyWasm::default() };
        assert_eq!(upstream(&options, "outbound|80||auth.dns"), "auth");
        assert_eq!(upstream(&options, "outbound|6379||cache.static?db=0"), "redis");
        assert_eq!(upstream(&options, "cache.static"), "redis");
        assert_eq!((upstream(&options, "web"), upstream(&options, "web?db=0")), ("web", "web"));
        assert_eq!(upstream(&options, "outbound|80||web.dns"), "outbound|80||web.dns");
    }
}
