//! The exchange that the fake host has in hand on this thread.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::body::Body;
use super::host::quota::Ask;
use super::metrics::Metric;
use super::process::Process;
use crate::Mirrored;
use crate::log::Severity;

/// What the host would be doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Configure,
    Request,
    RequestChunk,
    RequestTrailers,
    Response,
    ResponseChunk,
    ResponseTrailers,
    Complete,
    Tick,
    Connection,
}

#[derive(Debug, Clone)]
pub(super) struct RequestHead {
    pub method: String,
    pub scheme: String,
    pub authority: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Body,
    pub trailers: HeaderMap,
}

#[derive(Debug, Clone)]
pub(super) struct ResponseHead {
    pub status: StatusCode,
    pub origin: String,
    pub headers: HeaderMap,
    pub body: Body,
    pub trailers: HeaderMap,
}

/// Where the request goes, and what there is to choose from.
#[derive(Debug, Clone, Default)]
pub(super) struct Goal {
    pub clusters: BTreeSet<String>,
    pub endpoints: BTreeSet<(String, String)>,
    pub chains: BTreeSet<String>,
    pub cluster: Option<String>,
    pub fallback: Option<String>,
    pub endpoint: Option<String>,
    pub route: Option<String>,
    pub chain: Option<String>,
    pub subset: Vec<(String, String)>,
    pub hash_key: Option<Vec<u8>>,
    pub timeout: Option<Duration>,
    pub retry: Option<(u32, Vec<String>, Option<Duration>)>,
    pub mirrors: Vec<(String, HeaderMap, u32)>,
    pub response_rate: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct Wire {
    pub source: String,
    pub peer: String,
    pub local: String,
    pub original_destination: Option<String>,
    pub trusted: bool,
    pub listener: String,
    pub protocol: String,
    pub tls_version: Option<String>,
    pub server_name: Option<String>,
    pub client_identities: Vec<String>,
    pub client_fingerprint: Option<String>,
}

/// What the complete hook is told.
#[derive(Debug, Clone, Default)]
pub(super) struct Ended {
    pub status: u16,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub duration: Duration,
    pub upstream: Option<String>,
    pub attempts: u32,
    pub failure: Option<String>,
    pub mirrored: Vec<(String, Mirrored)>,
    /// Fields of the answers to copies, by cluster.
    pub mirrored_headers: Vec<(String, HeaderName, HeaderValue)>,
}

/// Everything that the host's functions speak of.
#[derive(Debug, Clone)]
pub(super) struct Hand {
    pub phase: Phase,
    pub request: RequestHead,
    pub response: Option<ResponseHead>,
    pub reply: Option<ResponseHead>,
    /// What a chunk hook put in the place of its piece.
    pub chunk: Option<Vec<u8>>,
    pub goal: Goal,
    pub wire: Wire,
    pub ended: Ended,
    pub id: String,
    pub deadline_left: Option<Duration>,
    pub notes: BTreeMap<String, String>,
    pub logs: Vec<(Severity, String)>,
    pub log_level: Severity,
    pub wanted: Vec<String>,
    pub kept: bool,
    pub tick: Duration,
    /// Those that `configure` declares.
    pub metrics: Vec<Metric>,
    pub entropy: u64,
    pub now: Option<Duration>,
    /// What was taken of quotas that come back when the exchange ends, and from which store.
    pub held: Vec<(String, Ask)>,
    pub process: Rc<RefCell<Process>>,
}

impl Hand {
    pub(super) fn is_raw(&self) -> bool {
        self.wire.protocol == "tcp"
    }
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
        let hand = hand.as_mut().expect("a function of the proxy was called outside of `configure` and of a hook");
        call(hand)
    })
}

/// The same, for a function that belongs into `configure`.
pub(super) fn with_setup<T>(function: &str, call: impl FnOnce(&mut Hand) -> T) -> T {
    with(|hand| {
        assert!(hand.phase == Phase::Configure, "trap: `{function}` belongs into `configure`");
        call(hand)
    })
}

/// The same, for a function that speaks of the exchange: in `configure` and `on_tick` there is none, and the real host traps.
pub(super) fn with_exchange<T>(call: impl FnOnce(&mut Hand) -> T) -> T {
    with(|hand| {
        assert!(hand.phase != Phase::Configure, "trap: there is no exchange while the filter is being configured");
        assert!(hand.phase != Phase::Tick, "trap: there is no exchange in the tick hook");
        call(hand)
    })
}

/// The same, for a function that speaks of the request.
pub(super) fn with_request<T>(call: impl FnOnce(&mut Hand) -> T) -> T {
    with_exchange(|hand| {
        assert!(!hand.is_raw(), "trap: there is no request on a raw connection");
        call(hand)
    })
}

/// What outlives the exchange: stores, metrics, other services, the clock.
pub(super) fn with_process<T>(call: impl FnOnce(&mut Process) -> T) -> T {
    let process = with(|hand| hand.process.clone());
    let mut process = process.borrow_mut();
    call(&mut process)
}
