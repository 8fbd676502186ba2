//! What the host keeps beside one instance: who it is, what it may reach and what it has used.

use std::sync::Arc;

use super::abi::direct::border::Border;
use super::host::setup::Setup;
use super::host::wasi::Wasi;
use super::limits::{CpuClock, Memory};
use super::{Identity, OutOfPlace};

/// The data of one store. One store holds one instance, for a trap spoils a whole store.
pub struct Guest {
    /// The filter that it is an instance of.
    pub identity: Arc<Identity>,
    /// There while `configure` runs.
    setup: Option<Setup>,
    pub cpu: CpuClock,
    pub memory: Memory,
    /// For a core module.
    pub border: Border,
    /// Made when the guest first asks for something of WASI.
    pub wasi: Option<Box<Wasi>>,
}

impl Guest {
    pub fn new(identity: Arc<Identity>) -> Self {
        let memory = Memory::new(identity.config.memory, &identity.usage);
        Self { identity, setup: None, cpu: CpuClock::default(), memory, border: Border::default(), wasi: None }
    }

    pub fn begin_setup(&mut self) {
        self.setup = Some(Setup::default());
    }

    pub fn end_setup(&mut self) -> Setup {
        self.setup.take().unwrap_or_default()
    }

    pub fn setup_mut(&mut self, function: &'static str) -> Result<&mut Setup, OutOfPlace> {
        self.setup.as_mut().ok_or(OutOfPlace(function, "configure"))
    }
}
