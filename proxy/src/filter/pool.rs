//! A worker's instances: taken for a hook, given back after it, thrown away when they fail.

use std::cell::RefCell;
use std::collections::HashMap;

use super::abi::component::Instance;
use super::{ConfigureError, Fault, Filter};

/// Idle instances a worker keeps of one filter. Hooks that do not wait need one.
pub const IDLE_MAX: usize = 16;

thread_local! {
    static IDLE: RefCell<HashMap<u64, Vec<Instance>>> = RefCell::new(HashMap::new());
}

/// An idle instance, or a new one.
pub fn take(filter: &Filter) -> Result<Instance, Fault> {
    let idle = IDLE.with_borrow_mut(|idle| idle.get_mut(&filter.id).and_then(Vec::pop));
    match idle {
        Some(instance) => Ok(instance),
        None => match filter.instance() {
            Ok((instance, _)) => Ok(instance),
            Err(ConfigureError::Fault(fault)) => Err(fault),
            Err(ConfigureError::Refused(message)) => Err(Fault::Configure(message)),
        },
    }
}

/// Keeps an instance for the next exchange.
pub fn give_back(filter: &Filter, instance: Instance) {
    IDLE.with_borrow_mut(|idle| {
        let idle = idle.entry(filter.id).or_default();
        if idle.len() < IDLE_MAX {
            idle.push(instance);
        }
    });
}

/// Drops the instances of filters that `keep` does not know.
pub fn sweep(keep: impl Fn(u64) -> bool) {
    let gone: Vec<_> = IDLE.with_borrow_mut(|idle| idle.extract_if(|id, _| !keep(*id)).collect());
    drop(gone);
}

/// Idle instances of a filter on this worker.
pub fn count(filter: u64) -> usize {
    IDLE.with_borrow(|idle| idle.get(&filter).map_or(0, Vec::len))
}
