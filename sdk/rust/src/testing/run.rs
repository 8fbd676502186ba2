//! An exchange on its way through one filter, phase by phase, as in the proxy.

use std::time::Duration;

use http::HeaderMap;

use super::body::Body;
use super::configured::Configured;
use super::hand::{self, Ended, Hand, Phase, ResponseHead};
use super::outcome::Outcome;
use crate::export::{self, Exported, Passing};
use crate::{Chunk, ChunkVerdict, Connection, ConnectionVerdict, Hook, Request, Response, Verdict};

/// What the proxy calls an exchange that a filter ended.
const FILTER_RESET: &str = "filter-reset";

pub(super) struct Run<'a, F> {
    filter: &'a Configured<F>,
    /// Empty only while a hook has it.
    hand: Option<Hand>,
    hooks: usize,
    outcome: Outcome,
    /// Whether the upstream did.
    answered: bool,
}

/// What is left of a body once it has passed, and whether it is whole.
struct Passed {
    bytes: Vec<u8>,
    whole: bool,
}

impl<'a, F: Exported> Run<'a, F> {
    pub(super) fn new(filter: &'a Configured<F>, hand: Hand) -> Self {
        Run { filter, hand: Some(hand), hooks: 0, outcome: Outcome::default(), answered: false }
    }

    pub(super) fn raw(mut self) -> Outcome {
        if self.filter.wants(Hook::Connection) {
            let verdict = self.call(Phase::Connection, |filter| filter.connection(&mut Connection::in_hand()));
            if verdict == ConnectionVerdict::Reset {
                self.fail(FILTER_RESET);
                self.outcome.verdict = Verdict::Reset;
            }
        }
        self.outcome.goal = self.hand().goal.clone();
        self.complete()
    }

    pub(super) fn http(mut self, upstream: ResponseHead) -> Outcome {
        if self.request() && self.upward() {
            self.hand().response = Some(upstream);
            self.answered = true;
            if self.response() {
                self.back();
            }
        }
        self.complete()
    }

    /// The request hook. Whether the exchange goes on.
    fn request(&mut self) -> bool {
        if self.filter.wants(Hook::Request) {
            self.outcome.verdict = self.decide(Phase::Request, |filter| filter.request(&mut Request::in_hand()));
        }
        self.outcome.goal = self.hand().goal.clone();
        match self.outcome.verdict {
            Verdict::Next => true,
            Verdict::Reply(_) => self.replied(),
            Verdict::Reset => self.fail(FILTER_RESET),
        }
    }

    /// The request goes upstream. Whether it is whole when it gets there.
    fn upward(&mut self) -> bool {
        self.hand().request.body.streaming = true;
        let mut head = self.hand().request.clone();
        let body = std::mem::take(&mut head.body);
        let passed = self.stream(Hook::RequestChunk, pieces(&body, &head.trailers), body.cut, |filter, chunk| {
            filter.request_chunk(&mut Request::in_hand(), chunk)
        });
        if passed.whole && !self.hand().request.trailers.is_empty() && self.filter.wants(Hook::Trailers) {
            self.call(Phase::RequestTrailers, |filter| filter.request_trailers(&mut Request::in_hand()));
        }
        head.trailers = self.hand().request.trailers.clone();
        self.outcome.sent(head, passed.bytes, passed.whole);
        if body.cut && self.outcome.failure.is_none() {
            self.fail("client-gone");
        }
        passed.whole
    }

    /// The response hook. Whether there is an answer that goes through the later hooks.
    fn response(&mut self) -> bool {
        self.hand().reply = None;
        if !self.filter.wants(Hook::Response) {
            return true;
        }
        self.outcome.verdict = self.decide(Phase::Response, |filter| filter.response(&mut Response::in_hand()));
        match self.outcome.verdict {
            Verdict::Next => true,
            Verdict::Reply(_) => self.replied(),
            Verdict::Reset => self.fail(FILTER_RESET),
        }
    }

    /// The response goes to the client.
    fn back(&mut self) {
        let response = self.hand().response.as_mut().expect("the upstream has answered");
        response.body.streaming = true;
        let mut head = response.clone();
        let body = std::mem::take(&mut head.body);
        let passed = self.stream(Hook::ResponseChunk, pieces(&body, &head.trailers), body.cut, |filter, chunk| {
            filter.response_chunk(&mut Response::in_hand(), chunk)
        });
        if passed.whole && !head.trailers.is_empty() && self.filter.wants(Hook::Trailers) {
            self.call(Phase::ResponseTrailers, |filter| filter.response_trailers(&mut Response::in_hand()));
        }
        if let Some(response) = &self.hand().response {
            head.trailers = response.trailers.clone();
        }
        self.outcome.answer(head, passed.bytes, passed.whole);
        if body.cut && self.outcome.failure.is_none() {
            self.fail("upstream-reset");
        }
    }

    /// Each piece through the chunk hook.
    fn stream(&mut self, hook: Hook, pieces: Vec<Vec<u8>>, cut: bool, call: impl Fn(&F, Chunk) -> ChunkVerdict) -> Passed {
        let phase = if hook == Hook::RequestChunk { Phase::RequestChunk } else { Phase::ResponseChunk };
        let mut bytes = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            if !self.filter.wants(hook) {
                bytes.extend_from_slice(piece);
                continue;
            }
            let chunk = Chunk { bytes: piece.clone(), end: !cut && at + 1 == pieces.len() };
            match self.call(phase, |filter| export::pass(call(filter, chunk))) {
                Passing::Keep => bytes.extend_from_slice(piece),
                Passing::Replaced => bytes.extend(self.hand().chunk.take().expect("a piece is replaced by one")),
                Passing::Reset => {
                    self.fail(FILTER_RESET);
                    return Passed { bytes, whole: false };
                }
            }
        }
        Passed { bytes, whole: !cut }
    }

    /// The complete hook, and what the proxy does when an exchange has ended.
    fn complete(mut self) -> Outcome {
        let (asked, answered) = (self.outcome.upstream.is_some(), self.answered);
        let client = self.outcome.response.as_ref();
        let (status, response_bytes) = client.map_or((0, 0), |response| (response.status().as_u16(), response.body().len()));
        let failure = self.outcome.failure.clone();
        let hand = self.hand();
        hand.ended = Ended {
            status,
            response_bytes: response_bytes as u64,
            attempts: u32::from(asked),
            upstream: hand.ended.upstream.clone().filter(|_| answered),
            failure: failure.or_else(|| hand.ended.failure.clone().filter(|_| asked)),
            ..std::mem::take(&mut hand.ended)
        };
        if self.filter.wants(Hook::Complete) {
            self.call(Phase::Complete, |filter| filter.complete(&crate::Outcome::in_hand()));
        }
        let hand = self.hand.take().expect("no hook runs");
        let mut process = self.filter.process.borrow_mut();
        for (store, ask) in &hand.held {
            if let Some(store) = process.stores.0.get_mut(store) {
                store.give_back(ask);
            }
        }
        drop(process);
        self.outcome.finish(hand)
    }

    /// Calls a hook, and hands over what its verdict carries, as in the proxy.
    fn decide(&mut self, phase: Phase, hook: impl FnOnce(&F) -> Verdict) -> Verdict {
        self.call(phase, |filter| {
            let verdict = hook(filter);
            export::conclude(verdict.clone());
            verdict
        })
    }

    fn call<T>(&mut self, phase: Phase, hook: impl FnOnce(&F) -> T) -> T {
        let filter = self.filter.instance(self.hooks);
        self.hooks += 1;
        let hand = Hand { phase, ..self.hand.take().expect("no other hook runs") };
        let (result, hand) = hand::holding(hand, || hook(filter));
        self.hand = Some(hand);
        result
    }

    /// The filter's own answer is what the client gets; none of its hooks sees it.
    fn replied(&mut self) -> bool {
        let reply = self.hand().reply.take().expect("a verdict to reply hands a reply over");
        self.hand().response = Some(reply.clone());
        let bytes = reply.body.pieces.concat();
        self.outcome.answer(reply, bytes, true);
        false
    }

    fn fail(&mut self, reason: &str) -> bool {
        self.outcome.failure = Some(reason.to_owned());
        false
    }

    fn hand(&mut self) -> &mut Hand {
        self.hand.as_mut().expect("no hook runs")
    }
}

/// What the chunk hook sees: where trailers follow, an empty piece says that no other does. No body has no pieces.
fn pieces(body: &Body, trailers: &HeaderMap) -> Vec<Vec<u8>> {
    let mut pieces = body.pieces.clone();
    if !body.cut && !trailers.is_empty() {
        pieces.push(Vec::new());
    }
    pieces
}

/// How long an exchange takes, unless a test says otherwise.
pub(super) const DURATION: Duration = Duration::from_millis(1);
