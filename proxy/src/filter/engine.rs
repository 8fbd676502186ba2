//! The wasmtime engine: one for the process.

use std::sync::{Arc, OnceLock};

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::abi::linker::Linker;
use super::abi::proxy_wasm;
use super::epochs;
use super::limits::TABLE_ELEMENTS_MAX;
use crate::config;
use crate::config::defaults::FILTER_MEMORY_MAX;

/// Tables that there are for each instance: nearly all have one, and those of components two.
const TABLES: u32 = 4;
/// What one component may take of what is there for all. Its core instances are counted and no more, so that there is room for as many
/// as all of them may have: Python's have 14 each.
const MEMORIES_PER_COMPONENT: u32 = 4;
const TABLES_PER_COMPONENT: u32 = 16;
const CORE_INSTANCES_PER_COMPONENT: u32 = 64;
/// Deepest recursion of a guest.
const WASM_STACK_BYTES: usize = 512 * 1024;
/// What a host function has beside it on a fiber.
const HOST_STACK_BYTES: usize = 256 * 1024;
/// Stacks beside one for each instance: more than the workers of most machines. Each takes two of the mappings that a process may have.
const STACKS_BESIDE: u32 = 128;
/// Of a fiber's stack, what stays resident for the next one.
const STACK_KEEP_RESIDENT_BYTES: usize = 16 * 1024;
/// Memory of a used slot that stays resident for its next instance: most filters never touch more.
const KEEP_RESIDENT_BYTES: usize = 64 * 1024;
/// Linear memory is reserved at this size, so that growing never moves it and bounds checks cost nothing.
const RESERVATION_BYTES: u64 = 4 << 30;

/// Compiles and runs modules. Clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    engine: Arc<wasmtime::Engine>,
    linker: Linker,
    entry: Entry,
    /// Made when the first module asks for it.
    core_linker: OnceLock<wasmtime::Linker<proxy_wasm::State>>,
}

/// How core modules of wit-bindgen are entered. Components always are as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Entry {
    /// As what they are, where that is the same.
    #[default]
    Direct,
    /// As the components that are made of them.
    Component,
}

impl Entry {
    pub fn of(modules: &config::Modules) -> Self {
        if modules.direct { Entry::Direct } else { Entry::Component }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("filter::Engine")
    }
}

impl Engine {
    /// Sets address space aside. Its epochs end until it is dropped.
    pub fn new(instances_max: usize, entry: Entry) -> wasmtime::Result<Self> {
        let instances_max = u32::try_from(instances_max).unwrap_or(u32::MAX);
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(instances_max)
            .total_core_instances(instances_max.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
            .total_memories(instances_max)
            .total_tables(instances_max.saturating_mul(TABLES))
            // Only total_memories bounds what one component may have; most have one, none needs many.
            .max_memories_per_component(MEMORIES_PER_COMPONENT)
            .max_tables_per_component(TABLES_PER_COMPONENT)
            .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
            // A guest on a fiber that hands out memory does so on a second one, at once: a worker has one of these at a time.
            .total_stacks(instances_max.saturating_add(STACKS_BESIDE))
            .async_stack_keep_resident(STACK_KEEP_RESIDENT_BYTES)
            .table_elements(TABLE_ELEMENTS_MAX)
            .max_memory_size(FILTER_MEMORY_MAX)
            .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
            .pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .memory_reservation(RESERVATION_BYTES)
            .max_wasm_stack(WASM_STACK_BYTES)
            .async_stack_size(WASM_STACK_BYTES + HOST_STACK_BYTES)
            .memory_guaranteed_dense_image_size(FILTER_MEMORY_MAX as u64)
            .epoch_interruption(true)
            // Concurrent component calls, which nothing here uses, would make every call half as dear again.
            .concurrency_support(false);
        let engine = Arc::new(wasmtime::Engine::new(&config)?);
        epochs::keep(Arc::downgrade(&engine))?;
        let linker = Linker::new(&engine)?;
        Ok(Self(Arc::new(Shared { engine, linker, entry, core_linker: OnceLock::new() })))
    }

    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.engine
    }

    /// Whether core modules are entered as such.
    pub fn enters_directly(&self) -> bool {
        self.0.entry == Entry::Direct
    }

    /// What modules made for proxy-wasm can import.
    pub fn core_linker(&self) -> wasmtime::Result<&wasmtime::Linker<proxy_wasm::State>> {
        if let Some(known) = self.0.core_linker.get() {
            return Ok(known);
        }
        let linker = proxy_wasm::linker(&self.0.engine)?;
        Ok(self.0.core_linker.get_or_init(|| linker))
    }

    /// What guests can import.
    pub fn linker(&self) -> &Linker {
        &self.0.linker
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::Store;
    use wasmtime::component::{Component, Linker};

    use super::*;

    #[test]
    fn there_is_room_for_all_instances_whatever_they_are_made_of() {
        let engine = Engine::new(2, Entry::Direct).expect("an engine");
        let many = "(core instance (instantiate $m))".repeat(CORE_INSTANCES_PER_COMPONENT as usize);
        let text = format!("(component (core module $m) {many})");
        let bytes = wat::parse_str(text).expect("sound text");
        let component = Component::from_binary(engine.wasmtime(), &bytes).expect("a component");
        let linker = Linker::<()>::new(engine.wasmtime());
        let make = || {
            let mut store = Store::new(engine.wasmtime(), ());
            linker.instantiate(&mut store, &component).map(|_| store)
        };
        let made = [make().expect("one"), make().expect("another")];
        let refused = make().expect_err("there is room for two").to_string();
        assert!(refused.contains("component instances"), "{refused}");
        drop(made);
    }
}
