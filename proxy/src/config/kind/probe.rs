//! What a health check sends and expects: a target, a text, statuses.

use std::ops::RangeInclusive;

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};

/// Past it, servers refuse a request line.
const TARGET_BYTES_MAX: usize = 8192;

/// A path that begins with `/`, perhaps with a query.
pub struct Target;

impl Kind for Target {
    type Value = String;

    fn expected(&self) -> String {
        "a path such as \"/healthz\"".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<String> {
        match node.as_str() {
            Some(text) if text.starts_with('/') && text.len() <= TARGET_BYTES_MAX && text.parse::<http::Uri>().is_ok() => {
                Some(text.to_owned())
            }
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &String) -> String {
        format!("{value:?}")
    }
}

/// A text of visible ASCII and spaces, so that it fits into a field.
pub struct Text(usize);

impl Text {
    pub const fn up_to(bytes_max: usize) -> Self {
        Self(bytes_max)
    }
}

impl Kind for Text {
    type Value = String;

    fn expected(&self) -> String {
        format!("a text of at most {} bytes, visible ASCII and spaces", self.0)
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<String> {
        match node.as_str() {
            Some(text) if text.len() <= self.0 && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) => {
                Some(text.to_owned())
            }
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &String) -> String {
        format!("{value:?}")
    }
}

/// `200`, or `"200-299"`.
pub struct Statuses;

impl Kind for Statuses {
    type Value = RangeInclusive<u16>;

    fn expected(&self) -> String {
        "a status from 200 to 599 such as 204, or a range such as \"200-299\"".to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<RangeInclusive<u16>> {
        let range = match &node.value {
            Value::Integer(status) => u16::try_from(*status).ok().map(|status| status..=status),
            Value::String(text) => range(text),
            _ => None,
        };
        match range {
            Some(range) if *range.start() >= 200 && *range.end() < 600 && range.start() <= range.end() => Some(range),
            _ => reader.mismatch(&self.expected(), node),
        }
    }

    fn show(&self, value: &RangeInclusive<u16>) -> String {
        if value.start() == value.end() { value.start().to_string() } else { format!("\"{}-{}\"", value.start(), value.end()) }
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    let (from, to) = text.split_once('-')?;
    Some(digits(from)?..=digits(to)?)
}
