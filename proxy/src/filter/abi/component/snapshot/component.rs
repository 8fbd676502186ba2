//! Of components.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, Lift, Type, WasmList};
use wasmtime::{Store, StoreContext};
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

use super::super::instance::{Instance, in_slices};
use super::super::{Form, Made, Prepared, compile};
use super::{Unfit, guarded};
use crate::filter::cache::{Cache, Key};
use crate::filter::host::inputs::Inputs;
use crate::filter::{ConfigureError, Engine, Guest, Identity, Setup, block_on};

/// What wizer calls the instance that shows everything.
const SHOWING: &str = "wasmtime:wizer/access";

/// A component that shows its memories and globals.
pub struct Instrumented<'a> {
    wizer: Wizer,
    context: ComponentContext<'a>,
    prepared: Prepared,
}

impl<'a> Instrumented<'a> {
    /// Compiles, unless the cache has the code.
    pub fn build(engine: &Engine, cache: &Cache, component: &'a [u8]) -> Result<Self, Unfit> {
        let mut wizer = Wizer::new();
        // There is no function that runs once only: all that is exported stays.
        wizer.keep_init_func(true);
        let (context, bytes) = guarded(|| wizer.instrument_component(component))?;
        let key = Key::of(&[b"instrumented", component]);
        let (compiled, _) = cache.code(engine.wasmtime(), key, || compile(engine, &bytes))?;
        let prepared = Prepared::link(engine, &compiled)?;
        Ok(Self { wizer, context, prepared })
    }

    /// Configures an instance; the component that begins with what it has in memory then, and what it said of itself.
    pub async fn configured(&self, identity: &Arc<Identity>, config: &str, inputs: &Inputs) -> Result<(Vec<u8>, Setup), Unfit> {
        let (mut instance, made) = self.prepared.enter(identity).await.map_err(ConfigureError::from)?;
        let Made::Component(made) = made else { return Err(Unfit::Shape("it is no component".to_owned())) };
        let setup = instance.configure(config, inputs).await?;
        // To show a memory it grows by a page, which is no part of what is shown; and all of it is shown at once.
        instance.store.data_mut().memory.bytes_max = usize::MAX;
        instance.store.set_hostcall_fuel(usize::MAX);
        instance.ready(identity.config.configure_deadline);
        let mut found = HashMap::new();
        for (name, index, shown) in self.accessors() {
            let value = match shown {
                Type::S32 => Value::I32(read(&mut instance, &made, index).await?),
                Type::S64 => Value::I64(read(&mut instance, &made, index).await?),
                Type::Float32 => Value::F32(read::<f32>(&mut instance, &made, index).await?.to_bits()),
                Type::Float64 => Value::F64(read::<f64>(&mut instance, &made, index).await?.to_bits()),
                _ => Value::Memory(read(&mut instance, &made, index).await?),
            };
            found.insert(name, value);
        }
        let mut shown = Shown { store: &mut instance.store, found };
        let bytes = guarded(|| {
            let snapshot = self.wizer.snapshot_component(&self.context, &mut shown);
            block_on(false, snapshot).map_err(|_| wasmtime::format_err!("the snapshot waited"))?
        })?;
        Ok((bytes, setup))
    }

    fn accessors(&self) -> Vec<(String, ComponentExportIndex, Type)> {
        match &self.prepared.form {
            Form::Component { pre, .. } => accessors(pre.component()),
            Form::Direct { .. } => Vec::new(),
        }
    }
}

/// The functions that show something: their names, where they are, and what they return.
fn accessors(component: &Component) -> Vec<(String, ComponentExportIndex, Type)> {
    let engine = component.engine();
    let Some(showing) = component.get_export_index(None, SHOWING) else { return Vec::new() };
    let Some(ComponentItem::ComponentInstance(instance)) =
        component.component_type().get_export(engine, SHOWING).map(|item| item.ty)
    else {
        return Vec::new();
    };
    let functions = instance.exports(engine).filter_map(|(name, item)| match item.ty {
        ComponentItem::ComponentFunc(function) => {
            Some((name.to_owned(), component.get_export_index(Some(&showing), name)?, function.results().next()?))
        }
        _ => None,
    });
    functions.collect()
}

async fn read<R: Lift + Send + Sync + 'static>(
    instance: &mut Instance,
    made: &wasmtime::component::Instance,
    index: ComponentExportIndex,
) -> Result<R, Unfit> {
    let function = made.get_typed_func::<(), (R,)>(&mut instance.store, index);
    let function = function.map_err(|error| Unfit::Shape(format!("{error:#}")))?;
    let outcome = match &instance.slices {
        Some(slices) => in_slices(slices, function.call_async(&mut instance.store, ())).await,
        None => function.call(&mut instance.store, ()),
    };
    outcome.map(|(value,)| value).map_err(|error| Unfit::Shape(format!("it does not show what it has: {error:#}")))
}

/// One thing that was shown.
enum Value {
    Memory(WasmList<u8>),
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
}

/// Everything that was shown, for wizer, which asks for it by name.
struct Shown<'a> {
    store: &'a mut Store<Guest>,
    found: HashMap<String, Value>,
}

/// Asked for what was not shown, or for it as something else, nobody could go on: [`guarded`] makes it a refusal.
macro_rules! shown {
    ($self:ident, $name:ident, $kind:ident) => {
        match $self.found.get($name) {
            Some(Value::$kind(value)) => value,
            _ => panic!("`{}` was not shown", $name),
        }
    };
}

impl ComponentInstanceState for Shown<'_> {
    async fn call_func_ret_list_u8(&mut self, _: &str, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let list = shown!(self, name, Memory);
        contents(list.as_le_slice(StoreContext::from(&*self.store)));
    }

    async fn call_func_ret_s32(&mut self, _: &str, name: &str) -> i32 {
        *shown!(self, name, I32)
    }

    async fn call_func_ret_s64(&mut self, _: &str, name: &str) -> i64 {
        *shown!(self, name, I64)
    }

    async fn call_func_ret_f32(&mut self, _: &str, name: &str) -> u32 {
        *shown!(self, name, F32)
    }

    async fn call_func_ret_f64(&mut self, _: &str, name: &str) -> u64 {
        *shown!(self, name, F64)
    }
}
