//! How a line of the access log looks.

use std::sync::Arc;

use super::super::read::{Kind, Reader};
use super::super::tree::{Entry, Node, Value};
use super::super::types::{LogFormat, LogTemplate, LogValue};
use super::super::words::{listed, nearest};

/// Fields that may be added to a line.
const FIELDS_MAX: usize = 64;
/// Bytes of a field's name.
const FIELD_NAME_BYTES_MAX: usize = 128;

/// `"json"`, a template of a name, or a template.
pub struct LineFormat;

/// `None`: JSON.
pub type Format = Option<LogTemplate>;

impl Kind for LineFormat {
    type Value = Format;

    fn expected(&self) -> String {
        "\"json\", \"common\", \"combined\" or a template such as \"{method} {path} {status}\"".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Format> {
        match node.as_str() {
            Some("json") => Some(None),
            Some(word) if !word.contains(['{', '}']) => {
                if let Some((_, template)) = LogFormat::NAMED.iter().find(|(name, _)| *name == word) {
                    return LogTemplate::parse(template).ok().map(Some);
                }
                match nearest(word, ["json"].into_iter().chain(LogFormat::NAMED.iter().map(|(name, _)| *name))) {
                    Some(near) => reader.mismatch_with_help(&self.expected(), node, format!("did you mean \"{near}\"?")),
                    None => reader.mismatch(&self.expected(), node),
                }
            }
            Some(text) => template(text, node, reader).map(Some),
            None => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, _: &Format) -> String {
        "\"json\"".to_owned()
    }
}

/// The name of a field of a JSON line that the proxy knows.
pub struct FieldOfLine;

impl Kind for FieldOfLine {
    type Value = (Arc<str>, LogValue);

    fn expected(&self) -> String {
        "the name of a field of the line".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Self::Value> {
        let known = || LogFormat::FIELDS.iter().chain(LogFormat::MORE_FIELDS);
        let Some(text) = node.as_str() else { return reader.mismatch(&self.expected(), node) };
        if let Some((name, value)) = known().find(|(name, _)| *name == text) {
            return Some((Arc::from(*name), value.clone()));
        }
        let help = match nearest(text, known().map(|(name, _)| *name)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("known fields: {}", listed(known().map(|(name, _)| *name))),
        };
        reader.mismatch_with_help(&self.expected(), node, help)
    }

    fn show(&self, (name, _): &Self::Value) -> String {
        format!("\"{name}\"")
    }
}

/// Further fields of a JSON line: `{ agent = "{header:user-agent}" }`.
pub struct FurtherFields;

impl Kind for FurtherFields {
    type Value = Vec<(Arc<str>, LogTemplate)>;

    fn expected(&self) -> String {
        "a table of templates such as { agent = \"{header:user-agent}\" }".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Self::Value> {
        let Value::Table(entries) = &node.value else { return reader.mismatch(&self.expected(), node) };
        if entries.len() > FIELDS_MAX {
            reader.report(node.span.clone(), format!("expected at most {FIELDS_MAX} fields, found {}", entries.len()));
            return None;
        }
        let read: Vec<_> = entries.iter().map(|entry| further(entry, reader)).collect();
        read.into_iter().collect()
    }

    fn show(&self, value: &Self::Value) -> String {
        if value.is_empty() { "{}".to_owned() } else { format!("{} fields", value.len()) }
    }
}

fn further(Entry { key, key_span, node }: &Entry, reader: &Reader<'_>) -> Option<(Arc<str>, LogTemplate)> {
    if key.is_empty() || key.len() > FIELD_NAME_BYTES_MAX {
        reader.report(key_span.clone(), format!("expected a name of 1 to {FIELD_NAME_BYTES_MAX} bytes"));
        return None;
    }
    match node.as_str() {
        Some(text) => Some((key.as_str().into(), template(text, node, reader)?)),
        None => reader.mismatch("a template such as \"{header:user-agent}\"", node),
    }
}

fn template(text: &str, node: &Node, reader: &Reader<'_>) -> Option<LogTemplate> {
    match LogTemplate::parse(text) {
        Ok(template) => Some(template),
        Err(mistake) => {
            let problem = reader.problem(node.span.clone(), mistake.message);
            reader.add(match mistake.help {
                Some(help) => problem.with_help(help),
                None => problem,
            });
            None
        }
    }
}
