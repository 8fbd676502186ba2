//! A request that the filters have let through goes to its cluster; what comes back is the head of an answer.

use std::time::{Duration, Instant};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, StatusCode, Uri, Version};
use hyper::body::Incoming;

use super::body::{Content, Upstream};
use super::headers::{Upgrade, strip};
use crate::cluster::{self, Cluster, Outgoing, Pace};
use crate::config::UpstreamProtocol;
use crate::exchange::{Exchange, Failure, Inflow, Kind, Origin, Record};
use crate::snapshot::{Listener, Snapshot};

/// What is taken off a client's gRPC deadline for the way back.
const GRPC_SLACK: Duration = Duration::from_millis(5);
/// How much later than the client an upstream is blamed for a request that does not move on.
const STUCK_GRACE: Duration = Duration::from_secs(1);

/// What goes out beside the head.
pub struct Outbound<'a> {
    pub body: Incoming,
    pub upgrade: Option<&'a Upgrade>,
    /// Somebody will look at the request again when the response is there.
    pub keep_head: bool,
}

/// Sends the request and waits for the head of the answer, as long as the timeouts allow.
pub async fn forward(
    snapshot: &Snapshot,
    listener: &Listener,
    record: &mut Record,
    outbound: Outbound<'_>,
) -> Result<Content, Failure> {
    let (cluster, wishes) = cluster::choose(&snapshot.clusters, &mut record.destination)?;
    let http2 = record.request.version == Version::HTTP_2;
    let body = Outgoing::new(outbound.body, http2, record.inflow.clone(), pace(record, listener));
    let upgrade = outbound.upgrade.filter(|_| cluster.config.protocol == UpstreamProtocol::Http1);
    let request = request(record, cluster, upgrade, outbound.keep_head, body)?;

    let timeout = timeout(record, cluster, listener, upgrade.is_some());
    let unread = listener.config.timeouts.progress;
    let inflow = record.inflow.clone();
    let late = too_late(timeout, unread, record.deadline, &inflow);
    let answer = tokio::select! {
        biased;
        answer = cluster::send(cluster, request, &wishes, &mut record.attempt) => answer,
        failure = late => Err(failure),
    };
    let mut answer = answer.map_err(|failure| blame(failure, inflow.failure()))?;
    inflow.answer_came();

    if answer.response.status() == StatusCode::SWITCHING_PROTOCOLS && upgrade.is_none() {
        return Err(Failure::new(Kind::UpstreamProtocol, "the upstream switched protocols without being asked"));
    }
    let upgrade = upgrade.map(|_| hyper::upgrade::on(&mut answer.response));
    let (mut head, body) = answer.response.into_parts();
    let protocol = head.headers.remove(header::UPGRADE);
    strip(&mut head.headers);
    if let Some(protocol) = protocol.filter(|_| head.status == StatusCode::SWITCHING_PROTOCOLS) {
        head.headers.insert(header::UPGRADE, protocol);
    }
    head.extensions.clear();
    let head_version = head.version;
    record.response = Some(head);
    record.origin = Origin::Upstream;
    let total = record.destination.timeout.filter(|timeout| !timeout.is_zero());
    Ok(Content::Upstream(Box::new(Upstream {
        body,
        http2: head_version == Version::HTTP_2,
        lease: answer.lease,
        total,
        upgrade,
    })))
}

/// How long the client may pause while it sends its body: a stream may be silent for longer than an upload.
fn pace(exchange: &Exchange, listener: &Listener) -> Pace {
    let timeouts = &listener.config.timeouts;
    let request = if exchange.is_grpc { timeouts.stream_idle } else { timeouts.progress };
    Pace { request, stream: timeouts.stream_idle }
}

/// The request in the form the cluster's protocol wants.
fn request(
    exchange: &mut Exchange,
    cluster: &Cluster,
    upgrade: Option<&Upgrade>,
    keep_head: bool,
    body: Outgoing,
) -> Result<Request<Outgoing>, Failure> {
    let unsendable = |what: &str| Failure::new(Kind::BadRequestByFilter, format!("the {what} cannot be sent"));
    let mut headers = if keep_head { exchange.request.headers.clone() } else { std::mem::take(&mut exchange.request.headers) };
    let mut target = http::uri::Parts::default();
    target.path_and_query = exchange.request.uri.path_and_query().cloned().or(Some(PathAndQuery::from_static("/")));
    join_cookies(&mut headers);
    let version = match cluster.config.protocol {
        UpstreamProtocol::Http1 => {
            headers.insert(header::HOST, HeaderValue::from_str(&exchange.authority).map_err(|_| unsendable("authority"))?);
            if headers.contains_key(header::TE) {
                headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
            }
            if let Some(upgrade) = upgrade {
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::UPGRADE, upgrade.protocol.clone());
            }
            Version::HTTP_11
        }
        UpstreamProtocol::Http2 => {
            target.scheme = Some(Scheme::HTTP);
            target.authority = Some(exchange.authority.parse::<Authority>().map_err(|_| unsendable("authority"))?);
            Version::HTTP_2
        }
    };
    if let Some(deadline) = exchange.deadline {
        set_grpc_timeout(&mut headers, deadline)?;
    }
    let mut request = Request::new(body);
    *request.method_mut() = exchange.request.method.clone();
    *request.uri_mut() = Uri::from_parts(target).map_err(|_| unsendable("target"))?;
    *request.version_mut() = version;
    *request.headers_mut() = headers;
    Ok(request)
}

/// HTTP/2 clients split cookies into crumbs; whoever reads them next expects one field (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_some() {
        let crumbs: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
        if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
            headers.insert(header::COOKIE, joined);
        }
    }
}

fn set_grpc_timeout(headers: &mut HeaderMap, deadline: Instant) -> Result<(), Failure> {
    let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(GRPC_SLACK);
    if left.is_zero() {
        return Err(Failure::new(Kind::Deadline, "the deadline of the client has passed"));
    }
    let micros = left.as_micros();
    let text = if micros < 100_000_000 { format!("{micros}u") } else { format!("{}m", left.as_millis().min(99_999_999)) };
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(HeaderName::from_static("grpc-timeout"), value);
    }
    Ok(())
}

/// From the end of the request to the head of the response. Whoever set one for this exchange is heard; the cluster's
/// own is not for streams, which may take their time, but as long as nothing moves for `stream-idle` at most.
fn timeout(exchange: &Exchange, cluster: &Cluster, listener: &Listener, upgrade: bool) -> Option<Duration> {
    let streams = upgrade || exchange.is_grpc;
    let usual = if streams { listener.config.timeouts.stream_idle } else { cluster.config.timeouts.request };
    Some(exchange.destination.timeout.unwrap_or(usual)).filter(|timeout| !timeout.is_zero())
}

/// Waits for whatever of these comes first: the request went out and no answer came, the upstream does not read the
/// request, the client's own deadline.
async fn too_late(timeout: Option<Duration>, unread: Duration, deadline: Option<Instant>, inflow: &Inflow) -> Failure {
    let unanswered = async {
        let stuck = async {
            if unread.is_zero() {
                std::future::pending::<()>().await;
            }
            while inflow.moved_at().elapsed() < unread {
                tokio::time::sleep_until((inflow.moved_at() + unread).into()).await;
            }
        };
        tokio::select! {
            biased;
            () = inflow.ended() => {}
            // The client's silence is watched where its body is read, and told there as the client's.
            () = stuck, if timeout.is_some() => {
                tokio::time::sleep(STUCK_GRACE).await;
                return Failure::new(Kind::Timeout, "the upstream stopped reading the request");
            }
        }
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
        Failure::new(Kind::Timeout, "the upstream did not answer in time")
    };
    let passed = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
        Failure::new(Kind::Timeout, "the upstream did not answer before the deadline of the client")
    };
    tokio::select! {
        failure = unanswered => failure,
        failure = passed => failure,
    }
}

/// Where the client failed first, what followed upstream is no fault of the upstream.
fn blame(failure: Failure, client: Option<Kind>) -> Failure {
    match client {
        Some(kind @ Kind::ClientTimeout) => Failure::new(kind, "the request body stopped arriving").because(failure),
        Some(kind) => Failure::new(kind, "the client cut its request off").because(failure),
        None => failure,
    }
}
