//! What a value must be: of a field, a cookie, a query parameter, a note.

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};

use crate::regex::Regex;

/// What one of the values of a name must be: `"beta"` is short for `{ exact = "beta" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMatch {
    test: Test,
    ignore_case: bool,
    /// No value may be like this; a name without values is well.
    invert: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Regex(Regex),
    Present(bool),
}

impl FieldMatch {
    /// The value itself.
    pub fn exact(value: impl Into<String>) -> Self {
        FieldMatch { test: Test::Exact(value.into()), ignore_case: false, invert: false }
    }

    /// Each value is looked at by itself, never several joined: `a, b` is not the value `a`.
    pub fn holds<V: AsRef<[u8]>>(&self, values: impl IntoIterator<Item = V>) -> bool {
        let mut values = values.into_iter();
        let holds = match &self.test {
            Test::Present(present) => values.next().is_some() == *present,
            _ => values.any(|value| self.fits(value.as_ref())),
        };
        holds != self.invert
    }

    fn fits(&self, value: &[u8]) -> bool {
        let same = |value: &[u8], text: &str| match self.ignore_case {
            true => value.eq_ignore_ascii_case(text.as_bytes()),
            false => value == text.as_bytes(),
        };
        match &self.test {
            Test::Exact(text) => same(value, text),
            Test::Prefix(text) => value.get(..text.len()).is_some_and(|start| same(start, text)),
            Test::Suffix(text) => value.len().checked_sub(text.len()).is_some_and(|start| same(&value[start..], text)),
            Test::Contains(text) => text.is_empty() || value.windows(text.len()).any(|window| same(window, text)),
            Test::Regex(regex) => regex.matches_bytes(value),
            Test::Present(_) => true,
        }
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    exact: Option<String>,
    prefix: Option<String>,
    suffix: Option<String>,
    contains: Option<String>,
    regex: Option<String>,
    present: Option<bool>,
    absent: Option<bool>,
    ignore_case: bool,
    invert: bool,
}

impl TryFrom<Table> for FieldMatch {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let Table { exact, prefix, suffix, contains, regex, present, absent, ignore_case, invert } = table;
        let regex = regex.map(|regex| Regex::whole(&regex, ignore_case)).transpose()?;
        let tests = [
            exact.map(Test::Exact),
            prefix.map(Test::Prefix),
            suffix.map(Test::Suffix),
            contains.map(Test::Contains),
            regex.map(Test::Regex),
            present.map(Test::Present),
            absent.map(|absent| Test::Present(!absent)),
        ];
        let mut tests = tests.into_iter().flatten();
        match (tests.next(), tests.next()) {
            (Some(test), None) => Ok(FieldMatch { test, ignore_case, invert }),
            (found, _) => {
                let found = if found.is_some() { "several" } else { "none" };
                let one = "expected one of `exact`, `prefix`, `suffix`, `contains`, `regex`, `present` and `absent`";
                Err(format!("{one}, found {found}"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for FieldMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor;

        impl<'de> Visitor<'de> for FieldVisitor {
            type Value = FieldMatch;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "a value, or a table with one of `exact`, `prefix`, `suffix`, `contains`, `regex`, `present`, `absent`",
                )
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<FieldMatch, E> {
                Ok(FieldMatch::exact(value))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldMatch, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                FieldMatch::try_from(table).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(FieldVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<FieldMatch, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn each_test_says_what_it_says() {
        let none: &[&str] = &[];
        for (json, values, holds) in [
            (r#""a""#, &["a"] as &[&str], true),
            (r#""a""#, &["b", "a"], true),
            (r#""a""#, &["A"], false),
            (r#""a""#, none, false),
            (r#"{"exact":"a","ignore-case":true}"#, &["A"], true),
            (r#"{"prefix":"ab"}"#, &["abc"], true),
            (r#"{"prefix":"ab"}"#, &["a"], false),
            (r#"{"suffix":"bc"}"#, &["abc"], true),
            (r#"{"suffix":"BC","ignore-case":true}"#, &["abc"], true),
            (r#"{"suffix":"abcd"}"#, &["abc"], false),
            (r#"{"contains":"b"}"#, &["abc"], true),
            (r#"{"contains":""}"#, &["abc"], true),
            (r#"{"regex":"[a-c]+"}"#, &["abc"], true),
            (r#"{"regex":"[a-c]"}"#, &["abc"], false),
            (r#"{"present":true}"#, &[""], true),
            (r#"{"present":false}"#, &[""], false),
            (r#"{"absent":true}"#, none, true),
            (r#"{"exact":"a","invert":true}"#, &["a", "b"], false),
            (r#"{"exact":"a","invert":true}"#, none, true),
        ] {
            assert_eq!(read(json).unwrap().holds(values), holds, "{json} {values:?}");
        }
    }

    #[test]
    fn what_says_nothing_or_two_things_is_refused() {
        for bad in [r#"{}"#, r#"{"exact":"a","prefix":"a"}"#, r#"{"regex":"("}"#, r#"{"exakt":"a"}"#, "1", r#"{"invert":true}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
