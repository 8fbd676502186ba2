//! What a token claims: values behind paths, and what must be true of them.

use serde::de::{
    self, Deserialize, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer, value::SeqAccessDeserializer,
};
use serde_json::{Map, Value};

/// The claims of one token.
pub type Claims = Map<String, Value>;

/// Where a claim stands: `sub`, or `realm_access.roles` for one inside of another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(String);

/// What must be true of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It is one of these.
    OneOf(Vec<String>),
    /// It is a list, or words with spaces between them, and all of these are among them.
    Contains(Vec<String>),
    Prefix(String),
    Present(bool),
}

/// Claims in which RFC 8693 and others list the scopes of a token.
const SCOPES: [&str; 2] = ["scope", "scp"];

impl Path {
    /// A claim that is named so as a whole (`https://example.com/role`) comes before one that lies inside of others.
    pub fn find<'a>(&self, claims: &'a Claims) -> Option<&'a Value> {
        if let Some(value) = claims.get(&self.0) {
            return Some(value);
        }
        let mut steps = self.0.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.as_object()?.get(step))
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.is_empty() {
            true => Err(de::Error::custom("expected the name of a claim, found \"\"")),
            false => Ok(Path(text)),
        }
    }
}

impl Condition {
    pub fn holds(&self, claim: Option<&Value>) -> bool {
        match self {
            Condition::Present(present) => *present == claim.is_some_and(|claim| !claim.is_null()),
            Condition::OneOf(known) => claim.and_then(scalar).is_some_and(|text| known.contains(&text)),
            Condition::Prefix(prefix) => claim.and_then(Value::as_str).is_some_and(|text| text.starts_with(prefix.as_str())),
            Condition::Contains(wanted) => claim.is_some_and(|claim| wanted.iter().all(|wanted| among(claim, wanted))),
        }
    }
}

/// Whether a list, or words with spaces between them, has this.
pub fn among(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::String(words) => words.split(' ').any(|word| word == wanted),
        Value::Array(list) => list.iter().filter_map(scalar).any(|item| item == wanted),
        _ => false,
    }
}

/// The scopes of these that the token does not have.
pub fn missing_scopes<'a>(claims: &Claims, wanted: &'a [String]) -> Vec<&'a str> {
    let has = |scope: &str| SCOPES.iter().filter_map(|name| claims.get(*name)).any(|claim| among(claim, scope));
    wanted.iter().map(String::as_str).filter(|scope| !has(scope)).collect()
}

/// A claim as text: lists with commas, what has no better form as JSON.
pub fn text(claim: &Value) -> Option<String> {
    match claim {
        Value::Null => None,
        Value::Array(list) if list.iter().all(|item| scalar(item).is_some()) => {
            Some(list.iter().filter_map(scalar).collect::<Vec<_>>().join(","))
        }
        Value::Array(_) | Value::Object(_) => Some(claim.to_string()),
        _ => scalar(claim),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Seconds since the Unix epoch, of which a token may have fractions. `Err`: there is something else.
pub fn seconds(claims: &Claims, name: &str) -> Result<Option<f64>, ()> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().filter(|seconds| seconds.is_finite()).map(Some).ok_or(()),
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use tamis_sdk::config::OneOrMany;

        #[derive(serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Table {
            OneOf(OneOrMany<String>),
            Contains(OneOrMany<String>),
            Prefix(String),
            Present(bool),
        }

        struct ConditionVisitor;

        impl<'de> Visitor<'de> for ConditionVisitor {
            type Value = Condition;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value, a list of values, or a table with one of `one-of`, `contains`, `prefix`, `present`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Condition, E> {
                Ok(Condition::OneOf(vec![text.to_owned()]))
            }

            fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Condition, E> {
                Ok(Condition::OneOf(vec![truth.to_string()]))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Condition, E> {
                Ok(Condition::OneOf(vec![number.to_string()]))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Condition, E> {
                Ok(Condition::OneOf(vec![number.to_string()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Condition, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Condition::OneOf)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Condition, A::Error> {
                Ok(match Table::deserialize(MapAccessDeserializer::new(map))? {
                    Table::OneOf(known) => Condition::OneOf(known.0),
                    Table::Contains(wanted) => Condition::Contains(wanted.0),
                    Table::Prefix(prefix) => Condition::Prefix(prefix),
                    Table::Present(present) => Condition::Present(present),
                })
            }
        }

        deserializer.deserialize_any(ConditionVisitor)
    }
}
