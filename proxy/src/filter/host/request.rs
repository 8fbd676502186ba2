//! `request`: the head of the request, as the filters before have left it.

use http::uri::{Authority, PathAndQuery};
use http::{Method, Uri};

use crate::config::defaults::URI_BYTES;
use crate::exchange::Exchange;

pub fn path(exchange: &Exchange) -> &str {
    exchange.request.uri.path()
}

pub fn query(exchange: &Exchange) -> Option<&str> {
    exchange.request.uri.query()
}

/// Bytes of a method: the longest one that is registered has 17.
pub const METHOD_BYTES_MAX: usize = 64;
/// Bytes of an authority: a name of the DNS has 253.
pub const AUTHORITY_BYTES_MAX: usize = 1 << 10;

pub fn set_method(exchange: &mut Exchange, method: &str) -> Result<(), String> {
    if method.len() > METHOD_BYTES_MAX {
        return Err(format!("the method has {} bytes, expected at most {METHOD_BYTES_MAX}", method.len()));
    }
    let parsed = Method::from_bytes(method.as_bytes()).map_err(|_| format!("`{method}` is no valid method"))?;
    if parsed == Method::CONNECT {
        return Err("`CONNECT` cannot be made of another method".to_owned());
    }
    exchange.request.method = parsed;
    Ok(())
}

pub fn set_authority(exchange: &mut Exchange, text: &str) -> Result<(), String> {
    authority(text)?.clone_into(&mut exchange.authority);
    Ok(())
}

/// The same text, if it can be sent as an authority.
pub fn authority(authority: &str) -> Result<&str, String> {
    if authority.len() > AUTHORITY_BYTES_MAX {
        return Err(format!("the authority has {} bytes, expected at most {AUTHORITY_BYTES_MAX}", authority.len()));
    }
    if !is_authority(authority) {
        return Err(format!("`{authority}` is no valid authority; expected a host, with a port or without"));
    }
    Ok(authority)
}

/// A host, with a port that is a number or without one. The parser lets any text stand for a port.
pub fn is_authority(text: &str) -> bool {
    // Most are a name and nothing else, which needs no parser.
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) {
        return true;
    }
    let Ok(parsed) = text.parse::<Authority>() else { return false };
    let port = text.strip_prefix(parsed.host()).and_then(|rest| rest.strip_prefix(':'));
    let port_is_sound = port.is_none_or(|port| port.is_empty() || port.parse::<u16>().is_ok());
    !text.contains('@') && !parsed.host().is_empty() && port_is_sound
}

pub fn set_target(exchange: &mut Exchange, target: &str) -> Result<(), String> {
    if target.len() > URI_BYTES {
        return Err(format!("the target has {} bytes, expected at most {URI_BYTES}", target.len()));
    }
    if !target.starts_with('/') && target != "*" {
        return Err(format!("`{target}` is no valid target; expected a path that begins with \"/\""));
    }
    if target.contains('#') {
        return Err(format!("`{target}` is no valid target; a fragment is never sent"));
    }
    if let Some(found) = target.chars().find(|found| !found.is_ascii_graphic() || "\"<>\\^`{|}".contains(*found)) {
        return Err(format!("`{target}` is no valid target; {found:?} has to be escaped"));
    }
    let target = target.parse::<PathAndQuery>().map_err(|_| format!("`{target}` is no valid target"))?;
    exchange.request.uri = Uri::from(target);
    Ok(())
}

/// Whole milliseconds of what is left of the time that the exchange may take.
pub fn deadline_left_ms(exchange: &Exchange) -> Option<u64> {
    Some(u64::try_from(exchange.time_left()?.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::exchange::tests::exchange;

    #[test]
    fn what_a_request_begins_with_is_short() {
        let mut exchange = exchange();
        set_method(&mut exchange, &"M".repeat(METHOD_BYTES_MAX)).expect("not too long");
        set_method(&mut exchange, &"M".repeat(METHOD_BYTES_MAX + 1)).expect_err("too long");
        set_authority(&mut exchange, &"a".repeat(AUTHORITY_BYTES_MAX)).expect("not too long");
        set_authority(&mut exchange, &"a".repeat(AUTHORITY_BYTES_MAX + 1)).expect_err("too long");
        assert_eq!((exchange.request.method.as_str().len(), exchange.authority.len()), (METHOD_BYTES_MAX, AUTHORITY_BYTES_MAX));
    }

    #[test]
    fn a_port_is_a_number() {
        for sound in ["example.com", "example.com:80", "[::1]:8443", "127.0.0.1", "localhost:"] {
            assert!(is_authority(sound), "{sound}");
        }
        for unsound in ["", ":80", "a:port", "user@example.com", "a b", "example.com:99999", "example.com/path"] {
            assert!(!is_authority(unsound), "{unsound}");
        }
    }
}
