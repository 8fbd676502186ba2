//! Words of a configuration that HTTP knows: paths, tokens, authorities.

use serde::de::{self, Deserialize, Deserializer};

/// A path that begins with a slash and has neither query nor fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(pub String);

/// A name as HTTP has them: of a method or a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub String);

/// The name of a field that a request may have. The proxy keeps its host apart: a rule that looked for it among the fields would
/// never hold, and one that denies would deny nobody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field(pub String);

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

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Token(name) = Token::deserialize(deserializer)?;
        match name.eq_ignore_ascii_case("host") {
            false => Ok(Field(name)),
            true => Err(de::Error::custom("expected `host` beside `headers`, found it in them, where no request ever has it")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_no_field_of_a_request() {
        assert_eq!(serde_json::from_str::<Field>("\"X-Tenant\"").unwrap(), Field("X-Tenant".to_owned()));
        for name in ["host", "Host"] {
            let error = serde_json::from_str::<Field>(&format!("\"{name}\"")).unwrap_err().to_string();
            assert!(error.starts_with("expected `host` beside `headers`"), "{error}");
        }
    }
}
