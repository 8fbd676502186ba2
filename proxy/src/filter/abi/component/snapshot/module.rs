//! Of core modules that are entered as such.

use std::sync::Arc;

use wasmtime::{Instance, Module, Store, Val};
use wasmtime_wizer::{InstanceState, ModuleContext, SnapshotVal, ValType, Wizer};

use super::super::{Made, Prepared};
use super::{Unfit, guarded};
use crate::filter::cache::{Cache, Key};
use crate::filter::host::inputs::Inputs;
use crate::filter::{ConfigureError, Engine, Guest, Identity, LoadError, Setup, block_on};

/// A module that shows its memories and globals.
pub struct Instrumented<'a> {
    wizer: Wizer,
    context: ModuleContext<'a>,
    prepared: Prepared,
}

impl<'a> Instrumented<'a> {
    /// Compiles, unless the cache has the code.
    pub fn build(engine: &Engine, cache: &Cache, module: &'a [u8]) -> Result<Self, Unfit> {
        let mut wizer = Wizer::new();
        wizer.keep_init_func(true);
        let (context, bytes) = guarded(|| wizer.instrument(module))?;
        let key = Key::of(&[b"instrumented module", module]);
        let compile = || Module::from_binary(engine.wasmtime(), &bytes);
        let compiled = cache.code(engine.wasmtime(), key, compile).map_err(|error| LoadError::Compile(format!("{error:#}")));
        let prepared = Prepared::link_direct(engine, &compiled?.0, false)?;
        Ok(Self { wizer, context, prepared })
    }

    /// Configures an instance; the module that begins with what it has in memory then, and what it said of itself.
    pub async fn configured(&self, identity: &Arc<Identity>, config: &str, inputs: &Inputs) -> Result<(Vec<u8>, Setup), Unfit> {
        let (mut instance, made) = self.prepared.enter(identity).await.map_err(ConfigureError::from)?;
        let Made::Direct(made) = made else { return Err(Unfit::Shape("it is a component".to_owned())) };
        let setup = instance.configure(config, inputs).await?;
        let mut shown = Shown { store: &mut instance.store, instance: made };
        let bytes = guarded(|| {
            let snapshot = self.wizer.snapshot(&self.context, &mut shown);
            block_on(false, snapshot).map_err(|_| wasmtime::format_err!("the snapshot waited"))?
        })?;
        Ok((bytes, setup))
    }
}

/// An instance that shows everything, for wizer, which asks for it by name.
struct Shown<'a> {
    store: &'a mut Store<Guest>,
    instance: Instance,
}

/// Asked for what is not there, or for what it cannot take, nobody could go on: `guarded` makes it a refusal.
impl InstanceState for Shown<'_> {
    async fn global_get(&mut self, name: &str, _: ValType) -> SnapshotVal {
        let global = self.instance.get_global(&mut *self.store, name);
        match global.map(|global| global.get(&mut *self.store)) {
            Some(Val::I32(value)) => SnapshotVal::I32(value),
            Some(Val::I64(value)) => SnapshotVal::I64(value),
            Some(Val::F32(bits)) => SnapshotVal::F32(bits),
            Some(Val::F64(bits)) => SnapshotVal::F64(bits),
            Some(Val::V128(value)) => SnapshotVal::V128(value.as_u128()),
            _ => panic!("the global `{name}` is not shown"),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        match self.instance.get_memory(&mut *self.store, name) {
            Some(memory) => contents(memory.data(&*self.store)),
            None => panic!("the memory `{name}` is not shown"),
        }
    }
}
