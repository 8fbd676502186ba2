//! One request to one cluster: pick an endpoint, find or open a connection, send, and hand the answer over with the
//! lease that puts the connection back.

use std::rc::Rc;
use std::sync::Arc;

use http::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

use super::endpoint::Active;
use super::pool::{self, Place, Pool};
use super::{Cluster, Endpoint, Outgoing};
use crate::config::UpstreamProtocol;
use crate::exchange::failure::Retry;
use crate::exchange::{Attempt, Failure, Kind};

/// The head of an answer, its body still streaming.
#[derive(Debug)]
pub struct Answer {
    pub response: Response<Incoming>,
    pub lease: Lease,
}

/// Holds an exchange's connection and its place in the endpoint's load.
#[derive(Debug)]
pub struct Lease {
    _active: Active,
    pool: Rc<Pool>,
    connection: Connection,
}

#[derive(Debug)]
enum Connection {
    Http1(SendRequest<Outgoing>),
    Http2(#[allow(dead_code, reason = "held for its drop")] Place),
}

impl Lease {
    /// The exchange is over on both sides: the connection may serve another. Dropping a lease without this closes an
    /// HTTP/1 connection.
    pub fn finish(self) {
        match self.connection {
            Connection::Http1(sender) => self.pool.keep(sender),
            Connection::Http2(_) => {}
        }
    }
}

/// Endpoints that one request is offered to. Only a request of which nothing was sent is offered again.
pub const ATTEMPTS_MAX: u32 = 2;

/// Sends a request whose target and Host are already in the form the cluster's protocol wants. Where no connection can
/// be opened, another endpoint gets it.
pub async fn send(cluster: &Arc<Cluster>, request: Request<Outgoing>, attempt: &mut Attempt) -> Result<Answer, Failure> {
    let mut unsent = Some(request);
    let mut avoid = None;
    loop {
        let Some(endpoint) = cluster.pick(avoid) else {
            return Err(Failure::new(Kind::NoEndpoint, format!("no endpoint in cluster `{}`", cluster.name)));
        };
        attempt.endpoint = Some(endpoint.address);
        attempt.count += 1;
        let active = endpoint.begin();
        let pool = pool::of(endpoint, &cluster.config.timeouts, &cluster.config.limits);
        let answer = match cluster.config.protocol {
            UpstreamProtocol::Http1 => send_http1(&pool, endpoint, &mut unsent).await,
            UpstreamProtocol::Http2 => send_http2(&pool, endpoint, &mut unsent).await,
        };
        match answer {
            Ok((response, connection)) => {
                return Ok(Answer { response, lease: Lease { _active: active, pool, connection } });
            }
            Err(failure) => {
                let safe = failure.kind.retry() == Retry::Safe && unsent.is_some();
                if !safe || attempt.count >= ATTEMPTS_MAX || cluster.endpoints.len() < 2 {
                    return Err(failure);
                }
                avoid = Some(endpoint.id);
            }
        }
    }
}

/// Idle connections may have died unseen: a request that never left comes back and takes the next one.
async fn send_http1(
    pool: &Pool,
    endpoint: &Endpoint,
    unsent: &mut Option<Request<Outgoing>>,
) -> Result<(Response<Incoming>, Connection), Failure> {
    loop {
        let (mut sender, is_new) = match pool.idle().await {
            Some(sender) => (sender, false),
            None => (pool.open(endpoint).await?, true),
        };
        let Some(request) = unsent.take() else { return Err(nothing_to_send()) };
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, Connection::Http1(sender))),
            Err(mut error) => match error.take_message() {
                Some(request) if !is_new => *unsent = Some(request),
                _ => return Err(failed(error.into_error())),
            },
        }
    }
}

/// A connection that says GOAWAY gives back what it has not begun; the next place is on another one.
async fn send_http2(
    pool: &Pool,
    endpoint: &Endpoint,
    unsent: &mut Option<Request<Outgoing>>,
) -> Result<(Response<Incoming>, Connection), Failure> {
    const PLACES_TRIED_MAX: usize = 3;
    let mut tried = 1;
    loop {
        let place = pool.place(endpoint).await?;
        let mut sender = place.0.sender.clone();
        let Some(request) = unsent.take() else { return Err(nothing_to_send()) };
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, Connection::Http2(place))),
            Err(mut error) => match error.take_message() {
                Some(request) if tried < PLACES_TRIED_MAX => {
                    *unsent = Some(request);
                    tried += 1;
                }
                _ => return Err(failed(error.into_error())),
            },
        }
    }
}

/// A request that is neither sent nor given back: hyper promises one of the two.
fn nothing_to_send() -> Failure {
    Failure::new(Kind::UpstreamReset, "the request was lost on its way to the upstream")
}

fn failed(error: hyper::Error) -> Failure {
    if error.is_parse() {
        Failure::new(Kind::UpstreamProtocol, "the upstream's answer is not valid HTTP").because(error)
    } else {
        Failure::new(Kind::UpstreamReset, "the upstream closed the connection before it answered").because(error)
    }
}
