//! Environment variables, as a table of strings.

use std::collections::BTreeMap;

use super::super::read::{Kind, Reader};
use super::super::tree::{Entry, Node, Value};

/// Variables of one filter: more is configuration, and belongs there.
const VARIABLES_MAX: usize = 256;
const EXPECTED: &str = "a table of strings such as { REGION = \"eu\" }";

/// Names that an environment can hold, each with a string.
pub struct Environment;

impl Kind for Environment {
    type Value = BTreeMap<String, String>;

    fn expected(&self) -> String {
        EXPECTED.to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Self::Value> {
        let Value::Table(entries) = &node.value else { return reader.mismatch(EXPECTED, node) };
        if entries.len() > VARIABLES_MAX {
            reader.report(node.span.clone(), format!("expected at most {VARIABLES_MAX} variables, found {}", entries.len()));
            return None;
        }
        let read: Vec<_> = entries.iter().map(|entry| variable(entry, reader)).collect();
        read.into_iter().collect()
    }

    fn show(&self, value: &Self::Value) -> String {
        if value.is_empty() {
            return "{}".to_owned();
        }
        let variables: Vec<_> = value.iter().map(|(name, text)| format!("{name:?} = {text:?}")).collect();
        format!("{{ {} }}", variables.join(", "))
    }
}

/// `None` after telling the reader what is wrong.
fn variable(entry: &Entry, reader: &Reader<'_>) -> Option<(String, String)> {
    let Entry { key, key_span, node } = entry;
    if key.is_empty() || key.contains(['=', '\0']) {
        reader.report(key_span.clone(), "expected the name of an environment variable, without \"=\" and NUL");
        return None;
    }
    match node.as_str() {
        Some(text) if text.contains('\0') => reader.mismatch("a string without NUL", node),
        Some(text) => Some((key.clone(), text.to_owned())),
        None => reader.mismatch("a string", node),
    }
}
