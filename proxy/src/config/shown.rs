//! A configuration as it may be shown: its text without passwords, or its tree as JSON.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value as Json;

use super::source::Source;
use super::tree::{Node, Value};

/// Stands in the place of a password.
const HIDDEN: &str = "[redacted]";

impl Source {
    /// The text, with every password of an address in it hidden, in comments too.
    pub fn shown_text(&self) -> String {
        let mut secrets = Vec::new();
        find(self.tree(), &mut Vec::new(), &mut secrets);
        secrets.sort_by_key(|(span, _): &(Range<usize>, String)| span.start);
        let (text, mut shown, mut at) = (self.text(), String::new(), 0);
        for (span, hidden) in secrets {
            if let (Some(before), true) = (text.get(at..span.start), span.end <= text.len()) {
                shown.push_str(before);
                shown.push_str(&format!("{hidden:?}"));
                at = span.end;
            }
        }
        shown.push_str(text.get(at..).unwrap_or_default());
        // What is no value any more stands in a comment.
        without_passwords(&shown).into_owned()
    }

    /// The tree, with every password of an address in it hidden.
    pub fn shown_json(&self) -> Json {
        json(self.tree(), &mut Vec::new(), &|path, text| hidden(path, text).into())
    }

    /// The tree as it is, to be compared and not to be shown.
    pub fn json(&self) -> Json {
        json(self.tree(), &mut Vec::new(), &|_, text| text.into())
    }
}

/// The line of a text in which a value is nothing but what stands in the place of one.
pub fn hidden_in(text: &str) -> Option<usize> {
    let is_hidden = |line: &str| {
        let value = line.split_once('=').map_or(line, |(_, value)| value);
        !line.trim_start().starts_with('#') && value.contains(HIDDEN)
    };
    text.lines().position(is_hidden).map(|line| line + 1)
}

/// A value as it may be shown: the fields that are sent to a collector hold tokens, and the query of a module may.
fn hidden<'a>(path: &[&str], text: &'a str) -> Cow<'a, str> {
    match path {
        ["tracing", "fields", ..] => Cow::Borrowed(HIDDEN),
        [.., "module"] if text.starts_with("https://") => match text.split_once('?') {
            Some((address, _)) => Cow::Owned(format!("{}?{HIDDEN}", without_passwords(address))),
            None => without_passwords(text),
        },
        _ => without_passwords(text),
    }
}

fn find<'a>(node: &'a Node, path: &mut Vec<&'a str>, secrets: &mut Vec<(Range<usize>, String)>) {
    match &node.value {
        Value::String(text) => {
            let hidden = hidden(path, text);
            if hidden != *text {
                secrets.push((node.span.clone(), hidden.into_owned()));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| find(item, path, secrets)),
        Value::Table(entries) => {
            for entry in entries {
                path.push(&entry.key);
                find(&entry.node, path, secrets);
                path.pop();
            }
        }
        _ => {}
    }
}

fn json<'a>(node: &'a Node, path: &mut Vec<&'a str>, string: &impl Fn(&[&str], &str) -> Json) -> Json {
    match &node.value {
        Value::String(text) => string(path, text),
        Value::Integer(number) => i64::try_from(*number).map_or_else(|_| number.to_string().into(), Json::from),
        Value::Float(number) => Json::from(*number),
        Value::Boolean(flag) => (*flag).into(),
        Value::Date(date) => date.as_str().into(),
        Value::Array(items) => items.iter().map(|item| json(item, path, string)).collect(),
        Value::Table(entries) => {
            let mut object = serde_json::Map::new();
            for entry in entries {
                path.push(&entry.key);
                object.insert(entry.key.clone(), json(&entry.node, path, string));
                path.pop();
            }
            object.into()
        }
    }
}

/// `redis://user:password@host` without its password, wherever one stands in a text.
pub fn without_passwords(text: &str) -> Cow<'_, str> {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("://") {
        let after = at + "://".len();
        let authority = rest[after..].find(|letter: char| "/?#\"'<>".contains(letter) || letter.is_whitespace());
        let authority = &rest[after..authority.map_or(rest.len(), |end| after + end)];
        let user = authority.rfind('@').and_then(|at| authority[..at].split_once(':'));
        shown.push_str(&rest[..after]);
        rest = &rest[after..];
        if let Some((user, password)) = user.filter(|(_, password)| *password != HIDDEN) {
            shown.push_str(user);
            shown.push(':');
            shown.push_str(HIDDEN);
            rest = &rest[user.len() + 1 + password.len()..];
        }
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    if shown == text { Cow::Borrowed(text) } else { Cow::Owned(shown) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn passwords_of_addresses_are_hidden() {
        let cases = [
            ("redis://user:pass@host:1/0", "redis://user:[redacted]@host:1/0"),
            ("redis://:p@ss@host", "redis://:[redacted]@host"),
            ("redis://user@host", "redis://user@host"),
            ("http://host:80/a:b@c", "http://host:80/a:b@c"),
            ("a://b:c@d and e://f:g@h", "a://b:[redacted]@d and e://f:[redacted]@h"),
            ("nothing", "nothing"),
        ];
        for (text, shown) in cases {
            assert_eq!(without_passwords(text), shown, "{text}");
        }
    }

    #[test]
    fn tokens_of_a_collector_and_queries_of_modules_are_hidden() {
        let text = "[tracing]\nfields = { authorization = \"Bearer abc\" }\n\
                    [filters.f]\nmodule = \"https://a.test/f.wasm?key=abc\"\n";
        let examined = crate::config::examine_as(text, Path::new("t"), Path::new("")).expect("TOML");
        let (shown, json) = (examined.loaded.source.shown_text(), examined.loaded.source.shown_json());
        assert!(!shown.contains("abc") && !json.to_string().contains("abc"), "{shown} {json}");
        assert_eq!(json["filters"]["f"]["module"], "https://a.test/f.wasm?[redacted]");
        assert_eq!((hidden_in(text), hidden_in(&shown)), (None, Some(2)));
    }

    #[test]
    fn a_password_is_found_however_it_is_written() {
        let text = "# once redis://a:secret@b\n[listeners.edge]\nlisten = \"127.0.0.1:1\"\n[stores.s]\nbackend = \"redis\"\n\
                    nodes = [\"redis\\u003a//a:secret@b:1\"]\n";
        let examined = crate::config::examine_as(text, Path::new("t"), Path::new("")).expect("TOML");
        let shown = examined.loaded.source.shown_text();
        assert!(!shown.contains("secret") && shown.contains("listen = \"127.0.0.1:1\""), "{shown}");
        let json = examined.loaded.source.shown_json();
        assert_eq!(json["stores"]["s"]["nodes"][0], "redis://a:[redacted]@b:1");
    }
}
