//! What the configuration says, as plain data. What can be wrong with one value is refused here, with its path.

use std::time::Duration;

use tamis_sdk::config::{OneOrMany, duration};
use tamis_sdk::prelude::*;
use tamis_sdk::serde::de::{self, Deserializer};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    pub cluster: String,
    #[serde(default)]
    pub path: Path,
    #[serde(default = "quarter_of_a_second", deserialize_with = "duration")]
    pub timeout: Duration,
    #[serde(default = "credentials")]
    pub send: OneOrMany<Name>,
    #[serde(default)]
    pub pass: OneOrMany<Name>,
    #[serde(default = "challenge")]
    pub answer: OneOrMany<Name>,
}

/// A service that needs longer holds up every request.
fn quarter_of_a_second() -> Duration {
    Duration::from_millis(250)
}

fn credentials() -> OneOrMany<Name> {
    names(&["authorization", "cookie"])
}

fn challenge() -> OneOrMany<Name> {
    names(&["www-authenticate", "content-type"])
}

fn names(names: &[&str]) -> OneOrMany<Name> {
    OneOrMany(names.iter().map(|name| Name((*name).to_owned())).collect())
}

/// Where the service is asked.
#[derive(Debug)]
pub struct Path(pub String);

impl Default for Path {
    fn default() -> Self {
        Path("/".to_owned())
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = String::deserialize(deserializer)?;
        match path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            true => Ok(Path(path)),
            false => Err(de::Error::custom(format!("expected a path that begins with \"/\", found \"{path}\""))),
        }
    }
}

/// The name of a field that a filter may set, in lower case.
#[derive(Debug)]
pub struct Name(pub String);

/// Fields that the proxy makes itself.
const MANAGED: [&str; 9] =
    ["host", "connection", "content-length", "transfer-encoding", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"];

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?.to_ascii_lowercase();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if MANAGED.contains(&name.as_str()) {
            let why = format!("expected a field that a filter may set, found `{name}`, which is the proxy's");
            return Err(de::Error::custom(why));
        }
        match !name.is_empty() && name.bytes().all(allowed) {
            true => Ok(Name(name)),
            false => Err(de::Error::custom(format!("expected the name of a field, found \"{name}\""))),
        }
    }
}
