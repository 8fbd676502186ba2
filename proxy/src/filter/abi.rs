//! Ways across the border of the sandbox. Each is a thin adapter between an ABI and `filter/host`.

pub mod component;
pub mod direct;
mod exports;
mod imports;
pub mod linker;
pub mod proxy_wasm;
mod types;

use std::sync::Arc;

use bytes::Bytes;

use super::cache::{Cache, Compiled};
use super::hand::Hand;
use super::host::inputs::Inputs;
use super::{ConfigureError, Engine, Fault, Hook, Identity, LoadError, Setup, Verdict};
use crate::config::Sha256;

/// A compiled and linked module, whatever it was made for.
#[expect(clippy::large_enum_variant, reason = "there is one for each module")]
pub enum Prepared {
    Component(component::Prepared),
    ProxyWasm(Box<proxy_wasm::Prepared>),
}

impl Prepared {
    /// Takes the compiled code from the cache or makes it, and checks that it fits.
    /// `hash` is that of the bytes.
    pub fn build(engine: &Engine, cache: &Cache, bytes: &[u8], hash: &Sha256) -> Result<(Self, Compiled), LoadError> {
        if let Some(built) = proxy_wasm::Prepared::build(engine, cache, bytes, hash) {
            let (prepared, compiled) = built?;
            return Ok((Self::ProxyWasm(Box::new(prepared)), compiled));
        }
        let (prepared, compiled) = component::Prepared::build(engine, cache, bytes, hash)?;
        Ok((Self::Component(prepared), compiled))
    }

    /// A new instance, not configured yet.
    pub async fn instantiate(&self, identity: &Arc<Identity>) -> Result<Instance, Fault> {
        match self {
            Self::Component(prepared) => prepared.instantiate(identity).await.map(Instance::Component),
            Self::ProxyWasm(prepared) => prepared.instantiate(identity).map(|made| Instance::ProxyWasm(Box::new(made))),
        }
    }

    /// The hooks that it exports.
    pub fn hooks(&self) -> Vec<Hook> {
        match self {
            Self::Component(prepared) => prepared.hooks(),
            Self::ProxyWasm(prepared) => prepared.hooks(),
        }
    }

    /// Whether it may wait in the middle of a hook, as an instance of this filter.
    pub fn waits(&self, identity: &Identity) -> bool {
        match self {
            Self::Component(prepared) => prepared.waits(identity),
            Self::ProxyWasm(_) => false,
        }
    }

    /// What it is made with and no image can keep.
    pub fn foreign(&self) -> Option<String> {
        match self {
            Self::Component(prepared) => prepared.foreign(),
            Self::ProxyWasm(prepared) => Some(prepared.version().to_string()),
        }
    }

    /// All exchanges of a worker share one instance, each with a stream of its own in it.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::ProxyWasm(_))
    }
}

/// One instance in a store of its own.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are components, and a box would be one more step to each hook")]
pub enum Instance {
    Component(component::Instance),
    /// For all exchanges of a worker: hooks go by way of [`proxy_wasm::Streams`].
    ProxyWasm(Box<proxy_wasm::Machine>),
}

impl Instance {
    /// Runs `configure` and brings back what the filter said of itself.
    pub async fn configure(&mut self, config: &str, inputs: &Inputs) -> Result<Setup, ConfigureError> {
        match self {
            Self::Component(instance) => instance.configure(config, inputs).await,
            Self::ProxyWasm(machine) => machine.configure(),
        }
    }

    /// Runs one hook with this in hand, if that never waits: without a future, which most calls need not pay for.
    pub fn call_at_once(&mut self, call: &Call, hand: &mut Hand) -> Option<Result<Verdict, Fault>> {
        match self {
            Self::Component(instance) => instance.call_at_once(call, hand),
            Self::ProxyWasm(_) => None,
        }
    }

    /// Runs one hook with this in hand. Dropped before it has ended, the instance is of no further use.
    pub async fn call(&mut self, call: Call, hand: &mut Hand) -> Result<Verdict, Fault> {
        match self {
            Self::Component(instance) => instance.call(call, hand).await,
            Self::ProxyWasm(_) => Err(Fault::Instance("it is shared, and was not taken as such".to_owned())),
        }
    }

    /// It has run that many hooks, or holds that much memory: another one shall take its place. Zero: never.
    pub fn is_worn(&mut self, hooks_max: u64, bytes_max: usize) -> bool {
        match self {
            Self::Component(instance) => instance.is_worn(hooks_max, bytes_max),
            Self::ProxyWasm(_) => true,
        }
    }

    /// Linear memory, all of it.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Component(instance) => instance.memory_bytes(),
            Self::ProxyWasm(machine) => machine.memory_bytes(),
        }
    }
}

/// One call of a hook, with its arguments.
#[derive(Debug, Clone)]
pub enum Call {
    Request,
    /// A piece of the body, and whether it is the last.
    RequestChunk(Bytes, bool),
    Response,
    ResponseChunk(Bytes, bool),
    RequestTrailers,
    ResponseTrailers,
    Complete,
    Tick,
    Connection,
}

impl Call {
    pub fn hook(&self) -> Hook {
        match self {
            Call::Request => Hook::Request,
            Call::RequestChunk(..) => Hook::RequestChunk,
            Call::Response => Hook::Response,
            Call::ResponseChunk(..) => Hook::ResponseChunk,
            Call::RequestTrailers | Call::ResponseTrailers => Hook::Trailers,
            Call::Complete => Hook::Complete,
            Call::Tick => Hook::Tick,
            Call::Connection => Hook::Connection,
        }
    }
}
