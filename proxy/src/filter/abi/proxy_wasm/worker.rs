//! A worker's instances of filters of this ABI: one each, made when the filter goes live, and again after it was spoilt.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use super::machine::Machine;
use super::vm::Vm;
use crate::filter::abi::Instance;
use crate::filter::hand::Reach;
use crate::filter::pool::Numbered;
use crate::filter::{ConfigureError, Fault, Filter, block_on};
use crate::worker;

/// How long after one was spoilt another one is made for its ticks, if no exchange needs it sooner.
const RESTART: Duration = Duration::from_secs(1);

thread_local! {
    static VMS: RefCell<Numbered<u64, Rc<Vm>>> = RefCell::default();
    /// Those that only finish their exchanges.
    static OLD: RefCell<HashMap<u64, Vec<Weak<Vm>>>> = RefCell::default();
    /// Those that may have one.
    static LIVE: RefCell<Vec<Arc<Filter>>> = const { RefCell::new(Vec::new()) };
    /// The last number of a filter that was among them: a higher one is of a configuration that has just gone live.
    static NEWEST: Cell<Option<u64>> = const { Cell::new(None) };
    static REACH: RefCell<Arc<Reach>> = RefCell::default();
}

/// From now on these filters have an instance on this worker, and no others.
pub fn set(filters: Vec<Arc<Filter>>, reach: Arc<Reach>) {
    REACH.set(reach);
    let gone: Vec<_> = VMS.with_borrow_mut(|vms| {
        vms.extract_if(|id, _| !filters.iter().any(|filter| filter.id == *id)).map(|(_, vm)| vm).collect()
    });
    // Exchanges that are under way keep theirs.
    gone.iter().for_each(|vm| vm.retire());
    OLD.with_borrow_mut(|old| old.retain(|_, of_filter| of_filter.iter().any(|old| old.strong_count() > 0)));
    NEWEST.set(filters.iter().map(|filter| filter.id).max().max(NEWEST.get()));
    LIVE.set(filters.clone());
    // Exchanges may have been quicker: one that is there already stays, worn or not, until the next of them asks for it.
    filters.iter().filter(|filter| !is_there(filter)).for_each(begin);
}

fn is_there(filter: &Filter) -> bool {
    VMS.with_borrow(|vms| vms.contains_key(&filter.id))
}

/// Makes one for which no exchange waits.
fn begin(filter: &Arc<Filter>) {
    if let Err(fault) = vm(filter) {
        filter.failures.count(&fault);
        tracing::warn!(filter = %filter.name, %fault, "no instance could be made");
    }
}

fn is_live(filter: &Filter) -> bool {
    Some(filter.id) > NEWEST.get() || LIVE.with_borrow(|live| live.iter().any(|live| live.id == filter.id))
}

/// What calls reach that belong to no exchange.
pub fn reach() -> Arc<Reach> {
    REACH.with_borrow(Arc::clone)
}

/// The instance of this filter on this worker.
pub fn vm(filter: &Arc<Filter>) -> Result<Rc<Vm>, Fault> {
    let known = VMS.with_borrow(|vms| vms.get(&filter.id).cloned());
    if let Some(vm) = known {
        let most = filter.config.retire_memory;
        if !vm.worn.get() && (most == 0 || vm.memory_bytes() < most) {
            return Ok(vm);
        }
        if !make_way(filter, &vm) {
            return Ok(vm);
        }
    }
    let vm = Vm::begin(filter, machine(filter)?);
    if is_live(filter) {
        VMS.with_borrow_mut(|vms| vms.insert(filter.id, Rc::clone(&vm)));
    } else {
        // For an exchange that began before its filter left.
        vm.retire();
    }
    Ok(vm)
}

/// Another one shall take its place, and it ends with the exchanges that are in it. False while there are enough that do: the
/// guest decides how often it asks for another one, and has to wait then.
fn make_way(filter: &Filter, vm: &Rc<Vm>) -> bool {
    OLD.with_borrow_mut(|old| {
        let of_filter = old.entry(filter.id).or_default();
        of_filter.retain(|old| old.upgrade().is_some_and(|old| !old.is_lost()));
        // Without an exchange it is gone at once.
        let free = vm.is_idle() || of_filter.len() < filter.config.proxy_wasm.old_instances;
        if free {
            vm.retire();
            of_filter.push(Rc::downgrade(vm));
        }
        free
    })
}

fn machine(filter: &Arc<Filter>) -> Result<Box<Machine>, Fault> {
    let made = match filter.spare() {
        Some(spare) => spare,
        // It never waits: no part of it runs on a fiber.
        None => match block_on(false, filter.instance()) {
            Ok(made) => made.map_err(|error| match error {
                ConfigureError::Fault(fault) => fault,
                ConfigureError::Refused(message) => Fault::Configure(message),
            })?,
            Err(error) => return Err(Fault::Instance(error.to_string())),
        },
    };
    match made {
        Instance::ProxyWasm(machine) => Ok(machine),
        Instance::Component(_) => Err(Fault::Instance("it is of another ABI".to_owned())),
    }
}

/// One was spoilt. Another one is made when it is needed, and after a while anyhow, for whatever it does by itself.
pub fn lost(vm: &Rc<Vm>) {
    let filter = Arc::clone(&vm.filter);
    VMS.with_borrow_mut(|vms| {
        if vms.get(&filter.id).is_some_and(|known| Rc::ptr_eq(known, vm)) {
            vms.remove(&filter.id);
        }
    });
    worker::spawn(async move {
        tokio::time::sleep(RESTART).await;
        if is_live(&filter) && !is_there(&filter) {
            begin(&filter);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;
    use crate::filter::cache::Cache;
    use crate::filter::module::{Module, digest};
    use crate::filter::{Around, Engine, Entry, Grants, Plan, Taken};
    use crate::telemetry::metrics::Registry;

    const GUEST: &str = r#"(module
        (memory (export "memory") 1)
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) i32.const 8)
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) i32.const 0))"#;

    fn filter() -> Arc<Filter> {
        let text = "[listeners.l]\nlisten = '127.0.0.1:0'\n[filters.f]\nmodule = 'f.wasm'";
        let loaded = config::parse(text, Path::new("test.toml")).expect("a configuration of this test");
        let engine = Engine::new(4, Entry::Direct).expect("an engine");
        let bytes = wat::parse_str(GUEST).expect("sound text");
        let hash = digest(&bytes);
        let module = Module::build(&engine, &Arc::new(Cache::off()), bytes.into(), hash).expect("a filter");
        let config = Arc::clone(&loaded.config.filters["f"]);
        let plan = Plan { name: "f".into(), config, module, grants: Grants::default(), inputs: Arc::default(), beside: None };
        let around = Around { workers: 1, previous: None, metrics: &Registry::default(), taken: Taken::default() };
        Filter::build(plan, &around).expect("it takes any configuration")
    }

    #[test]
    fn a_worn_instance_stays_until_an_exchange_asks() {
        let filter = filter();
        // An exchange that came before the word that its filter is live.
        let first = vm(&filter).expect("an instance");
        first.worn.set(true);
        set(vec![Arc::clone(&filter)], Arc::default());
        let there = VMS.with_borrow(|vms| vms.get(&filter.id).cloned()).expect("one is there");
        assert!(Rc::ptr_eq(&there, &first));
        assert!(!Rc::ptr_eq(&vm(&filter).expect("another one"), &first));
        set(Vec::new(), Arc::default());
        assert!(!is_there(&filter));
    }
}
