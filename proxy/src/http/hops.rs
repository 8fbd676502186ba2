//! The fields of a hop: who spoke before this proxy, as far as it is believed; what it tells of that; and what goes no further.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::exchange::{Connection, Exchange};
use crate::snapshot::Listener;

pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
/// What of that the proxy does not say itself; `Connection` and `TE` are dealt with on their own.
const OF_A_HOP: [HeaderName; 7] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
];
/// What a peer claims about hops before it, where it is not trusted.
const CLAIMS: [HeaderName; 7] = [
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-real-ip"),
    header::FORWARDED,
    X_FORWARDED_CLIENT_CERT,
];
/// Fields that `Connection` may name without effect: removing them would change who or what a request is.
const NEVER_HOP_BY_HOP: [&str; 10] = [
    "host",
    "authorization",
    "cookie",
    "x-request-id",
    "forwarded",
    "x-real-ip",
    "traceparent",
    "tracestate",
    "b3",
    "content-length",
];
const NEVER_HOP_BY_HOP_PREFIXES: [&str; 2] = ["x-forwarded-", "x-b3-"];

/// The first address from the right that no trusted hop vouches for.
pub fn source(connection: &Connection, headers: &HeaderMap, listener: &Listener) -> IpAddr {
    let peer = connection.client_address().ip();
    if !connection.trusted {
        return peer;
    }
    let trusted = |address: &IpAddr| listener.config.trusted.iter().any(|range| range.contains(address));
    let mut source = peer;
    for value in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for hop in value.to_str().unwrap_or_default().rsplit(',') {
            let Ok(hop) = hop.trim().parse::<IpAddr>() else { return source };
            source = hop;
            if !trusted(&hop) {
                return source;
            }
        }
    }
    source
}

/// Tells the upstream who is speaking; claims of a peer that is not trusted are dropped first. `client`: its address. `host`: what it
/// asked for, if that is a field.
pub fn forwarded(exchange: &mut Exchange, client: &HeaderValue, host: Option<HeaderValue>) {
    let headers = &mut exchange.request.headers;
    let mut claimed = headers.keys().any(is_claim);
    if claimed && !exchange.connection.trusted {
        for claim in &CLAIMS {
            headers.remove(claim);
        }
        claimed = false;
    }
    let hops = if claimed { after_others(headers, client) } else { client.clone() };
    headers.insert(X_FORWARDED_FOR, hops);
    if !claimed || !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(exchange.scheme));
    }
    if !claimed || !headers.contains_key(X_FORWARDED_HOST) {
        let same = host.filter(|host| host.as_bytes() == exchange.authority.as_bytes());
        if let Some(host) = same.or_else(|| HeaderValue::from_str(&exchange.authority).ok()) {
            headers.insert(X_FORWARDED_HOST, host);
        }
    }
}

/// The client behind the hops that it speaks for.
fn after_others(headers: &HeaderMap, client: &HeaderValue) -> HeaderValue {
    let mut hops = String::new();
    for value in headers.get_all(X_FORWARDED_FOR) {
        hops.push_str(value.to_str().unwrap_or_default());
        hops.push_str(", ");
    }
    hops.push_str(client.to_str().unwrap_or_default());
    HeaderValue::try_from(hops).unwrap_or_else(|_| client.clone())
}

/// Whether it is one of [`CLAIMS`].
fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "forwarded" | "x-real-ip") || name.starts_with("x-forwarded-")
}

/// Tells the upstream whose certificate was verified here. What an untrusted peer claims has been removed.
pub fn forward_client(exchange: &mut Exchange) {
    let Some(client) = &exchange.connection.client else { return };
    if let Ok(told) = HeaderValue::from_str(&client.forwarded()) {
        exchange.request.headers.append(X_FORWARDED_CLIENT_CERT, told);
    }
}

/// Removes the fields of one hop (RFC 9110, 7.6.1), those that `Connection` names included. `TE: trailers` stays.
pub fn strip(headers: &mut HeaderMap) {
    // Most heads have none of them, or `Connection` alone: to go through the names once costs less than to ask for each.
    let (mut connection, mut te, mut others) = (false, false, false);
    for name in headers.keys() {
        match name.as_str() {
            "connection" => connection = true,
            "te" => te = true,
            "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings" => others = true,
            _ => {}
        }
    }
    if connection {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            // The usual ones are no names of fields that are left.
            .filter(|option| !option.eq_ignore_ascii_case("keep-alive") && !option.eq_ignore_ascii_case("close"))
            .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
            .filter(|name| !NEVER_HOP_BY_HOP.contains(&name.as_str()))
            .filter(|name| !NEVER_HOP_BY_HOP_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix)))
            .collect();
        headers.remove(header::CONNECTION);
        for name in named.into_iter().filter(|name| *name != header::TE) {
            headers.remove(name);
        }
    }
    if others {
        OF_A_HOP.iter().for_each(|name| drop(headers.remove(name)));
    }
    if te {
        let trailers = headers.get_all(header::TE).iter().any(|value| {
            value.to_str().is_ok_and(|value| value.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
        });
        headers.remove(header::TE);
        if trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
    }
}

/// What the client speaks, as far as trusted hops tell.
pub fn scheme(connection: &Connection, headers: &HeaderMap) -> &'static str {
    let told = if connection.trusted { headers.get(X_FORWARDED_PROTO) } else { None };
    match told.map(HeaderValue::as_bytes) {
        Some(b"https") => "https",
        Some(b"http") => "http",
        _ => connection.scheme(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connection_names_goes_but_not_who_is_asking() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "x-hop, authorization, X-Forwarded-For, X-B3-TraceId, keep-alive"),
            ("x-hop", "1"),
            ("authorization", "secret"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-b3-traceid", "1"),
            ("keep-alive", "5"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "te", "x-b3-traceid", "x-forwarded-for"]);
        assert_eq!(headers["te"], "trailers");
    }

    #[test]
    fn each_field_of_a_hop_goes_where_it_stands_alone_as_well() {
        for name in OF_A_HOP.iter().chain([&header::CONNECTION]) {
            let mut headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("close"))]);
            strip(&mut headers);
            assert!(headers.is_empty(), "{name}");
        }
    }

    #[test]
    fn each_claim_is_known_by_its_name() {
        assert!(CLAIMS.iter().all(is_claim));
        assert!(!is_claim(&header::HOST) && !is_claim(&HeaderName::from_static("x-request-id")));
    }
}
