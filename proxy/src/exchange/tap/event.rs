//! One exchange as those who watch see it: a JSON object with the names of the access log, its heads and what happened in it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::Over;
use super::super::trail::What;
use crate::telemetry::propagation::Hex;
use crate::telemetry::redact::{HIDDEN, Redact};

#[derive(Serialize)]
struct Event<'a> {
    time: String,
    listener: &'a str,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    protocol: &'a str,
    /// 0: the client got none.
    status: u16,
    reason: &'a str,
    error: Option<&'a str>,
    cluster: Option<&'a str>,
    endpoint: Option<SocketAddr>,
    route: Option<&'a str>,
    attempts: u32,
    request_bytes: u64,
    response_bytes: u64,
    duration_us: u64,
    request_id: &'a str,
    trace_id: Option<String>,
    source: IpAddr,
    tls: Option<Value>,
    notes: Value,
    request: Message,
    response: Message,
    filters: Vec<Value>,
    tries: Vec<Value>,
    /// Hooks and attempts beyond those that are told.
    left_out: u32,
}

#[derive(Default, Serialize)]
struct Message {
    headers: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_encoding: Option<&'static str>,
    /// There was more of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_cut: Option<bool>,
}

/// With this much of each body.
pub fn written(over: &Over<'_>, body_bytes: usize, redact: &Redact) -> Bytes {
    let exchange = over.exchange;
    let connection = &exchange.connection;
    let (mut request, mut response) = (message(&exchange.request.headers, redact), Message::default());
    if let Some(parts) = &exchange.response {
        response = message(&parts.headers, redact);
    }
    if let Some(kept) = exchange.inflow.as_ref().and_then(|inflow| inflow.kept()) {
        request.headers = fields(&kept.request_headers, redact);
        if body_bytes > 0 {
            let bodies = kept.bodies();
            request.show(&bodies.0, body_bytes, over.request_bytes);
            response.show(&bodies.1, body_bytes, over.response_bytes);
        }
    }
    let (filters, tries) = steps(over);
    let event = Event {
        time: humantime::format_rfc3339_millis(over.time).to_string(),
        listener: &connection.listener,
        method: if exchange.raw.is_none() { over.method.as_str() } else { "" },
        host: over.host,
        path: if exchange.raw.is_none() { over.path } else { "" },
        protocol: exchange.protocol(),
        status: over.status,
        reason: over.origin.reason(),
        error: over.error,
        cluster: exchange.destination.cluster.as_deref(),
        endpoint: over.attempt.endpoint,
        route: exchange.destination.route.as_deref(),
        attempts: over.attempt.count,
        request_bytes: over.request_bytes,
        response_bytes: over.response_bytes,
        duration_us: us(over.duration),
        request_id: &exchange.id,
        trace_id: exchange.trace.map(|trace| Hex(trace.context.trace).to_string()),
        source: exchange.source,
        tls: connection.tls_version.map(|version| json!({ "version": version, "server_name": connection.server_name })),
        notes: exchange.notes.iter().map(|(key, value)| (key.clone(), Value::from(redact.note(key, value)))).collect(),
        request,
        response,
        filters,
        tries,
        left_out: over.trail.left_out(),
    };
    serde_json::to_vec(&event).unwrap_or_default().into()
}

impl Message {
    fn show(&mut self, kept: &[u8], bytes_max: usize, bytes: u64) {
        let shown = &kept[..kept.len().min(bytes_max)];
        self.body_cut = ((shown.len() as u64) < bytes).then_some(true);
        match std::str::from_utf8(shown) {
            Ok(text) => self.body = Some(text.to_owned()),
            // A character that was cut in two makes no text binary.
            Err(error) if error.error_len().is_none() && self.body_cut.is_some() => {
                self.body = Some(String::from_utf8_lossy(&shown[..error.valid_up_to()]).into_owned());
            }
            Err(_) => (self.body, self.body_encoding) = (Some(base64(shown)), Some("base64")),
        }
    }
}

fn message(headers: &HeaderMap, redact: &Redact) -> Message {
    Message { headers: fields(headers, redact), ..Message::default() }
}

fn fields(headers: &HeaderMap, redact: &Redact) -> Vec<(String, String)> {
    let shown = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let shown = redact.field(name, value.as_bytes());
        let value = if value.is_sensitive() { HIDDEN.to_owned() } else { shown.to_string() };
        (name.as_str().to_owned(), value)
    };
    headers.iter().map(shown).collect()
}

fn steps(over: &Over<'_>) -> (Vec<Value>, Vec<Value>) {
    let (mut filters, mut tries) = (Vec::new(), Vec::new());
    for step in over.trail.steps().iter() {
        let at_us = us(step.began.saturating_duration_since(over.started));
        match &step.what {
            What::Hook(hook) => filters.push(json!({
                "name": &*hook.filter,
                "version": format!("sha256:{}", hook.module),
                "hook": hook.hook,
                "verdict": hook.result,
                "failed": hook.failed,
                "calls": hook.calls,
                "us": us(hook.busy),
                "at_us": at_us,
            })),
            What::Attempt(attempt) => {
                let mut told = json!({
                    "cluster": &*attempt.cluster,
                    "endpoint": attempt.endpoint,
                    "number": attempt.number,
                    "hedged": attempt.hedged,
                    // Requests of filters' own are told beside the client's.
                    "by_filter": attempt.by.is_some(),
                    "us": step.took.map(us),
                    "at_us": at_us,
                });
                match attempt.result {
                    Some(Ok(status)) => told["status"] = status.as_u16().into(),
                    Some(Err(kind)) => told["failure"] = kind.reason().into(),
                    None => told["failure"] = "given-up".into(),
                }
                tries.push(told);
            }
        }
    }
    (filters, tries)
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// RFC 4648, 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for piece in bytes.chunks(3) {
        let word = piece.iter().enumerate().fold(0_u32, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= piece.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_base64() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"\xff\xfe\xfd\xfc", "//79/A==")]
        {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn a_body_is_cut_between_characters() {
        let mut message = Message::default();
        message.show("é".as_bytes(), 1, 2);
        assert_eq!((message.body.as_deref(), message.body_encoding, message.body_cut), (Some(""), None, Some(true)));
        let mut message = Message::default();
        message.show(b"ab", 8, 2);
        assert_eq!((message.body.as_deref(), message.body_cut), (Some("ab"), None));
    }

    #[test]
    fn what_lets_somebody_in_is_not_shown() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer secret".parse().expect("a value"));
        headers.append("accept", "a".parse().expect("a value"));
        headers.append("accept", "b".parse().expect("a value"));
        let redact = Redact::new(&crate::config::Redact::default());
        let shown: Vec<_> = fields(&headers, &redact).into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(shown, ["authorization: [redacted]", "accept: a", "accept: b"]);
    }
}
