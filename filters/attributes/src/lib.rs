//! Computes named values of the exchange and notes them, so that later filters can decide by them and the access log has them.

mod config;

use matching::{Matcher, Template};
use tamis_sdk::metrics::Counter;
use tamis_sdk::prelude::*;

use config::{NOTE_BYTES_MAX, Name};

/// As many as the proxy keeps notes of an exchange.
const ATTRIBUTES_MAX: usize = 64;

/// The attributes of one configuration, in their order.
#[derive(Debug)]
pub struct Attributes {
    attributes: Vec<Attribute>,
    counter: Option<Counter>,
}

#[derive(Debug)]
struct Attribute {
    name: String,
    matches: Matcher,
    /// The first that is not empty counts.
    values: Vec<Template>,
    default: Option<String>,
    bytes_max: usize,
    count: bool,
    /// Whether an earlier one may have given the name its value.
    again: bool,
}

impl Filter for Attributes {
    type Config = config::Config;

    fn configure(config: config::Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        let mut attributes: Vec<Attribute> = Vec::with_capacity(config.attributes.len());
        for (position, attribute) in config.attributes.into_iter().enumerate() {
            let config::Attribute { name: Name(name), matches, value, default, bytes_max, count } = attribute;
            let at = |key: &str, why: String| ConfigError::at(format_args!("attributes[{position}].{key}"), why);
            if value.0.is_empty() {
                return Err(at("value", "expected at least one, found none".to_owned()));
            }
            if !(1..=NOTE_BYTES_MAX).contains(&bytes_max) {
                return Err(at("bytes-max", format!("expected 1 to {NOTE_BYTES_MAX}, found {bytes_max}")));
            }
            let again = attributes.iter().any(|known| known.name == name);
            attributes.push(Attribute { name, matches, values: value.0, default, bytes_max, count, again });
        }
        let names = attributes.iter().filter(|attribute| !attribute.again).count();
        if names > ATTRIBUTES_MAX {
            return Err(ConfigError::at("attributes", format!("expected at most {ATTRIBUTES_MAX} names, found {names}")));
        }
        let declare = || setup.counter("attributes_total", "Exchanges by the value of an attribute", &["attribute", "value"]);
        let counter = attributes.iter().any(|attribute| attribute.count).then(declare).transpose().map_err(ConfigError::new)?;
        Ok(Attributes { attributes, counter })
    }
}

impl RequestHook for Attributes {
    fn on_request(&self, request: &mut Request) -> Verdict {
        let mut known: Vec<&str> = Vec::with_capacity(self.attributes.len());
        for attribute in &self.attributes {
            if attribute.again && known.contains(&attribute.name.as_str()) || !attribute.matches.holds(request) {
                continue;
            }
            let Some(value) = attribute.of(request) else { continue };
            request.notes().set(&attribute.name, &value);
            known.push(&attribute.name);
            if let Some(counter) = self.counter.as_ref().filter(|_| attribute.count) {
                counter.increment(&[&attribute.name, &value]);
            }
        }
        Verdict::Next
    }
}

tamis_sdk::export!(Attributes: request);
tamis_sdk::config_schema!("schema.json");

impl Attribute {
    /// Its value for this exchange. `None`: it has none.
    fn of(&self, request: &Request) -> Option<String> {
        // What the match found in the path is what templates look for there.
        if let Some(pattern) = self.matches.pattern() {
            let path = request.path();
            for (name, value) in pattern.values(&path) {
                request.notes().set(&format!("path.{name}"), value);
            }
        }
        let mut values = self.values.iter().map(|template| template.expand(request));
        let found = values.find(|value| !value.is_empty()).map(|value| cut(&value, self.bytes_max));
        found.or_else(|| self.default.clone())
    }
}

/// As text, without what logs and terminals would take for something else.
fn cut(value: &[u8], bytes_max: usize) -> String {
    let mut text: String = String::from_utf8_lossy(value).chars().filter(|c| !c.is_control()).collect();
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}
