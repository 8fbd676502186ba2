//! Words of a configuration that HTTP knows: paths, tokens, authorities.

use serde::de::{self, Deserialize, Deserializer};

/// A path that begins with a slash and has neither query nor fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(pub String);

/// A name as HTTP has them: of a method or a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub String);

/// A host, with a port or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority(pub String);

/// Whether HTTP allows it as the name of a method or a field.
pub fn is_token(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

/// What holds for every path of the configuration.
pub fn check_path(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err(format!("expected a path that begins with \"/\", found \"{text}\""));
    }
    match text.chars().find(|c| matches!(c, '?' | '#' | ' ') || c.is_control()) {
        Some(c) => Err(format!("expected a path without query or fragment, found \"{text}\" with {c:?}")),
        None => Ok(()),
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        check_path(&text).map_err(de::Error::custom)?;
        Ok(Path(text))
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match is_token(&text) {
            true => Ok(Token(text)),
            false => Err(de::Error::custom(format!("expected a name without spaces and separators, found \"{text}\""))),
        }
    }
}

impl<'de> Deserialize<'de> for Authority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte);
        match !text.is_empty() && text.bytes().all(allowed) {
            true => Ok(Authority(text)),
            false => Err(de::Error::custom(format!("expected a host, with a port or without, found \"{text}\""))),
        }
    }
}
