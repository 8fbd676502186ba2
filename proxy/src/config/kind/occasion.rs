//! What another attempt is made for: a word, or a status.

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};
use super::super::types::{Occasion, Occasions};
use super::super::words::nearest;

/// `"reset"`, `"503"` or 503.
pub struct OccasionWord;

impl Kind for OccasionWord {
    type Value = String;

    fn expected(&self) -> String {
        let names: Vec<_> = Occasion::ALL.iter().map(|occasion| format!("\"{}\"", occasion.name())).collect();
        format!("one of {}, or a status from 400 to 599", names.join(", "))
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<String> {
        let word = match &node.value {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            _ => return reader.mismatch(&self.expected(), node),
        };
        if Occasions::parse(std::slice::from_ref(&word)).is_ok() {
            return Some(word);
        }
        match nearest(&word, Occasion::ALL.iter().map(|occasion| occasion.name())) {
            Some(near) => reader.mismatch_with_help(&self.expected(), node, format!("did you mean \"{near}\"?")),
            None => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &String) -> String {
        format!("{value:?}")
    }
}
