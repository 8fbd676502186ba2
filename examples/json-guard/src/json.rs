//! JSON as it came: a key that stands twice is a mistake, because two readers may take a different one for the truth.

use std::fmt;

use tamis_sdk::serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::Wrong;
use crate::config::Kind;

#[derive(Debug, PartialEq)]
pub enum Json {
    Null,
    Boolean,
    Integer,
    Number,
    String(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads all of it, or says what is wrong with line and column.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    pub fn kind(&self) -> Kind {
        match self {
            Json::Null => Kind::Null,
            Json::Boolean => Kind::Boolean,
            Json::Integer => Kind::Integer,
            Json::Number => Kind::Number,
            Json::String(_) => Kind::String,
            Json::List(_) => Kind::List,
            Json::Object(_) => Kind::Object,
        }
    }

    /// Characters of a string, items of a list, keys of an object.
    pub fn length(&self) -> Option<usize> {
        match self {
            Json::String(text) => Some(text.chars().count()),
            Json::List(items) => Some(items.len()),
            Json::Object(keys) => Some(keys.len()),
            _ => None,
        }
    }

    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(keys) => keys.iter().find(|(known, _)| known == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The first place that lies deeper than so many lists and objects.
    pub fn deeper_than(&self, depth: usize) -> Option<Wrong> {
        let what = || format!("expected at most {depth} levels");
        self.below("$".to_owned(), depth).map(|path| Wrong { path, what: what() })
    }

    fn below(&self, path: String, depth: usize) -> Option<String> {
        match self {
            Json::List(_) | Json::Object(_) if depth == 0 => Some(path),
            Json::List(items) => {
                let mut items = items.iter().enumerate();
                items.find_map(|(at, item)| item.below(format!("{path}[{at}]"), depth - 1))
            }
            Json::Object(keys) => keys.iter().find_map(|(key, value)| value.below(format!("{path}.{key}"), depth - 1)),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
                Ok(Json::Boolean)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
                Ok(Json::Integer)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
                Ok(Json::Integer)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
                Ok(Json::Number)
            }

            fn visit_str<E>(self, text: &str) -> Result<Json, E> {
                Ok(Json::String(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Json::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut keys = Vec::<(String, Json)>::new();
                // Looked up here, because a list would be searched once for each key.
                let mut seen = std::collections::BTreeSet::new();
                while let Some(key) = map.next_key::<String>()? {
                    if !seen.insert(key.clone()) {
                        return Err(de::Error::custom(format!("the key {key:?} stands twice")));
                    }
                    keys.push((key, map.next_value()?));
                }
                Ok(Json::Object(keys))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}
