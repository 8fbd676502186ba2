//! One attempt: a connection to one endpoint, the request, and the head of an answer. Whether there is another is not asked
//! here.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::{Body, Incoming};
use tokio::time::Instant;

use super::breaker::Taken;
use super::endpoint::Active;
use super::pool::{self, Http1, Place, Pool};
use super::retry::Policy;
use super::spare::Spare;
use super::{Cluster, Ended, Endpoint, Outgoing, Seen, Wishes, balance, seen};
use crate::config::{Breakers, UpstreamProtocol};
use crate::exchange::trail::{self, Running, What};
use crate::exchange::{Failure, Kind};

/// The head of an answer, its body still streaming.
#[derive(Debug)]
pub struct Answer {
    pub response: Response<Incoming>,
    /// What came behind the head, where that was waited for.
    pub first: Option<Frame<Bytes>>,
    pub lease: Lease,
}

/// Holds an exchange's connection and its place in the endpoint's load.
#[derive(Debug)]
pub struct Lease {
    active: Active,
    pool: Rc<Pool>,
    connection: Connection,
    /// Its place among the exchanges of the cluster.
    pub request: Option<Taken>,
    /// Who is to hear how a gRPC call ended.
    pub call: Option<(Arc<Cluster>, Seen)>,
}

#[derive(Debug)]
enum Connection {
    Http1(Http1),
    Http2(#[allow(dead_code, reason = "held for its drop")] Place),
}

impl Lease {
    /// The exchange is over on both sides: the connection may serve another. Dropping a lease without this closes an
    /// HTTP/1 connection.
    pub fn finish(self) {
        match self.connection {
            Connection::Http1(connection) => self.pool.keep(connection),
            Connection::Http2(_) => {}
        }
    }

    /// Trailers have come: a gRPC call that failed after its head has failed all the same.
    pub fn heard(&mut self, trailers: &HeaderMap) {
        if let Some((cluster, seen)) = self.call.take()
            && let Some(code) = seen::grpc_status(trailers).filter(|code| *code != 0)
        {
            cluster.saw(self.active.endpoint(), &Seen { grpc: Some(code), ..seen });
        }
    }
}

impl Answer {
    /// Nobody reads it. A connection on which nothing is left to come can serve another exchange.
    pub fn discard(self, spare: Option<&Spare>) {
        if spare.is_some_and(Spare::is_complete) && self.response.body().is_end_stream() {
            self.lease.finish();
        }
    }

    /// Waits for what follows the head of a gRPC answer: a message, or trailers with the status of a call that failed.
    async fn look_behind_the_head(&mut self) -> Result<(), Failure> {
        let fields = self.response.headers();
        if !seen::is_grpc(fields) || seen::grpc_status(fields).is_some() {
            return Ok(());
        }
        while self.first.is_none() {
            match self.response.body_mut().frame().await {
                Some(Ok(frame)) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
                Some(Ok(frame)) => self.first = Some(frame),
                Some(Err(error)) => {
                    return Err(Failure::new(Kind::UpstreamReset, "the upstream cut its answer off").because(error));
                }
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// What an attempt needs besides its endpoint.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    pub cluster: &'a Cluster,
    pub wishes: &'a Wishes,
    pub policy: &'a Policy<'a>,
    pub spare: Option<&'a Spare>,
    /// From 1 on.
    pub number: u32,
    /// Beside another one that takes long.
    pub hedged: bool,
}

impl Means<'_> {
    /// Writes the beginning of an attempt down where somebody looks, and who makes it into its head.
    fn begin(&self, endpoint: &Endpoint, request: Option<&mut Request<Outgoing>>) -> Option<Running> {
        let (trail, request) = (self.wishes.trail.as_ref()?, request?);
        let step = trail.begin(What::Attempt(trail::Attempt {
            by: self.wishes.by,
            method: request.method().clone(),
            cluster: Arc::clone(&self.cluster.name),
            endpoint: endpoint.address,
            number: self.number,
            hedged: self.hedged,
            result: None,
        }));
        trail.stamp(&step, self.wishes.by, request.headers_mut());
        Some(step)
    }
}

/// An attempt that is over.
pub struct Tried {
    pub endpoint: Arc<Endpoint>,
    pub outcome: Result<Answer, Failure>,
    pub seen: Seen,
}

impl Tried {
    /// Whether another attempt could make it better.
    pub fn is_worth_another(&self, policy: &Policy<'_>) -> bool {
        policy.is_worth_it(&self.seen, self.outcome.as_ref().ok().map(|answer| answer.response.headers()))
    }
}

/// One endpoint, one attempt, in the time of one. What was not sent is in `unsent` afterwards.
pub async fn try_once(means: Means<'_>, endpoint: Arc<Endpoint>, unsent: &mut Option<Request<Outgoing>>) -> Tried {
    let step = means.begin(&endpoint, unsent.as_mut());
    let mut open = Open { means, endpoint, began: Instant::now(), is_over: false };
    let endpoint = &open.endpoint;
    let once = async {
        let mut answer = send_once(means.cluster, endpoint, unsent).await?;
        if means.policy.names_grpc() && means.spare.is_some_and(Spare::is_complete) {
            // Boxed: few exchanges wait for it, and each would have to have room.
            Box::pin(answer.look_behind_the_head()).await?;
        }
        Ok(answer)
    };
    let outcome = match (means.policy.per_try_timeout, means.spare) {
        (Some(limit), Some(spare)) => tokio::select! {
            biased;
            outcome = once => Some(outcome),
            () = spare.silent_for(limit) => None,
        },
        _ => Some(once.await),
    };
    let outcome = outcome.unwrap_or_else(|| Err(took_too_long(unsent.is_some())));
    let first = outcome.as_ref().ok().and_then(|answer| answer.first.as_ref());
    let took = open.began.elapsed();
    let mut seen = Seen::of(outcome.as_ref().map(|answer| &answer.response), first, unsent.is_some(), took);
    if outcome.is_err() && means.wishes.was_cut() {
        seen.ended = Ended::Useless;
    }
    if let Some(step) = step {
        step.came(outcome.as_ref().map(|answer| answer.response.status()));
    }
    open.is_over = true;
    Tried { endpoint: Arc::clone(&open.endpoint), outcome, seen }
}

/// An attempt under way. One that is given up because the time of its exchange is over tells of its endpoint all the same.
struct Open<'a> {
    means: Means<'a>,
    endpoint: Arc<Endpoint>,
    began: Instant,
    is_over: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.means.wishes.took_too_long() {
            let seen = Seen { ended: Ended::Unanswered, took: self.began.elapsed(), ..Seen::default() };
            self.means.cluster.saw(&self.endpoint, &seen);
        }
    }
}

fn took_too_long(unsent: bool) -> Failure {
    if unsent {
        Failure::new(Kind::ConnectTimeout, "the upstream did not accept a connection in the time of one attempt")
    } else {
        Failure::new(Kind::Timeout, "the upstream did not answer in the time of one attempt")
    }
}

/// One endpoint, one attempt. What was not sent is in `unsent` afterwards.
async fn send_once(
    cluster: &Cluster,
    endpoint: &Arc<Endpoint>,
    unsent: &mut Option<Request<Outgoing>>,
) -> Result<Answer, Failure> {
    let mut active = endpoint.begin(balance::decay(&cluster.config));
    let config = &cluster.config;
    let pool = pool::of(endpoint, &config.timeouts, &config.limits, &cluster.kept.load);
    let (response, connection) = match config.protocol {
        UpstreamProtocol::Http1 => send_http1(&pool, endpoint, &config.breakers, unsent).await?,
        UpstreamProtocol::Http2 => send_http2(&pool, endpoint, &config.breakers, unsent).await?,
    };
    active.answered();
    Ok(Answer { response, first: None, lease: Lease { active, pool, connection, request: None, call: None } })
}

/// Idle connections may have died unseen: a request that never left comes back and takes the next one.
async fn send_http1(
    pool: &Pool,
    endpoint: &Endpoint,
    breakers: &Breakers,
    unsent: &mut Option<Request<Outgoing>>,
) -> Result<(Response<Incoming>, Connection), Failure> {
    loop {
        let (mut connection, is_new) = match pool.idle().await {
            Some(connection) => (connection, false),
            // Boxed: opening one is rare, and each exchange would have to have room for it.
            None => Box::pin(pool.open(endpoint, breakers)).await?,
        };
        let Some(request) = unsent.take() else { return Err(nothing_to_send()) };
        match connection.sender.try_send_request(request).await {
            Ok(response) => return Ok((response, Connection::Http1(connection))),
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
    breakers: &Breakers,
    unsent: &mut Option<Request<Outgoing>>,
) -> Result<(Response<Incoming>, Connection), Failure> {
    const PLACES_TRIED_MAX: usize = 3;
    let mut tried = 1;
    loop {
        let place = pool.place(endpoint, breakers).await?;
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
