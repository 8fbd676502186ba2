//! Which exchanges have a line in the access log, and what is in it.

mod template;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use template::{LogPart, LogTemplate, LogValue, TemplateMistake};

use super::defaults;

/// `[access-log]`: one line an exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    pub output: AccessLogOutput,
    pub format: LogFormat,
    /// Of the exchanges that `when` does not name, how many have a line: from 0 to 1.
    pub sample: f64,
    pub when: LogWhen,
    /// Lines of one worker that wait for a slow output before further ones are dropped and counted.
    pub queue: usize,
}

/// `output = "stdout" | "off" | "a/path.log"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogOutput {
    Stdout,
    Off,
    File(PathBuf),
}

/// `format = "json" | "common" | "combined" | "{method} {path}"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFormat {
    /// The names of the fields in the order of the line.
    Json(Vec<(Arc<str>, LogField)>),
    Text(LogTemplate),
}

/// What a field of a JSON line holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogField {
    /// With its own type; left out where there is none.
    Value(LogValue),
    Text(LogTemplate),
}

/// `when = { status-min = 500, slower-than = "1s" }`: exchanges that always have a line, for any one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogWhen {
    /// The proxy could not do what was asked for: answers of its own but those with 4xx, and exchanges that broke off.
    pub failures: bool,
    pub status_min: Option<u16>,
    pub slower_than: Option<Duration>,
    /// More than one endpoint was asked.
    pub retried: bool,
}

impl LogFormat {
    /// The fields of a JSON line, where the configuration chooses none.
    pub const FIELDS: &[(&'static str, LogValue)] = &[
        ("time", LogValue::Time),
        ("listener", LogValue::Listener),
        ("method", LogValue::Method),
        ("host", LogValue::Authority),
        ("path", LogValue::Path),
        ("protocol", LogValue::Protocol),
        ("status", LogValue::Status),
        ("reason", LogValue::Reason),
        ("error", LogValue::Error),
        ("cluster", LogValue::Cluster),
        ("endpoint", LogValue::Endpoint),
        ("route", LogValue::Route),
        ("attempts", LogValue::Attempts),
        ("request_bytes", LogValue::RequestBytes),
        ("response_bytes", LogValue::ResponseBytes),
        ("duration_us", LogValue::DurationUs),
        ("request_id", LogValue::RequestId),
        ("trace_id", LogValue::TraceId),
        ("span_id", LogValue::SpanId),
        ("source", LogValue::Source),
        ("identity", LogValue::Identity),
        ("notes", LogValue::Notes),
    ];
    /// Further fields that a JSON line has if it is asked for them.
    pub const MORE_FIELDS: &[(&'static str, LogValue)] = &[
        ("scheme", LogValue::Scheme),
        ("query", LogValue::Query),
        ("duration_ms", LogValue::DurationMs),
        ("peer", LogValue::Peer),
        ("tls_version", LogValue::TlsVersion),
        ("server_name", LogValue::ServerName),
        ("filters", LogValue::Filters),
        ("upstream_attempts", LogValue::UpstreamAttempts),
    ];
    /// Formats of a name: Apache's, without the query, which may hold secrets.
    pub const NAMED: &[(&'static str, &'static str)] = &[
        ("common", r#"{source} - - [{time-clf}] "{method} {path} {http-version}" {status} {response-bytes}"#),
        (
            "combined",
            r#"{source} - - [{time-clf}] "{method} {path} {http-version}" {status} {response-bytes} "{header:referer}" "{header:user-agent}""#,
        ),
    ];

    /// Every value that it asks for.
    pub fn values(&self) -> Vec<&LogValue> {
        match self {
            LogFormat::Json(fields) => fields.iter().flat_map(|(_, field)| field.values()).collect(),
            LogFormat::Text(template) => template.values().collect(),
        }
    }
}

impl LogField {
    fn values(&self) -> Vec<&LogValue> {
        match self {
            LogField::Value(value) => vec![value],
            LogField::Text(template) => template.values().collect(),
        }
    }
}

impl Default for LogFormat {
    fn default() -> Self {
        let fields = Self::FIELDS.iter().map(|(name, value)| (Arc::from(*name), LogField::Value(value.clone())));
        LogFormat::Json(fields.collect())
    }
}

impl Default for LogWhen {
    fn default() -> Self {
        Self { failures: true, status_min: None, slower_than: None, retried: false }
    }
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            output: AccessLogOutput::Stdout,
            format: LogFormat::default(),
            sample: 1.0,
            when: LogWhen::default(),
            queue: defaults::ACCESS_LOG_QUEUE,
        }
    }
}
