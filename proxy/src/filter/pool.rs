//! A worker's instances: taken for a hook, given back after it, thrown away when they fail.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::abi::component::Instance;
use super::{ConfigureError, Fault, Filter};

/// Idle instances a worker keeps of one filter. Hooks that do not wait need one.
pub const IDLE_MAX: usize = 16;

thread_local! {
    /// The filters that may be kept; `None` before the first sweep.
    static KEPT: RefCell<Option<Arc<BTreeSet<u64>>>> = const { RefCell::new(None) };
    static IDLE: RefCell<HashMap<u64, Vec<Instance>>> = RefCell::new(HashMap::new());
}

/// An idle instance, or a new one.
pub fn take(filter: &Filter) -> Result<Instance, Fault> {
    let idle = IDLE.with_borrow_mut(|idle| idle.get_mut(&filter.id).and_then(Vec::pop));
    match idle.or_else(|| filter.spare()) {
        Some(instance) => Ok(instance),
        None => match filter.instance() {
            Ok((instance, _)) => Ok(instance),
            Err(ConfigureError::Fault(fault)) => Err(fault),
            Err(ConfigureError::Refused(message)) => Err(Fault::Configure(message)),
        },
    }
}

/// Keeps an instance for the next exchange, unless its filter has left the configuration.
pub fn give_back(filter: &Filter, instance: Instance) {
    if KEPT.with_borrow(|kept| kept.as_ref().is_some_and(|kept| !kept.contains(&filter.id))) {
        return;
    }
    IDLE.with_borrow_mut(|idle| {
        let idle = idle.entry(filter.id).or_default();
        if idle.len() < IDLE_MAX {
            idle.push(instance);
        }
    });
}

/// From now on only instances of these filters are kept.
pub fn sweep(keep: &Arc<BTreeSet<u64>>) {
    KEPT.set(Some(Arc::clone(keep)));
    let gone: Vec<_> = IDLE.with_borrow_mut(|idle| idle.extract_if(|id, _| !keep.contains(id)).collect());
    drop(gone);
}
