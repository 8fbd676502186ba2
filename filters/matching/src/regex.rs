//! Regular expressions over whole values: who means a part of it writes `.*` around it, as in Envoy and Istio.
//!
//! They run in time linear in the value and know no look-around and no back-references, so none can be made to hang.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};

/// See the module. Two are equal when they were written alike.
#[derive(Clone)]
pub struct Regex {
    written: String,
    compiled: regex_lite::Regex,
}

impl Regex {
    /// Compiles an expression that a whole value must match.
    pub fn whole(written: &str, ignore_case: bool) -> Result<Self, String> {
        let flag = if ignore_case { "(?i)" } else { "" };
        // Compiled by itself first, so that a bracket that closes the wrapping is found.
        let compiled = regex_lite::Regex::new(written).and_then(|_| regex_lite::Regex::new(&format!("^{flag}(?:{written})$")));
        match compiled {
            Ok(compiled) => Ok(Regex { written: written.to_owned(), compiled }),
            Err(error) => Err(format!("expected a regular expression, found \"{written}\": {error}")),
        }
    }

    /// The expression as it was written.
    pub fn written(&self) -> &str {
        &self.written
    }

    pub fn matches(&self, value: &str) -> bool {
        self.compiled.is_match(value)
    }

    /// Bytes that are no text match nothing.
    pub fn matches_bytes(&self, value: &[u8]) -> bool {
        std::str::from_utf8(value).is_ok_and(|text| self.matches(text))
    }

    /// The groups of a value that it matches; `$1` and `$name` in `replacement` stand for them.
    pub fn replace(&self, value: &str, replacement: &str) -> Option<String> {
        let groups = self.compiled.captures(value)?;
        let mut replaced = String::new();
        groups.expand(replacement, &mut replaced);
        Some(replaced)
    }

    /// Its named groups, with what each of them has in a value that it matches.
    pub fn groups<'a>(&'a self, value: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let captures = self.compiled.captures(value);
        self.compiled.capture_names().flatten().filter_map(move |name| {
            let group = captures.as_ref()?.name(name)?;
            Some((name, group.as_str()))
        })
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.written)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.compiled.as_str() == other.compiled.as_str()
    }
}

impl Eq for Regex {}

impl<'de> Deserialize<'de> for Regex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Regex::whole(&String::deserialize(deserializer)?, false).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_value_must_match() {
        let regex = Regex::whole("/v[0-9]+|/new", false).unwrap();
        for (value, matches) in
            [("/v12", true), ("/new", true), ("/v", false), ("/v1/x", false), ("x/new", false), ("/NEW", false)]
        {
            assert_eq!(regex.matches(value), matches, "{value}");
        }
        assert!(Regex::whole("/new", true).unwrap().matches("/NEW"));
        assert!(!regex.matches_bytes(b"/v1\xff"));
        assert!(!Regex::whole("a", false).unwrap().matches("a\n"), "a line end is a character like any other");
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for bad in ["(", ")(", "a)|(b", "[", r"(?=a)", r"\1"] {
            assert!(Regex::whole(bad, false).is_err(), "{bad}");
        }
    }

    #[test]
    fn groups_are_handed_out() {
        let regex = Regex::whole("/(?P<kind>[a-z]+)/([0-9]+)", false).unwrap();
        assert_eq!(regex.replace("/users/7", "/$2/of/$kind"), Some("/7/of/users".to_owned()));
        assert_eq!(regex.replace("/users", "/x"), None);
        assert_eq!(regex.groups("/users/7").collect::<Vec<_>>(), [("kind", "users")]);
    }
}
