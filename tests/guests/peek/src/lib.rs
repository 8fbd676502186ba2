//! Answers every request with what a filter sees of it, as JSON. Bytes that are not UTF-8 are replaced.

use serde_json::{Value, json};
use tamis_sdk::prelude::*;

struct Peek;

impl Filter for Peek {
    type Config = NoConfig;

    fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
        Ok(Peek)
    }
}

impl RequestHook for Peek {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let connection = request.connection();
        let destination = request.destination();
        let headers = request.all_headers();
        let headers: Vec<Value> = headers.iter().map(|(name, value)| json!([name, String::from_utf8_lossy(value)])).collect();
        let seen = json!({
            "method": request.method().as_str(),
            "scheme": request.scheme(),
            "authority": request.authority(),
            "path": request.path(),
            "query": request.query(),
            "headers": headers,
            "id": request.id(),
            "deadline-left-ms": request.deadline_left().map(|left| left.as_millis() as u64),
            "connection": {
                "source": connection.source(),
                "peer": connection.peer(),
                "local": connection.local(),
                "original-destination": connection.original_destination(),
                "trusted": connection.trusted(),
                "listener": connection.listener(),
                "protocol": connection.protocol(),
                "tls-version": connection.tls_version(),
                "server-name": connection.server_name(),
                "client-identities": connection.client_identities(),
                "client-fingerprint": connection.client_fingerprint(),
            },
            "destination": { "cluster": destination.cluster(), "route": destination.route() },
        });
        Reply::new(StatusCode::OK).json(seen.to_string()).into()
    }
}

tamis_sdk::export!(Peek: request);
