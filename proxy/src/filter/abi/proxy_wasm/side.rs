//! One message of an exchange, as far as the guest has it: what of its body waits, and what may go on.

use std::cell::{Cell, RefCell};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::room::{Claim, Room};

/// One message.
#[derive(Default)]
pub struct Side {
    /// What of its body the guest can see: what waits for it, or the piece that it was given.
    pub held: RefCell<Bytes>,
    /// There is something to see.
    pub readable: Cell<bool>,
    /// It has changed what it sees.
    pub changed: Cell<bool>,
    /// What may go on, and has not yet.
    pub released: RefCell<BytesMut>,
    /// For what of it the guest has put there itself.
    pub injected: RefCell<Option<Claim>>,
    /// It said to wait, and its hook has not: more of the body may come.
    pub paused: Cell<bool>,
    /// It said to go on.
    pub resumed: Cell<bool>,
    /// It has seen the end of the body.
    pub ended: Cell<bool>,
    /// Bytes at the beginning that it had while the head was held, and how many had come.
    pub ahead: Cell<usize>,
    pub read: Cell<usize>,
    /// It has seen the trailers then, too.
    pub trailers_seen: Cell<bool>,
    /// Most bytes that may wait, if it has said so.
    pub limit: Cell<Option<usize>>,
    pub trailers: RefCell<Option<HeaderMap>>,
    /// The length that the head tells, and the bytes that have gone on.
    pub length: Cell<Option<u64>>,
    pub gone: Cell<u64>,
}

impl Side {
    pub fn append(&self, more: Bytes) {
        let mut held = self.held.borrow_mut();
        if held.is_empty() {
            *held = more;
            return;
        }
        let mut joined = match std::mem::take(&mut *held).try_into_mut() {
            Ok(joined) => joined,
            Err(shared) => {
                let mut joined = BytesMut::with_capacity(2 * (shared.len() + more.len()));
                joined.extend_from_slice(&shared);
                joined
            }
        };
        joined.extend_from_slice(&more);
        *held = joined.freeze();
    }

    /// What the guest sees may go on.
    pub fn release(&self) {
        let held = self.held.take();
        self.readable.set(false);
        self.released.borrow_mut().extend_from_slice(&held);
    }

    /// More may go on behind that: what the guest puts there itself. False if there is no room for it.
    pub fn inject(&self, bytes: &[u8], room: &Room) -> bool {
        let mut injected = self.injected.borrow_mut();
        let fits = match &mut *injected {
            Some(claim) => claim.grow(bytes.len()),
            None => room.claim(bytes.len()).map(|claim| *injected = Some(claim)).is_some(),
        };
        if fits {
            self.released.borrow_mut().extend_from_slice(bytes);
        }
        fits
    }

    /// What may go on does.
    pub fn take_released(&self) -> Bytes {
        self.injected.take();
        self.released.take().freeze()
    }

    /// Nothing of it goes on by way of the guest any more.
    pub fn let_go(&self) {
        self.held.take();
        self.take_released();
        self.readable.set(false);
        self.paused.set(false);
    }

    pub fn clear_resumed(&self) {
        self.resumed.set(false);
    }

    pub fn take_resumed(&self) -> bool {
        self.resumed.take()
    }
}
