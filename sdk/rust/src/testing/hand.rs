//! The exchange that the fake host has in hand on this thread.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::log::Severity;

/// What the host would be doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Configure,
    Request,
    Response,
}

#[derive(Debug, Clone)]
pub(super) struct RequestHead {
    pub method: String,
    pub scheme: String,
    pub authority: String,
    pub target: String,
    pub headers: HeaderMap,
}

#[derive(Debug, Clone)]
pub(super) struct ResponseHead {
    pub status: StatusCode,
    pub origin: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Goal {
    pub clusters: BTreeSet<String>,
    pub cluster: Option<String>,
    pub route: Option<String>,
    pub timeout: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(super) struct Wire {
    pub source: String,
    pub peer: String,
    pub local: String,
    pub trusted: bool,
    pub listener: String,
    pub protocol: String,
    pub tls_version: Option<String>,
    pub server_name: Option<String>,
    pub client_identities: Vec<String>,
}

/// Everything that the host's functions speak of.
#[derive(Debug, Clone)]
pub(super) struct Hand {
    pub phase: Phase,
    pub request: RequestHead,
    pub response: Option<ResponseHead>,
    pub reply: Option<ResponseHead>,
    pub goal: Goal,
    pub wire: Wire,
    pub id: String,
    pub deadline_left: Option<Duration>,
    pub notes: BTreeMap<String, String>,
    pub logs: Vec<(Severity, String)>,
    pub log_level: Severity,
    pub wanted: Vec<String>,
    pub kept: bool,
    pub entropy: u64,
    pub now: Option<Duration>,
}

thread_local! {
    static HAND: RefCell<Option<Hand>> = const { RefCell::new(None) };
}

/// Runs `call` with this in hand, and gives back what is left of it.
pub(super) fn holding<T>(hand: Hand, call: impl FnOnce() -> T) -> (T, Hand) {
    /// Empties the hand even if a filter panics, so that the next exchange on this thread finds it empty.
    struct Empty;
    impl Drop for Empty {
        fn drop(&mut self) {
            HAND.take();
        }
    }
    assert!(HAND.replace(Some(hand)).is_none(), "an exchange inside an exchange");
    let empty = Empty;
    let result = call();
    let hand = HAND.take().expect("the hand was filled above");
    drop(empty);
    (result, hand)
}

/// Looks at, or changes, what is in hand.
pub(super) fn with<T>(call: impl FnOnce(&mut Hand) -> T) -> T {
    HAND.with_borrow_mut(|hand| {
        let hand = hand.as_mut().expect("a function of the proxy was called outside of `configure` and `Exchange::through`");
        call(hand)
    })
}

/// The same, for a function that speaks of the exchange: in `configure` there is none, and the real host traps.
pub(super) fn with_exchange<T>(call: impl FnOnce(&mut Hand) -> T) -> T {
    with(|hand| {
        assert!(hand.phase != Phase::Configure, "trap: there is no exchange while the filter is being configured");
        call(hand)
    })
}
