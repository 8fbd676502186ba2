//! Filters: how a module becomes something that can be called, and what it may do.
//!
//! `source` finds modules, with `fetch` where they are elsewhere; `engine` and `module` compile, and `cache` keeps what they
//! made; `host` is what a filter can ask for, free of any ABI; `abi` carries it across the
//! border of the sandbox; `pool` keeps a worker's instances; `chain` runs them in order. Whatever a filter does wrong
//! ends here as a [`Fault`], never as a panic.

pub mod abi;
pub mod cache;
pub mod chain;
pub mod engine;
mod fetch;
mod guest;
pub mod host;
pub mod limits;
pub mod module;
pub mod pool;
pub mod source;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use chain::Chain;
pub use engine::Engine;
pub use guest::Guest;
pub use host::setup::{Hook, Setup};
pub use module::{LoadError, Module};

use crate::config;

/// What a request or response hook decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Next,
    Replied,
    Reset,
}

/// How a filter failed. The instance it happened in is gone.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("it trapped: {0}")]
    Trap(String),
    #[error("it used more than its {0:?} of CPU time")]
    Deadline(std::time::Duration),
    #[error("it wanted more than its {0} bytes of memory: {1}")]
    Memory(usize, String),
    #[error("no instance could be made: {0}")]
    Instance(String),
    /// `configure` accepted this configuration once and refuses it now.
    #[error("it could not be configured again: {0}")]
    Configure(String),
}

/// One filter of one snapshot: a module, its configuration, and what it said while it was configured.
#[derive(Debug)]
pub struct Filter {
    pub name: Arc<str>,
    pub config: Arc<config::Filter>,
    pub module: Arc<Module>,
    pub setup: Setup,
    /// What `configure` is given.
    pub config_json: Arc<str>,
    /// Differs for every filter that was ever built, so that workers can key their instances by it.
    pub id: u64,
    /// Configured off the workers, so that the first exchange of each worker does not wait for it.
    spares: Mutex<Vec<abi::component::Instance>>,
}

impl Filter {
    /// Configures one instance of the module for each worker, which proves that it accepts the configuration and says
    /// which hooks it wants. Runs on a thread that may block.
    pub fn build(
        name: &Arc<str>,
        config: &Arc<config::Filter>,
        module: Arc<Module>,
        workers: usize,
    ) -> Result<Arc<Self>, LoadError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut filter = Self {
            name: Arc::clone(name),
            config: Arc::clone(config),
            module,
            setup: Setup::default(),
            config_json: config.config.to_string().into(),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            spares: Mutex::default(),
        };
        let mut spares = Vec::with_capacity(workers);
        for _ in 0..workers.max(1) {
            let (instance, setup) = filter.instance().map_err(|error| match error {
                ConfigureError::Refused(message) => LoadError::Refused(message),
                ConfigureError::Fault(fault) => LoadError::Fault(fault),
            })?;
            filter.setup = setup;
            spares.push(instance);
        }
        filter.spares = Mutex::new(spares);
        Ok(Arc::new(filter))
    }

    /// One of the instances that were configured before the filter went live.
    pub fn spare(&self) -> Option<abi::component::Instance> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// A new, configured instance, and what it said while it was configured.
    pub fn instance(&self) -> Result<(abi::component::Instance, Setup), ConfigureError> {
        let mut instance = self.module.prepared.instantiate(&self.name, self.config.memory)?;
        let setup = instance.configure(&self.config_json, self.config.configure_deadline)?;
        Ok((instance, setup))
    }
}

/// Why an instance could not be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// The filter said so itself.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}
