//! Sees what filters do, hook by hook and call by call, while somebody watches: `tamis filter test`. Nobody watches a proxy
//! that serves; there it costs one look at a flag.
//!
//! What is seen belongs to the process, because hooks run on workers and whoever watches does not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::abi::Call;
use super::hand::{Hand, Trailers};
use super::{Fault, Hook, Verdict};
use crate::exchange::{Exchange, Reply};

/// Who watches does so for one exchange; more than this is a filter out of control, and the rest is not kept.
pub const EVENTS_MAX: usize = 10_000;

static WATCHED: AtomicBool = AtomicBool::new(false);
static SEEN: Mutex<Vec<Event>> = Mutex::new(Vec::new());

/// What happened, in order. What a hook asks of the host comes before the hook itself, which is told when it has ended.
#[derive(Debug, Clone)]
pub enum Event {
    Configured {
        cpu: Duration,
        memory: usize,
    },
    Hook(Box<Ran>),
    /// Something that was done to the world beside the exchange: the interface, and words.
    Effect(&'static str, String),
    /// It asked for something that is not there or not granted.
    Missing(Missing, String),
}

/// What a name that is not there is a name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Cluster,
    Store,
}

/// One call of one hook.
#[derive(Debug, Clone)]
pub struct Ran {
    pub hook: Hook,
    /// Bytes of the piece that it was given, and whether that was the last.
    pub chunk: Option<(usize, bool)>,
    pub verdict: Result<Verdict, String>,
    pub cpu: Duration,
    /// Linear memory of its instance afterwards.
    pub memory: usize,
    pub before: Fields,
    pub after: Fields,
    pub reply: Option<Reply>,
    /// What goes on in place of the piece.
    pub replaced: Option<Bytes>,
}

/// An exchange as lines: what each is, and its value.
pub type Fields = Vec<(String, String)>;

pub fn is_on() -> bool {
    WATCHED.load(Ordering::Relaxed)
}

/// From now on what happens is kept.
pub fn begin() {
    seen(|events| events.clear());
    WATCHED.store(true, Ordering::Relaxed);
}

/// What happened since.
pub fn end() -> Vec<Event> {
    WATCHED.store(false, Ordering::Relaxed);
    seen(std::mem::take)
}

pub fn tell(event: impl FnOnce() -> Event) {
    if is_on() {
        let event = event();
        seen(|events| {
            if events.len() < EVENTS_MAX {
                events.push(event);
            }
        });
    }
}

/// Something of an interface, in words.
pub fn effect(interface: &'static str, words: impl FnOnce() -> String) {
    tell(|| Event::Effect(interface, words()));
}

fn seen<T>(job: impl FnOnce(&mut Vec<Event>) -> T) -> T {
    job(&mut SEEN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A hook that is about to run.
pub(super) struct Watch {
    hook: Hook,
    chunk: Option<(usize, bool)>,
    before: Fields,
}

impl Watch {
    pub(super) fn begin(call: &Call, hand: &Hand) -> Self {
        let chunk = match call {
            Call::RequestChunk(bytes, end) | Call::ResponseChunk(bytes, end) => Some((bytes.len(), *end)),
            _ => None,
        };
        Self { hook: call.hook(), chunk, before: fields(hand) }
    }

    pub(super) fn end(self, hand: &Hand, verdict: &Result<Verdict, Fault>, cpu: Duration, memory: usize) {
        tell(|| {
            Event::Hook(Box::new(Ran {
                hook: self.hook,
                chunk: self.chunk,
                verdict: verdict.as_ref().copied().map_err(Fault::to_string),
                cpu,
                memory,
                before: self.before,
                after: fields(hand),
                reply: hand.reply.clone(),
                replaced: hand.chunk.clone(),
            }))
        });
    }
}

fn fields(hand: &Hand) -> Fields {
    let mut found = Fields::new();
    if let Some(exchange) = &hand.exchange {
        of_exchange(&exchange.borrow(), &mut found);
    }
    match &hand.trailers {
        Some(Trailers::Request(trailers) | Trailers::Response(trailers)) => of_map("trailer", trailers, &mut found),
        None => {}
    }
    found
}

fn of_exchange(exchange: &Exchange, found: &mut Fields) {
    found.push(("method".to_owned(), exchange.request.method.to_string()));
    found.push(("target".to_owned(), exchange.request.uri.to_string()));
    found.push(("authority".to_owned(), exchange.authority.clone()));
    of_map("request", &exchange.request.headers, found);
    if let Some(response) = &exchange.response {
        found.push(("status".to_owned(), response.status.as_u16().to_string()));
        of_map("response", &response.headers, found);
    }
    let to = &exchange.destination;
    let mut push = |name: &str, value: Option<String>| found.extend(value.map(|value| (name.to_owned(), value)));
    push("cluster", to.cluster.as_deref().map(str::to_owned));
    push("chain", to.chain.as_deref().map(str::to_owned));
    push("fallback", to.fallback.as_deref().map(str::to_owned));
    push("endpoint", to.endpoint.map(|address| address.to_string()));
    push("route", to.route.clone());
    push("hash key", to.hash_key.map(|hash| format!("hashed {hash:016x}")));
    push("timeout", to.timeout.map(|timeout| format!("{timeout:?}")));
    push("retry", to.retry.as_ref().map(|retry| format!("{} attempts, {:?} each", retry.attempts, retry.per_try_timeout)));
    push("response rate", to.response_rate.map(|rate| format!("{rate} bytes a second")));
    found.extend(to.subset.iter().map(|(label, value)| (format!("subset {label}"), value.clone())));
    found.extend(exchange.mirrors.iter().map(|mirror| ("mirror".to_owned(), mirror.cluster.to_string())));
    found.extend(exchange.notes.iter().map(|(key, value)| (format!("note {key}"), value.clone())));
}

fn of_map(kind: &str, map: &HeaderMap, found: &mut Fields) {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (format!("{kind} {name}"), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    found.extend(map.iter().map(line));
}
