//! Which fields a filter may set, and how: the real host's rules.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, header};

/// What a trailer that is set elsewhere hears.
pub(super) const NO_TRAILERS: &str = "trailers can be set only in the trailers hook, when they have come";

/// Fields that belong to the framing: the proxy alone sets them.
const MANAGED: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::UPGRADE,
];

fn settable(name: &HeaderName) -> Result<(), String> {
    if *name == header::HOST {
        return Err("`host` is set by set-authority".to_owned());
    }
    match MANAGED.contains(name) {
        true => Err(format!("`{name}` is managed by the proxy")),
        false => Ok(()),
    }
}

/// A field that a filter wants to set.
pub(super) fn field(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is not a valid field name"))?;
    settable(&parsed)?;
    let value =
        HeaderValue::from_bytes(value).map_err(|_| format!("the value of `{parsed}` has bytes that HTTP does not allow"))?;
    Ok((parsed, value))
}

/// Whether it is a gRPC call.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

pub(super) fn remove(headers: &mut HeaderMap, name: &str) {
    if let Ok(name) = HeaderName::from_bytes(name.as_bytes())
        && settable(&name).is_ok()
    {
        headers.remove(name);
    }
}

pub(super) fn joined(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let separator: &[u8] = if name.eq_ignore_ascii_case("cookie") { b"; " } else { b", " };
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let mut joined = values.next()?.to_vec();
    for value in values {
        joined.extend_from_slice(separator);
        joined.extend_from_slice(value);
    }
    Some(joined)
}

pub(super) fn each(headers: &HeaderMap, name: &str) -> Vec<Vec<u8>> {
    headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect()
}

pub(super) fn packed(headers: &HeaderMap) -> Vec<u8> {
    let mut packed = (headers.len() as u32).to_le_bytes().to_vec();
    for (name, value) in headers {
        for piece in [name.as_str().as_bytes(), value.as_bytes()] {
            packed.extend((piece.len() as u32).to_le_bytes());
            packed.extend_from_slice(piece);
        }
    }
    packed
}

pub(super) fn status(status: u16) -> Result<StatusCode, String> {
    match StatusCode::from_u16(status) {
        Ok(status) if (200..=599).contains(&status.as_u16()) => Ok(status),
        _ => Err(format!("expected a status from 200 to 599, found {status}")),
    }
}

/// The encoding of grpc-message: everything but printable ASCII without `%`.
pub(super) fn percent_encoded(message: &str) -> String {
    let escape = |byte: u8| match byte {
        b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    message.bytes().map(escape).collect()
}
