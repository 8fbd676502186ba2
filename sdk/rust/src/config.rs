//! Reading a filter's configuration, and saying what is wrong with it and where.
//!
//! A mistake is told as `routes[3].match.path: expected …, found …`: the path first, which the proxy turns into a position in
//! its configuration file. Mistakes of type are found by serde; what only the filter can know goes into its own
//! `Deserialize`, or into the [`ConfigError`] that `configure` returns.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Deserializer};

mod nearest;
mod schema;

/// What is wrong with a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    path: String,
    message: String,
}

impl ConfigError {
    /// A mistake of the configuration as a whole.
    pub fn new(message: impl fmt::Display) -> Self {
        ConfigError { path: String::new(), message: message.to_string() }
    }

    /// A mistake at a path, `rules[2].limit` for one.
    pub fn at(path: impl fmt::Display, message: impl fmt::Display) -> Self {
        ConfigError { path: path.to_string(), message: message.to_string() }
    }

    /// The same mistake, seen from one step further out: `error.within("rules[2]")`.
    pub fn within(mut self, outer: impl fmt::Display) -> Self {
        let outer = outer.to_string();
        self.path = match self.path.as_str() {
            "" => outer,
            inner if inner.starts_with('[') => format!("{outer}{inner}"),
            inner => format!("{outer}.{inner}"),
        };
        self
    }

    /// Where it is; empty for the configuration as a whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Reads a configuration from JSON.
pub(crate) fn read<T: DeserializeOwned>(json: &str) -> Result<T, ConfigError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let config = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        explain(path, error.inner())
    })?;
    deserializer.end().map_err(|error| ConfigError::new(error.to_string()))?;
    Ok(config)
}

/// In the proxy's words: what was expected, then what was found. A mistake of syntax keeps its line and column, because
/// nobody wrote this JSON by hand.
fn explain(path: String, error: &serde_json::Error) -> ConfigError {
    let text = error.to_string();
    let text = match error.classify() {
        serde_json::error::Category::Data => text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]),
        _ => text.as_str(),
    };
    for prefix in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some((found, expected)) = text.strip_prefix(prefix).and_then(|rest| rest.rsplit_once(", expected ")) {
            let found = if prefix == "invalid length " { format!("{found} items") } else { plain(found) };
            return ConfigError::at(path, format!("expected {expected}, found {found}"));
        }
    }
    for (prefix, noun) in [("unknown field `", "key"), ("unknown variant `", "word")] {
        let Some((found, expected)) = text.strip_prefix(prefix).and_then(|rest| rest.split_once("`, ")) else { continue };
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let advice = match nearest::nearest(found, &known) {
            Some(near) => format!("the nearest is `{near}`"),
            None if known.is_empty() => "none is known here".to_owned(),
            None => format!("known are {}", nearest::listed(&known)),
        };
        let path = if noun == "key" { ending_in(path, found) } else { path };
        return ConfigError::at(path, format!("unknown {noun} `{found}`; {advice}"));
    }
    if let Some(name) = text.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return ConfigError::at(path, format!("missing key `{name}`"));
    }
    ConfigError::at(path, text)
}

/// `string "x"` is `"x"`, ``integer `5` `` is `5`: TOML shows its types by itself.
fn plain(found: &str) -> String {
    if let Some(text) = found.strip_prefix("string ") {
        return text.to_owned();
    }
    match found.split_once('`') {
        Some((_, rest)) => rest.trim_end_matches('`').to_owned(),
        None => match found {
            "map" => "a table".to_owned(),
            "sequence" => "a list".to_owned(),
            other => other.to_owned(),
        },
    }
}

/// The path of a key that is not known ends with the key.
fn ending_in(path: String, key: &str) -> String {
    match path.as_str() {
        "" => key.to_owned(),
        path if path == key || path.ends_with(&format!(".{key}")) => path.to_owned(),
        path => format!("{path}.{key}"),
    }
}

/// The configuration of a filter that has none: any key is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// A value that may be written alone or in a list: `method = "GET"` or `method = ["GET", "HEAD"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        OneOrMany(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(text.into_deserializer()).map(|one| OneOrMany(vec![one]))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(OneOrMany)
            }
        }

        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

/// A duration as the proxy's configuration writes it: `"250ms"`, `"2s"`, `"5m"`, `"1h"`.
/// With serde: `#[serde(deserialize_with = "tamis_sdk::config::duration")]`.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text)
        .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &"a duration like \"250ms\" or \"2s\""))
}

/// The same for a key that may be absent; needs `#[serde(default)]` as well.
pub fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().ok()?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    #[allow(dead_code)]
    struct Rules {
        rules: Vec<Rule>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    #[allow(dead_code)]
    struct Rule {
        limit: u32,
        #[serde(default)]
        kind: Kind,
        #[serde(default)]
        key: OneOrMany<String>,
        #[serde(default, deserialize_with = "optional_duration")]
        window: Option<Duration>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Kind {
        #[default]
        Rate,
        Calendar,
    }

    fn mistake(json: &str) -> String {
        read::<Rules>(json).unwrap_err().to_string()
    }

    #[test]
    fn a_mistake_says_its_path_first() {
        for (json, said) in [
            (r#"{"rules":[{"limit":1},{"limit":"x"}]}"#, r#"rules[1].limit: expected u32, found "x""#),
            (r#"{"rules":[{"limit":-5}]}"#, "rules[0].limit: expected u32, found -5"),
            (r#"{"rules":[{"limmit":1}]}"#, "rules[0].limmit: unknown key `limmit`; the nearest is `limit`"),
            (r#"{"rulez":[]}"#, "rulez: unknown key `rulez`; the nearest is `rules`"),
            (r#"{"rules":[{}]}"#, "rules[0]: missing key `limit`"),
            (r#"{"rules":{}}"#, "rules: expected a sequence, found a table"),
            (r#"{"rules":[{"limit":1,"kind":"calender"}]}"#, "rules[0].kind: unknown word `calender`; the nearest is `calendar`"),
            (r#"{"rules":[{"limit":1,"key":["a",5]}]}"#, "rules[0].key[1]: expected a string, found 5"),
            (
                r#"{"rules":[{"limit":1,"window":"2 s"}]}"#,
                r#"rules[0].window: expected a duration like "250ms" or "2s", found "2 s""#,
            ),
        ] {
            assert_eq!(mistake(json), said, "{json}");
        }
    }

    #[test]
    fn one_value_and_a_list_read_alike() {
        let rules: Rules = read(r#"{"rules":[{"limit":1,"key":"a"},{"limit":1,"key":["a","b"],"window":"2m"}]}"#).unwrap();
        assert_eq!(rules.rules[0].key.0, ["a"]);
        assert_eq!(rules.rules[1].key.0, ["a", "b"]);
        assert_eq!(rules.rules[1].window, Some(Duration::from_secs(120)));
    }

    #[test]
    fn a_path_grows_outwards() {
        let error = ConfigError::new("no").within("[3]").within("routes");
        assert_eq!(error.to_string(), "routes[3]: no");
        assert_eq!(ConfigError::at("to", "no").within("routes[3]").path(), "routes[3].to");
    }
}
