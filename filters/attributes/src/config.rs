//! What the configuration says, as plain data. What can be wrong with one value is refused here, with its path.

use matching::{Matcher, Template};
use serde::de::{self, Deserializer};
use tamis_sdk::config::OneOrMany;
use tamis_sdk::prelude::*;

/// Enough for a name, an id or a short path; what clients send is longer where they want to fill logs.
const BYTES_MAX: usize = 256;
/// What the proxy keeps of a note.
pub const NOTE_BYTES_MAX: usize = 4096;
/// What a name is for: the key of a note, a word in a log.
const NAME_BYTES_MAX: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    pub attributes: Vec<Attribute>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Attribute {
    pub name: Name,
    #[serde(default, rename = "match")]
    pub matches: Matcher,
    pub value: OneOrMany<Template>,
    pub default: Option<String>,
    #[serde(default = "bytes_max")]
    pub bytes_max: usize,
    #[serde(default)]
    pub count: bool,
}

/// The key of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match matching::name::is_token(&name) && name.len() <= NAME_BYTES_MAX {
            true => Ok(Name(name)),
            false => Err(de::Error::custom(format!(
                "expected a name of 1 to {NAME_BYTES_MAX} bytes without spaces and separators, found \"{name}\""
            ))),
        }
    }
}

fn bytes_max() -> usize {
    BYTES_MAX
}
