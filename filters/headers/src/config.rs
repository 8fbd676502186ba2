//! What the configuration says, as plain data. What can be wrong with one value is refused here, with its path.

use std::collections::BTreeMap;

use serde::de::{self, Deserializer};
use tamis_sdk::config::OneOrMany;
use tamis_sdk::prelude::*;

use crate::template::Template;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub request: Fields,
    #[serde(default)]
    pub response: Fields,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fields {
    #[serde(default)]
    pub remove: OneOrMany<Name>,
    #[serde(default)]
    pub set: BTreeMap<Name, Template>,
    #[serde(default)]
    pub add: BTreeMap<Name, OneOrMany<Template>>,
}

/// The name of a field that a filter may set, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub String);

/// Fields that the proxy makes itself; it would refuse each of them on every exchange.
const MANAGED: [&str; 9] =
    ["host", "connection", "content-length", "transfer-encoding", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"];

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?.to_ascii_lowercase();
        if MANAGED.contains(&name.as_str()) {
            return Err(de::Error::custom(format!(
                "expected a field that a filter may change, found `{name}`, which is the proxy's"
            )));
        }
        match is_name(&name) {
            true => Ok(Name(name)),
            false => Err(de::Error::custom(format!("expected the name of a field, found \"{name}\""))),
        }
    }
}

/// Whether HTTP allows it as the name of a field.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}
