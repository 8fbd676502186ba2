//! Our own ABI: components that import and export the interfaces of wit/.
//!
//! A core module that carries wit-bindgen's metadata is made a component first. Every import is checked by name before
//! anything runs, so that a filter made for another version is told what is missing.

mod imports;
mod types;

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Lift, Lower, TypedFunc, types as component};
use wasmtime::{Store, Trap};

use self::types::{Input, Verdict as GuestVerdict};
use crate::exchange::Exchange;
use crate::filter::{ConfigureError, Engine, Fault, Guest, Hook, LoadError, Setup, Verdict};

/// The package that filters are built against; the host takes any of the same 0.1.
const PACKAGE: &str = "tamis:filter/";
const VERSION: &str = "0.1.";

/// A compiled and linked component, with where its exports are.
pub struct Prepared {
    pre: InstancePre<Guest>,
    configure: Option<ComponentExportIndex>,
    request: Option<ComponentExportIndex>,
    response: Option<ComponentExportIndex>,
}

impl Prepared {
    /// Makes a component of the bytes if they are not one, compiles it and checks that it fits.
    pub fn build(engine: &Engine, bytes: &[u8]) -> Result<Self, LoadError> {
        let engine = engine.wasmtime();
        let component = match bytes.get(..8) {
            Some(b"\0asm\x0d\0\x01\0") => Component::from_binary(engine, bytes),
            Some(b"\0asm\x01\0\0\0") => Component::from_binary(engine, &componentize(engine, bytes)?),
            _ => return Err(LoadError::NotWasm { found: bytes.iter().take(8).copied().collect() }),
        };
        let component = component.map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        let linker = imports::linker(engine).map_err(|error| LoadError::Link(format!("{error:#}")))?;
        check_imports(&component, &linker)?;
        let exports = Exports::find(&component)?;
        let index = |interface: Option<String>, function| {
            let interface = component.get_export_index(None, &interface?)?;
            component.get_export_index(Some(&interface), function)
        };
        let configure = index(exports.configure, "configure");
        let request = index(exports.request, "on-request");
        let response = index(exports.response, "on-response");
        if request.is_none() && response.is_none() {
            return Err(LoadError::NoHooks("tamis:filter@0.1"));
        }
        let pre = linker.0.instantiate_pre(&component).map_err(|error| LoadError::Link(format!("{error:#}")))?;
        Ok(Self { pre, configure, request, response })
    }

    /// A new instance in a store of its own, not configured yet.
    pub fn instantiate(&self, filter: &Arc<str>, memory_bytes_max: usize) -> Result<Instance, Fault> {
        let mut store = Store::new(self.pre.engine(), Guest::new(Arc::clone(filter), memory_bytes_max));
        store.limiter(|guest| &mut guest.memory);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().cpu.epoch_ended()));
        // A start function runs here, on the time of `configure`.
        store.data_mut().cpu.start(crate::config::defaults::FILTER_CONFIGURE_DEADLINE);
        store.set_epoch_deadline(1);
        let made = self.pre.instantiate(&mut store);
        let instance = made.map_err(|error| Fault::Instance(format!("{error:#}")))?;
        let hook = |store: &mut Store<Guest>, index: Option<ComponentExportIndex>| match index {
            Some(index) => typed::<(), (GuestVerdict,)>(store, &instance, index).map(Some),
            None => Ok(None),
        };
        let request = hook(&mut store, self.request)?;
        let response = hook(&mut store, self.response)?;
        let configure = match self.configure {
            Some(index) => Some(typed(&mut store, &instance, index)?),
            None => None,
        };
        Ok(Instance { store, configure, request, response })
    }
}

fn typed<P, R>(
    store: &mut Store<Guest>,
    instance: &wasmtime::component::Instance,
    index: ComponentExportIndex,
) -> Result<TypedFunc<P, R>, Fault>
where
    P: wasmtime::component::ComponentNamedList + Lower,
    R: wasmtime::component::ComponentNamedList + Lift,
{
    instance
        .get_typed_func(store, index)
        .map_err(|error| Fault::Instance(format!("an exported function has another type than wit/ gives it: {error:#}")))
}

/// A core module of wit-bindgen says in a custom section which world it was built for.
fn componentize(engine: &wasmtime::Engine, module: &[u8]) -> Result<Vec<u8>, LoadError> {
    // What comes next trusts the lengths that the module tells.
    wasmtime::Module::validate(engine, module).map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| LoadError::NotAFilter(format!("{error:#}")))
}

/// Lists every import that is not offered, by name.
fn check_imports(component: &Component, linker: &imports::Linker) -> Result<(), LoadError> {
    let engine = component.engine();
    let mut missing = Vec::new();
    for (interface, item) in component.component_type().imports(engine) {
        let functions = match item.ty {
            component::ComponentItem::ComponentInstance(instance) => {
                instance.exports(engine).filter(|(_, item)| is_function(&item.ty)).map(|(name, _)| name.to_owned()).collect()
            }
            _ => Vec::new(),
        };
        let Some(name) = ours(interface) else {
            missing.push(format!("`{interface}`"));
            continue;
        };
        missing.extend(
            functions
                .iter()
                .filter(|function| !linker.offers(name, function))
                .map(|function| format!("`{interface}#{function}`")),
        );
    }
    if missing.is_empty() { Ok(()) } else { Err(LoadError::Imports(missing)) }
}

fn is_function(item: &component::ComponentItem) -> bool {
    matches!(item, component::ComponentItem::ComponentFunc(_))
}

/// The name of one of our interfaces without package and version; `None` for any other, and for another version.
fn ours(interface: &str) -> Option<&str> {
    let (name, version) = interface.strip_prefix(PACKAGE)?.split_once('@')?;
    version.starts_with(VERSION).then_some(name)
}

/// The full names of the exported interfaces that this version knows.
#[derive(Default)]
struct Exports {
    configure: Option<String>,
    request: Option<String>,
    response: Option<String>,
}

impl Exports {
    fn find(component: &Component) -> Result<Self, LoadError> {
        let engine = component.engine();
        let mut found = Self::default();
        let mut unknown = Vec::new();
        for (name, item) in component.component_type().exports(engine) {
            let slot = match (ours(name), &item.ty) {
                (Some("configure"), _) => &mut found.configure,
                (Some("request-hook"), _) => &mut found.request,
                (Some("response-hook"), _) => &mut found.response,
                (None, _) if !name.starts_with(PACKAGE) => continue,
                _ => {
                    unknown.push(format!("`{name}`"));
                    continue;
                }
            };
            *slot = Some(name.to_owned());
        }
        if unknown.is_empty() { Ok(found) } else { Err(LoadError::Exports(unknown)) }
    }
}

/// `configure`: a configuration and its inputs, or why they are refused.
type Configure = TypedFunc<(String, Vec<Input>), (Result<(), String>,)>;

/// One instance in a store of its own.
pub struct Instance {
    store: Store<Guest>,
    configure: Option<Configure>,
    request: Option<TypedFunc<(), (GuestVerdict,)>>,
    response: Option<TypedFunc<(), (GuestVerdict,)>>,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Instance({})", self.store.data().filter)
    }
}

impl Instance {
    /// Runs `configure` and settles which hooks will be called. A filter without one takes any configuration.
    pub fn configure(&mut self, config: &str, deadline: Duration) -> Result<Setup, ConfigureError> {
        let data = self.store.data_mut();
        data.begin_setup();
        data.cpu.start(deadline);
        self.store.set_epoch_deadline(1);
        if let Some(configure) = &self.configure {
            let outcome = configure.call(&mut self.store, (config.to_owned(), Vec::new()));
            let (answer,) = outcome.map_err(|error| self.fault(&error))?;
            answer.map_err(ConfigureError::Refused)?;
        }
        let mut setup = self.store.data_mut().end_setup();
        let exported: Vec<Hook> = [(Hook::Request, self.request.is_some()), (Hook::Response, self.response.is_some())]
            .into_iter()
            .filter_map(|(hook, there)| there.then_some(hook))
            .collect();
        setup.settle(&exported).map_err(ConfigureError::Refused)?;
        Ok(setup)
    }

    /// Runs one hook with the exchange in hand, and hands it back whatever happens.
    pub fn call(
        &mut self,
        hook: Hook,
        deadline: Duration,
        mut exchange: Box<Exchange>,
    ) -> (Box<Exchange>, Result<Verdict, Fault>) {
        let function = match hook {
            Hook::Request => self.request,
            Hook::Response => self.response,
        };
        let Some(function) = function else { return (exchange, Ok(Verdict::Next)) };
        let data = self.store.data_mut();
        exchange.reply = None;
        data.memory.refused = false;
        data.take_in_hand(exchange);
        data.cpu.start(deadline);
        self.store.set_epoch_deadline(1);
        let outcome = function.call(&mut self.store, ());
        let exchange = self.store.data_mut().hand_back().expect("a hook cannot take the exchange out of the store");
        let verdict = match outcome {
            Ok((GuestVerdict::Replied,)) if exchange.reply.is_none() => {
                Err(Fault::Trap("it said `replied` without a reply".to_owned()))
            }
            Ok((verdict,)) => Ok(verdict.into()),
            Err(error) => Err(self.fault(&error)),
        };
        (exchange, verdict)
    }

    /// What went wrong, with the guest's backtrace where there is one.
    fn fault(&self, error: &wasmtime::Error) -> Fault {
        let guest = self.store.data();
        if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
            Fault::Deadline(guest.cpu.allowed())
        } else if guest.memory.refused {
            Fault::Memory(guest.memory.bytes_max, format!("{error:#}"))
        } else {
            Fault::Trap(format!("{error:?}"))
        }
    }
}
