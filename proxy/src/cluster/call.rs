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

/// Sends a request whose target and Host are already in the form the cluster's protocol wants.
pub async fn send(cluster: &Arc<Cluster>, request: Request<Outgoing>, attempt: &mut Attempt) -> Result<Answer, Failure> {
    let Some(endpoint) = cluster.pick() else {
        return Err(Failure::new(Kind::NoEndpoint, format!("no endpoint in cluster `{}`", cluster.name)));
    };
    attempt.endpoint = Some(endpoint.address);
    attempt.count += 1;
    let active = endpoint.begin();
    let pool = pool::of(endpoint, &cluster.config.timeouts, &cluster.config.limits);
    let (response, connection) = match cluster.config.protocol {
        UpstreamProtocol::Http1 => send_http1(&pool, endpoint, request).await?,
        UpstreamProtocol::Http2 => send_http2(&pool, endpoint, request).await?,
    };
    Ok(Answer { response, lease: Lease { _active: active, pool, connection } })
}

/// Idle connections may have died unseen: a request that never left comes back and takes the next one.
async fn send_http1(
    pool: &Pool,
    endpoint: &Endpoint,
    mut request: Request<Outgoing>,
) -> Result<(Response<Incoming>, Connection), Failure> {
    while let Some(mut sender) = pool.idle().await {
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, Connection::Http1(sender))),
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(failed(error.into_error())),
            },
        }
    }
    let mut sender = pool.open(endpoint).await?;
    match sender.try_send_request(request).await {
        Ok(response) => Ok((response, Connection::Http1(sender))),
        Err(error) => Err(failed(error.into_error())),
    }
}

/// A connection that says GOAWAY gives back what it has not begun; the next place is on another one.
async fn send_http2(
    pool: &Pool,
    endpoint: &Endpoint,
    mut request: Request<Outgoing>,
) -> Result<(Response<Incoming>, Connection), Failure> {
    const PLACES_TRIED_MAX: usize = 3;
    let mut tried = 1;
    loop {
        let place = pool.place(endpoint).await?;
        let mut sender = place.0.sender.clone();
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, Connection::Http2(place))),
            Err(mut error) => match error.take_message() {
                Some(unsent) if tried < PLACES_TRIED_MAX => {
                    request = unsent;
                    tried += 1;
                }
                _ => return Err(failed(error.into_error())),
            },
        }
    }
}

fn failed(error: hyper::Error) -> Failure {
    if error.is_parse() {
        Failure::new(Kind::UpstreamProtocol, "the upstream's answer is not valid HTTP").because(error)
    } else {
        Failure::new(Kind::UpstreamReset, "the upstream closed the connection before it answered").because(error)
    }
}
