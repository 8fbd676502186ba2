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
    verdict: Verdict,
    upstream: Option<SentRequest>,
    response: Option<SentResponse>,
    goal: Goal,
    notes: BTreeMap<String, String>,
    logs: Vec<Line>,
}

/// A request, as the upstream gets it.
#[derive(Debug, Clone)]
pub struct SentRequest {
    head: RequestHead,
}

/// A response, as the client gets it.
#[derive(Debug, Clone)]
pub struct SentResponse {
    head: ResponseHead,
}

/// A line that the filter logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub severity: Severity,
    /// What it says.
    pub message: String,
}

impl Outcome {
    pub(super) fn after_request(verdict: Verdict, hand: &Hand) -> Self {
        let upstream = (verdict == Verdict::Next).then(|| SentRequest { head: hand.request.clone() });
        Outcome { verdict, upstream, response: None, goal: hand.goal.clone(), notes: BTreeMap::new(), logs: Vec::new() }
    }

    pub(super) fn judge(&mut self, verdict: &Verdict) {
        self.verdict = verdict.clone();
    }

    pub(super) fn answer(&mut self, response: Option<ResponseHead>) {
        self.response = response.map(|head| SentResponse { head });
    }

    pub(super) fn finish(mut self, hand: Hand) -> Self {
        self.notes = hand.notes;
        self.logs = hand.logs.into_iter().map(|(severity, message)| Line { severity, message }).collect();
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

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.head.body
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.head.body).into_owned()
    }
}
