//! A raw connection in an instance: its context, the bytes of both directions, and its end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;

use super::callout::count;
use super::machine::Machine;
use super::state::ROOT;
use super::stream::{CONTINUE, Next, Stage, Stream};
use crate::filter::chain::Way;
use crate::filter::hand::Hand;
use crate::filter::{Fault, Verdict};

/// Who ended a connection, as the ABI numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Peer {
    /// Of endpoints no more is told than that they have ended.
    Unknown = 0,
    Local = 1,
    Remote = 2,
}

/// What is known of a raw connection beside its bytes.
#[derive(Debug)]
pub struct Ends {
    /// An endpoint was found, and has not ended.
    pub upstream: Cell<bool>,
    /// Who has ended it, as far as it has come.
    pub by: Cell<Peer>,
    /// It broke while the guest held the connection.
    pub fault: RefCell<Option<Fault>>,
}

impl Default for Ends {
    fn default() -> Self {
        Self { upstream: Cell::new(false), by: Cell::new(Peer::Local), fault: RefCell::default() }
    }
}

impl Stream {
    /// `proxy_on_new_connection`
    pub fn connected(self: &Rc<Self>, hand: &mut Hand) -> Result<Next, Fault> {
        self.request.resumed.set(false);
        let action = self.vm.enter(self.id, Some(self), |machine| {
            machine.create(self.id, ROOT)?;
            machine.store_call(|callbacks| &callbacks.new_connection, (self.id,), CONTINUE)
        })?;
        if let Some(settled) = self.settled(Stage::Connection, Way::Request, hand) {
            return settled.map(Next::Done);
        }
        if action == CONTINUE || self.request.take_resumed() {
            return Ok(Next::Done(Verdict::Next));
        }
        Ok(Next::Wait(Stage::Connection, Way::Request))
    }

    /// Bytes that came while it holds the connection: it may be what they say that lets it go on.
    pub fn early(self: &Rc<Self>, bytes: Bytes, end: bool) {
        let side = &self.request;
        side.append(bytes);
        side.readable.set(true);
        side.ended.set(end);
        side.clear_resumed();
        let held = side.held.borrow().len();
        match self.bytes_callback(Way::Request, count(held), end) {
            Err(fault) => drop(self.ends.fault.replace(Some(fault))),
            Ok(CONTINUE) => self.resume(Way::Request),
            Ok(_) if side.resumed.get() => {}
            Ok(_) if held > self.limit(Way::Request) => self.is_full(),
            Ok(_) => return,
        }
        self.notify();
    }

    /// More bytes of a raw connection wait for it than may.
    pub fn is_full(&self) {
        let (filter, limit) = (&self.vm.filter.name, self.limit(Way::Request));
        tracing::warn!(%filter, limit, "a connection ends: more of it waits for a filter than `proxy-wasm.body-bytes`");
        self.full.set(true);
    }

    /// `proxy_on_downstream_data` and `proxy_on_upstream_data`
    pub fn bytes_callback(self: &Rc<Self>, way: Way, visible: u32, end: bool) -> Result<u32, Fault> {
        self.vm.enter(self.id, Some(self), |machine| {
            let arguments = (self.id, visible, u32::from(end));
            if way == Way::Request {
                return machine.store_call(|callbacks| &callbacks.downstream_data, arguments, CONTINUE);
            }
            let action = machine.store_call(|callbacks| &callbacks.upstream_data, arguments, CONTINUE)?;
            if end {
                self.upstream_closed(machine)?;
            }
            Ok(action)
        })
    }

    fn upstream_closed(&self, machine: &mut Machine) -> wasmtime::Result<()> {
        if !self.ends.upstream.take() {
            return Ok(());
        }
        machine.store_call(|callbacks| &callbacks.upstream_close, (self.id, Peer::Unknown as u32), ())
    }

    /// Both ends are gone.
    pub fn connection_closed(&self, machine: &mut Machine) -> wasmtime::Result<()> {
        self.upstream_closed(machine)?;
        machine.store_call(|callbacks| &callbacks.downstream_close, (self.id, self.ends.by.get() as u32), ())
    }
}
