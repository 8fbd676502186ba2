//! Names of HTTP fields.

use http::HeaderName;

use super::super::read::{Kind, Reader};
use super::super::tree::Node;

/// The name of a field, such as `"x-request-timeout"`.
pub struct FieldName;

impl Kind for FieldName {
    type Value = HeaderName;

    fn expected(&self) -> String {
        "the name of a field".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<HeaderName> {
        match node.as_str().map(|text| HeaderName::from_bytes(text.as_bytes())) {
            Some(Ok(name)) => Some(name),
            Some(Err(_)) => reader.mismatch_with_help(&self.expected(), node, "letters, digits and `-`, without spaces and `:`"),
            None => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &HeaderName) -> String {
        format!("\"{value}\"")
    }
}
