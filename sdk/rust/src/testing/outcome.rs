//! What became of an exchange.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use super::hand::{Goal, Hand, RequestHead, ResponseHead};
use super::target;
use crate::Verdict;
use crate::log::Severity;

/// What became of an exchange: what the upstream got, what the client got, and what the filter left beside it.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) upstream: Option<SentRequest>,
    pub(super) response: Option<SentResponse>,
    pub(super) goal: Goal,
    pub(super) failure: Option<String>,
    notes: BTreeMap<String, String>,
    logs: Vec<Line>,
}

/// A request, as the upstream gets it.
#[derive(Debug, Clone)]
pub struct SentRequest {
    head: RequestHead,
    body: Vec<u8>,
    whole: bool,
}

/// A response, as the client gets it.
#[derive(Debug, Clone)]
pub struct SentResponse {
    head: ResponseHead,
    body: Vec<u8>,
    whole: bool,
}

/// A copy of the request that the filter sent to another cluster.
#[derive(Debug, Clone)]
pub struct SentMirror<'a> {
    /// The cluster.
    pub cluster: &'a str,
    /// The fields that are set on the copy.
    pub headers: &'a HeaderMap,
    /// A longer body is not mirrored.
    pub body_limit: u32,
}

/// On which occasions a request may be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry<'a> {
    /// How often it is sent at most.
    pub attempts: u32,
    /// The occasions.
    pub on: &'a [String],
    /// How long each attempt may take.
    pub per_try: Option<Duration>,
}

/// A line that the filter logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub severity: Severity,
    /// What it says.
    pub message: String,
}

pub(super) fn lines(logs: Vec<(Severity, String)>) -> Vec<Line> {
    logs.into_iter().map(|(severity, message)| Line { severity, message }).collect()
}

impl Default for Outcome {
    fn default() -> Self {
        Outcome {
            verdict: Verdict::Next,
            upstream: None,
            response: None,
            goal: Goal::default(),
            failure: None,
            notes: BTreeMap::new(),
            logs: Vec::new(),
        }
    }
}

impl Outcome {
    pub(super) fn sent(&mut self, head: RequestHead, body: Vec<u8>, whole: bool) {
        self.upstream = Some(SentRequest { head, body, whole });
    }

    pub(super) fn answer(&mut self, head: ResponseHead, body: Vec<u8>, whole: bool) {
        self.response = Some(SentResponse { head, body, whole });
    }

    pub(super) fn finish(mut self, hand: Hand) -> Self {
        self.failure = hand.ended.failure;
        self.notes = hand.notes;
        self.logs = lines(hand.logs);
        self
    }

    /// What the last hook that was called decided.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The request as the upstream gets it; `None` if it gets none.
    pub fn upstream(&self) -> Option<&SentRequest> {
        self.upstream.as_ref()
    }

    /// What the client gets; `None` if the exchange was reset.
    pub fn response(&self) -> Option<&SentResponse> {
        self.response.as_ref()
    }

    /// The cluster that the request was sent to, or would have been.
    pub fn cluster(&self) -> Option<&str> {
        self.goal.cluster.as_deref()
    }

    /// The name of the route.
    pub fn route(&self) -> Option<&str> {
        self.goal.route.as_deref()
    }

    /// How long the exchange may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.goal.timeout
    }

    /// Where it goes when that cluster has no healthy endpoint.
    pub fn fallback(&self) -> Option<&str> {
        self.goal.fallback.as_deref()
    }

    /// The very endpoint that was chosen.
    pub fn endpoint(&self) -> Option<&str> {
        self.goal.endpoint.as_deref()
    }

    /// The chain that the exchange goes on through.
    pub fn chain(&self) -> Option<&str> {
        self.goal.chain.as_deref()
    }

    /// The labels that an endpoint must carry.
    pub fn subset(&self) -> &[(String, String)] {
        &self.goal.subset
    }

    /// What a hashing balancer hashes.
    pub fn hash_key(&self) -> Option<&[u8]> {
        self.goal.hash_key.as_deref()
    }

    /// On which occasions the request may be sent again.
    pub fn retry(&self) -> Option<Retry<'_>> {
        let (attempts, on, per_try) = self.goal.retry.as_ref()?;
        Some(Retry { attempts: *attempts, on, per_try: *per_try })
    }

    /// The copies that were sent to other clusters.
    pub fn mirrors(&self) -> Vec<SentMirror<'_>> {
        let mirrors = self.goal.mirrors.iter();
        mirrors.map(|(cluster, headers, body_limit)| SentMirror { cluster, headers, body_limit: *body_limit }).collect()
    }

    /// How fast the response may flow, in bytes a second.
    pub fn response_rate(&self) -> Option<u64> {
        self.goal.response_rate
    }

    /// Why it went wrong, as the access log tells it: `filter-reset`, for one; `None` if all went well.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Whether neither side sees a message that was cut off, or none at all.
    pub fn is_whole(&self) -> bool {
        let cut = ["filter-reset", "client-gone", "upstream-reset"];
        self.failure().is_none_or(|failure| !cut.contains(&failure))
    }

    /// What was noted about the exchange.
    pub fn note(&self, key: &str) -> Option<&str> {
        self.notes.get(key).map(String::as_str)
    }

    /// What the filter logged.
    pub fn logs(&self) -> &[Line] {
        &self.logs
    }
}

impl SentRequest {
    /// The method.
    pub fn method(&self) -> Method {
        Method::from_bytes(self.head.method.as_bytes()).unwrap_or_default()
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        &self.head.authority
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        &self.head.target
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        target::split(&self.head.target).0
    }

    /// The first value of the name.
    pub fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.head.headers.get(name)
    }

    /// All fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The body, as far as it came.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first trailer of the name.
    pub fn trailer(&self, name: &str) -> Option<&HeaderValue> {
        self.head.trailers.get(name)
    }

    /// Whether it was not cut off.
    pub fn is_whole(&self) -> bool {
        self.whole
    }
}

impl SentResponse {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The first value of the name.
    pub fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.head.headers.get(name)
    }

    /// All fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The body, as far as it came.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first trailer of the name.
    pub fn trailer(&self, name: &str) -> Option<&HeaderValue> {
        self.head.trailers.get(name)
    }

    /// Whether it was not cut off.
    pub fn is_whole(&self) -> bool {
        self.whole
    }
}
