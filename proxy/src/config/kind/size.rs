//! Sizes in bytes: `"64KiB"`, `"16MiB"`, `"500kB"`, or a plain number of bytes.

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};

const EXAMPLE: &str = "a size such as \"64KiB\" or \"16MiB\"";
const HELP: &str = "the units are B, kB, MB, GB (thousands) and KiB, MiB, GiB (1024s); a plain number is bytes";
/// The largest first: `written` takes the first that divides.
const UNITS: [(&str, u64); 7] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("B", 1)];

/// A number of bytes from `min` to `max`, both included, as a `T`.
pub struct Size<T> {
    min: T,
    max: T,
}

impl<T: Copy + TryInto<u64>> Size<T> {
    pub const fn within(min: T, max: T) -> Self {
        Self { min, max }
    }

    fn range(&self) -> String {
        format!("from {} to {}", written(bytes(self.min)), written(bytes(self.max)))
    }
}

impl<T: Copy + TryInto<u64> + TryFrom<u64>> Kind for Size<T> {
    type Value = T;

    fn expected(&self) -> String {
        format!("{EXAMPLE}, {}", self.range())
    }

    fn takes(&self) -> String {
        format!("a size {}", self.range())
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<T> {
        let size = match &node.value {
            // What does not fit is out of bounds, whatever its size: zero and the largest number stand for it.
            Value::Integer(number) => u64::try_from(*number).unwrap_or(if *number < 0 { 0 } else { u64::MAX }),
            Value::String(text) => match parse(text) {
                Some(size) => size,
                None => return reader.mismatch_with_help(EXAMPLE, node, HELP),
            },
            _ => return reader.mismatch_with_help(EXAMPLE, node, HELP),
        };
        match T::try_from(size) {
            Ok(value) if size >= bytes(self.min) && size <= bytes(self.max) => Some(value),
            _ => reader.mismatch(&format!("a size {}", self.range()), node),
        }
    }

    fn show(&self, value: &T) -> String {
        written(bytes(*value))
    }
}

fn bytes<T: TryInto<u64>>(value: T) -> u64 {
    value.try_into().unwrap_or(u64::MAX)
}

fn parse(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// With the largest unit of 1024s that divides it, or as a plain number of bytes.
fn written(size: u64) -> String {
    match UNITS[..3].iter().find(|(_, scale)| size.is_multiple_of(*scale) && size > 0) {
        Some((unit, scale)) => format!("\"{}{unit}\"", size / scale),
        None => size.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit() {
        let cases = [
            ("0B", 0),
            ("17B", 17),
            ("500kB", 500_000),
            ("2MB", 2_000_000),
            ("1GB", 1_000_000_000),
            ("64KiB", 65_536),
            ("16MiB", 16_777_216),
            ("1GiB", 1_073_741_824),
        ];
        for (text, size) in cases {
            assert_eq!(parse(text), Some(size), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        for text in ["", "5", "KiB", "5 KiB", "5K", "5kb", "5KB", "-5B", "1.5MiB", "5é", "99999999999GiB", "5KiB5B"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn shown_as_it_is_written() {
        assert_eq!(written(65_536), "\"64KiB\"");
        assert_eq!(written(16_777_215), "16777215");
        assert_eq!(written(0), "0");
        assert_eq!(written(3 << 30), "\"3GiB\"");
    }
}
