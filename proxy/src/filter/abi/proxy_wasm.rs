//! Modules made for the proxy-wasm ABI of other proxies: Envoy, Istio, Kong, Higress.
//!
//! One instance a worker serves all exchanges, each with a context of its own inside (`stream`, and `connection` for raw ones); `vm` is that instance with
//! them, `worker` the table of a worker's. `machine` enters the guest; `imports` lists what the guest can ask, one file a topic
//! beside it. Nothing here runs on a fiber: a guest that waits says so by its return value, and is called again.

mod body;
mod callout;
mod connection;
mod contexts;
mod exports;
mod foreign;
mod grpc;
mod grpc_wire;
mod headers;
mod here;
mod hold;
mod imports;
mod machine;
mod memory;
pub mod meters;
mod pairs;
mod passing;
mod properties;
mod redis;
mod resp;
mod room;
pub mod shared;
mod side;
mod signature;
mod state;
mod status;
mod stream;
mod streams;
mod ticks;
mod version;
mod vm;
mod wasi;
pub mod worker;

use std::sync::Arc;

use wasmtime::{InstancePre, Module};

pub use self::connection::Peer;
pub use self::exports::Exports;
pub use self::machine::Machine;
pub use self::state::State;
pub use self::streams::Streams;
pub use self::version::Version;
use crate::config::Sha256;
use crate::filter::cache::{Cache, Compiled, Key};
use crate::filter::{Engine, Fault, Hook, Identity, LoadError};

/// A compiled and linked module.
pub struct Prepared {
    pre: InstancePre<State>,
    version: Version,
    exports: Exports,
}

impl Prepared {
    /// Takes the compiled code from the cache or makes it, and checks that it fits. `None`: it is not meant for this ABI.
    pub fn build(engine: &Engine, cache: &Cache, bytes: &[u8], hash: &Sha256) -> Option<Result<(Self, Compiled), LoadError>> {
        let exports = Exports::of(bytes)?;
        Some(Self::of(engine, cache, (bytes, hash), exports))
    }

    fn of(
        engine: &Engine,
        cache: &Cache,
        (bytes, hash): (&[u8], &Sha256),
        exports: Exports,
    ) -> Result<(Self, Compiled), LoadError> {
        let version = exports.version().map_err(LoadError::Link)?;
        exports.check().map_err(LoadError::Link)?;
        let key = Key::of(&[b"core", &hash.0]);
        let compile = || Module::from_binary(engine.wasmtime(), bytes).map_err(|error| LoadError::Compile(format!("{error:#}")));
        let (module, compiled) = cache.code(engine.wasmtime(), key, compile)?;
        let linker = engine.core_linker().map_err(|error| LoadError::Link(format!("{error:#}")))?;
        let missing = imports::missing(&module);
        if !missing.is_empty() {
            return Err(LoadError::Imports(missing));
        }
        let pre = linker.instantiate_pre(&module).map_err(|error| LoadError::Link(format!("{error:#}")))?;
        Ok((Self { pre, version, exports }, compiled))
    }

    /// A new instance whose start functions have run, not configured yet.
    pub fn instantiate(&self, identity: &Arc<Identity>) -> Result<Machine, Fault> {
        Machine::start(&self.pre, self.version, identity)
    }

    /// The hooks in which one of its callbacks is called.
    pub fn hooks(&self) -> Vec<Hook> {
        self.exports.hooks()
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// Of messages it has no callback.
    pub fn is_of_connections(&self) -> bool {
        self.exports.are_of_connections()
    }
}

/// What the host offers to modules of this ABI.
pub use imports::{ANSWERED_ONLY, linker, offers};
