//! Names that a module calls upstreams by, with the clusters that they mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};
use super::Reference;

/// Names of one filter.
const NAMES_MAX: usize = 1000;
const EXPECTED: &str = "a table such as { \"outbound|80||auth.dns\" = \"auth\" }";

/// A table of clusters by the names that somebody else gave them.
pub struct Upstreams;

impl Kind for Upstreams {
    type Value = BTreeMap<String, Arc<str>>;

    fn expected(&self) -> String {
        EXPECTED.to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Self::Value> {
        let Value::Table(entries) = &node.value else { return reader.mismatch(EXPECTED, node) };
        if entries.len() > NAMES_MAX {
            reader.report(node.span.clone(), format!("expected at most {NAMES_MAX} names, found {}", entries.len()));
            return None;
        }
        let read: Vec<_> =
            entries.iter().map(|entry| Some((entry.key.clone(), Reference::CLUSTER.read(&entry.node, reader)?))).collect();
        read.into_iter().collect()
    }

    fn show(&self, value: &Self::Value) -> String {
        if value.is_empty() { "{}".to_owned() } else { format!("{} names", value.len()) }
    }
}
