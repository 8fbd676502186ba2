//! A line as JSON, or as a template says.

use std::fmt::{self, Write};

use super::entry::Entry;
use super::escape::{Apache, Json, apache, json};
use super::plain;
use super::value::{Found, find};
use crate::config::{LogField, LogFormat, LogPart, LogTemplate};
use crate::telemetry::redact::Redact;

/// How lines look, made ready to write many.
#[derive(Debug)]
pub enum Format {
    /// `,"name":` as JSON has it, and what follows.
    Json(Box<[(String, LogField)]>),
    Text(LogTemplate),
}

impl Format {
    pub fn new(config: &LogFormat) -> Self {
        match config {
            LogFormat::Json(fields) => {
                let key = |name: &str| format!(",{}:", serde_json::Value::from(name));
                Self::Json(fields.iter().map(|(name, field)| (key(name), field.clone())).collect())
            }
            LogFormat::Text(template) => Self::Text(template.clone()),
        }
    }

    /// Appends the line of an exchange, or nothing if it cannot be written.
    pub fn write(&self, lines: &mut Vec<u8>, entry: &Entry<'_>, redact: &Redact) {
        let begin = lines.len();
        let written = match self {
            Self::Json(fields) => object(lines, fields, entry, redact),
            Self::Text(template) => text(lines, template, entry, redact).is_ok(),
        };
        if written {
            lines.push(b'\n');
        } else {
            lines.truncate(begin);
        }
    }
}

fn object(line: &mut Vec<u8>, fields: &[(String, LogField)], entry: &Entry<'_>, redact: &Redact) -> bool {
    let begin = line.len();
    for (key, field) in fields {
        let written = match field {
            LogField::Value(value) => match find(value, entry, redact) {
                Found::Nothing => true,
                found => {
                    line.extend_from_slice(key.as_bytes());
                    json_value(line, found)
                }
            },
            LogField::Text(template) => {
                line.extend_from_slice(key.as_bytes());
                quoted(line, |line| write!(Json(line), "{}", Text { template, entry, redact }).is_ok())
            }
        };
        if !written {
            return false;
        }
    }
    // The comma before the first one.
    match line.get_mut(begin) {
        Some(first) => *first = b'{',
        None => line.push(b'{'),
    }
    line.push(b'}');
    true
}

fn quoted(line: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
    line.push(b'"');
    let written = write(line);
    line.push(b'"');
    written
}

/// With its own type. What is the proxy's own needs no escapes.
fn json_value(line: &mut Vec<u8>, found: Found<'_>) -> bool {
    match found {
        Found::Text(text) => quoted(line, |line| {
            json(line, text);
            true
        }),
        Found::Number(number) => {
            plain::number(line, number);
            true
        }
        Found::Millis(micros) => {
            plain::millis(line, micros);
            // As a number has it: `1.5`, `1.0`.
            while line.ends_with(b"0") && !line.ends_with(b".0") {
                line.pop();
            }
            true
        }
        Found::Notes(redact, notes) => {
            line.push(b'{');
            for (at, (name, value)) in notes.iter().enumerate() {
                line.extend_from_slice(if at > 0 { b",\"" } else { b"\"" });
                json(line, name);
                line.extend_from_slice(b"\":\"");
                json(line, redact.note(name, value));
                line.push(b'"');
            }
            line.push(b'}');
            true
        }
        Found::Hooks(hooks) => serde_json::to_writer(line, &hooks).is_ok(),
        Found::Attempts(attempts) => serde_json::to_writer(line, &attempts).is_ok(),
        found => quoted(line, |line| of_the_proxy(line, &found) || write!(Json(line), "{found}").is_ok()),
    }
}

fn text(line: &mut Vec<u8>, template: &LogTemplate, entry: &Entry<'_>, redact: &Redact) -> fmt::Result {
    for part in &template.parts {
        match part {
            LogPart::Text(text) => line.extend_from_slice(text.as_bytes()),
            LogPart::Value { value, missing, quoted } => match find(value, entry, redact) {
                Found::Nothing => line.extend_from_slice(missing.as_bytes()),
                Found::Text(text) => apache(line, text, *quoted),
                found if of_the_proxy(line, &found) => {}
                found => write!(Apache { to: line, quoted: *quoted }, "{found}")?,
            },
        }
    }
    Ok(())
}

/// Writes what no client and no endpoint has a say in, and which needs no escapes. False: it is something else.
fn of_the_proxy(line: &mut Vec<u8>, found: &Found<'_>) -> bool {
    match *found {
        Found::Number(number) => plain::number(line, number),
        Found::Millis(micros) => plain::millis(line, micros),
        Found::Time(time) => plain::time(line, time),
        Found::Clf(time) => line.extend_from_slice(&plain::clf(time)),
        Found::Address(address) => plain::address(line, address),
        Found::Ip(address) => plain::ip(line, address),
        Found::TraceId(id) => line.extend_from_slice(&id.digits()),
        Found::SpanId(id) => line.extend_from_slice(&id.digits()),
        _ => return false,
    }
    true
}

/// A template within a field of JSON, which has its own way to escape.
struct Text<'a> {
    template: &'a LogTemplate,
    entry: &'a Entry<'a>,
    redact: &'a Redact,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.template.parts {
            match part {
                LogPart::Text(text) => f.write_str(text)?,
                LogPart::Value { value, missing, .. } => match find(value, self.entry, self.redact) {
                    Found::Nothing => f.write_str(missing)?,
                    found => write!(f, "{found}")?,
                },
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::super::entry::{Fields, example};
    use super::*;
    use crate::config::LogValue;

    fn line(format: &LogFormat, entry: &Entry<'_>) -> String {
        let mut line = Vec::new();
        Format::new(format).write(&mut line, entry, &Redact::new(&crate::config::Redact::default()));
        assert_eq!(line.pop(), Some(b'\n'));
        String::from_utf8(line).expect("ASCII")
    }

    fn text(template: &str) -> LogFormat {
        LogFormat::Text(LogTemplate::parse(template).expect("a template"))
    }

    #[test]
    fn a_line_is_json_with_the_documented_names() {
        let fields = Fields::default();
        let entry = Entry { notes: &[("a".to_owned(), "b".to_owned())], ..example(&fields) };
        assert_eq!(
            line(&LogFormat::default(), &entry),
            r#"{"time":"1970-01-01T00:00:01.500Z","listener":"edge","method":"GET","host":"edge.test:8443","path":"/\"quoted\"","protocol":"h2","status":200,"reason":"upstream","cluster":"users","endpoint":"127.0.0.1:80","attempts":1,"request_bytes":0,"response_bytes":5,"duration_us":1234,"request_id":"1","trace_id":"000000000000000000000000000000ab","span_id":"00000000000000cd","source":"127.0.0.1","identity":"spiffe://a/b","notes":{"a":"b"}}"#
        );
    }

    #[test]
    fn fields_of_a_template_have_its_text_and_those_of_a_value_its_type() {
        let fields = Fields::default();
        let named = |name: &str, field| (Arc::from(name), field);
        let format = LogFormat::Json(vec![
            named("ms", LogField::Value(LogValue::DurationMs)),
            named("query", LogField::Value(LogValue::Query)),
            named("none", LogField::Value(LogValue::Error)),
            named("line", LogField::Text(LogTemplate::parse("{method} {path} {route}").expect("valid"))),
        ]);
        let expected = r#"{"ms":1.234,"query":"a=1&token=[redacted]","line":"GET /\"quoted\" -"}"#;
        assert_eq!(line(&format, &example(&fields)), expected);
    }

    #[test]
    fn the_formats_of_apache() {
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", HeaderValue::from_static("curl/8 (\"x\")"));
        headers.insert("referer", HeaderValue::from_static("https://a.test/?code=1"));
        let names = [HeaderName::from_static("user-agent"), HeaderName::from_static("referer")];
        let fields = Fields::of(&names, &headers);
        let [common, combined] = LogFormat::NAMED else { panic!("two formats have a name") };
        let start = r#"127.0.0.1 - - [01/Jan/1970:00:00:01 +0000] "GET /\"quoted\" HTTP/2.0" 200 5"#;
        assert_eq!(line(&text(common.1), &example(&fields)), start);
        let expected = format!(r#"{start} "https://a.test/?code=[redacted]" "curl/8 (\"x\")""#);
        assert_eq!(line(&text(combined.1), &example(&fields)), expected);
    }

    #[test]
    fn no_value_ends_a_line_a_quoted_text_or_a_column() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_bytes(b"a b\"\t\\\xff").expect("HTTP allows it"));
        headers.append("x-a", HeaderValue::from_bytes("é\u{85}".as_bytes()).expect("HTTP allows it"));
        let fields = Fields::of(&[HeaderName::from_static("x-a")], &headers);
        let notes = [("n".to_owned(), "1\r\n2 \u{1b}[31m".to_owned())];
        let entry = Entry { notes: &notes, ..example(&fields) };
        let value = r#"\"\x09\\\xef\xbf\xbd,"#;
        let after = r#"\xc3\xa9\xc2\x85"#;
        assert_eq!(
            line(&text("{header:x-a} \"{header:x-a}\" {note:n} \"{note:n}\" {notes}"), &entry),
            format!(
                r#"a\x20b{value}\x20{after} "a b{value} {after}" 1\x0d\x0a2\x20\x1b[31m "1\x0d\x0a2 \x1b[31m" n=1\x0d\x0a2\x20\x1b[31m"#
            )
        );
    }

    #[test]
    fn values_of_all_kinds() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", HeaderValue::from_static("a=1; b=2"));
        let fields = Fields::of(&[http::header::COOKIE], &headers);
        let notes = [("path.id".to_owned(), "7".to_owned())];
        let entry = Entry { notes: &notes, tls_version: Some("TLSv1.3"), ..example(&fields) };
        for (template, expected) in [
            ("{host} {authority} {scheme}", "edge.test edge.test:8443 https"),
            ("{query:a} {query:token} {query:b|none} {query}", "1 [redacted] none a=1&token=[redacted]"),
            ("{cookie:b} {header:cookie}", "[redacted] [redacted]"),
            ("{path.id} {segment:1} {segment:2}", r#"7 \"quoted\" -"#),
            ("{duration-ms} {duration-us} {time-unix-ms}", "1.234 1234 1500"),
            ("{tls-version} {server-name} {peer}", "TLSv1.3 - 127.0.0.1:4711"),
            ("{{{status}}}", "{200}"),
        ] {
            assert_eq!(line(&text(template), &entry), expected, "{template}");
        }
    }
}
