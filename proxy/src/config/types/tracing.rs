//! `[tracing]`: which exchanges are traced, in whose words the trace goes on, and who collects the spans.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::super::defaults;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    /// In which words a trace may come; the first that is there counts.
    pub accept: Vec<Propagation>,
    /// In which words it goes on. Fields of the others are removed.
    pub emit: Vec<Propagation>,
    /// Whether the trace of a peer that is not trusted goes on here, or a new one begins.
    pub accept_from: AcceptFrom,
    /// Of the exchanges with which a trace begins, how many are sampled: from 0 to 1.
    pub sample: f64,
    /// A trusted peer that sends this field has its exchange traced.
    pub force_header: Option<http::HeaderName>,
    pub service: String,
    /// Of the resource, which is this process.
    pub attributes: BTreeMap<String, String>,
    /// Without it, traces go on, but nothing is told of this proxy.
    pub export: Option<Export>,
}

/// Where spans go, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    pub endpoint: http::Uri,
    pub protocol: ExportProtocol,
    /// Sent with each request, for a token say.
    pub fields: BTreeMap<String, String>,
    /// Authorities that the collector is trusted by, besides those of the system.
    pub ca: Option<PathBuf>,
    /// Of the connection there.
    pub mark: Option<u32>,
    /// Exchanges whose spans wait.
    pub queue: usize,
    /// Exchanges whose spans are sent at once.
    pub batch: usize,
    /// How long the first of a batch waits for others.
    pub batch_wait: Duration,
    /// Of one attempt to send a batch.
    pub timeout: Duration,
    /// To send a batch, in all.
    pub attempts: u32,
}

/// `"w3c" | "b3" | "b3-single"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    W3c,
    B3,
    B3Single,
}

/// `"any" | "trusted"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptFrom {
    Any,
    Trusted,
}

/// `"otlp-http" | "otlp-grpc" | "zipkin"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportProtocol {
    OtlpHttp,
    OtlpGrpc,
    Zipkin,
}

impl Default for Tracing {
    fn default() -> Self {
        Self {
            accept: vec![Propagation::W3c],
            emit: vec![Propagation::W3c],
            accept_from: AcceptFrom::Any,
            sample: defaults::TRACING_SAMPLE,
            force_header: None,
            service: "tamis".to_owned(),
            attributes: BTreeMap::new(),
            export: None,
        }
    }
}

impl Export {
    pub fn to(endpoint: http::Uri, protocol: ExportProtocol) -> Self {
        Self {
            endpoint,
            protocol,
            fields: BTreeMap::new(),
            ca: None,
            mark: None,
            queue: defaults::TRACING_QUEUE,
            batch: defaults::TRACING_BATCH,
            batch_wait: defaults::TRACING_BATCH_WAIT,
            timeout: defaults::TRACING_TIMEOUT,
            attempts: defaults::TRACING_ATTEMPTS,
        }
    }
}
