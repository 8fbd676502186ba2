//! One check of one endpoint, on a connection of its own: what traffic leaves behind on kept ones says nothing of new ones.

use std::error::Error;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, TE, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::task::JoinSet;

use crate::cluster::connect::{announce, connect};
use crate::cluster::form::{self, Spoken};
use crate::cluster::{Cluster, Endpoint, passing};
use crate::config::{HealthCheck, HttpProbe, HttpProbeMethod, Probe};
use crate::tls::Offer;

/// What is read of the body of an answer.
const BODY_BYTES_MAX: usize = 64 * 1024;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("tamis/", env!("CARGO_PKG_VERSION"), " (health check)"));
/// `SERVING` of `grpc.health.v1.HealthCheckResponse.ServingStatus`.
const SERVING: u8 = 1;

type Answer = (http::response::Parts, Bytes, Option<HeaderMap>);

/// `Err` says what is wrong with the endpoint.
pub async fn check(cluster: &Cluster, endpoint: &Endpoint, config: &HealthCheck) -> Result<(), String> {
    let to = To { cluster, endpoint };
    let checked = async {
        match &config.probe {
            Probe::Tcp => connected(to).await,
            Probe::Http(probe) => http(to, probe).await,
            Probe::Grpc { service } => grpc(to, service).await,
        }
    };
    let in_time = tokio::time::timeout(config.timeout, checked).await;
    in_time.unwrap_or_else(|_| Err(format!("nothing came within {:?}", config.timeout)))
}

/// What is asked.
#[derive(Clone, Copy)]
struct To<'a> {
    cluster: &'a Cluster,
    endpoint: &'a Endpoint,
}

async fn connected(to: To<'_>) -> Result<(), String> {
    let no_connection = |error| format!("no connection: {error}");
    let (mut stream, _own) = passing::open(to.endpoint.address, to.cluster.config.mark).await.map_err(no_connection)?;
    announce(&to.cluster.config, &mut stream, None).await.map_err(no_connection)
}

async fn http(to: To<'_>, probe: &HttpProbe) -> Result<(), String> {
    let method = match probe.method {
        HttpProbeMethod::Get => Method::GET,
        HttpProbeMethod::Head => Method::HEAD,
        HttpProbeMethod::Options => Method::OPTIONS,
    };
    let host = probe.host.clone().unwrap_or_else(|| to.endpoint.address.to_string());
    let mut request = Request::new(Full::default());
    *request.method_mut() = method;
    request.headers_mut().insert(USER_AGENT, AGENT);
    // A body that nobody asks about may well have no end.
    let (head, body, _) =
        exchange(to, form::spoken(&to.cluster.config, Some(&request)), &host, &probe.target, request, probe.contains.is_some())
            .await?;
    if !probe.statuses.iter().any(|range| range.contains(&head.status.as_u16())) {
        return Err(format!("it answered {}, expected {}", head.status.as_u16(), listed(probe)));
    }
    match &probe.contains {
        Some(text) if !body.windows(text.len().max(1)).any(|piece| piece == text.as_bytes()) && !text.is_empty() => {
            Err(format!("the first {} bytes of its answer do not contain {text:?}", body.len()))
        }
        _ => Ok(()),
    }
}

fn listed(probe: &HttpProbe) -> String {
    let range = |range: &std::ops::RangeInclusive<u16>| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{} to {}", range.start(), range.end()),
    };
    probe.statuses.iter().map(range).collect::<Vec<_>>().join(" or ")
}

/// `grpc.health.v1.Health/Check`. Its two messages have one field each, so they are written and read by hand.
async fn grpc(to: To<'_>, service: &str) -> Result<(), String> {
    let mut request = Request::new(Full::from(grpc_request(service)));
    *request.method_mut() = Method::POST;
    let fields = request.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    fields.insert(TE, HeaderValue::from_static("trailers"));
    fields.insert(USER_AGENT, AGENT);
    let target = "/grpc.health.v1.Health/Check";
    let answered = exchange(to, Spoken::Http2, &to.endpoint.address.to_string(), target, request, true).await?;
    let (head, body, trailers) = answered;
    if head.status != StatusCode::OK {
        return Err(format!("it answered {}, expected 200 and a gRPC status", head.status.as_u16()));
    }
    let field = |name| trailers.as_ref().and_then(|trailers| trailers.get(name)).or_else(|| head.headers.get(name));
    let text = |name| field(name).map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match text("grpc-status").as_deref() {
        Some("0") => {}
        Some(status) => return Err(format!("gRPC status {status}: {}", text("grpc-message").unwrap_or_default())),
        None => return Err("it answered without a gRPC status".to_owned()),
    }
    match serving_status(&body) {
        Some(SERVING) => Ok(()),
        Some(status) => Err(format!("its serving status is {status}, expected {SERVING} (SERVING)")),
        None => Err("its answer is no message of grpc.health.v1".to_owned()),
    }
}

/// Field 1 is the service, a string; without one the message is empty.
fn grpc_request(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(length as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    framed.extend_from_slice(&message);
    framed.into()
}

/// Field 1 is the status, a number below 128; an empty message has the first one, zero.
fn serving_status(framed: &[u8]) -> Option<u8> {
    let (prefix, message) = framed.split_at_checked(5)?;
    if prefix[0] != 0 || u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize != message.len() {
        return None;
    }
    match *message {
        [] => Some(0),
        [0x08, status, ..] if status < 0x80 => Some(status),
        _ => None,
    }
}

/// One request on a connection of its own.
async fn exchange(
    to: To<'_>,
    spoken: Spoken,
    host: &str,
    target: &str,
    mut request: Request<Full<Bytes>>,
    wants_body: bool,
) -> Result<Answer, String> {
    let offer = match spoken {
        Spoken::Http1 => Offer::Http1,
        Spoken::Http2 => Offer::Http2,
        Spoken::Either => Offer::Either,
    };
    let stream = connect(to.cluster, to.endpoint, offer, None).await.map_err(|failure| format!("no connection: {failure}"))?;
    let http2 = spoken == Spoken::Http2 || stream.agreed_on_http2();
    let stream = TokioIo::new(stream);
    // What drives the connection ends with this exchange.
    let mut driver = JoinSet::new();
    let response = match http2 {
        false => {
            *request.uri_mut() = target.parse().map_err(|_| format!("`{target}` is no target of a request"))?;
            let host = HeaderValue::from_str(host).map_err(|_| format!("`{host}` is no host"))?;
            request.headers_mut().insert(HOST, host);
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            let (mut sender, connection) = http1::handshake(stream).await.map_err(said)?;
            driver.spawn(async move { drop(connection.await) });
            sender.send_request(request).await.map_err(said)?
        }
        true => {
            *request.version_mut() = Version::HTTP_2;
            let scheme = if to.cluster.config.tls.is_some() { "https" } else { "http" };
            let uri = format!("{scheme}://{host}{target}");
            *request.uri_mut() = uri.parse().map_err(|_| format!("`{uri}` is no URI"))?;
            let builder = http2::Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).handshake(stream);
            let (mut sender, connection) = builder.await.map_err(said)?;
            driver.spawn(async move { drop(connection.await) });
            sender.send_request(request).await.map_err(said)?
        }
    };
    if wants_body { read(response).await } else { Ok((response.into_parts().0, Bytes::new(), None)) }
}

/// The beginning of the body, and the trailers if it ends before that.
async fn read(response: Response<Incoming>) -> Result<Answer, String> {
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut trailers) = (Vec::new(), None);
    while bytes.len() < BODY_BYTES_MAX
        && let Some(frame) = body.frame().await
    {
        match frame.map_err(said)?.into_data() {
            Ok(data) => bytes.extend_from_slice(&data[..data.len().min(BODY_BYTES_MAX - bytes.len())]),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((head, bytes.into(), trailers))
}

/// An error of hyper's with what is below it.
fn said(error: hyper::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(&format!(": {error}"));
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_grpc_health() {
        assert_eq!(grpc_request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(grpc_request("a.B")[..], *b"\0\0\0\0\x05\x0a\x03a.B");
        let long = grpc_request(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
        assert_eq!(serving_status(b"\0\0\0\0\x02\x08\x01"), Some(SERVING));
        assert_eq!(serving_status(b"\0\0\0\0\x02\x08\x02"), Some(2));
        assert_eq!(serving_status(b"\0\0\0\0\0"), Some(0), "unknown");
        for wrong in [&b""[..], b"\0\0\0\0", b"\x01\0\0\0\x02\x08\x01", b"\0\0\0\0\x03\x08\x01", b"\0\0\0\0\x02\x10\x01"] {
            assert_eq!(serving_status(wrong), None, "{wrong:?}");
        }
    }
}
