//! One table of the file, asked key by key; what was not asked for is unknown. This module knows no key by name.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::read::{Kind, Preset, Reader};
use super::tree::{Entry, Node, Value};
use super::words::{listed, name_problem, nearest, shortened};

/// What an array of tables is called.
const TABLES: &str = "an array of tables, at least one";

/// A table that is being read. A table that the file does not have is read, too: its keys have their defaults.
pub struct Table<'r> {
    reader: &'r Reader<'r>,
    place: Place,
    span: Range<usize>,
    /// `None` where the file has no such table: then no key is missing.
    entries: Option<&'r [Entry]>,
    asked: Vec<&'static str>,
}

/// Where a table is: in the file (`listeners.edge.limits`), and in the reference (`listeners.NAME.limits`).
#[derive(Clone, Default)]
struct Place {
    path: String,
    section: String,
}

impl<'r> Table<'r> {
    pub fn top(reader: &'r Reader<'r>, tree: &'r Node) -> Self {
        Self::at(reader, Place::default(), tree)
    }

    /// A table that is there. Anything else than a table is a mistake.
    fn at(reader: &'r Reader<'r>, place: Place, node: &'r Node) -> Self {
        let entries = match &node.value {
            Value::Table(entries) => Some(entries.as_slice()),
            _ => reader.mismatch(&format!("a table such as [{}]", place.path), node),
        };
        Self { reader, place, span: node.span.clone(), entries, asked: Vec::new() }
    }

    /// A table that is not there.
    fn absent(reader: &'r Reader<'r>, place: Place) -> Self {
        Self { reader, place, span: 0..0, entries: None, asked: Vec::new() }
    }

    pub fn reader(&self) -> &'r Reader<'r> {
        self.reader
    }

    /// The node of a key, for mistakes that concern several keys.
    pub fn node(&self, key: &str) -> Option<&'r Node> {
        self.entries?.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The table as a whole, for a mistake that has no key.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub fn optional<K: Kind>(&mut self, key: &'static str, kind: &K, meaning: &'static str) -> Option<K::Value> {
        self.describe(key, kind.takes(), Preset::Absent, meaning);
        self.ask(key).and_then(|node| kind.read(node, self.reader))
    }

    pub fn or<K: Kind>(&mut self, key: &'static str, kind: &K, default: K::Value, meaning: &'static str) -> K::Value {
        self.describe(key, kind.takes(), Preset::Value(kind.show(&default)), meaning);
        self.ask(key).and_then(|node| kind.read(node, self.reader)).unwrap_or(default)
    }

    pub fn required<K: Kind>(&mut self, key: &'static str, kind: &K, meaning: &'static str) -> Option<K::Value> {
        self.describe(key, kind.takes(), Preset::Required, meaning);
        match self.ask(key) {
            Some(node) => kind.read(node, self.reader),
            None => self.missing(key, &kind.expected()),
        }
    }

    /// A table whose keys all have defaults.
    pub fn table<T>(&mut self, key: &'static str, meaning: &'static str, read: impl FnOnce(&mut Table<'_>) -> T) -> T {
        let place = self.place.key(key);
        self.reader.describe(&place.section, "", String::new(), Preset::Table, meaning);
        match self.ask(key) {
            Some(node) => Table::at(self.reader, place, node).read(read),
            None => Table::absent(self.reader, place).read(read),
        }
    }

    /// A table that may be left out as a whole.
    pub fn optional_table<T>(
        &mut self,
        key: &'static str,
        meaning: &'static str,
        read: impl FnOnce(&mut Table<'_>) -> Option<T>,
    ) -> Option<T> {
        let place = self.place.key(key);
        self.reader.describe(&place.section, "", String::new(), Preset::Absent, meaning);
        match self.ask(key) {
            Some(node) => Table::at(self.reader, place, node).read(read),
            None if self.reader.describes() => Table::absent(self.reader, place).read(read),
            None => None,
        }
    }

    /// Tables by name, such as `[clusters.NAME]`.
    pub fn named<T>(
        &mut self,
        key: &'static str,
        meaning: &'static str,
        read: impl Fn(&mut Table<'_>) -> Option<T>,
    ) -> BTreeMap<Arc<str>, Arc<T>> {
        let place = self.place.key(key);
        if self.reader.describes() {
            let any = place.named("NAME");
            self.reader.describe(&any.section, "", String::new(), Preset::Table, meaning);
            Table::absent(self.reader, any).read(&read);
        }
        let Some(node) = self.ask(key) else { return BTreeMap::new() };
        if !matches!(node.value, Value::Table(_)) {
            self.reader.mismatch::<()>(&format!("tables such as [{key}.NAME]"), node);
        }
        let mut read_ones = BTreeMap::new();
        for Entry { key: name, key_span, node } in node.entries() {
            if let Some(problem) = name_problem(name) {
                self.reader.report(key_span.clone(), problem);
            }
            if let Some(value) = Table::at(self.reader, place.named(name), node).read(&read) {
                read_ones.insert(Arc::from(name.as_str()), Arc::new(value));
            }
        }
        read_ones
    }

    /// An array of tables with at least one in it.
    pub fn tables<T>(
        &mut self,
        key: &'static str,
        meaning: &'static str,
        read: impl Fn(&mut Table<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let place = self.place.key(key).item();
        self.describe(key, TABLES.to_owned(), Preset::Required, meaning);
        if self.reader.describes() {
            Table::absent(self.reader, place.clone()).read(&read);
        }
        let Some(node) = self.ask(key) else { return self.missing(key, TABLES) };
        if node.items().is_empty() {
            return self.reader.mismatch(TABLES, node);
        }
        // All are read before one that is wrong ends it.
        let read_ones: Vec<Option<T>> =
            node.items().iter().map(|item| Table::at(self.reader, place.clone(), item).read(&read)).collect();
        read_ones.into_iter().collect()
    }

    fn ask(&mut self, key: &'static str) -> Option<&'r Node> {
        self.asked.push(key);
        self.node(key)
    }

    fn missing<T>(&self, key: &str, expected: &str) -> Option<T> {
        if self.entries.is_some() {
            self.reader.report(self.span.clone(), format!("`{key}` is missing; expected {expected}"));
        }
        None
    }

    fn describe(&self, key: &'static str, takes: String, default: Preset, meaning: &'static str) {
        self.reader.describe(&self.place.section, key, takes, default, meaning);
    }

    /// Reads with `read`, then refuses what it did not ask for.
    pub fn read<T>(mut self, read: impl FnOnce(&mut Table<'_>) -> T) -> T {
        let value = read(&mut self);
        for entry in self.entries.unwrap_or_default() {
            if !self.asked.contains(&entry.key.as_str()) {
                self.refuse(entry);
            }
        }
        value
    }

    fn refuse(&self, entry: &Entry) {
        let place = match self.place.path.as_str() {
            "" => "at the top".to_owned(),
            path => format!("in [{path}]"),
        };
        let message = format!("unknown key `{}` {place}", shortened(&entry.key));
        let help = match nearest(&entry.key, self.asked.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known keys: {}", listed(self.asked.iter().copied())),
        };
        self.reader.add(self.reader.problem(entry.key_span.clone(), message).with_help(help));
    }
}

impl Place {
    fn key(&self, key: &str) -> Self {
        Self { path: joined(&self.path, key), section: joined(&self.section, key) }
    }

    fn named(&self, name: &str) -> Self {
        Self { path: joined(&self.path, &shortened(name)), section: joined(&self.section, "NAME") }
    }

    fn item(&self) -> Self {
        Self { path: format!("[{}]", self.path), section: format!("[{}]", self.section) }
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
