//! A filter that is only watched: it runs on live traffic, on a copy of the exchange, and nothing of what it decides is
//! applied. What it would have done is compared with what the live version did, and counted.
//!
//! The copies are worked off by a local task of the exchange, so that nobody waits for a filter that is watched.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::sync::mpsc;

use super::abi::Call;
use super::abi::proxy_wasm::Streams;
use super::hand::{Hand, Reach, Trailers};
use super::pool::{self, Lent};
use super::{Fault, Filter, Hook, Verdict};
use crate::exchange::{Exchange, Outcome};
use crate::telemetry::metrics::{Family, Registry};
use crate::worker;

/// Calls of one exchange that wait to be repeated; of an exchange that is faster than its observer the rest is left out.
pub const PENDING_MAX: usize = 64;

/// What a hook decided and what it left, as far as anybody would notice.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    pub verdict: &'static str,
    method: http::Method,
    uri: http::Uri,
    authority: String,
    request: HeaderMap,
    response: Option<(StatusCode, HeaderMap)>,
    cluster: Option<Arc<str>>,
    route: Option<String>,
    notes: Vec<(String, String)>,
    reply: Option<(StatusCode, HeaderMap, Bytes)>,
    chunk: Option<Bytes>,
}

impl Effect {
    /// What is there after a hook. Boxed: few exchanges are watched, and all would have to have room for it.
    pub fn of(verdict: Result<Verdict, &Fault>, hand: &Hand) -> Option<Box<Self>> {
        let exchange = hand.exchange.as_ref()?.borrow();
        Some(Box::new(Self {
            verdict: match verdict {
                Ok(Verdict::Next) => "next",
                Ok(Verdict::Replied) if hand.chunk.is_some() => "replaced",
                Ok(Verdict::Replied) => "replied",
                Ok(Verdict::Reset) => "reset",
                Err(_) => "failed",
            },
            method: exchange.request.method.clone(),
            uri: exchange.request.uri.clone(),
            authority: exchange.authority.clone(),
            request: exchange.request.headers.clone(),
            response: exchange.response.as_ref().map(|head| (head.status, head.headers.clone())),
            cluster: exchange.destination.cluster.clone(),
            route: exchange.destination.route.clone(),
            notes: exchange.notes.clone(),
            reply: hand.reply.as_ref().map(|reply| (reply.status, reply.headers.clone(), reply.body.clone())),
            chunk: hand.chunk.clone(),
        }))
    }

    /// The first thing in which two differ.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        let parts = [
            ("verdict", self.verdict == other.verdict),
            ("reply", self.reply == other.reply),
            ("chunk", self.chunk == other.chunk),
            ("method", self.method == other.method),
            ("target", self.uri == other.uri),
            ("authority", self.authority == other.authority),
            ("request fields", self.request == other.request),
            ("response", self.response == other.response),
            ("cluster", self.cluster == other.cluster),
            ("route", self.route == other.route),
            ("notes", self.notes == other.notes),
        ];
        parts.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
    }
}

/// Counts what was seen of a filter that is watched.
#[derive(Debug)]
pub struct Observed {
    filter: Arc<str>,
    counter: Arc<Family>,
}

impl Observed {
    pub fn of(filter: &Arc<str>, metrics: &Registry) -> Self {
        let help = "Hooks of a filter that is only observed: what it decided, and whether the live version did the same.";
        let counter = metrics.counter("tamis_filter_observed_total", help, &["filter", "hook", "verdict", "agrees"]);
        Self { filter: Arc::clone(filter), counter }
    }

    fn count(&self, hook: Hook, verdict: &str, agrees: bool) {
        let agrees = if agrees { "true" } else { "false" };
        // One is a number, and every label is there.
        let _ = self.counter.observe(&[&*self.filter, hook.name(), verdict, agrees], 1.0);
    }
}

/// A call and what it found, to be repeated.
pub struct Before {
    call: Call,
    exchange: Exchange,
    trailers: Option<Trailers>,
    outcome: Option<Rc<Outcome>>,
}

impl Before {
    pub fn of(call: &Call, hand: &Hand) -> Option<Box<Self>> {
        let exchange = hand.exchange.as_ref()?.borrow().copy();
        Some(Box::new(Self { call: call.clone(), exchange, trailers: hand.trailers.clone(), outcome: hand.outcome.clone() }))
    }
}

/// A call, and what the live version did; `None` where there is none.
type Repeat = (Box<Before>, Option<Box<Effect>>);

/// The observer of one filter in one exchange. When it is dropped, what waits is still worked off.
#[derive(Debug)]
pub struct Observer {
    pub filter: Arc<Filter>,
    calls: mpsc::Sender<Repeat>,
}

impl Observer {
    pub fn new(filter: &Arc<Filter>, reach: &Arc<Reach>) -> Self {
        let (calls, waiting) = mpsc::channel(PENDING_MAX);
        worker::spawn(work_off(Arc::clone(filter), Arc::clone(reach), waiting));
        Self { filter: Arc::clone(filter), calls }
    }

    /// The filter shall see the same call. If too many wait, it is left out.
    pub fn repeat(&self, before: Box<Before>, live: Option<Box<Effect>>) {
        let hook = before.call.hook();
        if self.calls.try_send((before, live)).is_err() {
            self.filter.observed.count(hook, "left-out", false);
        }
    }
}

async fn work_off(filter: Arc<Filter>, reach: Arc<Reach>, mut waiting: mpsc::Receiver<Repeat>) {
    let mut kept: Option<Lent> = None;
    let streams = Streams::default();
    while let Some((before, live)) = waiting.recv().await {
        let Before { call, exchange, trailers, outcome } = *before;
        let hook = call.hook();
        let Ok(admission) = filter.health.admits() else { continue };
        let exchange = Rc::new(RefCell::new(exchange));
        let mut hand = Hand::new(hook, &exchange, &reach);
        (hand.trailers, hand.outcome) = (trailers, outcome);
        let unchanged = Effect::of(Ok(Verdict::Next), &hand);
        let verdict = async {
            if filter.module.prepared.is_shared() {
                return streams.call(&filter, call, &mut hand, false).await;
            }
            let mut lent = match kept.take() {
                Some(lent) => lent,
                None => pool::take(&filter).await?,
            };
            let verdict = lent.instance().call(call, &mut hand).await?;
            if filter.setup.keeps_state() {
                kept = Some(lent);
            } else {
                lent.give_back();
            }
            Ok(verdict)
        };
        let verdict: Result<Verdict, Fault> = verdict.await;
        if verdict.as_ref().err().is_none_or(Fault::is_the_filters) {
            filter.health.ended(&filter.identity, admission, verdict.is_ok());
        }
        if let Err(fault) = &verdict {
            filter.failures.count(fault);
            tracing::info!(filter = %filter.name, hook = hook.name(), %fault, "a filter that is observed failed");
        }
        let Some(effect) = Effect::of(verdict.as_ref().map(|verdict| *verdict), &hand) else { continue };
        // Without a live version it is compared with one that would do nothing.
        let difference = live.as_ref().or(unchanged.as_ref()).and_then(|other| effect.difference(other));
        filter.observed.count(hook, effect.verdict, difference.is_none());
        if let (Some(what), Some(live)) = (difference, &live) {
            let id = &exchange.borrow().id;
            tracing::debug!(filter = %filter.name, hook = hook.name(), request_id = %id, differs_in = what, observed = effect.verdict, live = live.verdict, "the observed version decides otherwise");
        }
    }
    if let Some(lent) = kept {
        lent.give_back();
    }
}
