//! A configuration with everything written out that a part of it stands for, as TOML.

use std::fmt::Write;

use super::sidecar;
use super::source::Source;
use super::tree::{Entry, Node, Value};

impl Source {
    /// The tree as text, without what it was written out of.
    pub fn written_out(&self) -> String {
        let entries =
            self.tree().entries().iter().filter(|entry| entry.key != sidecar::SECTION && entry.key != sidecar::SERVICES);
        let mut text = String::new();
        table(&mut text, &mut Vec::new(), &entries.collect::<Vec<_>>());
        text
    }
}

/// Values first, for what follows the header of a table inside of it is that table's.
fn table(text: &mut String, path: &mut Vec<String>, entries: &[&Entry]) {
    let is_table = |entry: &Entry| matches!(entry.node.value, Value::Table(_));
    let values: Vec<_> = entries.iter().filter(|entry| !is_table(entry)).collect();
    if !path.is_empty() && (!values.is_empty() || entries.is_empty()) {
        let gap = if text.is_empty() { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{gap}[{}]", path.join("."));
    }
    for entry in values {
        let _ = writeln!(text, "{} = {}", key(&entry.key), value(&entry.node));
    }
    for entry in entries.iter().filter(|entry| is_table(entry)) {
        path.push(key(&entry.key));
        table(text, path, &entry.node.entries().iter().collect::<Vec<_>>());
        path.pop();
    }
}

fn value(node: &Node) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match &node.value {
        Value::String(text) => quoted(text),
        Value::Integer(integer) => integer.to_string(),
        Value::Float(float) if float.is_infinite() => if *float > 0.0 { "inf" } else { "-inf" }.to_owned(),
        Value::Float(float) => format!("{float:?}").replace("NaN", "nan"),
        Value::Boolean(flag) => flag.to_string(),
        Value::Date(date) => date.clone(),
        Value::Array(items) => format!("[{}]", joined(items.iter().map(value).collect())),
        Value::Table(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Table(entries) => {
            let entry = |entry: &Entry| format!("{} = {}", key(&entry.key), value(&entry.node));
            format!("{{ {} }}", joined(entries.iter().map(entry).collect()))
        }
    }
}

fn key(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if is_bare { key.to_owned() } else { quoted(key) }
}

/// The escapes of JSON are those of TOML, but for one character that JSON takes as it is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}
