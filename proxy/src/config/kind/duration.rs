//! Durations: `"250ms"`, `"30s"`, `"1m30s"`, `"2h"`.

use std::time::Duration;

use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};

/// A year: far past any use, and far before a clock overflows.
pub const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

const EXAMPLE: &str = "a duration such as \"5ms\" or \"1m30s\"";
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A duration in whole milliseconds within bounds.
pub struct Time {
    min: Duration,
    max: Duration,
    zero: Zero,
}

enum Zero {
    /// The same as any other value below the least.
    Number,
    /// `"0s"` means that there is none.
    Off,
}

impl Time {
    /// From `min` to `max`, both included.
    pub const fn within(min: Duration, max: Duration) -> Self {
        Self { min, max, zero: Zero::Number }
    }

    /// A timeout that `"0s"` switches off.
    pub const fn timeout() -> Self {
        Self { min: Duration::ZERO, max: DURATION_MAX, zero: Zero::Off }
    }

    fn range(&self) -> String {
        match self.zero {
            Zero::Off => format!("up to {}, or \"0s\" for none", written(self.max)),
            Zero::Number => format!("from {} to {}", written(self.min), written(self.max)),
        }
    }
}

impl Kind for Time {
    type Value = Duration;

    fn expected(&self) -> String {
        format!("{EXAMPLE}, {}", self.range())
    }

    fn takes(&self) -> String {
        format!("a duration {}", self.range())
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Duration> {
        let Value::String(text) = &node.value else {
            return match node.value {
                Value::Integer(number) if number >= 0 => {
                    reader.mismatch_with_help(EXAMPLE, node, format!("write it with a unit: \"{number}s\""))
                }
                _ => reader.mismatch(EXAMPLE, node),
            };
        };
        match parse(text) {
            Ok(duration) if duration < self.min || duration > self.max => {
                reader.mismatch(&format!("a duration {}", self.range()), node)
            }
            Ok(duration) => Some(duration),
            Err(help) => reader.mismatch_with_help(EXAMPLE, node, help),
        }
    }

    fn show(&self, value: &Duration) -> String {
        written(*value)
    }
}

/// `Err` says what would do.
fn parse(text: &str) -> Result<Duration, &'static str> {
    if text == "0" {
        return Err("zero is written \"0s\"");
    }
    if text.contains(['.', ',']) {
        return Err("a fraction is written in the next smaller unit: \"1500ms\"");
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut millis = 0u64;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let unit = &after[..after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len()];
        if number.is_empty() || unit.is_empty() {
            return Err("a number and its unit, h, m, s or ms, without a space");
        }
        let number: u64 = number.parse().map_err(|_| "the number is too large")?;
        // Units go from large to small, each at most once: what is left of the list is what may still come.
        let scale = match units.find(|(name, _)| *name == unit) {
            Some((_, scale)) => scale,
            None if UNITS.iter().any(|(name, _)| *name == unit) => {
                return Err("units go from large to small, each once: \"1h30m\"");
            }
            None => return Err("the units are h, m, s and ms"),
        };
        millis = number.checked_mul(*scale).and_then(|part| millis.checked_add(part)).ok_or("it is too long")?;
        rest = &after[unit.len()..];
    }
    if text.is_empty() { Err("zero is written \"0s\"") } else { Ok(Duration::from_millis(millis)) }
}

/// With the largest unit that divides it, quoted as in the file.
fn written(duration: Duration) -> String {
    let millis = duration.as_millis();
    let fitting = UNITS.iter().find(|(_, scale)| millis.is_multiple_of(u128::from(*scale)) && millis > 0);
    let (unit, scale) = fitting.unwrap_or(&("s", 1000));
    format!("\"{}{unit}\"", millis / u128::from(*scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_alone_and_together() {
        let cases = [("250ms", 250), ("5s", 5000), ("1m30s", 90_000), ("2h", 7_200_000), ("0s", 0), ("1h2m3s4ms", 3_723_004)];
        for (text, millis) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_what_would_do() {
        let cases = [
            ("", "zero"),
            ("0", "zero"),
            ("5", "unit"),
            ("s", "unit"),
            ("5 s", "space"),
            ("-5s", "unit"),
            ("1.5s", "fraction"),
            ("5d", "units are"),
            ("5S", "units are"),
            ("5é", "unit"),
            ("5s1m", "large to small"),
            ("5s5s", "large to small"),
            ("99999999999999999999999s", "large"),
            ("9999999999999999999h", "long"),
        ];
        for (text, word) in cases {
            let help = parse(text).expect_err(text);
            assert!(help.contains(word), "{text}: {help}");
        }
    }

    #[test]
    fn shown_as_it_is_written() {
        for text in ["0s", "5ms", "75s", "1m", "5m", "1h", "1500ms"] {
            assert_eq!(written(parse(text).expect(text)), format!("\"{text}\""));
        }
    }
}
