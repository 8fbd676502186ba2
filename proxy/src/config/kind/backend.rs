//! Where a store is kept.

use super::super::read::{Kind, Reader};
use super::super::tree::Node;
use super::super::types::Backend;

const EXPECTED: &str = "\"memory\"";

/// `"memory"`.
pub struct BackendKind;

impl Kind for BackendKind {
    type Value = Backend;

    fn expected(&self) -> String {
        EXPECTED.to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Backend> {
        match node.as_str() {
            Some("memory") => Some(Backend::Memory),
            Some(text) if text.starts_with("redis://") || text.starts_with("rediss://") => {
                let help = "a store for a whole fleet is not supported yet; one in memory holds for this process";
                reader.mismatch_with_help(EXPECTED, node, help)
            }
            _ => reader.mismatch(EXPECTED, node),
        }
    }

    fn show(&self, value: &Backend) -> String {
        match value {
            Backend::Memory => EXPECTED.to_owned(),
        }
    }
}
