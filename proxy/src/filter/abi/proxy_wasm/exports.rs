//! What a module exports, read before anything is compiled: the version of its ABI, and its callbacks.

use std::collections::BTreeSet;

use wasmparser::{Encoding, ExternalKind, Parser, Payload};

use super::version::Version;
use crate::filter::Hook;

/// The callbacks of raw connections.
const NETWORK: [&str; 5] = [
    "proxy_on_new_connection",
    "proxy_on_downstream_data",
    "proxy_on_upstream_data",
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_connection_close",
];

/// Those of a message.
const HTTP: [&str; 6] = [
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
];

/// All that are called.
const CALLED: [&str; 28] = [
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
    "proxy_on_new_connection",
    "proxy_on_downstream_data",
    "proxy_on_upstream_data",
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_connection_close",
    "proxy_on_done",
    "proxy_on_log",
    "proxy_on_delete",
    "proxy_on_tick",
    "proxy_on_queue_ready",
    "proxy_on_http_call_response",
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_grpc_close",
    "proxy_on_redis_call_response",
    // Called by the host, and no news of anything.
    "proxy_on_memory_allocate",
    "_initialize",
    "_start",
];

/// Those of neither: a module with one of them alone still has something to do.
const ROOT: [&str; 3] = ["proxy_on_tick", "proxy_on_queue_ready", "proxy_on_log"];

/// The functions that a module of this ABI exports, by name.
#[derive(Debug, Clone, Default)]
pub struct Exports(BTreeSet<String>);

impl Exports {
    /// `None`: it is no core module, or shows no sign of this ABI.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut found = BTreeSet::new();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload {
                Ok(Payload::Version { encoding: Encoding::Component, .. }) | Err(_) => return None,
                Ok(Payload::ExportSection(exports)) => {
                    let functions = exports.into_iter().flatten().filter(|export| export.kind == ExternalKind::Func);
                    found.extend(functions.map(|export| export.name.to_owned()));
                }
                // Exports stand before the code.
                Ok(Payload::CodeSectionStart { .. }) => break,
                Ok(_) => {}
            }
        }
        let signs = |name: &String| Version::told_by(name).is_some() || name.starts_with("proxy_on_");
        found.iter().any(signs).then_some(Self(found))
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The names of its callbacks.
    pub fn callbacks(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str).filter(|name| name.starts_with("proxy_on_") && *name != "proxy_on_memory_allocate")
    }

    /// The newest one that it tells.
    pub fn version(&self) -> Result<Version, String> {
        let told: Vec<_> = self.0.iter().filter_map(|name| Version::told_by(name)).collect();
        let known = told.iter().filter_map(|told| told.ok()).max();
        known.ok_or_else(|| {
            let all: Vec<_> = Version::ALL.iter().map(|version| version.number()).collect();
            let found = match told.first() {
                Some(Err(other)) => format!("`{}`", other.replace('_', ".")),
                _ => "none (it exports no `proxy_abi_version_…`)".to_owned(),
            };
            format!("expected a version of the proxy-wasm ABI that is known ({}), found {found}", all.join(", "))
        })
    }

    /// Why there is nothing that it could do here.
    pub fn check(&self) -> Result<(), String> {
        if !self.has("proxy_on_memory_allocate") && !self.has("malloc") {
            return Err("it exports neither `proxy_on_memory_allocate` nor `malloc`: nothing can be handed to it".to_owned());
        }
        match HTTP.iter().chain(&NETWORK).chain(&ROOT).any(|name| self.has(name)) {
            true => Ok(()),
            false => Err("it exports no callback of a message or a connection".to_owned()),
        }
    }

    /// Raw connections are all that it knows.
    pub fn are_of_connections(&self) -> bool {
        NETWORK.iter().any(|name| self.has(name)) && !HTTP.iter().any(|name| self.has(name))
    }

    /// The hooks in which one of the callbacks is called.
    pub fn hooks(&self) -> Vec<Hook> {
        let has = |names: &[&str]| names.iter().any(|name| self.has(name));
        let (requests, responses) = (has(&["proxy_on_request_body"]), has(&["proxy_on_response_body"]));
        let there = |hook: &Hook| match hook {
            // A context begins there, whatever it looks at later.
            Hook::Request => !self.are_of_connections(),
            Hook::RequestChunk => requests,
            Hook::Response => responses || has(&["proxy_on_response_headers"]),
            Hook::ResponseChunk => responses,
            // A body that is held back at its end goes on with them.
            Hook::Trailers => requests || responses || has(&["proxy_on_request_trailers", "proxy_on_response_trailers"]),
            Hook::Complete => has(&["proxy_on_log", "proxy_on_done", "proxy_on_delete"]) || has(&NETWORK[3..]),
            Hook::Connection => has(&NETWORK),
            Hook::Tick => false,
        };
        Hook::ALL.iter().copied().filter(there).collect()
    }

    /// The callbacks that it has besides and that are never called, for nothing here brings them about.
    pub fn never_called(&self) -> Vec<&str> {
        self.callbacks().filter(|name| !CALLED.contains(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exports(names: &[&str]) -> Exports {
        Exports(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_module_is_known_by_what_it_exports() {
        let wasm = |text: &str| wat::parse_str(text).expect("sound text");
        let sign = r#"(module (func (export "proxy_abi_version_0_2_1")) (func (export "other")))"#;
        let found = Exports::of(&wasm(sign)).expect("it tells a version");
        assert_eq!(found.version(), Ok(Version::V0_2_1));
        assert!(Exports::of(&wasm(r#"(module (func (export "run")))"#)).is_none());
        assert!(Exports::of(&wasm("(component)")).is_none());
        assert!(Exports::of(b"text").is_none());
    }

    #[test]
    fn an_unknown_version_is_told() {
        let told = exports(&["proxy_abi_version_0_3_0", "proxy_on_request_headers"]).version().expect_err("unknown");
        assert!(told.contains("0.2.100") && told.contains("`0.3.0`"), "{told}");
        assert!(exports(&["proxy_on_request_headers"]).version().expect_err("none").contains("none"));
    }

    #[test]
    fn raw_connections_alone_are_something_to_do() {
        let raw = exports(&["malloc", "proxy_on_downstream_data"]);
        raw.check().expect("it has something to do");
        assert_eq!((raw.hooks(), raw.are_of_connections()), (vec![Hook::Connection], true));
        let both = exports(&["malloc", "proxy_on_downstream_data", "proxy_on_request_headers"]);
        assert!(both.hooks().contains(&Hook::Request) && both.hooks().contains(&Hook::Connection) && !both.are_of_connections());
        assert!(exports(&["malloc", "proxy_on_foreign_function"]).check().is_err());
        assert!(exports(&["proxy_on_request_headers"]).check().expect_err("no allocator").contains("malloc"));
    }
}
