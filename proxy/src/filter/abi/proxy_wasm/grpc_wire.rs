//! gRPC on the wire: the name of a service, messages with five bytes before each, and the status at the end.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use prost::Message;

use super::callout::count;
use crate::filter::host::http_client::ANSWER_BYTES_MAX;

/// Statuses of gRPC that the host finds itself.
pub const UNKNOWN: u32 = 2;
pub const DEADLINE_EXCEEDED: u32 = 4;
pub const EXHAUSTED: u32 = 8;
pub const INTERNAL: u32 = 13;
pub const UNAVAILABLE: u32 = 14;

/// envoy.config.core.v3.GrpcService, as much of it as names a service.
#[derive(Message)]
struct Service {
    #[prost(message, optional, tag = "1")]
    envoy: Option<EnvoyGrpc>,
    #[prost(message, optional, tag = "2")]
    google: Option<GoogleGrpc>,
    #[prost(message, repeated, tag = "5")]
    initial_metadata: Vec<Field>,
}

#[derive(Message)]
struct EnvoyGrpc {
    #[prost(string, tag = "1")]
    cluster_name: String,
    #[prost(string, tag = "2")]
    authority: String,
}

#[derive(Message)]
struct GoogleGrpc {
    #[prost(string, tag = "1")]
    target_uri: String,
}

#[derive(Message)]
struct Field {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

pub type Named = (String, Option<String>, Vec<(String, Vec<u8>)>);

/// The service is a message of Envoy's, or just a name.
pub fn named(service: &[u8]) -> Option<Named> {
    if let Ok(found) = Service::decode(service) {
        let further = found.initial_metadata.into_iter().map(|field| (field.key, field.value.into_bytes())).collect();
        if let Some(envoy) = found.envoy.filter(|envoy| !envoy.cluster_name.is_empty()) {
            let authority = Some(envoy.authority).filter(|authority| !authority.is_empty());
            return Some((envoy.cluster_name, authority, further));
        }
        if let Some(google) = found.google.filter(|google| !google.target_uri.is_empty()) {
            return Some((google.target_uri, None, further));
        }
    }
    let name = std::str::from_utf8(service).ok()?;
    (!name.is_empty() && !name.contains(char::is_control)).then(|| (name.to_owned(), None, Vec::new()))
}

/// How a call ended.
pub struct Ended {
    pub status: u32,
    pub message: Bytes,
}

impl Ended {
    pub fn of(status: u32, message: &'static str) -> Self {
        Self { status, message: Bytes::from_static(message.as_bytes()) }
    }
}

pub fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(count(message.len()));
    framed.extend_from_slice(message);
    framed.freeze()
}

/// The next whole message; an error for one that is compressed, which nobody asked for, or too large.
pub fn next_message(bytes: &mut BytesMut) -> Option<Result<Bytes, ()>> {
    let (compressed, length) = (*bytes.first()?, bytes.get(1..5)?);
    let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
    if compressed != 0 || length > ANSWER_BYTES_MAX {
        return Some(Err(()));
    }
    if bytes.len() < 5 + length {
        return None;
    }
    bytes.advance(5);
    Some(Ok(bytes.split_to(length).freeze()))
}

/// The status that a service has told, or what the lack of one means.
pub fn ended(http: u16, headers: &HeaderMap, trailers: &HeaderMap) -> Ended {
    let from = if trailers.contains_key("grpc-status") { trailers } else { headers };
    let told = from.get("grpc-status").and_then(|status| status.to_str().ok()?.parse().ok());
    let message = from.get("grpc-message").map(|message| Bytes::copy_from_slice(message.as_bytes())).unwrap_or_default();
    match told {
        Some(status) => Ended { status, message },
        None if http == 200 => Ended::of(UNKNOWN, "the answer has no status"),
        None if matches!(http, 429 | 502 | 503 | 504) => Ended::of(UNAVAILABLE, "the service is not there"),
        None => Ended::of(UNKNOWN, "the service answered with a status of HTTP"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use http::HeaderValue;

    #[test]
    fn a_service_is_a_message_of_envoys_or_a_name() {
        let envoy = EnvoyGrpc { cluster_name: "auth".to_owned(), authority: "a.example".to_owned() };
        let field = Field { key: "x-a".to_owned(), value: "1".to_owned() };
        let service = Service { envoy: Some(envoy), google: None, initial_metadata: vec![field] };
        let expected = ("auth".to_owned(), Some("a.example".to_owned()), vec![("x-a".to_owned(), b"1".to_vec())]);
        assert_eq!(named(&service.encode_to_vec()), Some(expected));
        assert_eq!(named(b"auth"), Some(("auth".to_owned(), None, Vec::new())));
        assert_eq!(named(b""), None);
        assert_eq!(named(b"\xff\xff"), None);
    }

    #[test]
    fn messages_come_whole() {
        let mut bytes = BytesMut::from(&framed(b"one")[..]);
        bytes.extend_from_slice(&framed(b"two")[..6]);
        assert_eq!(next_message(&mut bytes), Some(Ok(Bytes::from_static(b"one"))));
        assert_eq!(next_message(&mut bytes), None);
        bytes.extend_from_slice(b"wo");
        assert_eq!(next_message(&mut bytes), Some(Ok(Bytes::from_static(b"two"))));
        assert_eq!(next_message(&mut BytesMut::from(&b"\x01\0\0\0\0"[..])), Some(Err(())));
        assert_eq!(next_message(&mut BytesMut::from(&b"\0\xff\xff\xff\xff"[..])), Some(Err(())));
    }

    #[test]
    fn a_status_stands_in_trailers_or_in_the_head() {
        let told = |status: &'static str| {
            HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from_static(status))])
        };
        assert_eq!(ended(200, &HeaderMap::new(), &told("0")).status, 0);
        assert_eq!(ended(200, &told("7"), &HeaderMap::new()).status, 7);
        assert_eq!(ended(503, &HeaderMap::new(), &HeaderMap::new()).status, UNAVAILABLE);
        assert_eq!(ended(200, &HeaderMap::new(), &HeaderMap::new()).status, UNKNOWN);
    }
}
