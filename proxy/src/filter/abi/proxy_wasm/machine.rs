//! One instance in a store of its own, and how its callbacks are entered.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{InstancePre, Store, Trap, TypedFunc, WasmParams, WasmResults};

use super::state::{self, ROOT, Reading, State};
use super::version::Version;
use super::wasi::Exit;
use crate::filter::limits::thread_cpu_time;
use crate::filter::witness::{self, Event};
use crate::filter::{ConfigureError, Fault, Identity, Setup};

macro_rules! callbacks {
    ($($(#[$doc:meta])* $field:ident: $export:literal ($($param:ty),*) -> $result:ty;)+) => {
        /// What it exports, where it does.
        pub struct Callbacks { $($(#[$doc])* pub $field: Option<TypedFunc<($($param,)*), $result>>),+ }

        impl Callbacks {
            fn find(store: &mut Store<State>, instance: &wasmtime::Instance) -> Result<Self, Fault> {
                Ok(Self { $($field: typed(store, instance, $export)?),+ })
            }
        }
    };
}

callbacks! {
    context_create: "proxy_on_context_create"(u32, u32) -> ();
    vm_start: "proxy_on_vm_start"(u32, u32) -> u32;
    configure: "proxy_on_configure"(u32, u32) -> u32;
    tick: "proxy_on_tick"(u32) -> ();
    queue_ready: "proxy_on_queue_ready"(u32, u32) -> ();
    request_body: "proxy_on_request_body"(u32, u32, u32) -> u32;
    response_body: "proxy_on_response_body"(u32, u32, u32) -> u32;
    request_trailers: "proxy_on_request_trailers"(u32, u32) -> u32;
    response_trailers: "proxy_on_response_trailers"(u32, u32) -> u32;
    http_call_response: "proxy_on_http_call_response"(u32, u32, u32, u32, u32) -> ();
    grpc_receive_initial: "proxy_on_grpc_receive_initial_metadata"(u32, u32, u32) -> ();
    grpc_receive: "proxy_on_grpc_receive"(u32, u32, u32) -> ();
    grpc_receive_trailing: "proxy_on_grpc_receive_trailing_metadata"(u32, u32, u32) -> ();
    grpc_close: "proxy_on_grpc_close"(u32, u32, u32) -> ();
    new_connection: "proxy_on_new_connection"(u32) -> u32;
    downstream_data: "proxy_on_downstream_data"(u32, u32, u32) -> u32;
    upstream_data: "proxy_on_upstream_data"(u32, u32, u32) -> u32;
    downstream_close: "proxy_on_downstream_connection_close"(u32, u32) -> ();
    upstream_close: "proxy_on_upstream_connection_close"(u32, u32) -> ();
    redis_call_response: "proxy_on_redis_call_response"(u32, u32, u32, u32) -> ();
    done: "proxy_on_done"(u32) -> u32;
    log: "proxy_on_log"(u32) -> ();
    delete: "proxy_on_delete"(u32) -> ();
}

/// A callback for a head, which had no second argument at first.
enum OnHeaders {
    Old(TypedFunc<(u32, u32), u32>),
    New(TypedFunc<(u32, u32, u32), u32>),
}

/// See the module.
pub struct Machine {
    pub store: Store<State>,
    pub callbacks: Callbacks,
    request_headers: Option<OnHeaders>,
    response_headers: Option<OnHeaders>,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Machine({})", self.store.data().identity.name)
    }
}

impl Machine {
    /// Makes an instance and runs its start functions, on the time of `configure`.
    pub fn start(pre: &InstancePre<State>, version: Version, identity: &Arc<Identity>) -> Result<Self, Fault> {
        let mut store = Store::new(pre.module().engine(), State::new(identity, version));
        store.limiter(|state| &mut state.limit);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().cpu.epoch_ended()));
        store.data_mut().cpu.start(identity.config.configure_deadline, None);
        store.set_epoch_deadline(1);
        let instance = pre.instantiate(&mut store).map_err(|error| Fault::Instance(format!("{error:#}")))?;
        let memory = instance.get_memory(&mut store, "memory");
        store.data_mut().memory = Some(memory.ok_or_else(|| Fault::Instance("it exports no memory".to_owned()))?);
        let allocator = match typed(&mut store, &instance, "proxy_on_memory_allocate")? {
            Some(allocator) => Some(allocator),
            None => typed(&mut store, &instance, "malloc")?,
        };
        store.data_mut().allocator = allocator;
        let callbacks = Callbacks::find(&mut store, &instance)?;
        let mut this = Self {
            request_headers: on_headers(&mut store, &instance, version, "proxy_on_request_headers")?,
            response_headers: on_headers(&mut store, &instance, version, "proxy_on_response_headers")?,
            callbacks,
            store,
        };
        this.run_start_functions(&instance)?;
        this.store.data_mut().started = true;
        Ok(this)
    }

    fn run_start_functions(&mut self, instance: &wasmtime::Instance) -> Result<(), Fault> {
        let plain = |this: &mut Self, name: &str| -> Result<bool, Fault> {
            let Some(function) = typed::<(), ()>(&mut this.store, instance, name)? else { return Ok(false) };
            let outcome = function.call(&mut this.store, ());
            match outcome {
                // A program that has ended well is a library from now on.
                Err(error) if error.downcast_ref::<Exit>().is_some_and(|exit| exit.0 == 0) => Ok(true),
                outcome => outcome.map(|()| true).map_err(|error| this.fault(&error)),
            }
        };
        if !plain(self, "_initialize")? {
            plain(self, "_start")?;
            return Ok(());
        }
        match typed::<(u32, u32), u32>(&mut self.store, instance, "main") {
            Ok(Some(main)) => {
                main.call(&mut self.store, (0, 0)).map_err(|error| self.fault(&error))?;
            }
            _ => {
                if let Ok(Some(main)) = typed::<(), u32>(&mut self.store, instance, "__main_void") {
                    main.call(&mut self.store, ()).map_err(|error| self.fault(&error))?;
                }
            }
        }
        Ok(())
    }

    /// Makes the context of the plugin and configures it.
    pub fn configure(&mut self) -> Result<Setup, ConfigureError> {
        let identity = Arc::clone(&self.store.data().identity);
        if let Some(refused) = state::refused(&identity.config) {
            return Err(ConfigureError::Refused(refused.to_owned()));
        }
        let began = thread_cpu_time();
        let size = |bytes: Vec<u8>| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let vm_size = size(state::vm_configuration(&identity.config.proxy_wasm));
        let plugin_size = size(state::plugin_configuration(&identity.config.config));
        self.ready(identity.config.configure_deadline, ROOT);
        self.call(|this| this.create(ROOT, 0))?;
        for (reading, what) in [(Reading::Vm, "proxy_on_vm_start"), (Reading::Plugin, "proxy_on_configure")] {
            self.store.data_mut().reading = reading;
            let accepted = self.call(|this| match reading {
                Reading::Vm => this.store_call(|callbacks| &callbacks.vm_start, (ROOT, vm_size), 1),
                _ => this.store_call(|callbacks| &callbacks.configure, (ROOT, plugin_size), 1),
            });
            self.store.data_mut().reading = Reading::Nothing;
            if accepted? == 0 {
                return Err(ConfigureError::Refused(format!("`{what}` said no; its log tells why")));
            }
        }
        let cpu = thread_cpu_time().saturating_sub(began);
        witness::tell(|| Event::Configured { cpu, memory: self.memory_bytes() });
        Ok(Setup::default())
    }

    /// Enters it for a callback of this context, with a hook's time.
    pub fn enter<T>(&mut self, context: u32, job: impl FnOnce(&mut Self) -> wasmtime::Result<T>) -> Result<T, Fault> {
        let deadline = self.store.data().identity.config.deadline;
        self.ready(deadline, context);
        self.call(job)
    }

    fn call<T>(&mut self, job: impl FnOnce(&mut Self) -> wasmtime::Result<T>) -> Result<T, Fault> {
        job(self).map_err(|error| self.fault(&error))
    }

    fn ready(&mut self, deadline: Duration, context: u32) {
        let state = self.store.data_mut();
        state.limit.refused = false;
        state.cpu.start(deadline, None);
        state.context = context;
        self.store.set_epoch_deadline(1);
    }

    /// Calls one callback; without it, what it would have said.
    pub fn store_call<P: WasmParams, R: WasmResults>(
        &mut self,
        find: impl FnOnce(&Callbacks) -> &Option<TypedFunc<P, R>>,
        arguments: P,
        otherwise: R,
    ) -> wasmtime::Result<R> {
        match find(&self.callbacks) {
            Some(function) => function.call(&mut self.store, arguments),
            None => Ok(otherwise),
        }
    }

    pub fn create(&mut self, context: u32, parent: u32) -> wasmtime::Result<()> {
        self.store_call(|callbacks| &callbacks.context_create, (context, parent), ())
    }

    pub fn request_headers(&mut self, context: u32, count: u32, end: bool) -> wasmtime::Result<u32> {
        headers(&self.request_headers, &mut self.store, context, count, end)
    }

    pub fn response_headers(&mut self, context: u32, count: u32, end: bool) -> wasmtime::Result<u32> {
        headers(&self.response_headers, &mut self.store, context, count, end)
    }

    /// A context is over. Whatever it calls, the exchange is still there.
    pub fn end(&mut self, context: u32) -> wasmtime::Result<()> {
        self.store_call(|callbacks| &callbacks.done, (context,), 1)?;
        self.store_call(|callbacks| &callbacks.log, (context,), ())?;
        self.store_call(|callbacks| &callbacks.delete, (context,), ())
    }

    /// Linear memory, all of it.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().limit.bytes
    }

    /// What went wrong, with the guest's backtrace where there is one.
    fn fault(&self, error: &wasmtime::Error) -> Fault {
        let state = self.store.data();
        if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
            Fault::Deadline(state.cpu.allowed())
        } else if state.limit.refused {
            Fault::Memory(state.limit.bytes_max, format!("{error:#}"))
        } else {
            Fault::Trap(format!("{error:?}"))
        }
    }
}

fn headers(function: &Option<OnHeaders>, store: &mut Store<State>, context: u32, count: u32, end: bool) -> wasmtime::Result<u32> {
    match function {
        None => Ok(0),
        Some(OnHeaders::Old(function)) => function.call(store, (context, count)),
        Some(OnHeaders::New(function)) => function.call(store, (context, count, u32::from(end))),
    }
}

fn on_headers(
    store: &mut Store<State>,
    instance: &wasmtime::Instance,
    version: Version,
    name: &str,
) -> Result<Option<OnHeaders>, Fault> {
    if version == Version::V0_1_0
        && let Ok(Some(old)) = typed(store, instance, name)
    {
        return Ok(Some(OnHeaders::Old(old)));
    }
    Ok(typed(store, instance, name)?.map(OnHeaders::New))
}

fn typed<P: WasmParams, R: WasmResults>(
    store: &mut Store<State>,
    instance: &wasmtime::Instance,
    name: &str,
) -> Result<Option<TypedFunc<P, R>>, Fault> {
    let Some(function) = instance.get_func(&mut *store, name) else { return Ok(None) };
    let typed = function.typed(&*store);
    typed.map(Some).map_err(|error| Fault::Instance(format!("`{name}` has another type than the ABI gives it: {error:#}")))
}
