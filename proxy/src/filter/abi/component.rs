//! Our own ABI: components that import and export the interfaces of wit/.
//!
//! A core module is made a component first (`encode`). Every import is checked by name before
//! anything runs, so that a filter made for another version is told what is missing. A component that imports something
//! that waits runs on a fiber, any other without one.

mod encode;
mod imports;
mod instance;
pub mod snapshot;
mod types;

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, types as component};

pub use self::instance::Instance;
use crate::filter::cache::{Cache, Compiled, Key};
use crate::filter::limits::Slices;
use crate::filter::{Engine, Fault, Guest, Hook, Identity, LoadError, progress};

/// The package that filters are built against; the host takes any of the same 0.1.
const PACKAGE: &str = "tamis:filter/";
const VERSION: &str = "0.1.";

/// What the arguments of one call of the host may take, at least: a filter with little memory still gets along.
const HOSTCALL_BYTES_MIN: usize = 1 << 20;

/// A compiled and linked component, with where its exports are.
pub struct Prepared {
    pre: InstancePre<Guest>,
    /// For a filter whose stores may wait; `None` if it imports nothing of them.
    remote: Option<Box<InstancePre<Guest>>>,
    exports: Exports,
    /// It imports something that waits.
    fiber: bool,
}

impl Prepared {
    /// Takes the compiled component from the cache or makes it, and checks that it fits.
    pub fn build(engine: &Engine, cache: &Cache, bytes: &[u8]) -> Result<(Self, Compiled), LoadError> {
        let (component, compiled) = compiled(engine, cache, bytes)?;
        Ok((Self::link(engine, &component)?, compiled))
    }

    /// Checks that a compiled component fits.
    pub fn link(engine: &Engine, component: &Component) -> Result<Self, LoadError> {
        let linker = engine.linker();
        let waits = check_imports(component, linker)?;
        let exports = Exports::find(component)?;
        if exports.hooks().is_empty() {
            return Err(LoadError::NoHooks("tamis:filter@0.1"));
        }
        let unfit = |error| LoadError::Link(format!("{error:#}"));
        let pre = linker.instantiate_pre(component).map_err(unfit)?;
        let remote = waits.contains(&Waits::WhereRemote).then(|| linker.instantiate_pre_remote(component).map(Box::new));
        Ok(Self { pre, remote: remote.transpose().map_err(unfit)?, exports, fiber: waits.contains(&Waits::Always) })
    }

    /// A new instance in a store of its own, as its module or its image has it.
    pub async fn instantiate(&self, identity: &Arc<Identity>) -> Result<Instance, Fault> {
        Ok(self.enter(identity).await?.0)
    }

    /// The same, with the way to what it exports besides hooks.
    async fn enter(&self, identity: &Arc<Identity>) -> Result<(Instance, wasmtime::component::Instance), Fault> {
        let mut store = Store::new(self.pre.engine(), Guest::new(Arc::clone(identity)));
        store.limiter(|guest| &mut guest.memory);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().cpu.epoch_ended()));
        let pre = self.remote.as_deref().filter(|_| grants_wait(identity)).unwrap_or(&self.pre);
        let slices = self.waits(identity).then(Arc::<Slices>::default);
        // A guest can name its memory many times over in the arguments of one call.
        store.set_hostcall_fuel(identity.config.memory.max(HOSTCALL_BYTES_MIN));
        // A start function runs here, on the time of `configure`.
        store.data_mut().cpu.start(identity.config.configure_deadline, slices.as_ref());
        store.set_epoch_deadline(1);
        let made = match &slices {
            Some(slices) => {
                let limit = instance::SETUP_TIMEOUT + identity.config.configure_deadline;
                let made = instance::in_slices(slices, pre.instantiate_async(&mut store));
                tokio::time::timeout(limit, made).await.map_err(|_| Fault::Late(limit))?
            }
            None => pre.instantiate(&mut store),
        };
        let made = made.map_err(|error| match store.data().memory.wanted {
            0 => Fault::Instance(format!("{error:#}")),
            wanted => Fault::Small { allowed: identity.config.memory, wanted },
        })?;
        Ok((Instance::new(store, &made, &self.exports, slices)?, made))
    }

    /// The hooks that it exports.
    pub fn hooks(&self) -> Vec<Hook> {
        self.exports.hooks()
    }

    /// Whether it may wait in the middle of a hook, as an instance of this filter.
    pub fn waits(&self, identity: &Identity) -> bool {
        self.fiber || self.remote.is_some() && grants_wait(identity)
    }

    /// An interface that it imports and that is not ours.
    pub fn foreign(&self) -> Option<String> {
        let component = self.component();
        let types = component.component_type();
        types.imports(component.engine()).map(|(interface, _)| interface.to_owned()).find(|interface| ours(interface).is_none())
    }

    pub fn component(&self) -> &Component {
        self.pre.component()
    }
}

/// The bytes as a component; [`encode`] tells how one is made of a core module.
pub fn component_of<'a>(engine: &Engine, bytes: &'a [u8]) -> Result<std::borrow::Cow<'a, [u8]>, LoadError> {
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => Ok(bytes.into()),
        Some(b"\0asm\x01\0\0\0") => {
            // What comes next trusts the lengths that the module tells.
            wasmtime::Module::validate(engine.wasmtime(), bytes).map_err(|error| LoadError::Compile(format!("{error:#}")))?;
            encode::encode(bytes).map(Into::into).map_err(|error| LoadError::NotAFilter(format!("{error:#}")))
        }
        _ => Err(LoadError::NotWasm { found: bytes.iter().take(8).copied().collect() }),
    }
}

/// What the host offers to every component of this engine.
pub use imports::{Linker, Waits, linker};

/// The compiled component, from the cache or made now.
pub fn compiled(engine: &Engine, cache: &Cache, bytes: &[u8]) -> Result<(Component, Compiled), LoadError> {
    let key = Key::of(&[b"component", bytes]);
    let made = || progress::told(bytes.len(), "a module", || compile(engine, &component_of(engine, bytes)?));
    cache.component(engine.wasmtime(), key, made)
}

/// Compiles a component.
pub fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, LoadError> {
    Component::from_binary(engine.wasmtime(), bytes).map_err(|error| LoadError::Compile(format!("{error:#}")))
}

fn grants_wait(identity: &Identity) -> bool {
    crate::filter::host::store::wait(&identity.grants.stores)
}

/// Lists every import that is not offered, by name. Otherwise: when they wait.
fn check_imports(component: &Component, linker: &Linker) -> Result<Vec<Waits>, LoadError> {
    let engine = component.engine();
    let mut missing = Vec::new();
    let mut waits = Vec::new();
    for (interface, item) in component.component_type().imports(engine) {
        let Some(name) = ours(interface) else {
            match linker.foreign(interface) {
                Some(when) => waits.push(when),
                None => missing.push(format!("`{interface}`")),
            }
            continue;
        };
        let component::ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        for (function, _) in instance.exports(engine).filter(|(_, item)| is_function(&item.ty)) {
            match linker.offers(name, function) {
                Some(when) => waits.push(when),
                None => missing.push(format!("`{interface}#{function}`")),
            }
        }
    }
    if missing.is_empty() { Ok(waits) } else { Err(LoadError::Imports(missing)) }
}

fn is_function(item: &component::ComponentItem) -> bool {
    matches!(item, component::ComponentItem::ComponentFunc(_))
}

/// The name of one of our interfaces without package and version; `None` for any other, and for another version.
fn ours(interface: &str) -> Option<&str> {
    let (name, version) = interface.strip_prefix(PACKAGE)?.split_once('@')?;
    version.starts_with(VERSION).then_some(name)
}

/// Where the exported functions are.
#[derive(Default)]
struct Exports {
    configure: Option<ComponentExportIndex>,
    request: Option<ComponentExportIndex>,
    request_chunk: Option<ComponentExportIndex>,
    response: Option<ComponentExportIndex>,
    response_chunk: Option<ComponentExportIndex>,
    request_trailers: Option<ComponentExportIndex>,
    response_trailers: Option<ComponentExportIndex>,
    complete: Option<ComponentExportIndex>,
    tick: Option<ComponentExportIndex>,
    connection: Option<ComponentExportIndex>,
}

impl Exports {
    fn find(component: &Component) -> Result<Self, LoadError> {
        let engine = component.engine();
        let mut found = Self::default();
        let mut unknown = Vec::new();
        for (interface, _) in component.component_type().exports(engine) {
            let index = |function: &str| {
                let interface = component.get_export_index(None, interface)?;
                component.get_export_index(Some(&interface), function)
            };
            match ours(interface) {
                Some("configure") => found.configure = index("configure"),
                Some("request-hook") => found.request = index("on-request"),
                Some("request-chunk-hook") => found.request_chunk = index("on-request-chunk"),
                Some("response-hook") => found.response = index("on-response"),
                Some("response-chunk-hook") => found.response_chunk = index("on-response-chunk"),
                Some("trailers-hook") => {
                    found.request_trailers = index("on-request-trailers");
                    found.response_trailers = index("on-response-trailers");
                }
                Some("complete-hook") => found.complete = index("on-complete"),
                Some("tick-hook") => found.tick = index("on-tick"),
                Some("connection-hook") => found.connection = index("on-connection"),
                None if !interface.starts_with(PACKAGE) => {}
                _ => unknown.push(format!("`{interface}`")),
            }
        }
        if unknown.is_empty() { Ok(found) } else { Err(LoadError::Exports(unknown)) }
    }

    fn hooks(&self) -> Vec<Hook> {
        let there = |hook: &Hook| match hook {
            Hook::Request => self.request.is_some(),
            Hook::RequestChunk => self.request_chunk.is_some(),
            Hook::Response => self.response.is_some(),
            Hook::ResponseChunk => self.response_chunk.is_some(),
            Hook::Trailers => self.request_trailers.is_some() || self.response_trailers.is_some(),
            Hook::Complete => self.complete.is_some(),
            Hook::Tick => self.tick.is_some(),
            Hook::Connection => self.connection.is_some(),
        };
        Hook::ALL.iter().copied().filter(there).collect()
    }
}
