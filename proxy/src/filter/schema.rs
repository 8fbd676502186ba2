//! The JSON Schema of its configuration that a module may carry, and what of a configuration it refuses.
//!
//! It finds every mistake at once, where `configure` stops at its first; the words of `configure` are the better ones, so that
//! of the same mistake only its own are told. Nothing is ever fetched: a schema that refers to another document is none.

mod mistake;

use std::fmt;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use wasmparser::{Parser, Payload};

pub use mistake::Mistake;

/// The custom section that holds the schema: one JSON document. docs/filters.md tells how it gets there.
pub const SECTION: &str = "tamis:config-schema";

/// Mistakes that are told of one configuration: a list of ten thousand can be wrong ten thousand times.
const MISTAKES_MAX: usize = 100;

/// A schema that can be asked.
pub struct Schema {
    text: Value,
    validator: Validator,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({})", self.text)
    }
}

impl Schema {
    /// The schema of a module or component; `None` if it carries none. An error says what is wrong with it.
    pub fn of(module: &[u8]) -> Result<Option<Self>, String> {
        let Some(section) = section(module) else { return Ok(None) };
        let text: Value = serde_json::from_slice(section).map_err(|error| format!("it is no JSON: {error}"))?;
        // Patterns come from whoever wrote the module: they are matched in linear time, whatever they say.
        let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
        let validator = options.build(&text).map_err(|error| match error.instance_path().as_str() {
            "" => error.to_string(),
            place => format!("{place}: {error}"),
        })?;
        Ok(Some(Self { text, validator }))
    }

    /// What it refuses, in the order in which it was found.
    pub fn mistakes(&self, config: &Value) -> Vec<Mistake> {
        let mut found = Vec::new();
        for error in self.validator.iter_errors(config) {
            for mistake in Mistake::of(&self.text, &error) {
                if !found.contains(&mistake) {
                    found.push(mistake);
                }
            }
            if found.len() >= MISTAKES_MAX {
                found.truncate(MISTAKES_MAX);
                break;
            }
        }
        found
    }
}

/// The section of the module itself, or of a core module inside of a component.
pub fn section(module: &[u8]) -> Option<&[u8]> {
    Parser::new(0).parse_all(module).map_while(Result::ok).find_map(|payload| match payload {
        Payload::CustomSection(section) if section.name() == SECTION => Some(section.data()),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
