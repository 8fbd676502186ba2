//! What every head goes through: the rules of HTTP and of the listener on the way in, and the way out.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri, Version, request};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;

use super::body::{Content, Downstream};
use super::hops::{forward_client, forwarded, scheme, source, strip};
use super::passage::Passage;
use super::serve::{Served, UnderWay};
use super::{paths, trace};
use crate::exchange::body::Pace;
use crate::exchange::deadline::{self, GRPC_TIMEOUT};
use crate::exchange::{Body, Exchange, Failure, Inflow, Kind, Record};
use crate::filter::chain::{Chain, Way};
use crate::filter::host::request::is_authority;
use crate::snapshot::{Listener, Snapshot};
use crate::telemetry::propagation::Hex;

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request that has become an exchange.
pub struct Received {
    pub record: Record,
    /// The client asked for another protocol on this connection.
    pub upgrade: Option<Upgrade>,
    /// Otherwise: why it gets no further.
    pub accepted: Result<(), Failure>,
}

/// What the client wants to speak, and the way to its side of the connection.
pub struct Upgrade {
    pub protocol: HeaderValue,
    pub client: OnUpgrade,
    /// It asked by an extended CONNECT (RFC 8441), which is a GET for everybody here.
    pub by_connect: bool,
    /// What it wants answered, as a WebSocket client over HTTP/1.1.
    pub key: Option<HeaderValue>,
}

impl Upgrade {
    pub fn is_websocket(&self) -> bool {
        self.protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
    }
}

/// Makes a request an exchange and applies every rule to it.
pub fn receive(
    served: &Served,
    snapshot: &Snapshot,
    listener: &Listener,
    under_way: &UnderWay,
    request: Request<Incoming>,
) -> Received {
    let (mut head, body) = request.into_parts();
    let inflow = Rc::new(Inflow::new(hyper::body::Body::is_end_stream(&body)));
    served.receives(&inflow);
    let http2 = head.version == Version::HTTP_2;
    let is_grpc = is_grpc(&head.headers);
    let checked = served.connection.comes_from_elsewhere().and_then(|()| check(&head, listener));
    let authority = authority(&head);
    let upgrade = upgrade(&mut head);
    strip(&mut head.headers);
    let (source, scheme) = (source(&served.connection, &head.headers, listener), scheme(&served.connection, &head.headers));
    let (authority, named) = authority.map_or_else(|failure| (String::new(), Err(failure)), |authority| (authority, Ok(())));
    let id = id(&head.headers);
    let (connection, clusters) = (Arc::clone(&served.connection), Arc::clone(&snapshot.cluster_names));
    // In its place at once: it is large.
    let shared = Rc::new(RefCell::new(Exchange::new(connection, head, authority, id, clusters)));
    let mut exchange = shared.borrow_mut();
    exchange.source = source;
    exchange.scheme = scheme;
    exchange.is_grpc = is_grpc;
    exchange.request_body = Body::from_client(body, http2, inflow.clone(), pace(is_grpc, listener));
    // A service that is known by its address is itself, whatever name it is called by.
    let known = served.connection.original_destination.and_then(|to| listener.config.tcp.destinations.get(to));
    exchange.destination.cluster = known.or(listener.config.cluster.as_ref()).cloned();
    drop(exchange);
    let record = Record::of(shared, inflow, Arc::clone(&listener.access_log), Arc::clone(&listener.traffic));
    if let Some(tracing) = &snapshot.config.tracing {
        trace::begin(&mut record.exchange_mut(), tracing, snapshot.config.limits.trail_steps);
    }
    let accepted = match checked.and(named) {
        Err(failure) => Err(failure),
        Ok(()) if under_way.over_limit() => {
            // Nothing is wrong with one number and no label.
            let _ = snapshot.overloaded.observe::<&str>(&[], 1.0);
            Err(Failure::new(Kind::Overloaded, "too many requests are under way"))
        }
        Ok(()) if !served.connection.is_for(&record.exchange().authority) => {
            Err(Failure::new(Kind::Misdirected, "expected a request for the host that the TLS handshake named"))
        }
        Ok(()) => settle(&mut record.exchange_mut(), listener, served.client()),
    };
    if listener.access_log.wants_trail() {
        record.exchange_mut().keep_trail(snapshot.config.limits.trail_steps);
    }
    if !snapshot.onlookers.is_empty() {
        record.exchange_mut().offer(&snapshot.onlookers, record.path(), snapshot.config.limits.trail_steps);
    }
    Received { record, upgrade, accepted }
}

/// How long the client may pause while it sends its body: a stream may be silent for longer than an upload.
fn pace(is_grpc: bool, listener: &Listener) -> Pace {
    let timeouts = &listener.config.timeouts;
    Pace { request: if is_grpc { timeouts.stream_idle } else { timeouts.progress }, stream: timeouts.stream_idle }
}

/// Rules that need the head as it came.
fn check(head: &request::Parts, listener: &Listener) -> Result<(), Failure> {
    let limits = &listener.config.limits;
    let malformed = |message| Err(Failure::new(Kind::MalformedRequest, message));
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.uri_bytes {
        return Err(Failure::new(Kind::UriTooLong, format!("expected a target of at most {} bytes", limits.uri_bytes)));
    }
    if head.headers.len() > limits.header_count {
        let message = format!("expected at most {} fields, found {}", limits.header_count, head.headers.len());
        return Err(Failure::new(Kind::HeadersTooLarge, message));
    }
    let (mut bytes, mut coded) = (0, false);
    for (name, value) in &head.headers {
        coded |= *name == header::TRANSFER_ENCODING;
        bytes += name.as_str().len() + value.len();
        if value.len() > limits.header_value_bytes {
            let message = format!("expected field values of at most {} bytes", limits.header_value_bytes);
            return Err(Failure::new(Kind::HeadersTooLarge, message));
        }
        if listener.config.reject_underscores && name.as_str().contains('_') {
            return malformed("expected field names without `_`");
        }
    }
    if bytes > limits.header_bytes {
        let message = format!("expected fields of at most {} bytes together", limits.header_bytes);
        return Err(Failure::new(Kind::HeadersTooLarge, message));
    }
    if coded {
        let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
        if !codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) || codings.next().is_some() {
            return malformed("expected `chunked` as the only transfer coding");
        }
        if head.headers.contains_key(header::CONTENT_LENGTH) {
            return malformed("expected one of Content-Length and Transfer-Encoding, found both");
        }
    }
    if head.method == Method::CONNECT && !is_websocket(head) {
        return Err(Failure::new(Kind::NotImplemented, "CONNECT is not offered here, but for WebSocket over HTTP/2"));
    }
    Ok(())
}

/// The one host a request is for (RFC 9112, 3.2; RFC 9113, 8.3.1).
fn authority(head: &request::Parts) -> Result<String, Failure> {
    let malformed = |message| Failure::new(Kind::MalformedRequest, message);
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(malformed("expected one Host field, found several")),
        (Some(host), None) => Some(host.to_str().map_err(|_| malformed("expected a Host of visible characters"))?),
        (None, None) => None,
    };
    let target = head.uri.authority().map(http::uri::Authority::as_str);
    let authority = match (target, host) {
        (Some(target), Some(host)) if !target.eq_ignore_ascii_case(host) => {
            return Err(malformed("the target and the Host field name different hosts"));
        }
        (Some(authority), _) | (None, Some(authority)) => authority,
        (None, None) => return Err(malformed("expected a Host field")),
    };
    if !is_authority(authority) {
        return Err(malformed("expected a host, with a port or without"));
    }
    Ok(authority.to_owned())
}

/// Brings the exchange into the form that filters see.
fn settle(exchange: &mut Exchange, listener: &Listener, client: &HeaderValue) -> Result<(), Failure> {
    let cleaned = match paths::clean(exchange.request.uri.path(), &listener.config.paths) {
        Ok(std::borrow::Cow::Borrowed(_)) => None,
        Ok(std::borrow::Cow::Owned(path)) => Some(path),
        Err(error) => return Err(Failure::new(Kind::MalformedRequest, error.to_string())),
    };
    if cleaned.is_some() || exchange.request.uri.authority().is_some() {
        let path = cleaned.as_deref().unwrap_or(exchange.request.uri.path());
        let target = match exchange.request.uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let target = PathAndQuery::try_from(target)
            .map_err(|error| Failure::new(Kind::MalformedRequest, "the path is not valid").because(error))?;
        exchange.request.uri = Uri::from(target);
    }
    let host = exchange.request.headers.remove(header::HOST);
    forwarded(exchange, client, host);
    if listener.config.tls.as_ref().is_some_and(|tls| tls.client_auth.forward) {
        forward_client(exchange);
    }
    if let Ok(id) = HeaderValue::from_str(&exchange.id) {
        exchange.request.headers.insert(X_REQUEST_ID, id);
    }
    read_deadline(exchange, listener)
}

/// When the client no longer waits, by what it says itself.
fn read_deadline(exchange: &mut Exchange, listener: &Listener) -> Result<(), Failure> {
    let headers = &exchange.request.headers;
    let of_grpc = if exchange.is_grpc { headers.get(GRPC_TIMEOUT).and_then(deadline::grpc_timeout) } else { None };
    let of_field = match listener.config.timeout_header.as_ref().and_then(|name| Some((name, headers.get(name)?))) {
        None => None,
        Some((name, value)) => {
            let several = headers.get_all(name).iter().nth(1).is_some();
            let Some((left, form)) = deadline::field_timeout(value).filter(|_| !several) else {
                let message = format!("expected milliseconds in {name}, or a number with `ms` or `s`");
                return Err(Failure::new(Kind::MalformedRequest, message));
            };
            exchange.deadline_field = Some((name.clone(), form));
            Some(left)
        }
    };
    let Some(left) = [of_grpc, of_field].into_iter().flatten().min() else { return Ok(()) };
    if left.is_zero() {
        return Err(deadline::passed());
    }
    exchange.deadline = Some(Instant::now() + left);
    Ok(())
}

/// A client asks for another protocol: by `Upgrade`, or by CONNECT over HTTP/2, which then is a GET as it would be over HTTP/1.1.
/// HTTP/2 by upgrade is not offered, so that wish is not heard.
fn upgrade(head: &mut request::Parts) -> Option<Upgrade> {
    if is_websocket(head) {
        let client = head.extensions.remove::<OnUpgrade>()?;
        head.extensions.remove::<Protocol>();
        head.method = Method::GET;
        return Some(Upgrade { protocol: HeaderValue::from_static("websocket"), client, by_connect: true, key: None });
    }
    if head.version != Version::HTTP_11 {
        return None;
    }
    let protocol = head.headers.get(header::UPGRADE)?.clone();
    let asked = head.headers.get_all(header::CONNECTION).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|option| option.trim().eq_ignore_ascii_case("upgrade")))
    });
    if !asked || protocol.as_bytes().eq_ignore_ascii_case(b"h2c") {
        return None;
    }
    let client = head.extensions.remove::<OnUpgrade>()?;
    let key = head.headers.get(header::SEC_WEBSOCKET_KEY).cloned();
    Some(Upgrade { protocol, client, by_connect: false, key })
}

/// WebSocket over HTTP/2 (RFC 8441).
fn is_websocket(head: &request::Parts) -> bool {
    head.method == Method::CONNECT && head.extensions.get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket")
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The request's own, else 128 random bits in hexadecimal.
fn id(headers: &HeaderMap) -> String {
    let given = headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    given.map_or_else(|| Hex(fastrand::u128(..)).to_string(), str::to_owned)
}

/// The head that the client gets, with the body behind it.
pub fn respond(
    served: &Served,
    listener: &Listener,
    under_way: UnderWay,
    chain: &Rc<Chain>,
    mut record: Record,
    content: Content,
) -> Response<Downstream> {
    let (mut parts, ()) = Response::new(()).into_parts();
    // For filters, or for whoever watches.
    let later = chain.wants_after_response() || record.inflow.kept().is_some();
    if let Some(head) = &mut record.exchange_mut().response {
        parts.status = head.status;
        parts.headers = if later { head.headers.clone() } else { std::mem::take(&mut head.headers) };
    }
    // What the client asked for, whatever filters made of it.
    let head_only = record.method == Method::HEAD;
    let http2 = record.exchange().request.version == Version::HTTP_2;
    if served.is_last_exchange() && !http2 {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let status = parts.status.as_u16();
    let bodiless = head_only || matches!(status, 204 | 205 | 304);
    if let (Content::Made(body), true) = (&content, head_only)
        && let Some(length) = body.size_hint().exact()
    {
        // What GET would have sent.
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if !keeps_length(status, head_only, content.body())
        && parts.headers.remove(header::CONTENT_LENGTH).is_some()
        && !matches!(status, 204 | 205)
    {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let passage = match content.body() {
        Some(body) if !bodiless => Passage::new(chain, record.shared(), Way::Response, body),
        _ => None,
    };
    if passage.as_ref().is_some_and(Passage::changes_length) {
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    record.answered(parts.status, &parts.headers);
    Response::from_parts(parts, Downstream::new(content, record, passage, bodiless, &listener.config.timeouts, under_way))
}

/// Whether the length that the head tells can be that of the answer. A head without a body may tell one, but only to HEAD
/// and with 304: a filter may have made another method or status of these.
fn keeps_length(status: u16, head_only: bool, body: Option<&Body>) -> bool {
    match status {
        204 | 205 => false,
        304 => true,
        _ => head_only || body.is_none_or(|body| !body.is_end_stream()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_without_a_body_is_for_head_and_304() {
        let (none, some) = (Body::default(), Body::whole("text".into()));
        assert!(keeps_length(200, false, Some(&some)) && !keeps_length(200, false, Some(&none)));
        assert!(keeps_length(200, true, Some(&none)) && keeps_length(304, false, Some(&none)));
        for (status, head_only) in [(204, false), (204, true), (205, false)] {
            assert!(!keeps_length(status, head_only, Some(&none)), "{status}");
        }
    }
}
