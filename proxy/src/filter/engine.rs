//! The wasmtime engine: one for the process, with the thread that ends its epochs.

use std::sync::Arc;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::limits::{EPOCH, TABLE_ELEMENTS_MAX};
use crate::config::defaults::FILTER_MEMORY_MAX;

/// Instances of all filters on all workers at once; one more fails its exchange as the filter's `on-failure` says.
/// Only address space is set aside for them.
pub const INSTANCES_MAX: u32 = 1000;
/// A component may be made of several core instances.
const CORE_INSTANCES_MAX: u32 = 4 * INSTANCES_MAX;
/// Memory of a used slot that stays resident for its next instance: most filters never touch more.
const KEEP_RESIDENT_BYTES: usize = 64 * 1024;
/// Linear memory is reserved at this size, so that growing never moves it and bounds checks cost nothing.
const RESERVATION_BYTES: u64 = 4 << 30;

/// Compiles and runs modules. Clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<wasmtime::Engine>);

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("filter::Engine")
    }
}

impl Engine {
    /// Sets address space aside and starts the epoch thread, which ends when the engine is dropped.
    pub fn new() -> wasmtime::Result<Self> {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(INSTANCES_MAX)
            .total_core_instances(CORE_INSTANCES_MAX)
            .total_memories(INSTANCES_MAX)
            .total_tables(CORE_INSTANCES_MAX)
            .table_elements(TABLE_ELEMENTS_MAX)
            .max_memory_size(FILTER_MEMORY_MAX)
            .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
            .pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .memory_reservation(RESERVATION_BYTES)
            .memory_guaranteed_dense_image_size(FILTER_MEMORY_MAX as u64)
            .epoch_interruption(true)
            // Concurrent component calls, which nothing here uses, would make every call half as dear again.
            .concurrency_support(false);
        let engine = Arc::new(wasmtime::Engine::new(&config)?);
        let ticker = Arc::downgrade(&engine);
        std::thread::Builder::new().name("epochs".to_owned()).spawn(move || {
            while let Some(engine) = ticker.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(EPOCH);
            }
        })?;
        Ok(Self(engine))
    }

    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0
    }
}
