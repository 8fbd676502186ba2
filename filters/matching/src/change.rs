//! What is done to the fields of one message: removed first, then set, then added. Values are templates.

use std::collections::BTreeMap;

use serde::de::{self, Deserializer};
use tamis_sdk::config::OneOrMany;
use tamis_sdk::prelude::*;

use crate::name::is_token;
use crate::template::Template;

/// What a configuration says.
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
        match is_token(&name) {
            true => Ok(Name(name)),
            false => Err(de::Error::custom(format!("expected the name of a field, found \"{name}\""))),
        }
    }
}

/// Removed first, then set, then added.
#[derive(Debug, Default)]
pub struct Rules {
    remove: Vec<Name>,
    set: Vec<(Name, Template)>,
    add: Vec<(Name, Template)>,
}

/// Rules with the values of one exchange in them.
#[derive(Debug)]
pub struct Changes<'a> {
    remove: &'a [Name],
    set: Vec<(&'a str, Vec<u8>)>,
    add: Vec<(&'a str, Vec<u8>)>,
}

/// A message whose fields can be changed.
pub trait Message {
    fn remove(&mut self, name: &str);
    fn set(&mut self, name: &str, value: &[u8]) -> Result<(), Refused>;
    fn add(&mut self, name: &str, value: &[u8]) -> Result<(), Refused>;
}

impl Fields {
    pub fn is_empty(&self) -> bool {
        self.remove.0.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

impl From<Fields> for Rules {
    fn from(fields: Fields) -> Self {
        let add = fields.add.into_iter();
        Rules {
            remove: fields.remove.0,
            set: fields.set.into_iter().collect(),
            add: add.flat_map(|(name, values)| values.0.into_iter().map(move |value| (name.clone(), value))).collect(),
        }
    }
}

impl Rules {
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// All values are read before anything is changed, so that their order does not matter.
    pub fn changes(&self, request: &Request) -> Changes<'_> {
        Changes { remove: &self.remove, set: expanded(&self.set, request), add: expanded(&self.add, request) }
    }
}

fn expanded<'a>(rules: &'a [(Name, Template)], request: &Request) -> Vec<(&'a str, Vec<u8>)> {
    rules.iter().map(|(name, template)| (name.0.as_str(), template.expand(request))).collect()
}

impl Changes<'_> {
    /// A value that cannot be sent, from a note with a line break in it say, leaves its field alone.
    pub fn apply(self, message: &mut impl Message) {
        for name in self.remove {
            message.remove(&name.0);
        }
        for (name, value) in self.set {
            told(message.set(name, &value));
        }
        for (name, value) in self.add {
            told(message.add(name, &value));
        }
    }
}

fn told(result: Result<(), Refused>) {
    if let Err(why) = result {
        log::warn!("a field is left alone: {why}");
    }
}

/// A reply with these fields, whose values are of this exchange. One that cannot be sent is left out.
pub fn with_fields<'a>(reply: Reply, fields: impl IntoIterator<Item = (&'a str, &'a Template)>, request: &Request) -> Reply {
    fields.into_iter().fold(reply, |reply, (name, template)| {
        let value = template.expand(request);
        if HeaderValue::from_bytes(&value).is_err() {
            log::warn!("`{name}` is left out: HTTP does not allow its value");
            return reply;
        }
        reply.header(name, value)
    })
}

impl Message for Request {
    fn remove(&mut self, name: &str) {
        self.remove_header(name);
    }

    fn set(&mut self, name: &str, value: &[u8]) -> Result<(), Refused> {
        self.set_header(name, value)
    }

    fn add(&mut self, name: &str, value: &[u8]) -> Result<(), Refused> {
        self.add_header(name, value)
    }
}

impl Message for Response {
    fn remove(&mut self, name: &str) {
        self.remove_header(name);
    }

    fn set(&mut self, name: &str, value: &[u8]) -> Result<(), Refused> {
        self.set_header(name, value)
    }

    fn add(&mut self, name: &str, value: &[u8]) -> Result<(), Refused> {
        self.add_header(name, value)
    }
}
