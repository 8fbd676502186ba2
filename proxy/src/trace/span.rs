//! The spans of one exchange: its own, one for each filter hook, one for each attempt. Names of attributes are those of
//! OpenTelemetry's semantic conventions for HTTP, or begin with `tamis.`.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use http::uri::Authority;
use http::{Method, Version};

use crate::exchange::trail::{Attempt, Hook, Step, What};
use crate::exchange::{Origin, Over};
use crate::telemetry::redact::Redact;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub trace: u128,
    pub id: u64,
    /// Zero: none.
    pub parent: u64,
    pub name: String,
    pub kind: Kind,
    pub began: SystemTime,
    pub took: Duration,
    pub attributes: Vec<(Cow<'static, str>, Value)>,
    /// What went wrong, if something did; maybe without words.
    pub error: Option<String>,
    pub state: Option<String>,
    /// Whom an attempt went to.
    pub remote: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Internal,
    Server,
    Client,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(Cow<'static, str>),
    Number(i64),
    Flag(bool),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Flag(flag)
    }
}

impl Span {
    fn tell(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push((name.into(), value.into()));
    }

    /// `error.type` is a word that can be counted.
    fn fail(&mut self, word: impl Into<Value>, words: Option<&str>) {
        self.tell("error.type", word);
        self.error = Some(words.unwrap_or_default().to_owned());
    }
}

/// All spans of a sampled exchange, its own first.
pub fn of(over: &Over<'_>, redact: &Redact) -> Vec<Span> {
    let Some(sampled) = over.trail.sampled() else { return Vec::new() };
    let context = sampled.trace.context;
    let steps = over.trail.steps();
    let mut spans = Vec::with_capacity(steps.len() + 1);
    let blank = Span {
        trace: context.trace,
        id: context.span,
        parent: context.parent,
        name: String::new(),
        kind: Kind::Internal,
        began: over.time,
        took: over.duration,
        attributes: Vec::new(),
        error: None,
        state: sampled.state.clone(),
        remote: None,
    };
    spans.push(of_exchange(over, redact, blank.clone()));
    let ended = over.started + over.duration;
    for step in steps.iter() {
        let began = over.time + step.began.saturating_duration_since(over.started);
        let took = step.took.unwrap_or_else(|| until(step, ended));
        let span = Span { id: step.id, parent: context.span, began, took, ..blank.clone() };
        spans.push(match &step.what {
            What::Hook(hook) => of_hook(hook, span),
            What::Attempt(attempt) => of_attempt(attempt, redact, span),
        });
    }
    spans
}

fn until(step: &Step, ended: Instant) -> Duration {
    ended.saturating_duration_since(step.began)
}

fn of_exchange(over: &Over<'_>, redact: &Redact, mut span: Span) -> Span {
    let exchange = over.exchange;
    let method = method(over.method);
    span.kind = Kind::Server;
    span.name = match &exchange.destination.route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    };
    span.attributes.reserve(16);
    told_method(&mut span, over.method);
    span.tell("url.path", over.path.to_owned());
    span.tell("url.scheme", exchange.scheme);
    if let Ok(authority) = over.host.parse::<http::uri::Authority>() {
        span.tell("server.address", authority.host().to_owned());
        if let Some(port) = authority.port_u16() {
            span.tell("server.port", u64::from(port));
        }
    }
    span.tell("client.address", exchange.source.to_string());
    span.tell("network.peer.address", exchange.connection.peer.ip().to_string());
    span.tell("network.protocol.name", "http");
    span.tell("network.protocol.version", version(exchange.request.version));
    if over.status != 0 {
        span.tell("http.response.status_code", u64::from(over.status));
    }
    span.tell("http.request.body.size", over.request_bytes);
    span.tell("http.response.body.size", over.response_bytes);
    span.tell("tamis.listener", exchange.connection.listener.to_string());
    if let Some(route) = &exchange.destination.route {
        span.tell("tamis.route", route.to_string());
    }
    if let Some(cluster) = &exchange.destination.cluster {
        span.tell("tamis.cluster", cluster.to_string());
    }
    span.tell("tamis.reason", over.origin.reason());
    span.tell("tamis.request_id", exchange.id.clone());
    if over.trail.left_out() > 0 {
        span.tell("tamis.steps_left_out", u64::from(over.trail.left_out()));
    }
    for (key, value) in &exchange.notes {
        span.attributes.push((format!("tamis.note.{key}").into(), redact.note(key, value).to_owned().into()));
    }
    // What the client did wrong is no error of this service.
    match over.origin {
        Origin::Failure(kind) if over.status == 0 || over.status >= 500 => span.fail(kind.reason(), over.error),
        _ if over.status >= 500 => span.fail(over.status.to_string(), over.error),
        _ => {}
    }
    span
}

fn of_hook(hook: &Hook, mut span: Span) -> Span {
    span.name = format!("filter {} {}", hook.filter, hook.hook);
    span.tell("tamis.filter", hook.filter.to_string());
    span.tell("tamis.filter.module", hook.module.to_string());
    span.tell("tamis.hook", hook.hook);
    span.tell("tamis.verdict", hook.result.unwrap_or("given-up"));
    if hook.calls > 1 {
        span.tell("tamis.hook.calls", u64::from(hook.calls));
        span.tell("tamis.hook.busy_us", u64::try_from(hook.busy.as_micros()).unwrap_or(u64::MAX));
    }
    if hook.failed {
        span.fail(hook.result.unwrap_or("given-up"), None);
    }
    span
}

fn of_attempt(attempt: &Attempt, redact: &Redact, mut span: Span) -> Span {
    span.kind = Kind::Client;
    span.name = method(&attempt.method).to_owned();
    span.remote = Some(attempt.endpoint);
    if let Some(by) = attempt.by {
        span.parent = by;
    }
    told_method(&mut span, &attempt.method);
    span.tell("url.full", url(attempt, redact));
    span.tell("server.address", attempt.endpoint.ip().to_string());
    span.tell("server.port", u64::from(attempt.endpoint.port()));
    span.tell("tamis.cluster", attempt.cluster.to_string());
    if attempt.number > 1 {
        span.tell("http.request.resend_count", u64::from(attempt.number - 1));
    }
    if attempt.hedged {
        span.tell("tamis.hedged", true);
    }
    match attempt.result {
        Some(Ok(status)) => {
            span.tell("http.response.status_code", u64::from(status.as_u16()));
            if status.as_u16() >= 400 {
                span.fail(status.as_str().to_owned(), None);
            }
        }
        Some(Err(kind)) => span.fail(kind.reason(), None),
        None => span.tell("tamis.given_up", true),
    }
    span
}

/// Where it went to, with what is secret in the query hidden.
fn url(attempt: &Attempt, redact: &Redact) -> String {
    let scheme = if attempt.is_tls { "https" } else { "http" };
    let host = attempt.host.as_ref().and_then(|host| host.to_str().ok());
    let authority = attempt.target.authority().map(Authority::as_str).or(host).unwrap_or_default();
    let mut url = format!("{scheme}://{authority}{}", attempt.target.path());
    if let Some(query) = attempt.target.query() {
        let _ = write!(url, "?{}", redact.query(query));
    }
    url
}

/// A method that anybody could have made up would make a name of it.
fn method(method: &Method) -> &str {
    if is_known(method) { method.as_str() } else { "HTTP" }
}

fn is_known(method: &Method) -> bool {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ];
    known.contains(method)
}

fn told_method(span: &mut Span, method: &Method) {
    if is_known(method) {
        span.tell("http.request.method", method.as_str().to_owned());
    } else {
        span.tell("http.request.method", "_OTHER");
        span.tell("http.request.method_original", method.as_str().to_owned());
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}
