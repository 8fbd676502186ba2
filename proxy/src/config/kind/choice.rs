//! One of a few words, and yes or no.

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};
use super::super::words::nearest;

/// One of a few words, each standing for a value.
pub struct Choice<T: 'static> {
    words: &'static [(&'static str, T)],
}

impl<T: Copy + PartialEq> Choice<T> {
    pub const fn of(words: &'static [(&'static str, T)]) -> Self {
        Self { words }
    }
}

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value = T;

    fn expected(&self) -> String {
        self.words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ")
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<T> {
        let Some(text) = node.as_str() else { return reader.mismatch(&self.expected(), node) };
        if let Some((_, value)) = self.words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        match nearest(text, self.words.iter().map(|(word, _)| *word)) {
            Some(near) => reader.mismatch_with_help(&self.expected(), node, format!("did you mean \"{near}\"?")),
            None => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &T) -> String {
        let word = self.words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word);
        format!("\"{word}\"")
    }
}

/// `true` or `false`.
pub struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn expected(&self) -> String {
        "true or false".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<bool> {
        match node.value {
            Value::Boolean(flag) => Some(flag),
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &bool) -> String {
        value.to_string()
    }
}
