//! What the admin tells of the process as a whole: which program this is, where it listens, what it shows of itself to clients.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::ledger::Ledger;
use crate::snapshot::{Listener, Snapshot};

/// When it began.
#[derive(Debug, Clone, Copy)]
pub struct Process(SystemTime);

impl Default for Process {
    fn default() -> Self {
        Self(SystemTime::now())
    }
}

impl Process {
    pub fn shown(self) -> Value {
        let features: &[&str] = if cfg!(feature = "redis") { &["redis"] } else { &[] };
        json!({
            "name": "tamis",
            "version": env!("CARGO_PKG_VERSION"),
            "build": {
                "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
                "arch": std::env::consts::ARCH,
                "os": std::env::consts::OS,
                "features": features,
            },
            "pid": std::process::id(),
            "since": humantime::format_rfc3339_millis(self.0).to_string(),
            "uptime_s": self.0.elapsed().map_or(0, |uptime| uptime.as_secs()),
        })
    }
}

/// By name.
pub fn listeners(snapshot: &Snapshot, ledger: &Ledger) -> Value {
    let addresses = ledger.listening();
    let mut listeners: Vec<_> = snapshot.listeners.values().collect();
    listeners.sort_by(|one, other| one.name.cmp(&other.name));
    let shown = |listener: &&std::sync::Arc<Listener>| {
        json!({
            "name": &*listener.name,
            "listen": listener.config.listen.to_string(),
            "address": addresses.get(&listener.name).map(ToString::to_string),
            "tls": listener.tls.is_some(),
            "cluster": listener.config.cluster.as_deref(),
            "filters": listener.config.filters.iter().map(|name| &**name).collect::<Vec<_>>(),
        })
    };
    json!({ "listeners": listeners.iter().map(shown).collect::<Vec<_>>() })
}
