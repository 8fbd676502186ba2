//! The versions of the ABI, which a module tells by a function that it exports and nobody calls.

use std::fmt;

/// In the order in which they came about; Higress' own has a number past all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V0_1_0,
    V0_2_0,
    V0_2_1,
    /// 0.2.1 and what Higress has added.
    V0_2_100,
}

const PREFIX: &str = "proxy_abi_version_";

impl Version {
    pub const ALL: [Version; 4] = [Version::V0_1_0, Version::V0_2_0, Version::V0_2_1, Version::V0_2_100];

    /// Of the name of an export: `None` if it tells none; otherwise the version, or what it says instead of one.
    pub fn told_by(export: &str) -> Option<Result<Self, &str>> {
        let told = export.strip_prefix(PREFIX)?;
        Some(Self::ALL.into_iter().find(|version| version.number().replace('.', "_") == told).ok_or(told))
    }

    pub const fn number(self) -> &'static str {
        match self {
            Version::V0_1_0 => "0.1.0",
            Version::V0_2_0 => "0.2.0",
            Version::V0_2_1 => "0.2.1",
            Version::V0_2_100 => "0.2.100",
        }
    }

    /// A pause at the head of a message still lets its body come.
    pub fn holds_heads(self) -> bool {
        self == Version::V0_2_100
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proxy-wasm {}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_told_by_the_name_of_an_export() {
        assert_eq!(Version::told_by("proxy_abi_version_0_2_100"), Some(Ok(Version::V0_2_100)));
        assert_eq!(Version::told_by("proxy_abi_version_0_2_1"), Some(Ok(Version::V0_2_1)));
        assert_eq!(Version::told_by("proxy_abi_version_9_9_9"), Some(Err("9_9_9")));
        assert_eq!(Version::told_by("proxy_on_tick"), None);
    }
}
