//! Lets raw connections pass to a cluster, except from addresses that it refuses. Logs each as JSON when it opens and when it has
//! ended.

use serde_json::json;
use tamis_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    #[serde(default)]
    refuse: Vec<String>,
    cluster: Option<String>,
    /// A further chain that connections go through.
    chain: Option<String>,
    /// Panics at a connection from one of these.
    #[serde(default)]
    trap: Vec<String>,
}

struct RawTcp(Config);

impl Filter for RawTcp {
    type Config = Config;

    fn configure(config: Config, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(RawTcp(config))
    }
}

impl ConnectionHook for RawTcp {
    fn on_connection(&self, connection: &mut Connection) -> ConnectionVerdict {
        let source = connection.source();
        assert!(!self.0.trap.contains(&source), "stepped on the trap");
        let opened = json!({
            "source": source,
            "peer": connection.peer(),
            "local": connection.local(),
            "original-destination": connection.original_destination(),
            "listener": connection.listener(),
            "protocol": connection.protocol(),
            "server-name": connection.server_name(),
        });
        log::info!("opened {opened}");
        if self.0.refuse.contains(&source) {
            return ConnectionVerdict::Reset;
        }
        if let Some(cluster) = &self.0.cluster
            && let Err(why) = connection.destination().set_cluster(cluster)
        {
            log::error!("{why}");
            return ConnectionVerdict::Reset;
        }
        if let Some(chain) = &self.0.chain
            && let Err(why) = connection.destination().set_chain(chain)
        {
            log::error!("{why}");
            return ConnectionVerdict::Reset;
        }
        connection.notes().set("raw", "passed");
        ConnectionVerdict::Next
    }
}

impl CompleteHook for RawTcp {
    fn on_complete(&self, outcome: &Outcome) {
        let closed = json!({
            "source": outcome.connection().source(),
            "request-bytes": outcome.request_bytes(),
            "response-bytes": outcome.response_bytes(),
            "upstream": outcome.upstream(),
            "attempts": outcome.attempts(),
            "failure": outcome.failure(),
            "note": outcome.notes().get("raw"),
        });
        log::info!("closed {closed}");
    }
}

tamis_sdk::export!(RawTcp: connection, complete);
