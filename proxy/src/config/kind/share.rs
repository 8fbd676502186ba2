//! A share: how many of one.

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};

/// A number from 0 to 1, both included.
pub struct Share;

impl Kind for Share {
    type Value = f64;

    fn expected(&self) -> String {
        "a share from 0.0 to 1.0".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<f64> {
        match node.value {
            Value::Float(share) if (0.0..=1.0).contains(&share) => Some(share),
            Value::Integer(0) => Some(0.0),
            Value::Integer(1) => Some(1.0),
            Value::Integer(percent @ 2..=100) => {
                reader.mismatch_with_help(&self.expected(), node, format!("{percent} percent are {}", percent as f64 / 100.0))
            }
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &f64) -> String {
        format!("{value:?}")
    }
}
