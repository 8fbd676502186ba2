//! An exchange to send through a filter.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::hand::{self, Goal, Hand, Phase, RequestHead, ResponseHead, Wire};
use super::{outcome::Outcome, target};
use crate::export::{self, Ending, Exported};
use crate::log::Severity;
use crate::{ConfigError, Hook, Request, Response, Verdict, phase};

/// Where the fake's draws begin, unless a test says otherwise.
const SEED: u64 = 1;

/// A filter that has been configured, with the hooks that it wants.
#[derive(Debug)]
pub struct Configured<F> {
    filter: F,
    wanted: Vec<String>,
    keeps_state: bool,
}

impl<F> Configured<F> {
    /// Whether the filter asked to keep its state.
    pub fn keeps_state(&self) -> bool {
        self.keeps_state
    }
}

impl<F: Exported> Configured<F> {
    /// Whether the proxy calls this hook of the filter.
    pub fn wants(&self, hook: Hook) -> bool {
        F::HOOKS.contains(&hook) && (self.wanted.is_empty() || self.wanted.iter().any(|word| word == hook.word()))
    }
}

impl<F> Deref for Configured<F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.filter
    }
}

/// Configures a filter, as the proxy does, from JSON: text, or what `serde_json::json!` makes.
pub fn configure<F: Exported>(config: impl ToString) -> Result<Configured<F>, ConfigError> {
    let mut hand = Exchange::get("/").hand;
    hand.phase = Phase::Configure;
    let config = config.to_string();
    let (filter, hand) = hand::holding(hand, || phase::configure(|| export::make::<F>(&config)));
    let filter = filter?;
    if let Some(word) = hand.wanted.iter().find(|word| F::HOOKS.iter().all(|hook| hook.word() != *word)) {
        return Err(ConfigError::new(format!("the hook `{word}` is wanted and not exported")));
    }
    Ok(Configured { filter, wanted: hand.wanted, keeps_state: hand.kept })
}

/// A request, and what the upstream would answer it with; unless told otherwise a 200 without a body.
#[derive(Debug, Clone)]
pub struct Exchange {
    hand: Hand,
    upstream: ResponseHead,
}

impl Exchange {
    /// A GET for this target, which is normalized as the proxy does it.
    pub fn get(target: &str) -> Self {
        Exchange::new(Method::GET, target)
    }

    /// A POST for this target.
    pub fn post(target: &str) -> Self {
        Exchange::new(Method::POST, target)
    }

    /// A request from 192.0.2.1 for `a.example` over plain HTTP/1.1, on the listener `edge`, which has no cluster.
    pub fn new(method: Method, target: &str) -> Self {
        let request = RequestHead {
            method: method.to_string(),
            scheme: "http".to_owned(),
            authority: "a.example".to_owned(),
            target: target::normalized(target),
            headers: HeaderMap::new(),
        };
        let wire = Wire {
            source: "192.0.2.1".to_owned(),
            peer: "192.0.2.1:50000".to_owned(),
            local: "192.0.2.2:8080".to_owned(),
            trusted: false,
            listener: "edge".to_owned(),
            protocol: "http/1.1".to_owned(),
            tls_version: None,
            server_name: None,
            client_identities: Vec::new(),
        };
        let hand = Hand {
            phase: Phase::Request,
            request,
            response: None,
            reply: None,
            goal: Goal::default(),
            wire,
            id: "8f14e45f-ceea-467f-a8bb-0c6f2e6d1f00".to_owned(),
            deadline_left: None,
            notes: BTreeMap::new(),
            logs: Vec::new(),
            log_level: Severity::Trace,
            wanted: Vec::new(),
            kept: false,
            entropy: SEED,
            now: None,
        };
        Exchange { hand, upstream: answer("upstream", StatusCode::OK) }
    }

    /// One more field of the request. Fields of any name, `connection` for one, except `host`: that is the
    /// [`authority`](Self::authority).
    ///
    /// # Panics
    /// If it is no field that HTTP allows.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let (name, value) = field(name, value.as_ref());
        self.hand.request.headers.append(name, value);
        self
    }

    /// Host and port as the client names them.
    pub fn authority(mut self, authority: &str) -> Self {
        self.hand.request.authority = authority.to_owned();
        self
    }

    /// Over TLS 1.3, with this server name.
    pub fn tls(mut self, server_name: &str) -> Self {
        self.hand.request.scheme = "https".to_owned();
        self.hand.wire.tls_version = Some("TLSv1.3".to_owned());
        self.hand.wire.server_name = Some(server_name.to_owned());
        self
    }

    /// The client's address, as a trusted hop tells it.
    pub fn source(mut self, address: &str) -> Self {
        self.hand.wire.source = address.to_owned();
        self
    }

    /// What the client speaks: `http/1.0`, `http/1.1` or `h2`.
    pub fn protocol(mut self, protocol: &str) -> Self {
        self.hand.wire.protocol = protocol.to_owned();
        self
    }

    /// The request id.
    pub fn id(mut self, id: &str) -> Self {
        self.hand.id = id.to_owned();
        self
    }

    /// What is left of the time that the exchange may take.
    pub fn deadline_left(mut self, left: Duration) -> Self {
        self.hand.deadline_left = Some(left);
        self
    }

    /// The clusters that there are.
    pub fn clusters<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.hand.goal.clusters.extend(names.into_iter().map(str::to_owned));
        self
    }

    /// The listener's cluster.
    pub fn cluster(mut self, name: &str) -> Self {
        self.hand.goal.clusters.insert(name.to_owned());
        self.hand.goal.cluster = Some(name.to_owned());
        self
    }

    /// What a filter before this one noted.
    pub fn note(mut self, key: &str, value: &str) -> Self {
        self.hand.notes.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Lines less severe than this are not written; without it, all are.
    pub fn log_level(mut self, least: Severity) -> Self {
        self.hand.log_level = least;
        self
    }

    /// Where the random draws begin: the same seed, the same draws.
    pub fn seed(mut self, seed: u64) -> Self {
        self.hand.entropy = seed;
        self
    }

    /// Stops the clock, so many seconds after the Unix epoch.
    pub fn now(mut self, since_epoch: Duration) -> Self {
        self.hand.now = Some(since_epoch);
        self
    }

    /// The status that the upstream answers with.
    ///
    /// # Panics
    /// If it is no HTTP status.
    pub fn answered(mut self, status: u16) -> Self {
        self.upstream.status = StatusCode::from_u16(status).expect("a status that HTTP allows");
        self
    }

    /// One more field of the upstream's answer.
    ///
    /// # Panics
    /// If it is no field that HTTP allows.
    pub fn answer_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let (name, value) = field(name, value.as_ref());
        self.upstream.headers.append(name, value);
        self
    }

    /// The body of the upstream's answer.
    pub fn answer_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.upstream.body = body.into();
        self
    }

    /// Sends it through the filter, to the upstream if the filter lets it, and back, as the proxy would.
    ///
    /// # Panics
    /// If the filter does, or where the proxy would make it trap.
    pub fn through<F: Exported>(&self, filter: &Configured<F>) -> Outcome {
        let (verdict, mut hand) = match filter.wants(Hook::Request) {
            true => call(self.hand.clone(), || filter.request(&mut Request::in_hand())),
            false => (Verdict::Next, self.hand.clone()),
        };
        let mut outcome = Outcome::after_request(verdict, &hand);
        match outcome.verdict() {
            Verdict::Next => hand.response = Some(self.upstream.clone()),
            Verdict::Reply(_) => outcome.answer(hand.reply.take()),
            Verdict::Reset => {}
        }
        if hand.response.is_some() {
            hand.phase = Phase::Response;
            hand.reply = None;
            if filter.wants(Hook::Response) {
                let verdict;
                (verdict, hand) = call(hand, || filter.response(&mut Response::in_hand()));
                outcome.judge(&verdict);
                outcome.answer(match verdict {
                    Verdict::Next => hand.response.take(),
                    Verdict::Reply(_) => hand.reply.take(),
                    Verdict::Reset => None,
                });
            } else {
                outcome.answer(hand.response.take());
            }
        }
        outcome.finish(hand)
    }
}

/// Calls a hook, and hands over what its verdict carries, as in the proxy.
fn call(hand: Hand, hook: impl FnOnce() -> Verdict) -> (Verdict, Hand) {
    hand::holding(hand, || {
        let verdict = hook();
        let ending = export::conclude(verdict.clone());
        debug_assert_eq!(ending == Ending::Replied, matches!(verdict, Verdict::Reply(_)));
        verdict
    })
}

fn answer(origin: &str, status: StatusCode) -> ResponseHead {
    ResponseHead { status, origin: origin.to_owned(), headers: HeaderMap::new(), body: Vec::new() }
}

fn field(name: &str, value: &[u8]) -> (HeaderName, HeaderValue) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a field name that HTTP allows");
    let value = HeaderValue::from_bytes(value).expect("a field value that HTTP allows");
    (name, value)
}
