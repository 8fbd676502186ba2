//! What traces need: the address of a collector, and tables of texts.

use std::collections::BTreeMap;

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};

/// Entries of a table of texts: more is no longer an attribute.
const TEXTS_MAX: usize = 64;

/// `http://host:port/path`, or `https://`.
pub struct Collector;

impl Kind for Collector {
    type Value = http::Uri;

    fn expected(&self) -> String {
        "an address such as \"http://127.0.0.1:4318/v1/traces\"".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<http::Uri> {
        let Some(text) = node.as_str() else { return reader.mismatch(&self.expected(), node) };
        let Ok(url) = text.parse::<http::Uri>() else { return reader.mismatch(&self.expected(), node) };
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none_or(str::is_empty) {
            return reader.mismatch(&self.expected(), node);
        }
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            let help = "a name and a password cannot be part of the address; write them as a field";
            return reader.mismatch_with_help(&self.expected(), node, help);
        }
        Some(url)
    }

    fn show(&self, value: &http::Uri) -> String {
        format!("\"{value}\"")
    }
}

/// Texts by their names.
pub struct Texts;

impl Kind for Texts {
    type Value = BTreeMap<String, String>;

    fn expected(&self) -> String {
        "a table of strings such as { region = \"eu\" }".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Self::Value> {
        let Value::Table(entries) = &node.value else { return reader.mismatch(&self.expected(), node) };
        if entries.len() > TEXTS_MAX {
            reader.report(node.span.clone(), format!("expected at most {TEXTS_MAX} entries, found {}", entries.len()));
            return None;
        }
        let text = |entry: &super::super::tree::Entry| match entry.node.as_str() {
            Some(text) => Some((entry.key.clone(), text.to_owned())),
            None => reader.mismatch("a string", &entry.node),
        };
        let read: Vec<_> = entries.iter().map(text).collect();
        read.into_iter().collect()
    }

    fn show(&self, value: &Self::Value) -> String {
        if value.is_empty() {
            return "{}".to_owned();
        }
        let texts: Vec<_> = value.iter().map(|(name, text)| format!("{name:?} = {text:?}")).collect();
        format!("{{ {} }}", texts.join(", "))
    }
}
