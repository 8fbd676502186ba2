//! One mistake that a schema found, in the words in which filters tell theirs.

use std::fmt;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::paths::{Location, LocationSegment};
use serde_json::Value;

/// Longest value that a message quotes.
const QUOTED_CHARS_MAX: usize = 60;
/// Names that a message lists.
const LISTED_MAX: usize = 12;

/// What is wrong, and where: `routes[3].match.path`, empty for the configuration as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub path: String,
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

impl Mistake {
    /// One for each key that is one too many, else one; several where a value could have had several forms.
    pub(super) fn of(schema: &Value, error: &ValidationError<'_>) -> Vec<Self> {
        let path = path(error.instance_path());
        let one = |message: String| vec![Self { path: path.clone(), message }];
        let found = || found(error.instance());
        match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                let known = known(schema, error.schema_path());
                unexpected.iter().map(|key| Self { path: key_of(&path, key), message: unknown(key, &known) }).collect()
            }
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => match nearest(context, error.instance_path()) {
                Some(errors) => errors.iter().flat_map(|error| Self::of(schema, error)).collect(),
                None => one(format!("expected {}, found {}", forms(schema, context), found())),
            },
            Kind::Type { .. } => one(format!("expected {}, found {}", types(schema, error.schema_path()), found())),
            Kind::Required { property } => one(format!("missing key `{}`", property.as_str().unwrap_or_default())),
            Kind::Enum { options } => one(format!("expected {}, found {}", choices(options), found())),
            Kind::Constant { expected_value } => one(format!("expected {expected_value}, found {}", found())),
            Kind::Minimum { limit } => one(format!("expected at least {limit}, found {}", found())),
            Kind::Maximum { limit } => one(format!("expected at most {limit}, found {}", found())),
            Kind::ExclusiveMinimum { limit } => one(format!("expected more than {limit}, found {}", found())),
            Kind::ExclusiveMaximum { limit } => one(format!("expected less than {limit}, found {}", found())),
            Kind::MinLength { limit: 1 } => one("expected a text, found an empty one".to_owned()),
            Kind::MinItems { limit: 1 } => one("expected a list with an item at least, found an empty one".to_owned()),
            Kind::Pattern { pattern } => one(format!("expected a text that matches {pattern}, found {}", found())),
            Kind::PropertyNames { error: inner } => {
                let key = inner.instance().as_str().unwrap_or_default().to_owned();
                let inner = Self::of(schema, inner).into_iter().map(|mistake| mistake.message);
                inner.map(|message| Self { path: key_of(&path, &key), message: format!("as a key, {message}") }).collect()
            }
            _ => one(error.to_string()),
        }
    }

    /// Whether what `configure` said is about this one: the same message, or the same place or one around it. Of missing keys
    /// there can be several at one place.
    pub fn is_told_by(&self, said: &str) -> bool {
        if said == self.to_string() {
            return true;
        }
        let (place, what) = match said.split_once(": ") {
            Some((place, what)) if !place.contains(' ') => (place, what),
            _ => ("", said),
        };
        if self.message.starts_with("missing key") || what.starts_with("missing key") {
            return false;
        }
        place == self.path || within(place, &self.path) || within(&self.path, place)
    }
}

/// Whether one path lies below another, which is not that of the whole.
fn within(inner: &str, outer: &str) -> bool {
    !outer.is_empty() && inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']))
}

fn path(location: &Location) -> String {
    location.segments().fold(String::new(), |path, segment| match segment {
        LocationSegment::Index(index) => format!("{path}[{index}]"),
        LocationSegment::Property(key) => key_of(&path, &key),
    })
}

fn key_of(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Of several forms the one that was meant, most likely: the one whose mistakes lie deepest, if one gets past the value's own
/// type.
fn nearest<'e>(context: &'e [Vec<ValidationError<'static>>], place: &Location) -> Option<&'e [ValidationError<'static>]> {
    let depth = |errors: &[ValidationError<'_>]| {
        let depths = errors.iter().map(|error| error.instance_path().segments().count());
        if errors.iter().any(|error| is_of_another_type(error, place)) { None } else { depths.max() }
    };
    let fitting = context.iter().filter_map(|errors| Some((depth(errors)?, errors.as_slice())));
    fitting.max_by_key(|(depth, _)| *depth).map(|(_, errors)| errors)
}

/// Whether a value at this place is of none of the types that there may be.
fn is_of_another_type(error: &ValidationError<'_>, place: &Location) -> bool {
    error.instance_path() == place
        && match error.kind() {
            Kind::Type { .. } => true,
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => nearest(context, place).is_none(),
            _ => false,
        }
}

/// Every type that one of several forms would have taken.
fn forms(schema: &Value, context: &[Vec<ValidationError<'static>>]) -> String {
    let mut words: Vec<String> = Vec::new();
    for error in context.iter().flatten() {
        let word = match error.kind() {
            Kind::Type { .. } => types(schema, error.schema_path()),
            // A form of several forms itself.
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => forms(schema, context),
            _ => continue,
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" or ")
}

/// What stands in the schema where a keyword is.
fn at<'s>(schema: &'s Value, location: &Location) -> Option<&'s Value> {
    schema.pointer(location.as_str())
}

fn types(schema: &Value, location: &Location) -> String {
    let word = |name: &str| match name {
        "string" => "a text",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        _ => "nothing",
    };
    let words: Vec<&str> = match at(schema, location) {
        Some(Value::String(name)) => vec![word(name)],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(word).collect(),
        _ => vec!["another type"],
    };
    words.join(" or ")
}

/// The keys that the table around a keyword of the schema knows.
fn known<'s>(schema: &'s Value, keyword: &Location) -> Vec<&'s str> {
    let table = keyword.as_str().rsplit_once('/').and_then(|(table, _)| schema.pointer(table));
    let keys = table.and_then(|table| table.get("properties")).and_then(Value::as_object);
    keys.map(|keys| keys.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn unknown(key: &str, known: &[&str]) -> String {
    // A slip of the finger or two, as for the keys of the file itself.
    let near = known.iter().map(|name| (strsim::damerau_levenshtein(key, name), name)).min();
    let advice = match near {
        Some((distance, name)) if distance <= key.len().div_ceil(3) => format!("the nearest is `{name}`"),
        None => "none is known here".to_owned(),
        _ => {
            let listed: Vec<String> = known.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
            format!("known are {}", listed.join(", "))
        }
    };
    format!("unknown key `{key}`; {advice}")
}

fn choices(options: &Value) -> String {
    let Value::Array(options) = options else { return options.to_string() };
    let listed: Vec<String> = options.iter().take(LISTED_MAX).map(Value::to_string).collect();
    match listed.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// A value as it is written, tables and lists by their name.
fn found(value: &Value) -> String {
    match value {
        Value::Object(_) => "a table".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        value => {
            let text = value.to_string();
            match text.char_indices().nth(QUOTED_CHARS_MAX) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}
