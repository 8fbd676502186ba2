//! Every answer of the proxy's own, rendered in one place from one type.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use crate::exchange::failure::At;
use crate::exchange::{Exchange, Failure, Kind, Reply};
use crate::filter::host::reply::grpc_fields;

/// Tells clients why, in one word.
pub const REASON: HeaderName = HeaderName::from_static("x-tamis-reason");

/// A text for people, a word for programs; for a gRPC client an answer of trailers only.
pub fn of_failure(exchange: &Exchange, failure: &Failure) -> Reply {
    let reason = failure.kind.reason();
    let mut reply = if exchange.is_grpc {
        let headers = grpc_fields(grpc_status(failure.kind), &format!("{reason}: {}", failure.message));
        Reply { status: StatusCode::OK, headers, body: Bytes::new() }
    } else {
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        Reply { status: failure.kind.status(), headers, body: Bytes::from(format!("{reason}: {}\n", failure.message)) }
    };
    reply.headers.insert(REASON, HeaderValue::from_static(reason));
    // After a request that was not understood, nobody can tell where the next one would begin. What came from the proxy itself
    // does not come any more once redirecting is mended, on a new connection.
    let is_last = failure.kind.at() == At::Downstream || exchange.connection.is_own;
    if is_last && exchange.request.version != Version::HTTP_2 {
        reply.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

/// The status a gRPC client sees (gRPC's own mapping of HTTP statuses, and DEADLINE_EXCEEDED for time).
fn grpc_status(kind: Kind) -> u32 {
    const DEADLINE_EXCEEDED: u32 = 4;
    const UNIMPLEMENTED: u32 = 12;
    const INTERNAL: u32 = 13;
    const UNAVAILABLE: u32 = 14;
    match kind {
        Kind::Timeout | Kind::Deadline | Kind::ConnectTimeout | Kind::ClientTimeout | Kind::Idle => DEADLINE_EXCEEDED,
        Kind::NoRoute | Kind::NotImplemented => UNIMPLEMENTED,
        Kind::MalformedRequest
        | Kind::ProxyHeader
        | Kind::Misdirected
        | Kind::Loop
        | Kind::HeadersTooLarge
        | Kind::UriTooLong
        | Kind::BadRequestByFilter
        | Kind::FilterFailed
        | Kind::FilterReset
        | Kind::NoConnectionHook
        | Kind::UpstreamProtocol => INTERNAL,
        Kind::ClientGone
        | Kind::FilterTripped
        | Kind::Cut
        | Kind::Overloaded
        | Kind::NoCluster
        | Kind::ClusterOverloaded
        | Kind::NoEndpoint
        | Kind::ConnectFailed
        | Kind::UpstreamTls
        | Kind::UpstreamReset => UNAVAILABLE,
    }
}
