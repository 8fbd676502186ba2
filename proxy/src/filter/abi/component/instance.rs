//! One instance in a store of its own, and how it is configured and called.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::{Result as Ran, Store, Trap};

use super::hooks;
use crate::filter::abi::types::Input;
use crate::filter::abi::{Call, direct};
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

/// See the module.
pub struct Instance {
    pub(super) store: Store<Guest>,
    hooks: Hooks,
    /// It runs on a fiber.
    pub(super) slices: Option<Arc<Slices>>,
    /// Hooks that it has run.
    ran: u64,
}

/// What is called, and in what way.
pub enum Hooks {
    Component(Box<hooks::Hooks>),
    Direct(Box<direct::hooks::Hooks>),
}

impl Hooks {
    async fn configure(&self, store: &mut Store<Guest>, config: &str, inputs: &inputs::Inputs) -> Ran<Result<(), String>> {
        let inputs = Input::all(inputs);
        match self {
            Hooks::Component(hooks) => hooks.configure(store, config, inputs).await,
            Hooks::Direct(hooks) => hooks.configure(store, config, inputs).await,
        }
    }

    async fn call(&self, store: &mut Store<Guest>, call: Call) -> Ran<Verdict> {
        match self {
            Hooks::Component(hooks) => hooks.call(store, call).await,
            Hooks::Direct(hooks) => hooks.call(store, &call).await,
        }
    }

    /// The same for a guest that is on no fiber.
    fn call_at_once(&self, store: &mut Store<Guest>, call: &Call) -> Ran<Verdict> {
        match self {
            Hooks::Component(hooks) => at_once(hooks.call(store, call.clone())),
            Hooks::Direct(hooks) => hooks.call_at_once(store, call),
        }
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Instance({})", self.store.data().identity.name)
    }
}

impl Instance {
    pub(super) fn new(store: Store<Guest>, hooks: Hooks, slices: Option<Arc<Slices>>) -> Self {
        Self { store, hooks, slices, ran: 0 }
    }

    /// Runs `configure` and brings back what the filter said of itself. A filter without one takes any configuration.
    pub async fn configure(&mut self, config: &str, inputs: &inputs::Inputs) -> Result<Setup, ConfigureError> {
        let deadline = self.store.data().identity.config.configure_deadline;
        self.store.data_mut().begin_setup();
        self.ready(deadline);
        let began = thread_cpu_time();
        let call = self.hooks.configure(&mut self.store, config, inputs);
        let outcome = match &self.slices {
            Some(slices) => {
                let limit = SETUP_TIMEOUT + deadline;
                tokio::time::timeout(limit, in_slices(slices, call)).await.map_err(|_| Fault::Late(limit))?
            }
            None => at_once(call),
        };
        outcome.map_err(|error| self.fault(&error))?.map_err(ConfigureError::Refused)?;
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

    /// Runs one hook with this in hand, if it never waits and nobody watches.
    pub fn call_at_once(&mut self, call: &Call, hand: &mut Hand) -> Option<Result<Verdict, Fault>> {
        if self.slices.is_some() || witness::is_on() {
            return None;
        }
        Some(self.enter_at_once(call, hand))
    }

    fn enter_at_once(&mut self, call: &Call, hand: &mut Hand) -> Result<Verdict, Fault> {
        let deadline = self.store.data().identity.config.deadline;
        self.ready(deadline);
        self.ran += 1;
        let outcome = hand.hold(|| self.hooks.call_at_once(&mut self.store, call));
        outcome.map_err(|error| self.fault(&error))
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
        let Some(slices) = self.slices.clone() else { return self.enter_at_once(&call, hand) };
        let config = &self.store.data().identity.config;
        let (deadline, limit) = (config.deadline, config.hook_timeout);
        self.ready(deadline);
        self.ran += 1;
        let outcome = {
            let began = Instant::now();
            hand.until = (!limit.is_zero()).then(|| Instant::now() + limit - (limit / 10).min(WAIT_MARGIN));
            let mut call = pin!(in_slices(&slices, self.hooks.call(&mut self.store, call)));
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
        hooks_max > 0 && self.ran >= hooks_max || bytes_max > 0 && self.memory_bytes() >= bytes_max
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

/// A call that is on no fiber, and so never waits.
#[inline]
pub fn at_once<T>(call: impl Future<Output = Ran<T>>) -> Ran<T> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(wasmtime::format_err!("a guest waited that is not on a fiber")),
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
