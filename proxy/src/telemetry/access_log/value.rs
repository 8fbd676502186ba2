//! What is known of an exchange, value by value: found without copying, shown as text or with its own type.

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use super::entry::{Entry, Fields};
use super::plain;
use super::trail::{Attempts, Hooks};
use crate::config::LogValue;
use crate::telemetry::propagation::Hex;
use crate::telemetry::redact::{self, HIDDEN, Redact};
use http::HeaderName;

/// A value that was asked for.
#[derive(Clone, Copy)]
pub enum Found<'a> {
    /// There is none, or it is empty.
    Nothing,
    Text(&'a str),
    Number(u64),
    /// Microseconds, shown in milliseconds.
    Millis(u64),
    Time(SystemTime),
    Clf(SystemTime),
    Address(SocketAddr),
    TraceId(Hex<u128>),
    SpanId(Hex<u64>),
    Ip(IpAddr),
    Bytes(&'a [u8]),
    Query(redact::Query<'a>),
    Fields(&'a Redact, &'a HeaderName, &'a Fields),
    Notes(&'a Redact, &'a [(String, String)]),
    Hooks(Hooks<'a>),
    Attempts(Attempts<'a>),
}

/// Looks a value up.
pub fn find<'a>(value: &'a LogValue, entry: &Entry<'a>, redact: &'a Redact) -> Found<'a> {
    let text = |text: Option<&'a str>| text.filter(|text| !text.is_empty()).map_or(Found::Nothing, Found::Text);
    match value {
        LogValue::Time => Found::Time(entry.time),
        LogValue::TimeClf => Found::Clf(entry.time),
        LogValue::TimeUnixMs => {
            let since = entry.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            Found::Number(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
        }
        LogValue::Listener => Found::Text(entry.listener),
        LogValue::Method => text(entry.method),
        LogValue::Scheme => text(entry.scheme),
        LogValue::Host => text(entry.authority.map(without_port)),
        LogValue::Authority => text(entry.authority),
        LogValue::Path => text(entry.path),
        LogValue::Query => {
            entry.query.filter(|query| !query.is_empty()).map_or(Found::Nothing, |query| Found::Query(redact.query(query)))
        }
        LogValue::Protocol => Found::Text(entry.protocol),
        LogValue::HttpVersion => text(match entry.protocol {
            "http/1.0" => Some("HTTP/1.0"),
            "http/1.1" => Some("HTTP/1.1"),
            "h2" => Some("HTTP/2.0"),
            _ => None,
        }),
        LogValue::Status => Found::Number(entry.status.into()),
        LogValue::Reason => Found::Text(entry.reason),
        LogValue::Error => text(entry.error),
        LogValue::Cluster => text(entry.cluster),
        LogValue::Endpoint => entry.endpoint.map_or(Found::Nothing, Found::Address),
        LogValue::Route => text(entry.route),
        LogValue::Attempts => Found::Number(entry.attempts.into()),
        LogValue::RequestBytes => Found::Number(entry.request_bytes),
        LogValue::ResponseBytes => Found::Number(entry.response_bytes),
        LogValue::DurationUs => Found::Number(micros(entry)),
        LogValue::DurationMs => Found::Millis(micros(entry)),
        LogValue::RequestId => text(entry.request_id),
        LogValue::TraceId => entry.trace_id.map_or(Found::Nothing, Found::TraceId),
        LogValue::SpanId => entry.span_id.map_or(Found::Nothing, Found::SpanId),
        LogValue::Source => Found::Ip(entry.source),
        LogValue::Peer => Found::Address(entry.peer),
        LogValue::TlsVersion => text(entry.tls_version),
        LogValue::ServerName => text(entry.server_name),
        LogValue::Identity => text(entry.identity),
        LogValue::Notes if entry.notes.is_empty() => Found::Nothing,
        LogValue::Notes => Found::Notes(redact, entry.notes),
        LogValue::Filters => entry.trail.map_or(Found::Nothing, |trail| Found::Hooks(Hooks(trail))),
        LogValue::UpstreamAttempts => entry.trail.map_or(Found::Nothing, |trail| Found::Attempts(Attempts(trail))),
        LogValue::Header(name) => fields(redact, name, entry.request_fields),
        LogValue::ResponseHeader(name) => fields(redact, name, entry.response_fields),
        LogValue::Cookie(name) => match cookie(entry.request_fields, name) {
            Some(_) if redact.hides_cookies() => Found::Text(HIDDEN),
            Some(value) => Found::Bytes(value),
            None => Found::Nothing,
        },
        LogValue::Parameter(name) => match parameter(entry.query.unwrap_or_default(), name) {
            Some((key, _)) if redact.hides_parameter(key) => Found::Text(HIDDEN),
            found => text(found.map(|(_, value)| value)),
        },
        LogValue::Note(name) => {
            let note = entry.notes.iter().find(|(known, _)| **known == **name);
            text(note.map(|(name, value)| redact.note(name, value)))
        }
        LogValue::Segment(number) => text(entry.path.and_then(|path| path.split('/').nth(*number))),
    }
}

fn micros(entry: &Entry<'_>) -> u64 {
    u64::try_from(entry.duration.as_micros()).unwrap_or(u64::MAX)
}

fn fields<'a>(redact: &'a Redact, name: &'a HeaderName, fields: &'a Fields) -> Found<'a> {
    if fields.get_all(name).any(|value| !value.is_empty()) { Found::Fields(redact, name, fields) } else { Found::Nothing }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// The first cookie of that name which is not empty.
fn cookie<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    let pairs = fields.get_all(&http::header::COOKIE).flat_map(|value| value.split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| {
        let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        (!value.is_empty()).then_some(value)
    })
}

/// The first parameter of that name, with the name as it stands in the query.
fn parameter<'a>(query: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)
}

impl Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Found::Nothing => Ok(()),
            Found::Text(text) => f.write_str(text),
            Found::Number(number) => number.fmt(f),
            Found::Millis(micros) => write!(f, "{}.{:03}", micros / 1000, micros % 1000),
            Found::Time(time) => humantime::format_rfc3339_millis(time).fmt(f),
            Found::Clf(time) => f.write_str(std::str::from_utf8(&plain::clf(time)).unwrap_or_default()),
            Found::Address(address) => address.fmt(f),
            Found::TraceId(id) => id.fmt(f),
            Found::SpanId(id) => id.fmt(f),
            Found::Ip(address) => address.fmt(f),
            Found::Bytes(bytes) => redact::Field::Shown(bytes).fmt(f),
            Found::Query(query) => query.fmt(f),
            Found::Fields(redact, name, fields) => {
                for (at, value) in fields.get_all(name).enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    redact.field(name, value).fmt(f)?;
                }
                Ok(())
            }
            Found::Hooks(ref hooks) => hooks.fmt(f),
            Found::Attempts(ref attempts) => attempts.fmt(f),
            Found::Notes(redact, notes) => {
                for (at, (name, value)) in notes.iter().enumerate() {
                    write!(f, "{}{name}={}", if at > 0 { ";" } else { "" }, redact.note(name, value))?;
                }
                Ok(())
            }
        }
    }
}
