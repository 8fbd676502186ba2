//! The types of wit/ as the canonical ABI lifts and lowers them, and what they mean inside.

mod macros;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use self::macros::{cases, record};
use super::direct::lower::{Lower, Piece, Sink, lowered_as};
use super::direct::value::{self, Blob, Flat, Lift, List, Shape, Source, Str, aligned};

use crate::exchange::{self, body::Unreadable};
use crate::filter;
use crate::filter::host::{http_client, inputs};
use crate::store;
use crate::telemetry::metrics;

cases! {
    /// `types.verdict`
    Verdict: Lift {
        Next = "next",
        Replied = "replied",
        Reset = "reset",
    }
}

impl From<Verdict> for filter::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Next => Self::Next,
            Verdict::Replied => Self::Replied,
            Verdict::Reset => Self::Reset,
        }
    }
}

cases! {
    /// `types.chunk-verdict`
    ChunkVerdict: Lift {
        Keep = "keep",
        Replaced = "replaced",
        Reset = "reset",
    }
}

impl From<ChunkVerdict> for filter::Verdict {
    fn from(verdict: ChunkVerdict) -> Self {
        match verdict {
            ChunkVerdict::Keep => Self::Next,
            ChunkVerdict::Replaced => Self::Replied,
            ChunkVerdict::Reset => Self::Reset,
        }
    }
}

cases! {
    /// `types.body-error`
    BodyError: Lower {
        TooLarge = "too-large",
        PeerGone = "peer-gone",
        AlreadyStreamed = "already-streamed",
    }
}

impl From<Unreadable> for BodyError {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::TooLarge => Self::TooLarge,
            Unreadable::PeerGone => Self::PeerGone,
            Unreadable::AlreadyStreamed => Self::AlreadyStreamed,
        }
    }
}

record! {
    /// `http-client.outgoing`
    Outgoing: Lift as http_client::Call {
        cluster: String = "cluster",
        method: String = "method",
        target: String = "target",
        authority: Option<String> = "authority",
        fields: Vec<Field> = "fields",
        body: Vec<u8> = "body",
        trailers: Vec<Field> = "trailers",
        timeout_ms: u32 = "timeout-ms",
    }
}

impl From<Outgoing> for http_client::Call {
    fn from(outgoing: Outgoing) -> Self {
        let pairs = |fields: Vec<Field>| fields.into_iter().map(|field| (field.name, field.value)).collect();
        Self {
            cluster: outgoing.cluster,
            method: outgoing.method,
            target: outgoing.target,
            authority: outgoing.authority,
            fields: pairs(outgoing.fields),
            body: outgoing.body,
            trailers: pairs(outgoing.trailers),
            timeout: Duration::from_millis(u64::from(outgoing.timeout_ms)),
        }
    }
}

record! {
    /// `http-client.incoming`
    Incoming: Lower {
        status: u16 = "status",
        fields: Vec<Field> = "fields",
        body: Vec<u8> = "body",
        trailers: Vec<Field> = "trailers",
    }
}

impl From<http_client::Answer> for Incoming {
    fn from(answer: http_client::Answer) -> Self {
        Self {
            status: answer.status,
            fields: fields_of(&answer.fields),
            body: answer.body.into(),
            trailers: fields_of(&answer.trailers),
        }
    }
}

fn fields_of(map: &HeaderMap) -> Vec<Field> {
    map.iter().map(|(name, value)| Field { name: name.as_str().to_owned(), value: value.as_bytes().to_vec() }).collect()
}

cases! {
    /// `http-client.error`
    HttpError: Lower {
        NotAllowed = "not-allowed",
        NoSuchCluster = "no-such-cluster",
        NoHealthyEndpoint = "no-healthy-endpoint",
        Timeout = "timeout",
        Reset = "reset",
        TooLarge = "too-large",
        Protocol = "protocol",
    }
}

impl From<http_client::Error> for HttpError {
    fn from(error: http_client::Error) -> Self {
        match error {
            http_client::Error::NotAllowed => Self::NotAllowed,
            http_client::Error::NoSuchCluster => Self::NoSuchCluster,
            http_client::Error::NoHealthyEndpoint => Self::NoHealthyEndpoint,
            http_client::Error::Timeout => Self::Timeout,
            http_client::Error::Reset => Self::Reset,
            http_client::Error::TooLarge => Self::TooLarge,
            http_client::Error::Protocol => Self::Protocol,
        }
    }
}

cases! {
    /// `store.error`
    StoreError: Lower {
        NotAllowed = "not-allowed",
        Unavailable = "unavailable",
        TooLarge = "too-large",
    }
}

impl From<store::Error> for StoreError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NotAllowed => Self::NotAllowed,
            store::Error::Unavailable => Self::Unavailable,
            store::Error::TooLarge => Self::TooLarge,
        }
    }
}

cases! {
    /// `quota.kind`
    QuotaKind: Lift {
        Rate = "rate",
        Calendar = "calendar",
        Concurrency = "concurrency",
    }
}

record! {
    /// `quota.ask`
    Ask: Lift as store::Ask {
        key: String = "key",
        kind: QuotaKind = "kind",
        limit: u64 = "limit",
        window_ms: u64 = "window-ms",
        burst: u64 = "burst",
        cost: u64 = "cost",
    }
}

impl From<Ask> for store::Ask {
    fn from(ask: Ask) -> Self {
        let kind = match ask.kind {
            QuotaKind::Rate => store::Kind::Rate,
            QuotaKind::Calendar => store::Kind::Calendar,
            QuotaKind::Concurrency => store::Kind::Concurrency,
        };
        let Ask { key, limit, window_ms, burst, cost, .. } = ask;
        Self { key, kind, limit, window_ms, burst, cost }
    }
}

record! {
    /// `quota.decision`
    Decision: Lower {
        allowed: bool = "allowed",
        remaining: u64 = "remaining",
        retry_after_ms: u64 = "retry-after-ms",
        reset_after_ms: u64 = "reset-after-ms",
    }
}

impl From<store::Decision> for Decision {
    fn from(decision: store::Decision) -> Self {
        let store::Decision { allowed, remaining, retry_after_ms, reset_after_ms } = decision;
        Self { allowed, remaining, retry_after_ms, reset_after_ms }
    }
}

cases! {
    /// `metrics.kind`
    MetricKind: Lift {
        Counter = "counter",
        Gauge = "gauge",
        Histogram = "histogram",
    }
}

impl From<MetricKind> for metrics::Kind {
    fn from(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Counter => Self::Counter,
            MetricKind::Gauge => Self::Gauge,
            MetricKind::Histogram => Self::Histogram,
        }
    }
}

record! {
    /// `outcome.mirror-result`
    MirrorResult: Lower {
        status: u16 = "status",
        body_hash: u64 = "body-hash",
        duration_us: u64 = "duration-us",
    }
}

impl From<&exchange::MirrorResult> for MirrorResult {
    fn from(result: &exchange::MirrorResult) -> Self {
        Self {
            status: result.status,
            body_hash: result.body_hash,
            duration_us: u64::try_from(result.duration.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

record! {@define (Default)
    /// `types.field`
    Field: Lift, Lower {
        name: String = "name",
        value: Vec<u8> = "value",
    }
}

record!(@lower Field { name: String, value: Vec<u8>, });

/// Looked at where it is.
impl Lift for Field {
    type Value<'a> = (&'a str, &'a [u8]);
    type Owned = Self;

    fn of_owned(owned: &mut Self) -> Self::Value<'_> {
        (&owned.name, &owned.value)
    }

    fn lift<'a>(flat: &mut Flat<'_>, source: &mut Source<'a>) -> wasmtime::Result<Self::Value<'a>> {
        <(Str, Blob)>::lift(flat, source)
    }

    fn load<'a>(source: &mut Source<'a>, at: usize) -> wasmtime::Result<Self::Value<'a>> {
        <(Str, Blob)>::load(source, at)
    }
}

/// Fields that are kept.
impl Lift for Vec<Field> {
    type Value<'a> = Self;
    type Owned = Self;

    fn of_owned(owned: &mut Self) -> Self {
        std::mem::take(owned)
    }

    fn lift<'a>(flat: &mut Flat<'_>, source: &mut Source<'a>) -> wasmtime::Result<Self> {
        <List<Field>>::lift(flat, source).map(kept)
    }

    fn load<'a>(source: &mut Source<'a>, at: usize) -> wasmtime::Result<Self> {
        <List<Field>>::load(source, at).map(kept)
    }
}

fn kept(fields: Vec<(&str, &[u8])>) -> Vec<Field> {
    fields.into_iter().map(|(name, value)| Field { name: name.to_owned(), value: value.to_vec() }).collect()
}

record! {
    /// `configure.input`
    Input: Lower {
        name: Arc<str> = "name",
        content: Arc<[u8]> = "content",
    }
}

impl Input {
    pub fn all(inputs: &inputs::Inputs) -> Vec<Self> {
        inputs.iter().map(|input| Self { name: Arc::clone(&input.name), content: Arc::clone(&input.content) }).collect()
    }
}

cases! {
    /// `log.severity`
    Severity: Lift {
        Trace = "trace",
        Debug = "debug",
        Info = "info",
        Warn = "warn",
        Error = "error",
    }
}

impl From<Severity> for tracing::Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Trace => Self::TRACE,
            Severity::Debug => Self::DEBUG,
            Severity::Info => Self::INFO,
            Severity::Warn => Self::WARN,
            Severity::Error => Self::ERROR,
        }
    }
}
