//! The types of wit/ as the canonical ABI lifts and lowers them, and what they mean inside.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::exchange::{self, body::Unreadable};
use crate::filter;
use crate::filter::host::{http_client, inputs};
use crate::store;
use crate::telemetry::metrics;

/// `types.verdict`
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Verdict {
    #[component(name = "next")]
    Next,
    #[component(name = "replied")]
    Replied,
    #[component(name = "reset")]
    Reset,
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

/// `types.chunk-verdict`
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum ChunkVerdict {
    #[component(name = "keep")]
    Keep,
    #[component(name = "replaced")]
    Replaced,
    #[component(name = "reset")]
    Reset,
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

/// `types.body-error`
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum BodyError {
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "peer-gone")]
    PeerGone,
    #[component(name = "already-streamed")]
    AlreadyStreamed,
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

/// `http-client.outgoing`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct Outgoing {
    pub cluster: String,
    pub method: String,
    pub target: String,
    pub authority: Option<String>,
    pub fields: Vec<Field>,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
    #[component(name = "timeout-ms")]
    pub timeout_ms: u32,
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

/// `http-client.incoming`
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub struct Incoming {
    pub status: u16,
    pub fields: Vec<Field>,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
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

/// `http-client.error`
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum HttpError {
    #[component(name = "not-allowed")]
    NotAllowed,
    #[component(name = "no-such-cluster")]
    NoSuchCluster,
    #[component(name = "no-healthy-endpoint")]
    NoHealthyEndpoint,
    #[component(name = "timeout")]
    Timeout,
    #[component(name = "reset")]
    Reset,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "protocol")]
    Protocol,
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

/// `store.error`
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum StoreError {
    #[component(name = "not-allowed")]
    NotAllowed,
    #[component(name = "unavailable")]
    Unavailable,
    #[component(name = "too-large")]
    TooLarge,
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

/// `quota.kind`
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum QuotaKind {
    #[component(name = "rate")]
    Rate,
    #[component(name = "calendar")]
    Calendar,
    #[component(name = "concurrency")]
    Concurrency,
}

/// `quota.ask`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct Ask {
    pub key: String,
    pub kind: QuotaKind,
    pub limit: u64,
    #[component(name = "window-ms")]
    pub window_ms: u64,
    pub burst: u64,
    pub cost: u64,
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

/// `quota.decision`
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub struct Decision {
    pub allowed: bool,
    pub remaining: u64,
    #[component(name = "retry-after-ms")]
    pub retry_after_ms: u64,
    #[component(name = "reset-after-ms")]
    pub reset_after_ms: u64,
}

impl From<store::Decision> for Decision {
    fn from(decision: store::Decision) -> Self {
        let store::Decision { allowed, remaining, retry_after_ms, reset_after_ms } = decision;
        Self { allowed, remaining, retry_after_ms, reset_after_ms }
    }
}

/// `metrics.kind`
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum MetricKind {
    #[component(name = "counter")]
    Counter,
    #[component(name = "gauge")]
    Gauge,
    #[component(name = "histogram")]
    Histogram,
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

/// `outcome.mirror-result`
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub struct MirrorResult {
    pub status: u16,
    #[component(name = "body-hash")]
    pub body_hash: u64,
    #[component(name = "duration-us")]
    pub duration_us: u64,
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

/// `types.field`
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Field {
    pub name: String,
    pub value: Vec<u8>,
}

/// `configure.input`
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub struct Input {
    pub name: Arc<str>,
    pub content: Arc<[u8]>,
}

impl Input {
    pub fn all(inputs: &inputs::Inputs) -> Vec<Self> {
        inputs.iter().map(|input| Self { name: Arc::clone(&input.name), content: Arc::clone(&input.content) }).collect()
    }
}

/// `log.severity`
#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Severity {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
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
