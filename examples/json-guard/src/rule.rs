//! One rule: what must hold of the values at one path.

use tamis_sdk::ConfigError;

use crate::Wrong;
use crate::config::{self, Kind};
use crate::json::Json;

#[derive(Debug)]
pub struct Rule {
    steps: Vec<Step>,
    required: bool,
    kind: Option<Kind>,
    max_length: Option<usize>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    /// Each item of a list.
    Items,
}

impl Rule {
    pub fn build(rule: config::Rule) -> Result<Self, ConfigError> {
        if !rule.required && rule.kind.is_none() && rule.max_length.is_none() {
            return Err(ConfigError::new("expected one of `required`, `type` and `max-length`, found none"));
        }
        if rule.max_length.is_some()
            && let Some(kind) = rule.kind
            && !matches!(kind, Kind::String | Kind::List | Kind::Object)
        {
            let why = format!("expected the type of something that has a length, found {}", named(kind));
            return Err(ConfigError::at("type", why));
        }
        let steps = steps(&rule.path).ok_or_else(|| {
            let why = format!("expected a path like \"user.name\" or \"items[].id\", found \"{}\"", rule.path);
            ConfigError::at("path", why)
        })?;
        Ok(Rule { steps, required: rule.required, kind: rule.kind, max_length: rule.max_length })
    }

    /// The first place where it does not hold.
    pub fn broken_by(&self, json: &Json) -> Option<Wrong> {
        self.walk(json, &self.steps, "$")
    }

    fn walk(&self, json: &Json, steps: &[Step], path: &str) -> Option<Wrong> {
        match steps {
            [] => self.judge(json, path),
            [Step::Key(key), rest @ ..] => match json.get(key) {
                Some(value) => self.walk(value, rest, &format!("{path}.{key}")),
                None if self.required => wrong(&format!("{path}.{key}"), "expected a value, found none".to_owned()),
                None => None,
            },
            [Step::Items, rest @ ..] => match json {
                Json::List(items) => {
                    let mut items = items.iter().enumerate();
                    items.find_map(|(at, item)| self.walk(item, rest, &format!("{path}[{at}]")))
                }
                other if self.required => wrong(path, format!("expected a list, found {}", named(other.kind()))),
                _ => None,
            },
        }
    }

    fn judge(&self, json: &Json, path: &str) -> Option<Wrong> {
        if let Some(kind) = self.kind.filter(|kind| !is(json.kind(), *kind)) {
            return wrong(path, format!("expected {}, found {}", named(kind), named(json.kind())));
        }
        match (self.max_length, json.length()) {
            (Some(most), Some(length)) if length > most => {
                wrong(path, format!("expected a length of at most {most}, found {length}"))
            }
            _ => None,
        }
    }
}

/// An integer is a number too.
fn is(found: Kind, expected: Kind) -> bool {
    found == expected || (found == Kind::Integer && expected == Kind::Number)
}

fn wrong(path: &str, what: String) -> Option<Wrong> {
    Some(Wrong { path: path.to_owned(), what })
}

fn named(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Boolean => "a boolean",
        Kind::Integer => "an integer",
        Kind::Number => "a number",
        Kind::String => "a string",
        Kind::List => "a list",
        Kind::Object => "an object",
    }
}

/// `items[].id`; `$` alone is the whole.
fn steps(path: &str) -> Option<Vec<Step>> {
    if path == "$" {
        return Some(Vec::new());
    }
    let mut steps = Vec::new();
    for (at, part) in path.strip_prefix("$.").unwrap_or(path).split('.').enumerate() {
        let mut key = part;
        let mut lists = 0;
        while let Some(rest) = key.strip_suffix("[]") {
            (key, lists) = (rest, lists + 1);
        }
        let whole_is_a_list = at == 0 && (key == "$" || key.is_empty()) && lists > 0;
        if !whole_is_a_list {
            if key.is_empty() || key.contains(['[', ']']) {
                return None;
            }
            steps.push(Step::Key(key.to_owned()));
        }
        steps.extend((0..lists).map(|_| Step::Items));
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_keys_and_lists() {
        let key = |key: &str| Step::Key(key.to_owned());
        assert_eq!(steps("$"), Some(vec![]));
        assert_eq!(steps("a.b"), Some(vec![key("a"), key("b")]));
        assert_eq!(steps("$.a[].b[][]"), Some(vec![key("a"), Step::Items, key("b"), Step::Items, Step::Items]));
        assert_eq!(steps("$[].a"), Some(vec![Step::Items, key("a")]));
        for bad in ["", ".", "a.", "a..b", "a[0]", "a.[]", "a[", "a[]b"] {
            assert_eq!(steps(bad), None, "{bad}");
        }
    }
}
