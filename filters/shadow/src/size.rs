//! Sizes as the proxy's configuration writes them: `"64KiB"`, `"1MiB"`.

use serde::de::{self, Deserialize, Deserializer};

/// A body that is longer is never copied, whatever a filter says: the proxy keeps it in memory until it is complete.
pub const BODY_BYTES_MAX: u32 = 1 << 20;

/// So many bytes of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u32);

impl Size {
    fn parse(text: &str) -> Option<u64> {
        let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit);
        let factor = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(factor)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match Size::parse(&text) {
            Some(bytes) if bytes <= u64::from(BODY_BYTES_MAX) => Ok(Size(bytes as u32)),
            _ => Err(de::Error::custom(format!("expected a size such as \"64KiB\", at most \"1MiB\", found \"{text}\""))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("0B", 0), ("64KiB", 64 << 10), ("1MiB", 1 << 20)] {
            assert_eq!(Size::parse(text), Some(bytes), "{text}");
        }
        for bad in ["", "64", "KiB", "64kb", "1GiB", "99999999999999999999MiB", "-1B"] {
            assert_eq!(Size::parse(bad), None, "{bad}");
        }
        assert!(serde_json::from_str::<Size>(r#""2MiB""#).is_err());
    }
}
