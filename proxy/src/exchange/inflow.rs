//! How far the client's request body has come: shared by whoever streams it, whoever waits for its end and the log.

use std::cell::{Cell, OnceCell};
use std::time::Instant;

use tokio::sync::Notify;

use super::Kind;
use super::tap::Kept;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Arriving,
    Complete,
    Failed(Kind),
}

/// The request body of one exchange, on its worker.
#[derive(Debug)]
pub struct Inflow {
    bytes: Cell<u64>,
    state: Cell<State>,
    /// A filter did not let it pass, however much of it the client delivered.
    stopped: Cell<Option<Kind>>,
    ended_at: Cell<Option<Instant>>,
    /// When a part of the request or of the answer last moved on.
    moved_at: Cell<Instant>,
    /// The head of the answer has come.
    answered: Cell<bool>,
    changed: Notify,
    /// For whoever watches.
    kept: OnceCell<Box<Kept>>,
}

impl Inflow {
    pub fn new(complete: bool) -> Self {
        let state = if complete { State::Complete } else { State::Arriving };
        let now = Instant::now();
        Self {
            bytes: Cell::new(0),
            state: Cell::new(state),
            stopped: Cell::new(None),
            ended_at: Cell::new(complete.then_some(now)),
            moved_at: Cell::new(now),
            answered: Cell::new(false),
            changed: Notify::new(),
            kept: OnceCell::new(),
        }
    }

    pub fn count(&self, bytes: usize) {
        self.moved();
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    /// Somebody watches. What was kept for others before them is what they get as well.
    pub fn keep(&self, kept: Kept) {
        let _ = self.kept.set(Box::new(kept));
    }

    pub fn kept(&self) -> Option<&Kept> {
        self.kept.get().map(|kept| &**kept)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Something of the exchange has moved, in whichever direction.
    pub fn moved(&self) {
        self.moved_at.set(Instant::now());
    }

    pub fn moved_at(&self) -> Instant {
        self.moved_at.get()
    }

    pub fn answer_came(&self) {
        self.answered.set(true);
        self.moved();
    }

    pub fn is_answered(&self) -> bool {
        self.answered.get()
    }

    pub fn complete(&self) {
        self.end(State::Complete);
    }

    /// The client did not deliver.
    pub fn fail(&self, kind: Kind) {
        self.end(State::Failed(kind));
    }

    /// A filter ended it on its way, at its last piece perhaps.
    pub fn stop(&self, kind: Kind) {
        self.stopped.set(self.stopped.get().or(Some(kind)));
        self.end(State::Failed(kind));
    }

    fn end(&self, state: State) {
        if self.state.get() == State::Arriving {
            self.state.set(state);
            self.ended_at.set(Some(Instant::now()));
            self.changed.notify_waiters();
        }
    }

    pub fn is_complete(&self) -> bool {
        self.state.get() == State::Complete
    }

    pub fn failure(&self) -> Option<Kind> {
        match self.state.get() {
            State::Failed(kind) => Some(kind),
            State::Arriving | State::Complete => self.stopped.get(),
        }
    }

    /// When its last byte came, or it became clear that it will not.
    pub fn ended_at(&self) -> Option<Instant> {
        self.ended_at.get()
    }

    /// Waits until nothing more of it is to come.
    pub async fn ended(&self) {
        while self.state.get() == State::Arriving {
            self.changed.notified().await;
        }
    }
}
