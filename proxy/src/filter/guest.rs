//! What the host keeps beside one instance: the exchange in hand, and what the instance has used.

use std::sync::Arc;

use super::host::setup::Setup;
use super::limits::{CpuClock, Memory};
use crate::exchange::Exchange;

/// The data of one store. One store holds one instance, for a trap spoils a whole store.
#[derive(Debug)]
pub struct Guest {
    /// The name of the filter, for its logs.
    pub filter: Arc<str>,
    /// There while a hook runs.
    exchange: Option<Box<Exchange>>,
    /// There while `configure` runs.
    setup: Option<Setup>,
    pub cpu: CpuClock,
    pub memory: Memory,
}

/// The guest asked for something that is not there in this hook. It traps.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` was called outside of {1}")]
pub struct OutOfPlace(pub &'static str, pub &'static str);

impl Guest {
    pub fn new(filter: Arc<str>, memory_bytes_max: usize) -> Self {
        Self { filter, exchange: None, setup: None, cpu: CpuClock::default(), memory: Memory::new(memory_bytes_max) }
    }

    pub fn begin_setup(&mut self) {
        self.setup = Some(Setup::default());
    }

    pub fn end_setup(&mut self) -> Setup {
        self.setup.take().unwrap_or_default()
    }

    pub fn take_in_hand(&mut self, exchange: Box<Exchange>) {
        self.exchange = Some(exchange);
    }

    pub fn hand_back(&mut self) -> Option<Box<Exchange>> {
        self.exchange.take()
    }

    pub fn exchange(&self, function: &'static str) -> Result<&Exchange, OutOfPlace> {
        self.exchange.as_deref().ok_or(OutOfPlace(function, "a hook of an exchange"))
    }

    pub fn exchange_mut(&mut self, function: &'static str) -> Result<&mut Exchange, OutOfPlace> {
        self.exchange.as_deref_mut().ok_or(OutOfPlace(function, "a hook of an exchange"))
    }

    pub fn setup_mut(&mut self, function: &'static str) -> Result<&mut Setup, OutOfPlace> {
        self.setup.as_mut().ok_or(OutOfPlace(function, "configure"))
    }
}
