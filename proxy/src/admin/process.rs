//! What the admin tells of the process as a whole: which program this is, where it listens, what it shows of itself to clients.

use std::path::Path;
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

/// Of listeners, by the files they were read from. Keys are never told of, but where they are.
pub fn certificates(snapshot: &Snapshot) -> Value {
    let mut listeners: Vec<_> = snapshot.listeners.values().collect();
    listeners.sort_by(|one, other| one.name.cmp(&other.name));
    let mut all = Vec::new();
    for listener in listeners {
        let Some(tls) = &listener.config.tls else { continue };
        for certificate in &tls.certificates {
            let path = |path: &Path| path.to_string_lossy().into_owned();
            all.push(json!({
                "listener": &*listener.name,
                "chain": path(&certificate.chain),
                "key": path(&certificate.key),
            }));
        }
    }
    json!({ "certificates": all })
}
