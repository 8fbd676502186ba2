//! The instance of one filter on one worker, with the streams that it serves.
//!
//! It is entered by one of them, or by an answer or a tick, at a time. Whatever goes wrong inside spoils it as a whole: its
//! streams are told, and the next exchange gets another one.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::grpc::Sending;
use super::here;
use super::machine::Machine;
use super::redis::Line;
use super::room::Room;
use super::shared;
use super::state::ROOT;
use super::stream::Stream;
use super::streams::Wakers;
use super::ticks::Ticks;
use super::version::Version;
use super::{callout, worker};
use crate::filter::chain::Shared;
use crate::filter::hand::Reach;
use crate::filter::pool::Numbered;
use crate::filter::{Admission, Fault, Filter};

/// Calls of one instance that may be under way.
pub const CALLS_MAX: usize = 10_000;

/// See the module.
pub struct Vm {
    pub filter: Arc<Filter>,
    version: Version,
    /// None once it is spoilt.
    machine: RefCell<Option<Box<Machine>>>,
    streams: RefCell<Numbered<u32, Rc<Stream>>>,
    /// Streams that ended while it was at work.
    ended: RefCell<Vec<Rc<Stream>>>,
    next: Cell<u32>,
    lost: RefCell<Option<Arc<str>>>,
    /// It asked for another one in its place.
    pub worn: Cell<bool>,
    ticks: Ticks,
    /// For what the host holds for it.
    pub room: Room,
    /// Calls that are under way.
    pub calls: Cell<usize>,
    /// Said when nobody would hear any more what comes of them.
    pub gone: Rc<Notify>,
    /// The streams of gRPC that it has open, by token; those of calls have nothing to send.
    pub open: RefCell<HashMap<u32, Sending>>,
    /// Its connections to services of Redis, by what it calls these.
    pub lines: RefCell<HashMap<String, Line>>,
}

impl std::fmt::Debug for Vm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vm({})", self.filter.name)
    }
}

impl Vm {
    /// Takes a configured instance to this worker, and begins what it asked for while it was configured.
    pub fn begin(filter: &Arc<Filter>, mut machine: Box<Machine>) -> Rc<Self> {
        let state = machine.store.data_mut();
        let (version, planned, room) = (state.version, std::mem::take(&mut state.planned), state.room.clone());
        let this = Rc::new(Self {
            filter: Arc::clone(filter),
            version,
            machine: RefCell::new(Some(machine)),
            streams: RefCell::default(),
            ended: RefCell::default(),
            next: Cell::new(ROOT),
            lost: RefCell::default(),
            worn: Cell::new(false),
            ticks: Ticks::default(),
            room,
            calls: Cell::new(0),
            gone: Rc::default(),
            open: RefCell::default(),
            lines: RefCell::default(),
        });
        let reach = worker::reach();
        planned.into_iter().for_each(|planned| callout::begin(&this, planned, &reach, None));
        this.after();
        this
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// A stream of its own for an exchange.
    pub fn stream(self: &Rc<Self>, exchange: &Shared, reach: &Arc<Reach>, wakers: &Rc<Wakers>) -> Rc<Stream> {
        let mut streams = self.streams.borrow_mut();
        let mut id = self.next.get();
        loop {
            id = id.wrapping_add(1).max(ROOT + 1);
            if !streams.contains_key(&id) {
                break;
            }
        }
        self.next.set(id);
        let stream = Stream::new(Rc::clone(self), id, Rc::clone(exchange), Arc::clone(reach), Rc::clone(wakers));
        let stream = Rc::new(stream);
        streams.insert(id, Rc::clone(&stream));
        stream
    }

    pub fn find(&self, id: u32) -> Option<Rc<Stream>> {
        self.streams.borrow().get(&id).cloned()
    }

    pub fn forget(&self, id: u32) {
        self.streams.borrow_mut().remove(&id);
    }

    /// Runs one callback of this context.
    pub fn enter<T>(
        self: &Rc<Self>,
        context: u32,
        stream: Option<&Rc<Stream>>,
        job: impl FnOnce(&mut Machine) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        let outcome = {
            let Ok(mut place) = self.machine.try_borrow_mut() else {
                return Err(Fault::Instance("it is at work".to_owned()));
            };
            let Some(machine) = &mut *place else {
                return Err(Fault::Lost(self.why_lost().unwrap_or_else(|| "it is gone".into())));
            };
            here::as_of(self, stream, || machine.enter(context, job))
        };
        match &outcome {
            Ok(_) => self.after(),
            Err(fault) => self.lose(fault),
        }
        outcome
    }

    /// The same for what no exchange waits for: what goes wrong is told in the log, and counted.
    pub fn deliver(self: &Rc<Self>, what: &'static str, job: impl FnOnce(&mut Machine) -> wasmtime::Result<()>) {
        if self.is_lost() {
            return;
        }
        if let Err(fault) = self.enter(ROOT, None, job) {
            self.failed(&fault);
            tracing::warn!(filter = %self.filter.name, callback = what, %fault, "a filter failed");
        }
    }

    /// Outside of every hook.
    fn failed(&self, fault: &Fault) {
        self.filter.failures.count(fault);
        if fault.is_the_filters() {
            self.filter.health.ended(&self.filter.identity, Admission::Ordinary, false);
        }
    }

    /// What a callback asked for beside its exchange.
    fn after(self: &Rc<Self>) {
        let (tick, registered) = match self.machine.borrow_mut().as_mut() {
            Some(machine) => {
                let state = machine.store.data_mut();
                (state.tick_ms.take(), std::mem::take(&mut state.registered))
            }
            None => return,
        };
        if let Some(period) = tick {
            self.tick_every(Duration::from_millis(u64::from(period)));
        }
        for queue in registered {
            shared::follow(self, queue);
        }
        if !self.ended.borrow().is_empty() {
            let ended = self.ended.take();
            ended.iter().for_each(|stream| self.over(stream));
        }
    }

    fn tick_every(self: &Rc<Self>, period: Duration) {
        let vm = Rc::downgrade(self);
        self.ticks.every(period, move || {
            let Some(vm) = vm.upgrade().filter(|vm| !vm.is_lost()) else { return false };
            vm.deliver("proxy_on_tick", |machine| machine.store_call(|callbacks| &callbacks.tick, (ROOT,), ()));
            true
        });
    }

    /// It is not to begin anything of its own any more: its filter has left the configuration, or another one took its place.
    pub fn retire(&self) {
        self.ticks.stop();
    }

    /// An exchange has ended without a complete hook.
    pub fn over(self: &Rc<Self>, stream: &Rc<Stream>) {
        if self.machine.try_borrow_mut().is_err() {
            self.ended.borrow_mut().push(Rc::clone(stream));
            return;
        }
        if !self.is_lost()
            && let Err(fault) = stream.end(None)
        {
            self.failed(&fault);
            tracing::warn!(filter = %self.filter.name, callback = "proxy_on_delete", %fault, "a filter failed");
        }
        self.forget(stream.id);
    }

    /// Nobody enters it any more. Who waits in it is told why.
    fn lose(self: &Rc<Self>, fault: &Fault) {
        let line = fault.to_string();
        let why = format!("the instance that it shares with other exchanges failed: {}", line.lines().next().unwrap_or_default());
        self.lost.borrow_mut().get_or_insert_with(|| why.into());
        self.machine.take();
        self.open.take();
        self.lines.take();
        self.gone.notify_waiters();
        self.retire();
        let streams: Vec<_> = self.streams.borrow_mut().drain().map(|(_, stream)| stream).collect();
        streams.iter().for_each(|stream| stream.notify());
        worker::lost(self);
    }

    /// No exchange is in it.
    pub fn is_idle(&self) -> bool {
        self.streams.borrow().is_empty()
    }

    pub fn is_lost(&self) -> bool {
        self.lost.borrow().is_some()
    }

    pub fn why_lost(&self) -> Option<Arc<str>> {
        self.lost.borrow().clone()
    }

    pub fn memory_bytes(&self) -> usize {
        self.machine.try_borrow().ok().and_then(|machine| Some(machine.as_ref()?.memory_bytes())).unwrap_or(0)
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.gone.notify_waiters();
    }
}
