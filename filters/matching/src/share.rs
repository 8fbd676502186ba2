//! A percentage of exchanges.

use serde::de::{self, Deserialize, Deserializer};
use tamis_sdk::entropy;

/// So much of all: `12.5` in a configuration, from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    percent: f64,
    /// Draws below this are in: of 2^64, so that 100 % is one more than a `u64` holds.
    limit: u128,
}

impl Share {
    pub const ALL: Share = Share { percent: 100.0, limit: 1 << 64 };

    /// `None` unless it is between 0 and 100.
    pub fn percent(percent: f64) -> Option<Self> {
        let limit = percent / 100.0 * (1u128 << 64) as f64;
        (0.0..=100.0).contains(&percent).then_some(Share { percent, limit: limit as u128 })
    }

    /// Whether an exchange is in, each drawn by itself.
    pub fn draw(self) -> bool {
        match self.limit {
            0 => false,
            limit if limit > u128::from(u64::MAX) => true,
            limit => u128::from(entropy::next()) < limit,
        }
    }

    /// Whether what has this hash is in: the same always is, and stays in when the share grows.
    pub fn has(self, hash: u64) -> bool {
        u128::from(hash) < self.limit
    }
}

impl Default for Share {
    fn default() -> Self {
        Share::ALL
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        Share::percent(percent).ok_or_else(|| de::Error::custom(format!("expected a percentage from 0 to 100, found {percent}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_what_they_say() {
        let half = Share::percent(50.0).unwrap();
        assert!(half.has(0) && half.has(u64::MAX / 2) && !half.has(u64::MAX / 2 + 1));
        assert!(Share::ALL.has(u64::MAX) && !Share::percent(0.0).unwrap().has(0));
        for bad in [-0.1, 100.1, f64::NAN] {
            assert_eq!(Share::percent(bad), None, "{bad}");
        }
        assert!(serde_json::from_str::<Share>("5").is_ok() && serde_json::from_str::<Share>("101").is_err());
    }
}
