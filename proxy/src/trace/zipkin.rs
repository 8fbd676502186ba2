//! Zipkin's JSON, version 2 (`zipkin2-api.yaml`): a list of spans, whose tags are all texts.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value as Json, json};

use super::span::{Kind, Span, Value};
use crate::config::Tracing;
use crate::telemetry::propagation::Hex;

/// One list with all of these.
pub fn encode(tracing: &Tracing, spans: &[Span]) -> Vec<u8> {
    Json::Array(spans.iter().map(|span| convert(tracing, span)).collect()).to_string().into_bytes()
}

fn convert(tracing: &Tracing, span: &Span) -> Json {
    // There is no place for what holds for a whole process.
    let mut tags: Map<String, Json> = tracing.attributes.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    for (key, value) in &span.attributes {
        let text = match value {
            Value::Text(text) => text.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Flag(flag) => flag.to_string(),
        };
        tags.insert(key.to_string(), text.into());
    }
    if let Some(words) = &span.error {
        tags.insert("error".to_owned(), if words.is_empty() { "true".into() } else { words.as_str().into() });
    }
    let since = span.began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let mut told = json!({
        "traceId": Hex(span.trace).to_string(),
        "id": Hex(span.id).to_string(),
        "name": span.name.to_lowercase(),
        "timestamp": micros(since),
        "duration": micros(span.took).max(1),
        "localEndpoint": { "serviceName": tracing.service.to_lowercase() },
        "tags": tags,
    });
    if span.parent != 0 {
        told["parentId"] = Hex(span.parent).to_string().into();
    }
    match span.kind {
        Kind::Internal => {}
        Kind::Server => told["kind"] = "SERVER".into(),
        Kind::Client => told["kind"] = "CLIENT".into(),
    }
    if let Some(remote) = span.remote {
        let family = if remote.is_ipv4() { "ipv4" } else { "ipv6" };
        told["remoteEndpoint"] = json!({ family: remote.ip().to_string(), "port": remote.port() });
    }
    told
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
