//! The name of another part of the file.

use std::ops::Range;
use std::sync::Arc;

use super::super::read::{Kind, Reader};
use super::super::tree::Node;
use super::super::words::{listed, nearest};

/// Names that a message lists when none is near.
const LISTED_MAX: usize = 12;

/// The name of a table under `[clusters]`, `[filters]` or `[stores]`, which must exist.
pub struct Reference {
    /// The table of tables: `clusters`.
    section: &'static str,
    /// One of them: `cluster`.
    noun: &'static str,
}

impl Reference {
    pub const CLUSTER: Self = Self { section: "clusters", noun: "cluster" };
    pub const FILTER: Self = Self { section: "filters", noun: "filter" };
    pub const STORE: Self = Self { section: "stores", noun: "store" };

    /// The same for a name that stands at another place than a value.
    pub fn named(&self, name: &str, span: Range<usize>, reader: &Reader<'_>) -> Option<Arc<str>> {
        let known = reader.source().tree().get(self.section).is_some_and(|section| section.get(name).is_some());
        if !known {
            self.refuse(name, span, reader);
        }
        known.then(|| Arc::from(name))
    }

    fn refuse(&self, name: &str, span: Range<usize>, reader: &Reader<'_>) {
        let known = reader.source().tree().get(self.section).map_or(&[][..], Node::entries);
        let names = || known.iter().map(|entry| entry.key.as_str());
        let help = match nearest(name, names()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if known.is_empty() => format!("the file has no [{}.…]", self.section),
            None if known.len() > LISTED_MAX => format!("the file has {} {}", known.len(), self.section),
            None => format!("known {}: {}", self.section, listed(names())),
        };
        let message = format!("there is no {} named {name:?}", self.noun);
        reader.add(reader.problem(span, message).with_help(help));
    }
}

impl Kind for Reference {
    type Value = Arc<str>;

    fn expected(&self) -> String {
        format!("the name of a {}", self.noun)
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Arc<str>> {
        let Some(name) = node.as_str() else { return reader.mismatch(&self.expected(), node) };
        self.named(name, node.span.clone(), reader)
    }

    fn show(&self, value: &Arc<str>) -> String {
        format!("{value:?}")
    }
}
