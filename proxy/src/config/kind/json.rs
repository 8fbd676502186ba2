//! Any value, as the JSON that a filter is given.

use serde_json::{Map, Number, Value as JsonValue};

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};

/// Any value that JSON can say; a date becomes a string.
pub struct Json;

impl Kind for Json {
    type Value = JsonValue;

    fn expected(&self) -> String {
        "any value".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<JsonValue> {
        match &node.value {
            Value::String(text) | Value::Date(text) => Some(JsonValue::String(text.clone())),
            Value::Boolean(flag) => Some(JsonValue::Bool(*flag)),
            Value::Integer(number) => match i64::try_from(*number) {
                Ok(number) => Some(JsonValue::Number(number.into())),
                Err(_) => reader.mismatch("an integer of 64 bits", node),
            },
            Value::Float(number) => match Number::from_f64(*number) {
                Some(number) => Some(JsonValue::Number(number)),
                None => reader.mismatch("a finite number, for JSON knows no other", node),
            },
            Value::Array(items) => {
                let read: Vec<_> = items.iter().map(|item| self.read(item, reader)).collect();
                read.into_iter().collect::<Option<Vec<_>>>().map(JsonValue::Array)
            }
            Value::Table(entries) => {
                let read: Vec<_> =
                    entries.iter().map(|entry| Some((entry.key.clone(), self.read(&entry.node, reader)?))).collect();
                read.into_iter().collect::<Option<Map<_, _>>>().map(JsonValue::Object)
            }
        }
    }

    fn show(&self, value: &JsonValue) -> String {
        value.to_string()
    }
}
