//! An exchange to send through a filter.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::HeaderMap;
use http::{Method, StatusCode};

use super::body::Body;
use super::call::field;
use super::configured::Configured;
use super::hand::{Ended, Goal, Hand, Phase, RequestHead, ResponseHead, Wire};
use super::outcome::Outcome;
use super::run::{self, Run};
use super::target;
use crate::Mirrored;
use crate::export::Exported;
use crate::log::Severity;

/// Where the fake's draws begin, unless a test says otherwise.
const SEED: u64 = 1;

/// A request, and what the upstream would answer it with; unless told otherwise a 200 without a body.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub(super) hand: Hand,
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
            body: Body::default(),
            trailers: HeaderMap::new(),
        };
        let wire = Wire {
            source: "192.0.2.1".to_owned(),
            peer: "192.0.2.1:50000".to_owned(),
            local: "192.0.2.2:8080".to_owned(),
            original_destination: None,
            trusted: false,
            listener: "edge".to_owned(),
            protocol: "http/1.1".to_owned(),
            tls_version: None,
            server_name: None,
            client_identities: Vec::new(),
            client_fingerprint: None,
        };
        let hand = Hand {
            phase: Phase::Request,
            request,
            response: None,
            reply: None,
            chunk: None,
            goal: Goal::default(),
            wire,
            ended: Ended { duration: run::DURATION, upstream: Some("192.0.2.10:80".to_owned()), ..Ended::default() },
            id: "8f14e45f-ceea-467f-a8bb-0c6f2e6d1f00".to_owned(),
            deadline_left: None,
            notes: BTreeMap::new(),
            logs: Vec::new(),
            log_level: Severity::Trace,
            wanted: Vec::new(),
            kept: false,
            tick: Duration::ZERO,
            metrics: Vec::new(),
            entropy: SEED,
            now: None,
            held: Vec::new(),
            process: Default::default(),
        };
        let upstream = ResponseHead {
            status: StatusCode::OK,
            origin: "upstream".to_owned(),
            headers: HeaderMap::new(),
            body: Body::default(),
            trailers: HeaderMap::new(),
        };
        Exchange { hand, upstream }
    }

    /// A raw connection: no request, only the connection hook and the complete hook.
    pub fn raw() -> Self {
        Exchange::get("/").protocol("tcp")
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

    /// The body, in one piece.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.hand.request.body = Body::whole(body.into());
        self
    }

    /// The body, in the pieces in which it comes. The last may be empty: the proxy often learns late that none follows.
    pub fn body_chunks<B: Into<Vec<u8>>>(mut self, pieces: impl IntoIterator<Item = B>) -> Self {
        self.hand.request.body.pieces = pieces.into_iter().map(Into::into).collect();
        self
    }

    /// The client goes away before the end of its body.
    pub fn client_goes_away(mut self) -> Self {
        self.hand.request.body.cut = true;
        self
    }

    /// One more trailer of the request.
    ///
    /// # Panics
    /// If it is no field that HTTP allows.
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let (name, value) = field(name, value.as_ref());
        self.hand.request.trailers.append(name, value);
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

    /// The peer is in one of the listener's trusted ranges.
    pub fn trusted(mut self) -> Self {
        self.hand.wire.trusted = true;
        self
    }

    /// The client's address, as a trusted hop tells it.
    pub fn source(mut self, address: &str) -> Self {
        self.hand.wire.source = address.to_owned();
        self
    }

    /// Where the client wanted to go before its connection was redirected to the proxy.
    pub fn original_destination(mut self, address: &str) -> Self {
        self.hand.wire.original_destination = Some(address.to_owned());
        self
    }

    /// What the client's verified certificate says it is.
    pub fn client_identity(mut self, name: &str) -> Self {
        self.hand.wire.client_identities.push(name.to_owned());
        self
    }

    /// The SHA-256 of the client's verified certificate.
    pub fn client_fingerprint(mut self, fingerprint: &str) -> Self {
        self.hand.wire.client_fingerprint = Some(fingerprint.to_owned());
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

    /// A cluster, and an endpoint of it.
    pub fn endpoint(mut self, cluster: &str, address: &str) -> Self {
        self.hand.goal.clusters.insert(cluster.to_owned());
        self.hand.goal.endpoints.insert((cluster.to_owned(), address.to_owned()));
        self
    }

    /// A chain that there is.
    pub fn chain(mut self, name: &str) -> Self {
        self.hand.goal.chains.insert(name.to_owned());
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

    /// Stops the clock that this exchange reads, so long after the Unix epoch. Stores and quotas go by the clock of the
    /// [`Host`](super::Host).
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

    /// The body of the upstream's answer, in one piece.
    pub fn answer_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.upstream.body = Body::whole(body.into());
        self
    }

    /// The body of the upstream's answer, in the pieces in which it comes. The last may be empty: the proxy often learns late
    /// that none follows.
    pub fn answer_chunks<B: Into<Vec<u8>>>(mut self, pieces: impl IntoIterator<Item = B>) -> Self {
        self.upstream.body.pieces = pieces.into_iter().map(Into::into).collect();
        self
    }

    /// The upstream goes away before the end of its body.
    pub fn upstream_goes_away(mut self) -> Self {
        self.upstream.body.cut = true;
        self
    }

    /// One more trailer of the upstream's answer.
    ///
    /// # Panics
    /// If it is no field that HTTP allows.
    pub fn answer_trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let (name, value) = field(name, value.as_ref());
        self.upstream.trailers.append(name, value);
        self
    }

    /// The upstream does not answer, and the proxy answers this in its place, for a reason like `timeout`.
    ///
    /// # Panics
    /// If it is no HTTP status.
    pub fn failed(mut self, status: u16, reason: &str) -> Self {
        self.upstream.origin = reason.to_owned();
        self.hand.ended.failure = Some(reason.to_owned());
        self.hand.ended.upstream = None;
        self.answered(status)
    }

    /// How long it takes in all; without a word, a millisecond.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.hand.ended.duration = duration;
        self
    }

    /// The address of the endpoint that answers; without a word, 192.0.2.10:80.
    pub fn upstream_address(mut self, address: &str) -> Self {
        self.hand.ended.upstream = Some(address.to_owned());
        self
    }

    /// What becomes of a copy that a filter sends to this cluster. Without a word, it has not ended when the exchange has.
    pub fn mirrored(mut self, cluster: &str, result: Mirrored) -> Self {
        self.hand.ended.mirrored.push((cluster.to_owned(), result));
        self
    }

    /// One more field of the answer to a copy that a filter sends to this cluster.
    ///
    /// # Panics
    /// If it is no field that HTTP allows.
    pub fn mirrored_header(mut self, cluster: &str, name: &str, value: impl AsRef<[u8]>) -> Self {
        let (name, value) = field(name, value.as_ref());
        self.hand.ended.mirrored_headers.push((cluster.to_owned(), name, value));
        self
    }

    /// Sends it through the filter, to the upstream if the filter lets it, and back, as the proxy would. The filter's hooks do
    /// not see a reply of its own; its complete hook does.
    ///
    /// # Panics
    /// If the filter does, or where the proxy would make it trap.
    pub fn through<F: Exported>(&self, filter: &Configured<F>) -> Outcome {
        let mut hand = Hand { process: filter.process.clone(), ..self.hand.clone() };
        hand.ended.request_bytes = hand.request.body.len() as u64;
        hand.phase = Phase::Request;
        match hand.is_raw() {
            true => Run::new(filter, hand).raw(),
            false => Run::new(filter, hand).http(self.upstream.clone()),
        }
    }
}
