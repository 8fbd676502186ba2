//! What `configure` left in an instance, as a component or a module whose instances begin there.
//!
//! wizer makes one that shows its memories and globals and is otherwise the same. An instance of that is configured and read out,
//! and wizer writes what was found into the one that came. Tables are no part of it: they are filled by element segments, for each
//! instance anew, and a module that could change a table while it runs is refused.

mod component;
mod module;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Prepared, component_of};
use crate::filter::cache::Cache;
use crate::filter::host::inputs::Inputs;
use crate::filter::{ConfigureError, Engine, Identity, LoadError, Setup, block_on};

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    #[error("it imports `{0}`, which could have left something open")]
    Foreign(String),
    #[error("its memory cannot be copied: {0}")]
    Shape(String),
    #[error("it cannot be made ready for being copied: {0}")]
    Load(#[from] LoadError),
    #[error("when it was configured to be copied, {0}")]
    Configure(#[from] ConfigureError),
}

/// Configures an instance of what was prepared of these bytes: the component or module that begins with what it has in memory then,
/// and what it said of itself.
pub fn configured(
    (prepared, bytes): (&Prepared, &[u8]),
    (engine, cache): (&Engine, &Cache),
    identity: &Arc<Identity>,
    config: &str,
    inputs: &Inputs,
) -> Result<(Vec<u8>, Setup), Unfit> {
    let waits = prepared.waits(identity);
    if prepared.is_direct() {
        let instrumented = module::Instrumented::build(engine, cache, bytes)?;
        return block_on(waits, instrumented.configured(identity, config, inputs))?;
    }
    let component = component_of(engine, bytes)?;
    let instrumented = component::Instrumented::build(engine, cache, &component)?;
    block_on(waits, instrumented.configured(identity, config, inputs))?
}

/// wizer asserts what it has not looked at, and a module is input: what it panics on is refused, as what it complains of is.
fn guarded<T>(work: impl FnOnce() -> wasmtime::Result<T>) -> Result<T, Unfit> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(outcome) => outcome.map_err(|error| Unfit::Shape(format!("{error:#}"))),
        Err(_) => Err(Unfit::Shape("it has a form that is not foreseen".to_owned())),
    }
}
