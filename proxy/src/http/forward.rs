//! A request that the filters have let through goes to its cluster; what comes back is the head of an answer.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, StatusCode, Uri, Version};

use super::body::{Content, Upstream};
use super::headers::Upgrade;
use super::hops::strip;
use super::mirror::Copies;
use super::outbound::outbound;
use super::passage::Passage;
use super::upgrade;
use crate::cluster::form::protocol;
use crate::cluster::{self, Cluster};
use crate::config::UpstreamProtocol;
use crate::exchange::failure::At;
use crate::exchange::{Body, Deadline, Exchange, Failure, Inflow, Kind, Origin, Record};
use crate::filter::Hook;
use crate::filter::chain::{Chain, Way};
use crate::snapshot::Listener;

/// How much later than the client an upstream is blamed for a request that does not move on.
const STUCK_GRACE: Duration = Duration::from_secs(1);

/// Sends the request and waits for the head of the answer, as long as the timeouts allow.
pub async fn forward(
    listener: &Listener,
    chain: &Rc<Chain>,
    record: &mut Record,
    upgrade: Option<&Upgrade>,
) -> Result<Content, Failure> {
    let (cluster, mut wishes) = cluster::choose(&chain.reach().clusters, &mut record.exchange_mut().destination)?;
    // HTTP/2 knows no other, and it has no body.
    let is_plain = record.method == Method::GET && record.inflow.ended_at().is_some();
    let can_connect = |asked: &&Upgrade| asked.is_websocket() && is_plain;
    let protocol = protocol(&cluster.config, record.exchange().request.version);
    let upgrade = upgrade.filter(|asked| protocol != UpstreamProtocol::Http2 || can_connect(asked));
    let request = request(record, chain, cluster, upgrade).inspect_err(|failure| {
        if failure.kind == Kind::Deadline {
            cluster.kept.counts.expired.more();
        }
    })?;

    let timeout = timeout(&record.exchange(), cluster, listener, upgrade.is_some());
    let unread = listener.config.timeouts.progress;
    let inflow = record.inflow.clone();
    let deadline = record.exchange().deadline;
    wishes.deadline = self::deadline(&record.exchange());
    (wishes.timeout, wishes.inflow) = (timeout, Some(Rc::clone(&inflow)));
    wishes.introduce(cluster, &record.exchange().connection);
    wishes.trail.clone_from(&record.exchange().trail);
    let late = too_late(timeout, unread, deadline, &inflow);
    let answer = tokio::select! {
        biased;
        answer = cluster::send(cluster, request, &wishes, &mut record.attempt) => answer,
        failure = late => Err(failure),
    };
    let mut answer = answer.map_err(|failure| blame(failure, inflow.failure()))?;
    inflow.answer_came();

    let upgrade = upgrade::asked(upgrade, &mut answer.response)?;
    let (mut head, body) = answer.response.into_parts();
    let protocol = head.headers.remove(header::UPGRADE);
    strip(&mut head.headers);
    if let Some(protocol) = protocol.filter(|_| head.status == StatusCode::SWITCHING_PROTOCOLS) {
        head.headers.insert(header::UPGRADE, protocol);
    }
    head.extensions.clear();
    let body = Body::from_upstream(body, answer.first, head.version == Version::HTTP_2);
    let exchange = &mut *record.exchange_mut();
    exchange.response = Some(head);
    exchange.origin = Origin::Upstream;
    exchange.answered = true;
    let total = exchange.destination.timeout.filter(|timeout| !timeout.is_zero());
    Ok(Content::Upstream(Box::new(Upstream { body, lease: answer.lease, total, upgrade })))
}

/// The request in the form the cluster's protocol wants, with its body behind it.
fn request(
    record: &Record,
    chain: &Rc<Chain>,
    cluster: &Cluster,
    upgrade: Option<&Upgrade>,
) -> Result<Request<cluster::Outgoing>, Failure> {
    let passage = Passage::new(chain, record.shared(), Way::Request, &record.exchange().request_body);
    let exchange = &mut *record.exchange_mut();
    let changes_length = passage.as_ref().is_some_and(Passage::changes_length);
    let copies = Copies::of(&exchange.mirrors, chain.reach(), |cluster, mirror| {
        let mut headers = exchange.request.headers.clone();
        if changes_length {
            headers.remove(header::CONTENT_LENGTH);
        }
        if let Some(trace) = &exchange.trace {
            trace.unsampled().write(&mut headers);
        }
        mirror.fields.iter().for_each(|(name, value)| drop(headers.insert(name, value.clone())));
        let authority = mirror.authority.as_ref().unwrap_or(&exchange.authority);
        render(exchange, authority, cluster, headers, None).ok()
    });
    let keep_head = chain.wants(Hook::RequestChunk) || chain.wants_response();
    let mut headers = if keep_head { exchange.request.headers.clone() } else { std::mem::take(&mut exchange.request.headers) };
    if changes_length {
        headers.remove(header::CONTENT_LENGTH);
    }
    let head = render(exchange, &exchange.authority, cluster, headers, upgrade)?;
    let body = outbound(exchange.request_body.take(), passage, copies, record.inflow.clone());
    Ok(head.map(|()| body))
}

/// When the client no longer waits, and how the upstream is told.
fn deadline(exchange: &Exchange) -> Option<Deadline> {
    Some(Deadline { at: exchange.deadline?, grpc: exchange.is_grpc, field: exchange.deadline_field.clone() })
}

/// The head in the form the cluster's protocol wants.
fn render(
    exchange: &Exchange,
    authority: &str,
    cluster: &Cluster,
    mut headers: HeaderMap,
    upgrade: Option<&Upgrade>,
) -> Result<Request<()>, Failure> {
    let unsendable = |what: &str| Failure::new(Kind::BadRequestByFilter, format!("the {what} cannot be sent"));
    let mut target = http::uri::Parts::default();
    target.path_and_query = exchange.request.uri.path_and_query().cloned().or(Some(PathAndQuery::from_static("/")));
    join_cookies(&mut headers);
    let version = match protocol(&cluster.config, exchange.request.version) {
        // Where TLS decides, it is given another form when the connection is there.
        UpstreamProtocol::Http1 | UpstreamProtocol::Auto => {
            headers.insert(header::HOST, HeaderValue::from_str(authority).map_err(|_| unsendable("authority"))?);
            if headers.contains_key(header::TE) {
                headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
            }
            if let Some(upgrade) = upgrade {
                upgrade::ask(&mut headers, upgrade);
            }
            Version::HTTP_11
        }
        UpstreamProtocol::Http2 => {
            target.scheme = Some(if cluster.config.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
            target.authority = Some(authority.parse::<Authority>().map_err(|_| unsendable("authority"))?);
            Version::HTTP_2
        }
    };
    if let Some(deadline) = deadline(exchange) {
        deadline.tell(&mut headers)?;
    }
    let mut request = Request::new(());
    *request.method_mut() = exchange.request.method.clone();
    if upgrade.is_some() && version == Version::HTTP_2 {
        upgrade::ask_by_connect(&mut request, &mut headers);
    }
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
    let passed = || Failure::new(Kind::Timeout, "the upstream did not answer before the deadline of the client");
    if inflow.ended_at().is_none() {
        // Boxed: most requests have come whole, and each exchange would have to have room for this.
        let still_arriving = async {
            tokio::select! {
                biased;
                failure = unread_for(timeout.map(|_| unread), inflow) => failure,
                () = until(deadline) => Some(passed()),
            }
        };
        if let Some(failure) = Box::pin(still_arriving).await {
            return failure;
        }
    }
    // One timer for both.
    let unanswered = timeout.and_then(|timeout| tokio::time::Instant::now().into_std().checked_add(timeout));
    until([unanswered, deadline].into_iter().flatten().min()).await;
    match deadline {
        Some(deadline) if unanswered.is_none_or(|unanswered| deadline < unanswered) => passed(),
        _ => Failure::new(Kind::Timeout, "the upstream did not answer in time"),
    }
}

/// Waits for the end of the request, which is `None`, or for an upstream that does not read it any more.
async fn unread_for(limit: Option<Duration>, inflow: &Inflow) -> Option<Failure> {
    let stuck = async {
        let Some(limit) = limit.filter(|limit| !limit.is_zero()) else { return std::future::pending().await };
        while inflow.moved_at().elapsed() < limit {
            until(Some(inflow.moved_at() + limit)).await;
        }
    };
    tokio::select! {
        biased;
        () = inflow.ended() => None,
        // The client's silence is watched where its body is read, and told there as the client's.
        () = stuck => {
            tokio::time::sleep(STUCK_GRACE).await;
            Some(Failure::new(Kind::Timeout, "the upstream stopped reading the request"))
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// Where the client or a filter failed first, what followed upstream is no fault of the upstream.
fn blame(failure: Failure, client: Option<Kind>) -> Failure {
    match client {
        Some(kind) if kind.at() == At::Filter => Failure::new(kind, "a filter stopped the request body").because(failure),
        Some(kind @ Kind::ClientTimeout) => Failure::new(kind, "the request body stopped arriving").because(failure),
        Some(kind) => Failure::new(kind, "the client cut its request off").because(failure),
        None => failure,
    }
}
