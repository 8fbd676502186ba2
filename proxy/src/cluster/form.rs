//! The form of a request on the wire: HTTP/1 has a target and a Host, HTTP/2 a whole URI. Where TLS decides which of them is
//! spoken, a request gets its form when the connection is there.

use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, Version};

use crate::config::{self, UpstreamProtocol};
use crate::exchange::{Failure, Kind};

/// What is spoken with an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    Http1,
    Http2,
    /// The handshake tells.
    Either,
}

/// What a cluster speaks for a client that speaks this: who goes where the client was going speaks as the client does.
pub fn protocol(config: &config::Cluster, client: Version) -> UpstreamProtocol {
    match config.protocol {
        UpstreamProtocol::Auto if config.original_destination && client == Version::HTTP_2 => UpstreamProtocol::Http2,
        protocol => protocol,
    }
}

/// What is to be spoken for a request. Only HTTP/1 can become another protocol.
pub fn spoken<B>(config: &config::Cluster, request: Option<&Request<B>>) -> Spoken {
    let version = request.map_or(Version::HTTP_11, Request::version);
    match protocol(config, version) {
        UpstreamProtocol::Http1 => Spoken::Http1,
        UpstreamProtocol::Http2 => Spoken::Http2,
        UpstreamProtocol::Auto if config.tls.is_none() => Spoken::Http1,
        UpstreamProtocol::Auto if request.is_some_and(|request| request.headers().contains_key(UPGRADE)) => Spoken::Http1,
        UpstreamProtocol::Auto => Spoken::Either,
    }
}

/// Where the client's wish for another protocol has left nothing but HTTP/1 to agree on, an endpoint that speaks HTTP/2 alone is not to
/// blame: otherwise any client could have it left out.
pub fn unblamed(config: &config::Cluster, failure: Failure) -> Failure {
    if config.protocol == UpstreamProtocol::Auto && failure.kind == Kind::UpstreamTls {
        return Failure::new(
            Kind::NotImplemented,
            "the upstream may not speak HTTP/1, without which no protocol can be switched to",
        )
        .because(failure);
    }
    failure
}

/// A request for HTTP/1, whatever it was for.
pub fn to_http1<B>(request: &mut Request<B>) -> Result<(), Failure> {
    let Some(authority) = request.uri().authority().map(Authority::as_str) else { return Ok(()) };
    let host = HeaderValue::from_str(authority).map_err(|_| unsendable())?;
    let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(target);
    *request.version_mut() = Version::HTTP_11;
    let fields = request.headers_mut();
    fields.insert(HOST, host);
    if fields.contains_key(http::header::TE) {
        fields.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    Ok(())
}

/// A request for HTTP/2 over TLS, whatever it was for.
pub fn to_http2<B>(request: &mut Request<B>) -> Result<(), Failure> {
    if request.uri().authority().is_some() {
        return Ok(());
    }
    let host = request.headers_mut().remove(HOST).ok_or_else(unsendable)?;
    let mut target = http::uri::Parts::default();
    target.scheme = Some(Scheme::HTTPS);
    target.authority = Some(Authority::try_from(host.as_bytes()).map_err(|_| unsendable())?);
    target.path_and_query = request.uri().path_and_query().cloned().or(Some(PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(target).map_err(|_| unsendable())?;
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(CONNECTION);
    Ok(())
}

fn unsendable() -> Failure {
    Failure::new(Kind::BadRequestByFilter, "the authority cannot be sent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let one = || {
            let builder = Request::builder().uri("/a?b=c").header(HOST, "users.internal:8443").header("te", "trailers");
            builder.header(CONNECTION, "te").body(()).expect("valid")
        };
        let mut request = one();
        to_http2(&mut request).expect("it has a host");
        assert_eq!(request.uri(), "https://users.internal:8443/a?b=c");
        assert_eq!(request.version(), Version::HTTP_2);
        assert!(!request.headers().contains_key(HOST) && !request.headers().contains_key(CONNECTION));
        to_http1(&mut request).expect("it has an authority");
        let before = one();
        assert_eq!((request.uri(), request.version()), (before.uri(), before.version()));
        assert_eq!(request.headers(), before.headers());
    }
}
