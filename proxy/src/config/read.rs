//! Reads values of the tree into the types of the configuration, and collects what is wrong on the way.
//!
//! Every key is told once: its name, what it takes, its default and its meaning. Which keys a table may hold, and the
//! reference of them all, follow from that. This module knows no key by name.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use super::problem::{Problem, Problems};
use super::source::Source;
use super::table::Table;
use super::tree::{Node, Value};
use super::words::shortened;

/// What a key takes.
pub trait Kind {
    type Value;
    /// What was expected, in the words of a message: `an integer from 1 to 1024`.
    fn expected(&self) -> String;
    /// The same in the words of the reference, which explains durations and sizes once.
    fn takes(&self) -> String {
        self.expected()
    }

    /// `None` after telling the reader what is wrong.
    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Self::Value>;
    /// The value as one would write it in the file.
    fn show(&self, value: &Self::Value) -> String;

    /// What no other item of an array may have, where items are to differ.
    fn identity(&self, value: &Self::Value) -> String {
        self.show(value)
    }
}

/// One key as the reference tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `listeners.NAME.limits`; empty for the top.
    pub section: String,
    pub key: &'static str,
    pub takes: String,
    pub default: Preset,
    pub meaning: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preset {
    Required,
    /// Without the key there is no such thing.
    Absent,
    /// As one would write it.
    Value(String),
    /// A table; its keys have rows of their own.
    Table,
}

/// What one reading of a file shares.
pub struct Reader<'s> {
    source: &'s Source,
    folder: &'s Path,
    problems: RefCell<Vec<Problem>>,
    rows: Option<RefCell<Vec<Row>>>,
}

impl<'s> Reader<'s> {
    pub fn new(source: &'s Source) -> Self {
        let folder = source.folder();
        Self { source, folder, problems: RefCell::default(), rows: None }
    }

    /// One that describes the keys it is asked for instead of judging them.
    pub fn describing(source: &'s Source) -> Self {
        Self { rows: Some(RefCell::default()), ..Self::new(source) }
    }

    pub fn describes(&self) -> bool {
        self.rows.is_some()
    }

    pub fn source(&self) -> &Source {
        self.source
    }

    /// Where relative paths of the file start.
    pub fn folder(&self) -> &Path {
        self.folder
    }

    /// Reads the top of the file with `read`.
    pub fn top<T>(&self, read: impl FnOnce(&mut Table<'_>) -> T) -> T {
        Table::top(self, self.source.tree()).read(read)
    }

    pub fn report(&self, span: Range<usize>, message: impl Into<String>) {
        self.add(self.problem(span, message));
    }

    pub fn problem(&self, span: Range<usize>, message: impl Into<String>) -> Problem {
        Problem::new(self.source.shared_text(), span, message)
    }

    pub fn add(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Reports that `node` is not what was expected.
    pub fn mismatch<T>(&self, expected: &str, node: &Node) -> Option<T> {
        self.report(node.span.clone(), format!("expected {expected}, found {}", self.found(node)));
        None
    }

    /// The same with words that help.
    pub fn mismatch_with_help<T>(&self, expected: &str, node: &Node, help: impl Into<String>) -> Option<T> {
        let message = format!("expected {expected}, found {}", self.found(node));
        self.add(self.problem(node.span.clone(), message).with_help(help));
        None
    }

    pub fn into_problems(self) -> Problems {
        self.problems.into_inner().into()
    }

    pub fn into_rows(self) -> Vec<Row> {
        self.rows.map(RefCell::into_inner).unwrap_or_default()
    }

    /// A value in the words of a message.
    fn found(&self, node: &Node) -> String {
        let written = || self.source.text().get(node.span.clone()).unwrap_or_default();
        match &node.value {
            Value::String(text) => format!("{:?}", shortened(text)),
            Value::Integer(_) => format!("the integer {}", shortened(written())),
            Value::Float(_) => format!("the float {}", shortened(written())),
            Value::Boolean(flag) => format!("the boolean {flag}"),
            Value::Date(_) => format!("the date {}", shortened(written())),
            Value::Array(items) if items.is_empty() => "an empty array".to_owned(),
            Value::Array(_) => "an array".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }

    /// Adds a row to the reference, if this reader is to describe.
    pub fn describe(&self, section: &str, key: &'static str, takes: String, default: Preset, meaning: &'static str) {
        if let Some(rows) = &self.rows {
            rows.borrow_mut().push(Row { section: section.to_owned(), key, takes, default, meaning });
        }
    }
}
