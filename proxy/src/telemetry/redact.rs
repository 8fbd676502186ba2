//! What nobody shall read: values of fields, parameters and notes that telemetry hides wherever it would show them.
//!
//! What is shown is written piece by piece; nothing is allocated for it.

use std::fmt;

use http::HeaderName;
use http::header::{CONTENT_LOCATION, COOKIE, LOCATION, REFERER};

use crate::config;

/// Stands in the place of a value.
pub const HIDDEN: &str = "[redacted]";

/// Fields that hold an address, the query of which may be as secret as that of the request.
const ADDRESSES: [HeaderName; 3] = [REFERER, LOCATION, CONTENT_LOCATION];

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redact(config::Redact);

impl Redact {
    pub fn new(config: &config::Redact) -> Self {
        Self(config.clone())
    }

    pub fn hides_field(&self, name: &HeaderName) -> bool {
        self.0.fields.contains(name)
    }

    /// Whether the cookies of a request are hidden, each of them.
    pub fn hides_cookies(&self) -> bool {
        self.hides_field(&COOKIE)
    }

    pub fn hides_note(&self, name: &str) -> bool {
        self.0.notes.iter().any(|hidden| **hidden == *name)
    }

    /// `key` as it stands in a query, escapes included.
    pub fn hides_parameter(&self, key: &str) -> bool {
        self.0.query.iter().any(|hidden| is_key(key, hidden))
    }

    /// The value of a field as it may be shown. What is no UTF-8 in it reads U+FFFD.
    pub fn field<'a>(&'a self, name: &HeaderName, value: &'a [u8]) -> Field<'a> {
        if self.hides_field(name) {
            Field::Hidden
        } else if ADDRESSES.contains(name) {
            Field::Address(self, value)
        } else {
            Field::Shown(value)
        }
    }

    pub fn note<'a>(&self, name: &str, value: &'a str) -> &'a str {
        if self.hides_note(name) { HIDDEN } else { value }
    }

    /// A query as it may be shown, without the question mark.
    pub fn query<'a>(&'a self, query: &'a str) -> Query<'a> {
        Query { redact: self, query }
    }
}

/// A value that may be shown: see [`Redact::field`].
#[derive(Debug, Clone, Copy)]
pub enum Field<'a> {
    Hidden,
    Shown(&'a [u8]),
    Address(&'a Redact, &'a [u8]),
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Field::Hidden => f.write_str(HIDDEN),
            Field::Shown(value) => lossy(f, value),
            Field::Address(redact, value) => match value.iter().position(|byte| matches!(byte, b'?' | b'#')) {
                None => lossy(f, value),
                Some(at) => {
                    lossy(f, &value[..=at])?;
                    // An address is ASCII; what is not can hide anything.
                    match std::str::from_utf8(&value[at + 1..]) {
                        Ok(query) => redact.query(query).fmt(f),
                        Err(_) => f.write_str(HIDDEN),
                    }
                }
            },
        }
    }
}

fn lossy(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        f.write_str(chunk.valid())?;
        if !chunk.invalid().is_empty() {
            f.write_str("\u{fffd}")?;
        }
    }
    Ok(())
}

/// A query that may be shown: see [`Redact::query`].
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    redact: &'a Redact,
    query: &'a str,
}

impl fmt::Display for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A fragment may follow in an address.
        for piece in self.query.split_inclusive(['&', '#']) {
            let end = if piece.ends_with(['&', '#']) { piece.len() - 1 } else { piece.len() };
            // Some servers take `;` for `&`, others for a part of the value: what follows a hidden one is hidden with it.
            for part in piece[..end].split_inclusive(';') {
                match part.split_once('=') {
                    Some((key, _)) if self.redact.hides_parameter(key) => {
                        write!(f, "{key}={HIDDEN}")?;
                        break;
                    }
                    _ => f.write_str(part)?,
                }
            }
            f.write_str(&piece[end..])?;
        }
        Ok(())
    }
}

/// Whether a key of a query means this name: escapes decoded, `+` as a space, letters of ASCII in either case.
fn is_key(key: &str, name: &str) -> bool {
    let mut name = name.bytes();
    let mut bytes = key.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let escaped = match (byte, ahead.next().and_then(hex), ahead.next().and_then(hex)) {
            (b'%', Some(high), Some(low)) => {
                bytes = ahead;
                Some(high << 4 | low)
            }
            (b'+', ..) => Some(b' '),
            _ => None,
        };
        if !name.next().is_some_and(|expected| expected.eq_ignore_ascii_case(&escaped.unwrap_or(byte))) {
            return false;
        }
    }
    name.next().is_none()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact() -> Redact {
        Redact::new(&config::Redact { notes: vec!["user".into()], ..config::Redact::default() })
    }

    #[test]
    fn a_parameter_is_hidden_however_it_is_written() {
        for (query, shown) in [
            ("", ""),
            ("a=1&token=secret&b=2", "a=1&token=[redacted]&b=2"),
            ("TOKEN=secret", "TOKEN=[redacted]"),
            ("%74%6Fken=secret=x;a", "%74%6Fken=[redacted]"),
            ("token", "token"),
            ("token=a;b=c&d=e", "token=[redacted]&d=e"),
            ("tokens=1&atoken=2", "tokens=1&atoken=2"),
            ("a=token&%7=1&%", "a=token&%7=1&%"),
            ("access_token=1#token=2", "access_token=[redacted]#token=[redacted]"),
        ] {
            assert_eq!(redact().query(query).to_string(), shown);
        }
    }

    #[test]
    fn fields_are_hidden_and_addresses_lose_their_secrets() {
        let shown =
            |name: &'static str, value: &str| redact().field(&HeaderName::from_static(name), value.as_bytes()).to_string();
        assert_eq!(shown("authorization", "Bearer x"), HIDDEN);
        assert_eq!(shown("cookie", "a=b"), HIDDEN);
        assert_eq!(shown("accept", "*/*?token=1"), "*/*?token=1");
        assert_eq!(shown("referer", "https://a.test/b?token=1&c=d"), "https://a.test/b?token=[redacted]&c=d");
        assert_eq!(shown("location", "https://a.test/b#token=1&c=d"), "https://a.test/b#token=[redacted]&c=d");
        assert_eq!(redact().field(&LOCATION, b"/a\xff?\xff").to_string(), "/a\u{fffd}?[redacted]");
        assert_eq!((redact().note("user", "ann"), redact().note("other", "ann")), (HIDDEN, "ann"));
    }
}
