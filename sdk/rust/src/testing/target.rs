//! Targets: what a filter may set, and what the proxy makes of what a client sent.

use http::uri::{Authority, PathAndQuery};

const TARGET_BYTES_MAX: usize = 8 * 1024;

pub(super) fn check(target: &str) -> Result<(), String> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(format!("expected a target of at most {TARGET_BYTES_MAX} bytes, found {}", target.len()));
    }
    if target != "*" && !target.starts_with('/') {
        return Err(format!("expected a target that begins with \"/\", found \"{target}\""));
    }
    if target.contains('#') {
        return Err(format!("`{target}` is not a valid target; a fragment is never sent"));
    }
    if let Some(found) = target.chars().find(|found| !found.is_ascii_graphic() || "\"<>\\^`{|}".contains(*found)) {
        return Err(format!("`{target}` is not a valid target; {found:?} has to be escaped"));
    }
    PathAndQuery::try_from(target).map(drop).map_err(|_| format!("`{target}` is not a valid target"))
}

pub(super) fn check_authority(authority: &str) -> Result<(), String> {
    let parsed: Authority = authority.parse().map_err(|_| format!("`{authority}` is not a valid authority"))?;
    let port = authority.strip_prefix(parsed.host()).and_then(|rest| rest.strip_prefix(':'));
    let port_is_one = port.is_none_or(|port| port.is_empty() || port.parse::<u16>().is_ok());
    match parsed.host().is_empty() || authority.contains('@') || !port_is_one {
        true => Err(format!("`{authority}` is not a valid authority")),
        false => Ok(()),
    }
}

pub(super) fn split(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// What filters see of what a client sent: escapes that change nothing decoded, slashes merged, dot segments resolved, as a
/// listener does unless told otherwise.
pub(super) fn normalized(target: &str) -> String {
    let (path, query) = split(target);
    let path = &*unescaped(path);
    let mut segments: Vec<&str> = Vec::new();
    let mut pieces = path.split('/').skip(1).peekable();
    while let Some(piece) = pieces.next() {
        let last = pieces.peek().is_none();
        match piece {
            "." | ".." => {
                if piece == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            "" if !last => {}
            piece => segments.push(piece),
        }
    }
    let path = if path.starts_with('/') { format!("/{}", segments.join("/")) } else { path.to_owned() };
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}

/// Without the escapes of characters that mean the same without one (RFC 3986, 6.2.2.2).
fn unescaped(path: &str) -> String {
    let mut parts = path.split('%');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escaped = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte)) {
            Some(byte) => {
                whole.push(char::from(byte));
                whole.push_str(&part[2..]);
            }
            None => {
                whole.push('%');
                whole.push_str(part);
            }
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_target_is_normalized() {
        for (sent, seen) in [
            ("/", "/"),
            ("*", "*"),
            ("/a/../b//c?x=/../y", "/b/c?x=/../y"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/../..", "/"),
            ("/a//", "/a/"),
            ("/%61/%2e%2E/b%2Fc%20%7ed?e=%61", "/b%2Fc%20~d?e=%61"),
        ] {
            assert_eq!(normalized(sent), seen, "{sent}");
        }
    }

    #[test]
    fn a_target_of_a_filter_is_checked() {
        for good in ["/", "*", "/a?b=c&d=%20", "/~x/(y)"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "a", "/a b", "/a#b", "/a|b", "/\u{e4}", "http://a/", "*x"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&format!("/{}", "a".repeat(8192))).is_err());
    }

    #[test]
    fn an_authority_of_a_filter_is_checked() {
        for good in ["a.example", "a.example:8080", "[::1]:80", "10.0.0.1", "a.example:"] {
            assert_eq!(check_authority(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a:port", "a:99999", ":80", "u@a.example", "a/b"] {
            assert!(check_authority(bad).is_err(), "{bad}");
        }
    }
}
