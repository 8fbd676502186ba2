//! A line as JSON, or as a template says. What comes from a client or an endpoint cannot end a line, a quoted text or a column.

use std::fmt::{self, Write};

use serde::ser::{Serialize, Serializer};

use super::entry::Entry;
use super::plain;
use super::value::{Found, find};
use crate::config::{LogField, LogFormat, LogPart, LogTemplate};
use crate::telemetry::redact::Redact;

/// How lines look, made ready to write many.
#[derive(Debug)]
pub enum Format {
    /// `"name":` as JSON has it, and what follows.
    Json(Box<[(String, LogField)]>),
    Text(LogTemplate),
}

impl Format {
    pub fn new(config: &LogFormat) -> Self {
        match config {
            LogFormat::Json(fields) => {
                let key = |name: &str| format!("{}:", serde_json::Value::from(name));
                Self::Json(fields.iter().map(|(name, field)| (key(name), field.clone())).collect())
            }
            LogFormat::Text(template) => Self::Text(template.clone()),
        }
    }

    /// Appends the line of an exchange, or nothing if it cannot be written.
    pub fn write(&self, lines: &mut Vec<u8>, entry: &Entry<'_>, redact: &Redact) {
        let begin = lines.len();
        let written = match self {
            Self::Json(fields) => json(lines, fields, entry, redact).is_ok(),
            Self::Text(template) => write!(Bytes(lines), "{}", Text { template, entry, redact, escaped: true }).is_ok(),
        };
        if written {
            lines.push(b'\n');
        } else {
            lines.truncate(begin);
        }
    }
}

fn json(line: &mut Vec<u8>, fields: &[(String, LogField)], entry: &Entry<'_>, redact: &Redact) -> Result<(), ()> {
    let mut before = b'{';
    let mut key = |line: &mut Vec<u8>, key: &str| {
        line.push(std::mem::replace(&mut before, b','));
        line.extend_from_slice(key.as_bytes());
    };
    for (name, field) in fields {
        match field {
            LogField::Value(value) => {
                let found = find(value, entry, redact);
                if !matches!(found, Found::Nothing) {
                    key(line, name);
                    json_value(line, found)?;
                }
            }
            LogField::Text(template) => {
                key(line, name);
                serde_json::to_writer(&mut *line, &Text { template, entry, redact, escaped: false }).map_err(drop)?;
            }
        }
    }
    if before == b'{' {
        line.push(before);
    }
    line.push(b'}');
    Ok(())
}

/// What is the proxy's own needs no escapes.
fn json_value(line: &mut Vec<u8>, found: Found<'_>) -> Result<(), ()> {
    let mut quoted = |write: &dyn Fn(&mut Vec<u8>)| {
        line.push(b'"');
        write(line);
        line.push(b'"');
    };
    match found {
        Found::Number(number) => plain::number(line, number),
        Found::Time(time) => quoted(&|line| plain::time(line, time)),
        Found::Ip(address) => quoted(&|line| plain::ip(line, address)),
        Found::Address(address) => quoted(&|line| plain::address(line, address)),
        found => return serde_json::to_writer(line, &found).map_err(drop),
    }
    Ok(())
}

struct Text<'a> {
    template: &'a LogTemplate,
    entry: &'a Entry<'a>,
    redact: &'a Redact,
    /// Values are escaped here; JSON has its own way.
    escaped: bool,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.template.parts {
            match part {
                LogPart::Text(text) => f.write_str(text)?,
                LogPart::Value { value, missing, quoted } => match find(value, self.entry, self.redact) {
                    Found::Nothing => f.write_str(missing)?,
                    found if self.escaped && !found.is_the_proxys() => write!(Escaped { to: f, quoted: *quoted }, "{found}")?,
                    found => write!(f, "{found}")?,
                },
            }
        }
        Ok(())
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Takes text where bytes are wanted.
pub(super) struct Bytes<'a>(pub &'a mut Vec<u8>);

impl Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Quotes and backslashes get one before them. Control characters, everything beyond ASCII and, outside of quotes, spaces are
/// written as `\xHH`, byte by byte, as Apache does.
struct Escaped<'a, 'f> {
    to: &'a mut fmt::Formatter<'f>,
    quoted: bool,
}

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let plain = |byte: u8| match byte {
            b'"' | b'\\' => false,
            b' ' => self.quoted,
            byte => byte.is_ascii_graphic(),
        };
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| !plain(byte)) {
            self.to.write_str(&rest[..at])?;
            // What is not plain is taken whole, so that no character is cut.
            let Some(found) = rest[at..].chars().next() else { break };
            match found {
                '"' | '\\' => write!(self.to, "\\{found}")?,
                found => {
                    let mut bytes = [0; 4];
                    found.encode_utf8(&mut bytes).bytes().try_for_each(|byte| write!(self.to, "\\x{byte:02x}"))?;
                }
            }
            rest = &rest[at + found.len_utf8()..];
        }
        self.to.write_str(rest)
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
