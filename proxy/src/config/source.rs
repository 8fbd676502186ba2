//! The file a configuration came from, kept so that a mistake found later still has its position. It reads nothing itself.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::problem::Problem;
use super::text::Text;
use super::tree::Node;

/// One step of a path into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> From<&'a str> for Step<'a> {
    fn from(key: &'a str) -> Self {
        Self::Key(key)
    }
}

impl<'a> From<&'a Arc<str>> for Step<'a> {
    fn from(key: &'a Arc<str>) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step<'_> {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// The text and the tree of a configuration. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Source {
    text: Arc<Text>,
    tree: Arc<Node>,
}

impl Source {
    pub(super) fn new(text: Arc<Text>, tree: Node) -> Self {
        Self { text, tree: Arc::new(tree) }
    }

    /// The same text, understood in another way.
    pub(super) fn with_tree(self, tree: Node) -> Self {
        Self { tree: Arc::new(tree), ..self }
    }

    pub fn file(&self) -> &Path {
        self.text.file()
    }

    pub fn folder(&self) -> &Path {
        self.text.folder()
    }

    pub fn text(&self) -> &str {
        self.text.as_str()
    }

    pub(super) fn shared_text(&self) -> &Arc<Text> {
        &self.text
    }

    pub(super) fn tree(&self) -> &Node {
        &self.tree
    }

    /// A mistake at a path such as `["listeners", "edge", "tls", "certificates", 0]`. Where the path does not exist, the
    /// longest part of it that does. An empty path means the file as a whole.
    pub fn problem_at(&self, path: &[Step<'_>], message: impl Into<String>) -> Problem {
        if path.is_empty() {
            return Problem::of_file(&self.text, message);
        }
        let mut node = self.tree();
        for step in path {
            let next = match step {
                Step::Key(key) => node.get(key),
                Step::Index(index) => node.items().get(*index),
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        self.problem_of(node, message)
    }

    /// What a filter's own `configure` said. A message that opens with a path into the filter's configuration, such as
    /// `routes[3].match.path: expected …`, is placed there.
    pub fn filter_problem(&self, filter: &str, message: &str) -> Problem {
        let said = format!("filter `{filter}`: {message}");
        let Some(table) = self.tree.get("filters").and_then(|filters| filters.get(filter)) else {
            return self.problem_at(&[Step::Key("filters")], said);
        };
        let Some(config) = table.entries().iter().find(|entry| entry.key == "config") else {
            return self.problem_of(table, said);
        };
        // A `config` that only stands inside of longer headers has no place of its own.
        let has_place = config.node.span != config.key_span;
        match descend(&config.node, message) {
            // A key that should not be there is itself to blame, not its value.
            Found { key: Some(key), rest, .. } if rest.starts_with(": unknown key") => Problem::new(&self.text, key, said),
            Found { node, .. } if has_place || !std::ptr::eq(node, &config.node) => self.problem_of(node, said),
            _ => self.problem_of(table, said),
        }
    }

    fn problem_of(&self, node: &Node, message: impl Into<String>) -> Problem {
        Problem::new(&self.text, node.span.clone(), message)
    }
}

/// Follows the path that a message opens with, as far as it exists. A key is matched against the keys that are there,
/// the longest first, because a key may hold dots and spaces itself.
fn descend<'t, 'm>(root: &'t Node, message: &'m str) -> Found<'t, 'm> {
    let mut found = Found { node: root, key: None, rest: message };
    loop {
        let step = match found.rest.strip_prefix('[') {
            Some(indexed) => index_step(found.node, indexed),
            None => key_step(found.node, found.rest.strip_prefix('.').unwrap_or(found.rest)),
        };
        match step {
            Some(next) => found = next,
            None => return found,
        }
    }
}

/// How far a path led: the value there, the span of its key if it has one, and what of the message is left.
struct Found<'t, 'm> {
    node: &'t Node,
    key: Option<Range<usize>>,
    rest: &'m str,
}

fn index_step<'t, 'm>(node: &'t Node, rest: &'m str) -> Option<Found<'t, 'm>> {
    let (index, after) = rest.split_once(']')?;
    Some(Found { node: node.items().get(index.parse::<usize>().ok()?)?, key: None, rest: after })
}

fn key_step<'t, 'm>(node: &'t Node, rest: &'m str) -> Option<Found<'t, 'm>> {
    let followed = |key: &str| rest.strip_prefix(key).filter(|after| after.starts_with(['.', '[', ':']));
    let entry = node.entries().iter().filter(|entry| followed(&entry.key).is_some()).max_by_key(|e| e.key.len())?;
    Some(Found { node: &entry.node, key: Some(entry.key_span.clone()), rest: followed(&entry.key)? })
}
