//! Our own ABI: components that import and export the interfaces of wit/, and the core modules that wit-bindgen makes for it.
//!
//! A core module is entered as such where that can be told to be the same (`direct`); any other is made a component first (`encode`).
//! Every import is checked by name before anything runs, so that a filter made for another version is told what is missing. A guest
//! that imports something that waits runs on a fiber, any other without one.

mod encode;
mod hooks;
mod instance;
pub mod snapshot;

use std::sync::Arc;

use wasmtime::component::{Component, ComponentExportIndex, InstancePre, types as component};
use wasmtime::{Module, Store};

pub use self::instance::Instance;
pub(super) use self::instance::at_once;
use self::instance::{Hooks, in_slices};
use super::direct;
use super::direct::hooks::Places;
use super::direct::shape::Shape;
use super::exports::{self, Exports};
pub use super::linker::{Linker, Waits};
use super::linker::{PACKAGE, ours};
use crate::config::Sha256;
use crate::filter::cache::code::{self, Code};
use crate::filter::cache::{Cache, Compiled, Key};
use crate::filter::limits::Slices;
use crate::filter::{Engine, Fault, Guest, Hook, Identity, LoadError, progress};

/// What the arguments of one call of the host may take, at least: a filter with little memory still gets along.
const HOSTCALL_BYTES_MIN: usize = 1 << 20;

/// Compiled and linked, with where its exports are.
pub struct Prepared {
    form: Form,
    /// It imports something that waits.
    fiber: bool,
}

/// In what way it is entered. Each with a second one for a filter whose stores may wait; `None` if it imports nothing of them.
#[expect(clippy::large_enum_variant, reason = "there is one for each module")]
enum Form {
    Component { pre: InstancePre<Guest>, remote: Option<Box<InstancePre<Guest>>>, exports: Exports<ComponentExportIndex> },
    Direct { pre: wasmtime::InstancePre<Guest>, remote: Option<Box<wasmtime::InstancePre<Guest>>>, places: Places },
}

/// An instance as wasmtime has it.
enum Made {
    Component(wasmtime::component::Instance),
    Direct(wasmtime::Instance),
}

impl Prepared {
    /// Takes the compiled code from the cache or makes it, and checks that it fits.
    pub fn build(engine: &Engine, cache: &Cache, bytes: &[u8], hash: &Sha256) -> Result<(Self, Compiled), LoadError> {
        if let Some(shape) = Shape::of(bytes).filter(|_| engine.enters_directly()) {
            let key = Key::of(&[b"module", &hash.0]);
            let compile = || {
                // What is wrong with it is told as it always is, and so is that something is.
                component_of(engine, bytes).map_err(Some)?;
                if !shape.agrees(bytes) {
                    return Err(None);
                }
                let made = || Module::from_binary(engine.wasmtime(), bytes);
                progress::told(bytes.len(), "a module", made).map_err(|error| Some(LoadError::Compile(format!("{error:#}"))))
            };
            match cache.code(engine.wasmtime(), key, compile) {
                Ok((module, compiled)) => return Ok((Self::link_direct(engine, &module, false)?, compiled)),
                Err(Some(error)) => return Err(error),
                Err(None) => {}
            }
        }
        let (component, compiled) = compiled(engine, cache, bytes, hash)?;
        Ok((Self::link(engine, &component)?, compiled))
    }

    /// Checks that a compiled component fits.
    pub fn link(engine: &Engine, component: &Component) -> Result<Self, LoadError> {
        let linker = engine.linker();
        let waits = check_imports(component, linker)?;
        let exports = find_exports(component)?;
        if exports.hooks().is_empty() {
            return Err(LoadError::NoHooks("tamis:filter@0.1"));
        }
        let pre = linker.instantiate_pre(component).map_err(unfit)?;
        let remote = waits.contains(&Waits::WhereRemote).then(|| linker.instantiate_pre_remote(component).map(Box::new));
        let form = Form::Component { pre, remote: remote.transpose().map_err(unfit)?, exports };
        Ok(Self { form, fiber: waits.contains(&Waits::Always) })
    }

    /// The same for a core module that is entered as such. `began`: it is a copy of an instance that has begun.
    fn link_direct(engine: &Engine, module: &Module, began: bool) -> Result<Self, LoadError> {
        let linker = engine.linker();
        let waits = |import: wasmtime::ImportType<'_>| linker.offers(ours(import.module())?, import.name());
        let waits: Vec<_> = module.imports().filter_map(waits).collect();
        let fiber = waits.contains(&Waits::Always);
        let places = Places::of(module, began).ok_or_else(|| LoadError::Link("it exports something else".to_owned()))?;
        if places.exports.hooks().is_empty() {
            return Err(LoadError::NoHooks("tamis:filter@0.1"));
        }
        let pre = linker.module_pre(module, fiber).map_err(unfit)?;
        let remote = waits.contains(&Waits::WhereRemote).then(|| linker.module_pre(module, true).map(Box::new));
        Ok(Self { form: Form::Direct { pre, remote: remote.transpose().map_err(unfit)?, places }, fiber })
    }

    /// A new instance in a store of its own, as its module or its image has it.
    pub async fn instantiate(&self, identity: &Arc<Identity>) -> Result<Instance, Fault> {
        Ok(self.enter(identity).await?.0)
    }

    /// The same, with the way to what it exports besides hooks.
    async fn enter(&self, identity: &Arc<Identity>) -> Result<(Instance, Made), Fault> {
        let mut store = Store::new(self.engine(), Guest::new(Arc::clone(identity)));
        store.limiter(|guest| &mut guest.memory);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().cpu.epoch_ended()));
        let slices = self.waits(identity).then(Arc::<Slices>::default);
        // A guest can name its memory many times over in the arguments of one call.
        let fuel = identity.config.memory.max(HOSTCALL_BYTES_MIN);
        store.set_hostcall_fuel(fuel);
        // A start function runs here, on the time of `configure`.
        store.data_mut().cpu.start(identity.config.configure_deadline, slices.as_ref());
        store.set_epoch_deadline(1);
        let made = self.make(&mut store, grants_wait(identity), slices.is_some(), fuel);
        let made = match &slices {
            Some(slices) => {
                let limit = instance::SETUP_TIMEOUT + identity.config.configure_deadline;
                tokio::time::timeout(limit, in_slices(slices, made)).await.map_err(|_| Fault::Late(limit))?
            }
            None => at_once(made),
        };
        let (hooks, made) = made.map_err(|error| match store.data().memory.wanted {
            0 => Fault::Instance(format!("{error:#}")),
            wanted => Fault::Small { allowed: identity.config.memory, wanted },
        })?;
        Ok((Instance::new(store, hooks?, slices), made))
    }

    async fn make(
        &self,
        store: &mut Store<Guest>,
        remote_stores: bool,
        fiber: bool,
        fuel: usize,
    ) -> wasmtime::Result<(Result<Hooks, Fault>, Made)> {
        match &self.form {
            Form::Component { pre, remote, exports } => {
                let pre = remote.as_deref().filter(|_| remote_stores).unwrap_or(pre);
                let made = if fiber { pre.instantiate_async(&mut *store).await? } else { pre.instantiate(&mut *store)? };
                let hooks = hooks::Hooks::of(store, &made, exports, fiber).map(|hooks| Hooks::Component(Box::new(hooks)));
                Ok((hooks, Made::Component(made)))
            }
            Form::Direct { pre, remote, places } => {
                let pre = remote.as_deref().filter(|_| remote_stores).unwrap_or(pre);
                let made = if fiber { pre.instantiate_async(&mut *store).await? } else { pre.instantiate(&mut *store)? };
                let hooks = direct::hooks::Hooks::of(store, &made, places, fiber, fuel).await?;
                Ok((Ok(Hooks::Direct(Box::new(hooks))), Made::Direct(made)))
            }
        }
    }

    fn engine(&self) -> &wasmtime::Engine {
        match &self.form {
            Form::Component { pre, .. } => pre.engine(),
            Form::Direct { pre, .. } => pre.module().engine(),
        }
    }

    /// The hooks that it exports.
    pub fn hooks(&self) -> Vec<Hook> {
        match &self.form {
            Form::Component { exports, .. } => exports.hooks(),
            Form::Direct { places, .. } => places.exports.hooks(),
        }
    }

    /// Whether it may wait in the middle of a hook, as an instance of this filter.
    pub fn waits(&self, identity: &Identity) -> bool {
        let remote = match &self.form {
            Form::Component { remote, .. } => remote.is_some(),
            Form::Direct { remote, .. } => remote.is_some(),
        };
        self.fiber || remote && grants_wait(identity)
    }

    /// An interface that it imports and that is not ours.
    pub fn foreign(&self) -> Option<String> {
        let Form::Component { pre, .. } = &self.form else { return None };
        let types = pre.component().component_type();
        types.imports(self.engine()).map(|(interface, _)| interface.to_owned()).find(|interface| ours(interface).is_none())
    }

    /// It is a core module, entered as such.
    pub fn is_direct(&self) -> bool {
        matches!(self.form, Form::Direct { .. })
    }

    /// Bytes that all instances share: compiled code, and the memory they begin with.
    pub fn shared_bytes(&self) -> usize {
        let range = match &self.form {
            Form::Component { pre, .. } => pre.component().range(),
            Form::Direct { pre, .. } => pre.module().range(),
        };
        range.end.addr() - range.start.addr()
    }

    /// The image of this that the cache has, with what was noted of it.
    pub fn kept_image(&self, engine: &Engine, cache: &Cache, key: Key) -> Option<(Self, Vec<u8>)> {
        if self.is_direct() {
            let (module, note) = cache.image::<Module>(engine.wasmtime(), key)?;
            return Some((Self::link_direct(engine, &module, true).ok()?, note));
        }
        let (component, note) = cache.image::<Component>(engine.wasmtime(), key)?;
        Some((Self::link(engine, &component).ok()?, note))
    }

    /// Compiles an image of this, and brings the code along for the cache.
    pub fn compile_image(&self, engine: &Engine, bytes: &[u8]) -> Result<(Self, Vec<u8>), LoadError> {
        let failed = |error| LoadError::Compile(format!("{error:#}"));
        if self.is_direct() {
            let (module, code) = code::compile_shared::<Module>(engine.wasmtime(), bytes).map_err(failed)?;
            return Ok((Self::link_direct(engine, &module, true)?, code));
        }
        let (component, code) = code::compile_shared::<Component>(engine.wasmtime(), bytes).map_err(failed)?;
        Ok((Self::link(engine, &component)?, code))
    }
}

fn unfit(error: wasmtime::Error) -> LoadError {
    LoadError::Link(format!("{error:#}"))
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

/// Whether it is entered as the core module that it is.
pub fn is_entered_directly(bytes: &[u8]) -> bool {
    Shape::of(bytes).is_some_and(|shape| shape.agrees(bytes))
}

/// The compiled component, from the cache or made now.
pub fn compiled(engine: &Engine, cache: &Cache, bytes: &[u8], hash: &Sha256) -> Result<(Component, Compiled), LoadError> {
    let key = Key::of(&[b"component", &hash.0]);
    let made = || progress::told(bytes.len(), "a module", || compile(engine, &component_of(engine, bytes)?));
    cache.code(engine.wasmtime(), key, made)
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

/// Where the exported functions are.
fn find_exports(component: &Component) -> Result<Exports<ComponentExportIndex>, LoadError> {
    let engine = component.engine();
    let mut found = Exports::default();
    let mut unknown = Vec::new();
    for (interface, _) in component.component_type().exports(engine) {
        let functions = ours(interface).map(exports::functions).unwrap_or_default();
        if functions.is_empty() && interface.starts_with(PACKAGE) {
            unknown.push(format!("`{interface}`"));
        }
        for function in functions {
            let index = component.get_export_index(None, interface);
            if let Some(place) = found.place(function) {
                *place = index.and_then(|index| component.get_export_index(Some(&index), function));
            }
        }
    }
    if unknown.is_empty() { Ok(found) } else { Err(LoadError::Exports(unknown)) }
}
