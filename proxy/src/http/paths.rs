//! Request paths in one form: what an access rule looks at is what the upstream gets.

use std::borrow::Cow;

use crate::config::Paths;

/// Why a path is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path has an escaped slash, or a backslash")]
    EscapedSlash,
    #[error("the path has an escaped NUL")]
    EscapedNul,
    #[error("the path has a `%` that escapes nothing")]
    BadEscape,
}

/// Checks escapes, decodes those of characters that need none (RFC 3986, 6.2.2.2), removes dot segments (5.2.4) and merges
/// slashes, as configured. What is left of escapes means something else than the character itself.
pub fn clean<'a>(path: &'a str, config: &Paths) -> Result<Cow<'a, str>, PathError> {
    if is_plain(path) {
        return Ok(Cow::Borrowed(path));
    }
    let mut is_escaped_in_vain = false;
    if path.contains('%') {
        let bytes = path.as_bytes();
        for (at, _) in path.match_indices('%') {
            match bytes.get(at + 1..at + 3) {
                Some(b"00") => return Err(PathError::EscapedNul),
                Some([b'2', b'f' | b'F'] | [b'5', b'c' | b'C']) if config.reject_escaped_slashes => {
                    return Err(PathError::EscapedSlash);
                }
                Some([high, low]) => {
                    let byte = escaped(*high, *low).ok_or(PathError::BadEscape)?;
                    is_escaped_in_vain |= is_unreserved(byte);
                }
                _ => return Err(PathError::BadEscape),
            }
        }
    }
    if config.reject_escaped_slashes && path.contains('\\') {
        return Err(PathError::EscapedSlash);
    }
    let mut path = Cow::Borrowed(path);
    if config.normalize && is_escaped_in_vain {
        path = Cow::Owned(unescaped(&path));
    }
    if config.merge_slashes && path.contains("//") {
        path = Cow::Owned(merged(&path));
    }
    if config.normalize && path.split('/').any(|segment| matches!(segment, "." | "..")) {
        path = Cow::Owned(without_dots(&path));
    }
    Ok(path)
}

/// Without an escape, a backslash, an empty segment, and one that begins with a dot: like most, and there is nothing to be done.
fn is_plain(path: &str) -> bool {
    let mut before = b'/';
    path.strip_prefix('/').unwrap_or(path).bytes().all(|byte| {
        let begins = std::mem::replace(&mut before, byte) == b'/';
        let is_special = matches!(byte, b'%' | b'\\') || begins && matches!(byte, b'/' | b'.');
        !is_special
    })
}

fn escaped(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// A character that means the same with and without an escape.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Without the escapes that change nothing; every `%` is known to escape something.
fn unescaped(path: &str) -> String {
    let mut parts = path.split('%');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.as_bytes() {
            [high, low, ..] if escaped(*high, *low).is_some_and(is_unreserved) => {
                whole.extend(escaped(*high, *low).map(char::from));
                whole.push_str(&part[2..]);
            }
            _ => {
                whole.push('%');
                whole.push_str(part);
            }
        }
    }
    whole
}

fn merged(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    merged
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // A path that ends in a dot segment names a folder.
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(path: &str) -> Result<String, PathError> {
        clean(path, &Paths::default()).map(Cow::into_owned)
    }

    #[test]
    fn dot_segments_go_however_they_are_written() {
        for (path, expected) in [
            ("/a/b/../c", "/a/c"),
            ("/a/./b", "/a/b"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/public/%2e%2E/admin", "/admin"),
            ("//a///b", "/a/b"),
            ("/a/..b/c...", "/a/..b/c..."),
            ("/", "/"),
            ("/a//../b", "/b"),
        ] {
            assert_eq!(cleaned(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn a_character_that_needs_no_escape_has_none() {
        for (path, expected) in [
            ("/%61dmin", "/admin"),
            ("/%41%5A%30%39%2d%5f%7E", "/AZ09-_~"),
            ("/a%20b%3Fc%C3%BC", "/a%20b%3Fc%C3%BC"),
            ("/%2561dmin", "/%2561dmin"),
            ("/%25%36%31", "/%2561"),
            ("/users/%2e%2e/%61dmin", "/admin"),
        ] {
            assert_eq!(cleaned(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn ambiguous_escapes_are_refused() {
        assert_eq!(cleaned("/a%2Fb"), Err(PathError::EscapedSlash));
        assert_eq!(cleaned("/a%5cb"), Err(PathError::EscapedSlash));
        assert_eq!(cleaned("/a\\..\\b"), Err(PathError::EscapedSlash));
        assert_eq!(cleaned("/a%00b"), Err(PathError::EscapedNul));
        assert_eq!(cleaned("/a%2"), Err(PathError::BadEscape));
        assert_eq!(cleaned("/a%zz"), Err(PathError::BadEscape));
        let keep = Paths { reject_escaped_slashes: false, ..Paths::default() };
        assert_eq!(clean("/a%2Fb", &keep).as_deref(), Ok("/a%2Fb"));
    }

    #[test]
    fn what_is_switched_off_is_left_alone() {
        let off = Paths { normalize: false, merge_slashes: false, reject_escaped_slashes: false };
        assert_eq!(clean("/a//b/../%2e", &off).as_deref(), Ok("/a//b/../%2e"));
    }

    #[test]
    fn an_ordinary_path_costs_no_allocation() {
        assert!(matches!(clean("/users/7/a%20b", &Paths::default()), Ok(Cow::Borrowed(_))));
    }
}
