//! One instance in a store of its own, and how its hooks are called.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Lift, Lower, TypedFunc};
use wasmtime::{Store, Trap};

use super::Exports;
use super::types::{ChunkVerdict, Input, Verdict as GuestVerdict};
use crate::filter::abi::Call;
use crate::filter::hand::Hand;
use crate::filter::host::inputs;
use crate::filter::limits::{Slices, thread_cpu_time};
use crate::filter::witness::{self, Event, Watch};
use crate::filter::{ConfigureError, Fault, Guest, Setup, Verdict};

/// Wall time of instantiating or configuring a guest that waits, beside the CPU time it may use: nobody else's change goes
/// live meanwhile.
pub const SETUP_TIMEOUT: Duration = Duration::from_secs(30);
/// How much earlier than its hook a wait for somebody else ends, so that the guest hears of it.
const WAIT_MARGIN: Duration = Duration::from_secs(1);

/// `configure`: a configuration and its inputs, or why they are refused.
type Configure = TypedFunc<(String, Vec<Input>), (Result<(), String>,)>;
type VerdictHook = TypedFunc<(), (GuestVerdict,)>;
type ChunkHook = TypedFunc<(Vec<u8>, bool), (ChunkVerdict,)>;
type PlainHook = TypedFunc<(), ()>;

/// See the module.
pub struct Instance {
    pub(super) store: Store<Guest>,
    configure: Option<Configure>,
    request: Option<VerdictHook>,
    request_chunk: Option<ChunkHook>,
    response: Option<VerdictHook>,
    response_chunk: Option<ChunkHook>,
    request_trailers: Option<PlainHook>,
    response_trailers: Option<PlainHook>,
    complete: Option<PlainHook>,
    tick: Option<PlainHook>,
    connection: Option<VerdictHook>,
    /// It runs on a fiber.
    pub(super) slices: Option<Arc<Slices>>,
    /// Hooks that it has run.
    hooks: u64,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Instance({})", self.store.data().identity.name)
    }
}

impl Instance {
    pub(super) fn new(
        mut store: Store<Guest>,
        instance: &wasmtime::component::Instance,
        exports: &Exports,
        slices: Option<Arc<Slices>>,
    ) -> Result<Self, Fault> {
        let store_mut = &mut store;
        Ok(Self {
            configure: typed(store_mut, instance, exports.configure)?,
            request: typed(store_mut, instance, exports.request)?,
            request_chunk: typed(store_mut, instance, exports.request_chunk)?,
            response: typed(store_mut, instance, exports.response)?,
            response_chunk: typed(store_mut, instance, exports.response_chunk)?,
            request_trailers: typed(store_mut, instance, exports.request_trailers)?,
            response_trailers: typed(store_mut, instance, exports.response_trailers)?,
            complete: typed(store_mut, instance, exports.complete)?,
            tick: typed(store_mut, instance, exports.tick)?,
            connection: typed(store_mut, instance, exports.connection)?,
            slices,
            hooks: 0,
            store,
        })
    }

    /// Runs `configure` and brings back what the filter said of itself. A filter without one takes any configuration.
    pub async fn configure(&mut self, config: &str, inputs: &inputs::Inputs) -> Result<Setup, ConfigureError> {
        let deadline = self.store.data().identity.config.configure_deadline;
        self.store.data_mut().begin_setup();
        self.ready(deadline);
        let began = thread_cpu_time();
        if let Some(configure) = &self.configure {
            let arguments = (config.to_owned(), Input::all(inputs));
            let outcome = match &self.slices {
                Some(slices) => {
                    let limit = SETUP_TIMEOUT + deadline;
                    let call = in_slices(slices, configure.call_async(&mut self.store, arguments));
                    tokio::time::timeout(limit, call).await.map_err(|_| Fault::Late(limit))?
                }
                None => configure.call(&mut self.store, arguments),
            };
            let (answer,) = outcome.map_err(|error| self.fault(&error))?;
            answer.map_err(ConfigureError::Refused)?;
        }
        witness::tell(|| Event::Configured { cpu: self.cpu_since(began), memory: self.memory_bytes() });
        Ok(self.store.data_mut().end_setup())
    }

    /// What the guest has used, if it began then.
    fn cpu_since(&self, began: Duration) -> Duration {
        match &self.slices {
            Some(slices) => Duration::from_nanos(slices.used()),
            None => thread_cpu_time().saturating_sub(began),
        }
    }

    /// Runs one hook with this in hand. Dropped before it has ended, the instance is of no further use.
    pub async fn call(&mut self, call: Call, hand: &mut Hand) -> Result<Verdict, Fault> {
        if !witness::is_on() {
            return self.enter(call, hand).await;
        }
        let watch = Watch::begin(&call, hand);
        let began = thread_cpu_time();
        let verdict = self.enter(call, hand).await;
        watch.end(hand, &verdict, self.cpu_since(began), self.memory_bytes());
        verdict
    }

    async fn enter(&mut self, call: Call, hand: &mut Hand) -> Result<Verdict, Fault> {
        let deadline = self.store.data().identity.config.deadline;
        self.ready(deadline);
        self.hooks += 1;
        let none = Ok(Verdict::Next);
        match call {
            Call::Request => match self.request {
                Some(function) => self.run(function, (), hand).await.map(|(verdict,)| verdict.into()),
                None => none,
            },
            Call::Connection => match self.connection {
                Some(function) => self.run(function, (), hand).await.map(|(verdict,)| verdict.into()),
                None => none,
            },
            Call::Response => match self.response {
                Some(function) => self.run(function, (), hand).await.map(|(verdict,)| verdict.into()),
                None => none,
            },
            Call::RequestChunk(bytes, end) => match self.request_chunk {
                Some(function) => self.run(function, (bytes.into(), end), hand).await.map(|(verdict,)| verdict.into()),
                None => none,
            },
            Call::ResponseChunk(bytes, end) => match self.response_chunk {
                Some(function) => self.run(function, (bytes.into(), end), hand).await.map(|(verdict,)| verdict.into()),
                None => none,
            },
            Call::RequestTrailers => self.run_plain(self.request_trailers, hand).await,
            Call::ResponseTrailers => self.run_plain(self.response_trailers, hand).await,
            Call::Complete => self.run_plain(self.complete, hand).await,
            Call::Tick => self.run_plain(self.tick, hand).await,
        }
    }

    async fn run_plain(&mut self, function: Option<PlainHook>, hand: &mut Hand) -> Result<Verdict, Fault> {
        if let Some(function) = function {
            self.run(function, (), hand).await?;
        }
        Ok(Verdict::Next)
    }

    async fn run<P, R>(&mut self, function: TypedFunc<P, R>, arguments: P, hand: &mut Hand) -> Result<R, Fault>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let outcome = match &self.slices {
            None => hand.hold(|| function.call(&mut self.store, arguments)),
            Some(slices) => {
                let limit = self.store.data().identity.config.hook_timeout;
                let began = Instant::now();
                hand.until = (!limit.is_zero()).then(|| Instant::now() + limit - (limit / 10).min(WAIT_MARGIN));
                let call = function.call_async(&mut self.store, arguments);
                let mut call = pin!(in_slices(slices, call));
                let mut polls = 0_u32;
                let called = std::future::poll_fn(|context| {
                    polls = polls.saturating_add(1);
                    hand.hold(|| call.as_mut().poll(context))
                });
                let outcome = if limit.is_zero() { Ok(called.await) } else { tokio::time::timeout(limit, called).await };
                if polls > 1 {
                    let ran = if outcome.is_ok() { slices.used() } else { slices.before() };
                    hand.waited += began.elapsed().saturating_sub(Duration::from_nanos(ran));
                }
                outcome.map_err(|_| Fault::Late(limit))?
            }
        };
        outcome.map_err(|error| self.fault(&error))
    }

    pub(super) fn ready(&mut self, deadline: Duration) {
        let data = self.store.data_mut();
        data.memory.refused = false;
        data.cpu.start(deadline, self.slices.as_ref());
        self.store.set_epoch_deadline(1);
    }

    /// It has run that many hooks, or holds that much memory: another one shall take its place. Zero: never.
    pub fn is_worn(&mut self, hooks_max: u64, bytes_max: usize) -> bool {
        hooks_max > 0 && self.hooks >= hooks_max || bytes_max > 0 && self.memory_bytes() >= bytes_max
    }

    /// Linear memory, all of it.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().memory.bytes
    }

    /// What went wrong, with the guest's backtrace where there is one.
    fn fault(&self, error: &wasmtime::Error) -> Fault {
        let guest = self.store.data();
        if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
            Fault::Deadline(guest.cpu.allowed())
        } else if guest.memory.refused {
            Fault::Memory(guest.memory.bytes_max, format!("{error:#}"))
        } else {
            Fault::Trap(format!("{error:?}"))
        }
    }
}

/// Counts the CPU time of a future that runs a guest, from poll to poll.
pub(super) async fn in_slices<T>(slices: &Slices, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        slices.begin();
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            slices.end();
        }
        polled
    })
    .await
}

fn typed<P, R>(
    store: &mut Store<Guest>,
    instance: &wasmtime::component::Instance,
    index: Option<ComponentExportIndex>,
) -> Result<Option<TypedFunc<P, R>>, Fault>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    let Some(index) = index else { return Ok(None) };
    let function = instance.get_typed_func(store, index);
    function
        .map(Some)
        .map_err(|error| Fault::Instance(format!("an exported function has another type than wit/ gives it: {error:#}")))
}
