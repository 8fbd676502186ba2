//! Arrays of one kind.

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};

/// Items of one array: what is longer than this was made by a program that should rather use a name.
pub const ITEMS_MAX: usize = 65_536;

/// An array whose items are all of one kind; every wrong one is told.
pub struct List<K> {
    item: K,
    distinct: bool,
}

impl<K> List<K> {
    pub const fn of(item: K) -> Self {
        Self { item, distinct: false }
    }

    /// An item that stands twice is a mistake.
    pub const fn of_distinct(item: K) -> Self {
        Self { item, distinct: true }
    }
}

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn expected(&self) -> String {
        format!("an array whose items are each {}", self.item.expected())
    }

    fn takes(&self) -> String {
        format!("an array whose items are each {}", self.item.takes())
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Self::Value> {
        let items = match &node.value {
            Value::Array(items) => items,
            Value::String(text) => {
                return reader.mismatch_with_help(&self.expected(), node, format!("write it as [{text:?}]"));
            }
            _ => return reader.mismatch(&self.expected(), node),
        };
        if items.len() > ITEMS_MAX {
            let found = format!("expected at most {ITEMS_MAX} items, found {}", items.len());
            reader.report(node.span.clone(), found);
            return None;
        }
        let read: Vec<Option<K::Value>> = items.iter().map(|item| self.item.read(item, reader)).collect();
        if self.distinct {
            self.report_twice(&read, items, reader);
        }
        read.into_iter().collect()
    }

    fn show(&self, value: &Self::Value) -> String {
        format!("[{}]", value.iter().map(|item| self.item.show(item)).collect::<Vec<_>>().join(", "))
    }
}

impl<K: Kind> List<K> {
    fn report_twice(&self, read: &[Option<K::Value>], items: &[Node], reader: &Reader<'_>) {
        let mut seen = std::collections::BTreeSet::new();
        for (value, item) in read.iter().zip(items) {
            if value.as_ref().is_some_and(|value| !seen.insert(self.item.identity(value))) {
                reader.report(item.span.clone(), "given twice in this array");
            }
        }
    }
}
