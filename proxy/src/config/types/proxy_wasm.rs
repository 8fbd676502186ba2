//! What a filter made for the proxy-wasm ABI is told besides its configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::defaults;

/// `[filters.NAME.proxy-wasm]`. Filters of our own ABI have no use for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyWasm {
    /// Which of the plugins that one module may hold.
    pub root_id: Arc<str>,
    /// Filters with the same one share data and queues; empty: those of this filter are its own.
    pub vm_id: Arc<str>,
    /// For `on_vm_start`: text as it is, anything else as JSON; `None`: empty.
    pub vm_config: Option<serde_json::Value>,
    /// Names that it calls upstreams by, and the clusters that they mean here.
    pub upstreams: BTreeMap<String, Arc<str>>,
    /// Bytes of one body that wait for it while it pauses.
    pub body_bytes: usize,
    /// Bytes of the shared data and queues of one `vm-id`.
    pub shared_bytes: usize,
    /// Instances of one worker that only finish their exchanges.
    pub old_instances: usize,
    /// Raw connections of a port of both are for it, although it has callbacks of HTTP.
    pub connections: bool,
}

impl Default for ProxyWasm {
    fn default() -> Self {
        Self {
            root_id: "".into(),
            vm_id: "".into(),
            vm_config: None,
            upstreams: BTreeMap::new(),
            body_bytes: defaults::PROXY_WASM_BODY,
            shared_bytes: defaults::PROXY_WASM_SHARED,
            old_instances: defaults::PROXY_WASM_OLD_INSTANCES,
            connections: false,
        }
    }
}
