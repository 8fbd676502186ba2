//! The TOML tree of a configuration, owned, with the position of every key and value. It never judges what is said.

use std::ops::Range;
use std::thread;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// Tables and arrays inside one another: more than anybody writes, and what JSON readers take.
const DEPTH_MAX: usize = 100;
/// For some 6,500 levels, which is 80 keys joined by dots in each of 80 tables, the most that the parser takes.
const PARSER_STACK_BYTES: usize = 64 * 1024 * 1024;

/// A value and the bytes that say it. Of a table with a header these are the header.
#[derive(Debug, Clone)]
pub struct Node {
    pub span: Range<usize>,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub enum Value {
    String(String),
    /// Saturated; what does not fit 64 bits is refused where it is read.
    Integer(i128),
    Float(f64),
    Boolean(bool),
    Date(String),
    Array(Vec<Node>),
    /// In the order of the file.
    Table(Vec<Entry>),
}

/// A key of a table and what it says.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    pub key_span: Range<usize>,
    pub node: Node,
}

/// Why a text has no tree, and where.
#[derive(Debug)]
pub struct Malformed {
    pub message: String,
    pub span: Range<usize>,
}

impl Node {
    /// A table inside a key inside an array and so on is taken apart by recursion, in the TOML parser as well as here, so
    /// that is done on a thread whose stack holds the worst that the parser lets through.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let broken = |message: String| Malformed { message, span: 0..0 };
        thread::scope(|scope| {
            thread::Builder::new()
                .stack_size(PARSER_STACK_BYTES)
                .spawn_scoped(scope, || parse(text))
                .map_err(|error| broken(format!("cannot start a thread to parse it: {error}")))?
                .join()
                .unwrap_or_else(|_| Err(broken("the TOML parser failed".to_owned())))
        })
    }

    /// The entries of a table; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    pub fn is_false(&self) -> bool {
        matches!(self.value, Value::Boolean(false))
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

fn parse(text: &str) -> Result<Node, Malformed> {
    let table = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(text.len()..text.len());
        let message = match (error.message(), text.get(span.clone())) {
            ("duplicate key", Some(key)) => format!("duplicate key `{key}`"),
            (message, _) => message.to_owned(),
        };
        Malformed { message, span }
    })?;
    let value = table_value(table.into_inner(), 0)?;
    Ok(Node { span: 0..0, value })
}

fn node(spanned: Spanned<DeValue<'_>>, depth: usize) -> Result<Node, Malformed> {
    let span = spanned.span();
    if depth > DEPTH_MAX {
        return Err(Malformed { message: format!("nested deeper than {DEPTH_MAX}"), span });
    }
    let value = match spanned.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(integer) => Value::Integer(saturated(&integer)),
        DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Boolean(flag),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => Value::Array(items.into_iter().map(|item| node(item, depth + 1)).collect::<Result<_, _>>()?),
        DeValue::Table(table) => table_value(table, depth)?,
    };
    Ok(Node { span, value })
}

fn table_value(table: DeTable<'_>, depth: usize) -> Result<Value, Malformed> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        let key_span = key.span();
        entries.push(Entry { key: key.into_inner().into_owned(), key_span, node: node(value, depth + 1)? });
    }
    entries.sort_by_key(|entry| entry.key_span.start);
    Ok(Value::Table(entries))
}

fn saturated(integer: &DeInteger<'_>) -> i128 {
    let digits = integer.as_str();
    let limit = if digits.starts_with('-') { i128::MIN } else { i128::MAX };
    i128::from_str_radix(digits, integer.radix()).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_base_and_size() {
        let tree = Node::parse("a = 1_000\nb = 0xff\nc = -5\nd = 1_000_000_000_000_000_000_000_000_000_000_000_000_000_000")
            .expect("valid");
        let found: Vec<_> = tree.entries().iter().map(|entry| entry.node.value.clone()).collect();
        assert!(
            matches!(found[..], [Value::Integer(1000), Value::Integer(255), Value::Integer(-5), Value::Integer(i128::MAX)]),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_nested_too_deep_is_refused_not_a_crash() {
        let keys = vec!["a"; 79].join(".");
        let mut text = "1".to_owned();
        for _ in 0..78 {
            text = format!("{{{keys}={text}}}");
        }
        let refused = Node::parse(&format!("x={text}")).expect_err("too deep");
        assert!(refused.message.contains("nested") || refused.message.contains("recursion"), "{}", refused.message);
    }
}
