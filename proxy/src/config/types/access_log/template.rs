//! Texts with values of an exchange in them: `{source} "{method} {path}" {status}`. The syntax is that of the filters that ship.

use std::sync::Arc;

use http::HeaderName;

use crate::config::words::{nearest, shortened};

/// Values and what stands between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTemplate {
    pub parts: Vec<LogPart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPart {
    Text(Arc<str>),
    Value {
        value: LogValue,
        /// What stands in where there is no value, or an empty one.
        missing: Arc<str>,
        /// Double quotes stand around it, so that a space does not end it.
        quoted: bool,
    },
}

/// Something that is known of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogValue {
    Time,
    TimeClf,
    TimeUnixMs,
    Listener,
    Method,
    Scheme,
    Host,
    Authority,
    Path,
    Query,
    Protocol,
    HttpVersion,
    Status,
    Reason,
    Error,
    Cluster,
    Endpoint,
    Route,
    Attempts,
    RequestBytes,
    ResponseBytes,
    DurationUs,
    DurationMs,
    RequestId,
    TraceId,
    SpanId,
    Source,
    Peer,
    TlsVersion,
    ServerName,
    Identity,
    Notes,
    Filters,
    UpstreamAttempts,
    Header(HeaderName),
    ResponseHeader(HeaderName),
    Cookie(Arc<str>),
    Parameter(Arc<str>),
    Note(Arc<str>),
    /// Of the path, counted from one.
    Segment(usize),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateMistake {
    pub message: String,
    pub help: Option<String>,
}

/// What stands in where nothing else is said: a dash, as in Apache's logs, so that no column is lost.
const MISSING: &str = "-";

impl LogValue {
    /// Those that take no name of their own.
    pub const PLAIN: &[(&'static str, LogValue)] = &[
        ("time", LogValue::Time),
        ("time-clf", LogValue::TimeClf),
        ("time-unix-ms", LogValue::TimeUnixMs),
        ("listener", LogValue::Listener),
        ("method", LogValue::Method),
        ("scheme", LogValue::Scheme),
        ("host", LogValue::Host),
        ("authority", LogValue::Authority),
        ("path", LogValue::Path),
        ("query", LogValue::Query),
        ("protocol", LogValue::Protocol),
        ("http-version", LogValue::HttpVersion),
        ("status", LogValue::Status),
        ("reason", LogValue::Reason),
        ("error", LogValue::Error),
        ("cluster", LogValue::Cluster),
        ("endpoint", LogValue::Endpoint),
        ("route", LogValue::Route),
        ("attempts", LogValue::Attempts),
        ("request-bytes", LogValue::RequestBytes),
        ("response-bytes", LogValue::ResponseBytes),
        ("duration-us", LogValue::DurationUs),
        ("duration-ms", LogValue::DurationMs),
        ("request-id", LogValue::RequestId),
        ("trace-id", LogValue::TraceId),
        ("span-id", LogValue::SpanId),
        ("source", LogValue::Source),
        ("peer", LogValue::Peer),
        ("tls-version", LogValue::TlsVersion),
        ("server-name", LogValue::ServerName),
        ("identity", LogValue::Identity),
        ("notes", LogValue::Notes),
        ("filters", LogValue::Filters),
        ("upstream-attempts", LogValue::UpstreamAttempts),
    ];
    /// Those that do, with what stands before the colon.
    const NAMED: [&str; 6] = ["header", "response-header", "cookie", "query", "note", "segment"];

    fn parse(text: &str) -> Option<Self> {
        let Some((kind, name)) = text.split_once(':') else {
            // Where the router leaves the values of its path template.
            if text.len() > "path.".len() && text.starts_with("path.") {
                return Some(LogValue::Note(text.into()));
            }
            return Self::PLAIN.iter().find(|(known, _)| *known == text).map(|(_, value)| value.clone());
        };
        let field = || HeaderName::from_bytes(name.as_bytes()).ok();
        let named = || (!name.is_empty()).then(|| Arc::from(name));
        match kind {
            "header" => field().map(LogValue::Header),
            "response-header" => field().map(LogValue::ResponseHeader),
            "cookie" => named().map(LogValue::Cookie),
            "query" => named().map(LogValue::Parameter),
            "note" => named().map(LogValue::Note),
            "segment" => name.parse().ok().filter(|number| *number > 0).map(LogValue::Segment),
            _ => None,
        }
    }
}

impl LogTemplate {
    /// Reads a template for one line.
    pub fn parse(text: &str) -> Result<Self, TemplateMistake> {
        let mistake = |message: String| TemplateMistake { message, help: None };
        if let Some(bad) = text.chars().find(|c| c.is_control() && *c != '\t') {
            return Err(mistake(format!("expected a template of one line, found {bad:?} in it")));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut quoted = false;
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            literal.push_str(&rest[..brace]);
            rest = &rest[brace..];
            if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
                literal.push_str(&rest[..1]);
                rest = after;
                continue;
            }
            let Some(end) = rest.find('}').filter(|_| rest.starts_with('{')) else {
                return Err(mistake(format!("expected `{{` and `}}` in pairs, or doubled, found {:?}", shortened(text))));
            };
            quoted ^= literal.matches('"').count() % 2 == 1;
            if !literal.is_empty() {
                parts.push(LogPart::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(value(&rest[1..end], quoted)?);
            rest = &rest[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(LogPart::Text(literal.into()));
        }
        Ok(Self { parts })
    }

    pub fn values(&self) -> impl Iterator<Item = &LogValue> {
        self.parts.iter().filter_map(|part| match part {
            LogPart::Value { value, .. } => Some(value),
            LogPart::Text(_) => None,
        })
    }

    /// The one value that it is, if it is nothing else.
    pub fn only_value(&self) -> Option<&LogValue> {
        match self.parts.as_slice() {
            [LogPart::Value { value, missing, .. }] if **missing == *MISSING => Some(value),
            _ => None,
        }
    }
}

/// What stands between two braces.
fn value(text: &str, quoted: bool) -> Result<LogPart, TemplateMistake> {
    let (name, missing) = text.split_once('|').unwrap_or((text, MISSING));
    if let Some(value) = LogValue::parse(name) {
        return Ok(LogPart::Value { value, missing: missing.into(), quoted });
    }
    let (kind, of) = name.split_once(':').map_or((name, None), |(kind, of)| (kind, Some(of)));
    let named = |kind: &str| match kind {
        "segment" => "segment:1".to_owned(),
        kind => format!("{kind}:{}", of.filter(|of| !of.is_empty()).unwrap_or("NAME")),
    };
    let plain = LogValue::PLAIN.iter().map(|(known, _)| *known);
    let near = match of {
        Some(_) => nearest(kind, LogValue::NAMED.into_iter()).map(named),
        None => nearest(kind, plain.chain(LogValue::NAMED))
            .map(|near| if LogValue::PLAIN.iter().any(|(known, _)| *known == near) { near.to_owned() } else { named(near) }),
    };
    let help = match near.filter(|near| near != name) {
        Some(near) => format!("did you mean `{{{near}}}`?"),
        None => "docs/access-log.md has all of them".to_owned(),
    };
    let message = format!("expected a value such as `{{status}}` or `{{header:NAME}}`, found `{{{}}}`", shortened(name));
    Err(TemplateMistake { message, help: Some(help) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_knows_whether_it_is_quoted() {
        let template = LogTemplate::parse(r#"{{{source}}} "{path|none} {header:X-A}" {path.id}{note:a:b}"#).expect("valid");
        let values = template.parts.iter().filter_map(|part| match part {
            LogPart::Value { value, missing, quoted } => Some((value.clone(), &**missing, *quoted)),
            LogPart::Text(_) => None,
        });
        let expected = [
            (LogValue::Source, "-", false),
            (LogValue::Path, "none", true),
            (LogValue::Header(HeaderName::from_static("x-a")), "-", true),
            (LogValue::Note("path.id".into()), "-", false),
            (LogValue::Note("a:b".into()), "-", false),
        ];
        assert_eq!(values.collect::<Vec<_>>(), expected);
        assert_eq!(template.parts[0], LogPart::Text("{".into()));
    }

    #[test]
    fn what_is_no_template_is_refused_with_what_may_be_meant() {
        for (bad, help) in [
            ("{", None),
            ("}", None),
            ("a}b", None),
            ("{method} {staus}", Some("`{status}`")),
            ("{request_id}", Some("`{request-id}`")),
            ("{headers:via}", Some("`{header:via}`")),
            ("{header:}", Some("`{header:NAME}`")),
            ("{cookie}", Some("`{cookie:NAME}`")),
            ("{segment:0}", Some("`{segment:1}`")),
            ("{}", Some("docs/access-log.md")),
            ("{upstream.color}", Some("docs/access-log.md")),
            ("a\nb", None),
        ] {
            let mistake = LogTemplate::parse(bad).expect_err(bad);
            assert_eq!(mistake.help.is_some(), help.is_some(), "{bad}: {mistake:?}");
            assert!(help.is_none_or(|help| mistake.help.as_ref().is_some_and(|found| found.contains(help))), "{mistake:?}");
        }
    }

    #[test]
    fn every_plain_value_is_found_by_its_name() {
        for (name, value) in LogValue::PLAIN {
            assert_eq!(LogTemplate::parse(&format!("{{{name}}}")).expect(name).only_value(), Some(value));
        }
    }
}
