//! What the host offers to guests, whatever way they are entered: each function of `imports` is added to what components are linked
//! with and to what core modules are linked with.

use std::collections::BTreeMap;

use wasmtime::{Engine, Module, Result};

use super::direct::functions;
use super::direct::lower::Lower;
use super::direct::value::Params;
use super::imports;
use crate::exchange::Exchange;
use crate::filter::hand::{self, InHand};
use crate::filter::{Guest, OutOfPlace};

/// The package that filters are built against; the host takes any of the same 0.1.
pub const PACKAGE: &str = "tamis:filter/";
const VERSION: &str = "0.1.";

/// The name of one of our interfaces without package and version; `None` for any other, and for another version.
pub fn ours(interface: &str) -> Option<&str> {
    let (name, version) = interface.strip_prefix(PACKAGE)?.split_once('@')?;
    version.starts_with(VERSION).then_some(name)
}

/// As functions of the host are called where they are offered.
pub fn module_of(interface: &str) -> String {
    format!("{PACKAGE}{interface}@{}", super::direct::contract::VERSION)
}

/// The linkers, with the names of what they offer and when each may wait.
pub struct Linker {
    /// Stores answer at once: a guest is called as a plain function.
    plain: Both,
    /// Stores may have to wait for a backend: a guest that asks them runs on a fiber.
    remote: Both,
    offered: BTreeMap<(&'static str, &'static str), Waits>,
}

struct Both {
    components: wasmtime::component::Linker<Guest>,
    /// In `remote` for guests that run on a fiber, otherwise for those that do not.
    modules: wasmtime::Linker<Guest>,
}

/// When a function may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    Never,
    /// If a store that the filter is granted is elsewhere.
    WhereRemote,
    Always,
}

impl Linker {
    /// Everything that is offered.
    pub fn new(engine: &Engine) -> Result<Self> {
        let both = || Both { components: wasmtime::component::Linker::new(engine), modules: wasmtime::Linker::new(engine) };
        let mut linker = Self { plain: both(), remote: both(), offered: BTreeMap::new() };
        for remote in [true, false] {
            let both = if remote { &mut linker.remote } else { &mut linker.plain };
            crate::filter::host::wasi::link(&mut both.components)?;
            imports::add_all(&mut linker, remote)?;
        }
        Ok(linker)
    }

    /// When a function of ours may wait; `None` if there is none of that name.
    pub fn offers(&self, interface: &str, function: &str) -> Option<Waits> {
        self.offered.iter().find(|((offered, name), _)| *offered == interface && *name == function).map(|(_, waits)| *waits)
    }

    /// The same for an interface of others; `None` if it is not offered at all.
    pub fn foreign(&self, interface: &str) -> Option<Waits> {
        crate::filter::host::wasi::offers(interface).then_some(Waits::Always)
    }

    pub fn instantiate_pre(&self, component: &wasmtime::component::Component) -> Result<wasmtime::component::InstancePre<Guest>> {
        self.plain.components.instantiate_pre(component)
    }

    /// For filters whose stores may wait.
    pub fn instantiate_pre_remote(
        &self,
        component: &wasmtime::component::Component,
    ) -> Result<wasmtime::component::InstancePre<Guest>> {
        self.remote.components.instantiate_pre(component)
    }

    /// A core module, for guests on a fiber or for others.
    pub fn module_pre(&self, module: &Module, fiber: bool) -> Result<wasmtime::InstancePre<Guest>> {
        let linker = if fiber { &self.remote.modules } else { &self.plain.modules };
        let newer =
            |import: &wasmtime::ImportType<'_>| ours(import.module()).is_some_and(|name| module_of(name) != import.module());
        if !module.imports().any(|import| newer(&import)) {
            return linker.instantiate_pre(module);
        }
        // Made for another patch of the package, which has the same functions.
        let mut linker = linker.clone();
        for import in module.imports().filter(newer) {
            if let Some(name) = ours(import.module()) {
                linker.alias(&module_of(name), import.name(), import.module(), import.name())?;
            }
        }
        linker.instantiate_pre(module)
    }

    /// Every function that is offered, by interface and name.
    pub fn functions(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.offered.keys().copied()
    }

    pub(super) fn interface(&mut self, name: &'static str, remote: bool) -> Result<Interface<'_>> {
        let both = if remote { &mut self.remote } else { &mut self.plain };
        let module = module_of(name);
        let instance = both.components.instance(&module)?;
        Ok(Interface { name, instance, modules: &mut both.modules, module, remote, offered: &mut self.offered })
    }
}

/// One interface while its functions are added.
pub struct Interface<'a> {
    pub name: &'static str,
    instance: wasmtime::component::LinkerInstance<'a, Guest>,
    modules: &'a mut wasmtime::Linker<Guest>,
    module: String,
    pub remote: bool,
    pub offered: &'a mut BTreeMap<(&'static str, &'static str), Waits>,
}

impl Interface<'_> {
    /// A function that answers at once.
    pub fn function<P: Params + 'static, R: Lower + Send + Sync + 'static>(
        &mut self,
        name: &'static str,
        function: impl for<'a> Fn(&mut Guest, P::Value<'a>) -> Result<R> + Copy + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        let of_a_request = self.name == "request";
        let function = typed::<P, R, _>(move |guest, params| {
            if of_a_request {
                hand::of_a_request(name)?;
            }
            function(guest, params)
        });
        self.instance.func_wrap(name, move |mut context, mut params: P::Owned| {
            function(context.data_mut(), P::of_owned(&mut params)).map(R::results)
        })?;
        let known = functions::agreed::<P, R>(self.name, name)?;
        match self.remote {
            true => functions::add_on_fibers::<P, R>(self.modules, &self.module, known, function)?,
            false => functions::add::<P, R>(self.modules, &self.module, known, function)?,
        }
        self.offered.insert((self.name, name), Waits::Never);
        Ok(self)
    }

    /// A function that may wait. What it needs of the guest it takes at once.
    pub fn waiting<P: Params + 'static, R: Lower + Send + Sync + 'static, F>(
        &mut self,
        name: &'static str,
        function: impl for<'a> Fn(&Guest, P::Value<'a>) -> F + Copy + Send + Sync + 'static,
    ) -> Result<&mut Self>
    where
        F: Future<Output = Result<R>> + Send + 'static,
    {
        self.instance.func_wrap_async(name, move |context: wasmtime::StoreContextMut<'_, Guest>, mut params: P::Owned| {
            let begun = function(context.data(), P::of_owned(&mut params));
            Box::new(async move { begun.await.map(R::results) })
        })?;
        let known = functions::agreed::<P, R>(self.name, name)?;
        if self.remote {
            functions::add_waiting::<P, R, F>(self.modules, &self.module, known, function)?;
        }
        self.offered.insert((self.name, name), Waits::Always);
        Ok(self)
    }

    /// A function without arguments that looks at the exchange.
    pub fn get<R: Lower + Send + Sync + 'static>(
        &mut self,
        name: &'static str,
        get: impl Fn(&Exchange) -> R + Copy + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        self.function::<(), R>(name, move |_, ()| Ok(hand::exchange(name, get)?))
    }

    /// A function that changes the exchange and may say what is wrong with its arguments.
    pub fn set<P: Params + 'static>(
        &mut self,
        name: &'static str,
        set: impl for<'a> Fn(&mut Exchange, P::Value<'a>) -> std::result::Result<(), String> + Copy + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        self.function::<P, _>(name, move |_, params| Ok(hand::exchange_mut(name, |exchange| set(exchange, params))?))
    }

    /// The same for a function that has nothing to answer.
    pub fn change<P: Params + 'static>(
        &mut self,
        name: &'static str,
        change: impl for<'a> Fn(&mut Exchange, P::Value<'a>) + Copy + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        self.function::<P, _>(name, move |_, params| Ok(hand::exchange_mut(name, |exchange| change(exchange, params))?))
    }

    /// A function of what is in hand that only some hooks have, or that can fail the guest.
    pub fn hand<P: Params + 'static, R: Lower + Send + Sync + 'static>(
        &mut self,
        name: &'static str,
        job: impl for<'a> Fn(&mut InHand, P::Value<'a>) -> std::result::Result<R, OutOfPlace> + Copy + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        self.function::<P, _>(name, move |_, params| Ok(hand::with(name, |hand| job(hand, params))??))
    }
}

/// Tells the compiler what kind of function a closure is.
fn typed<P: Params + 'static, R, F>(function: F) -> F
where
    F: for<'a> Fn(&mut Guest, P::Value<'a>) -> Result<R> + Copy + Send + Sync + 'static,
{
    function
}
