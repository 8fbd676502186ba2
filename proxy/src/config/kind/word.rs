//! A word of the operator's own.

use std::sync::Arc;

use super::super::bounds::LABEL_BYTES_MAX;
use super::super::read::{Kind, Reader};
use super::super::tree::Node;

/// Any text that is as long as a label may be.
pub struct Word;

impl Kind for Word {
    type Value = Arc<str>;

    fn expected(&self) -> String {
        format!("a text of 1 to {LABEL_BYTES_MAX} bytes")
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Arc<str>> {
        match node.as_str() {
            Some(text) if (1..=LABEL_BYTES_MAX).contains(&text.len()) => Some(text.into()),
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &Arc<str>) -> String {
        format!("{value:?}")
    }
}
