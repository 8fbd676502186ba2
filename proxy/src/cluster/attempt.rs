//! One attempt: a connection to one endpoint, the request, and the head of an answer. Whether there is another is not asked
//! here.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::{Body, Incoming};
use tokio::time::Instant;

use super::breaker::Taken;
use super::endpoint::Active;
use super::form::{self, Spoken};
use super::line::Stood;
use super::pool::{self, Either, Http1, Place, Pool};
use super::retry::Policy;
use super::spare::Spare;
use super::{Cluster, Ended, Endpoint, Outgoing, Seen, Wishes, balance, seen};
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
    _active: Active,
    pool: Rc<Pool>,
    connection: Connection,
    /// Its place among the exchanges of the cluster.
    pub request: Option<Taken>,
    pub call: Option<Call>,
}

/// A gRPC call whose status is still to come. How it went is told when it is over.
#[derive(Debug)]
pub struct Call {
    pub cluster: Arc<Cluster>,
    pub endpoint: Arc<Endpoint>,
    pub seen: Seen,
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
        if let Some(call) = &mut self.call {
            call.seen.grpc = seen::grpc_status(trailers).filter(|code| *code != 0);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.cluster.saw(&self.endpoint, &self.seen);
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
                    // As text: whatever it says, the endpoint has begun to answer.
                    let failure = Failure::new(Kind::UpstreamReset, "the upstream cut its answer off");
                    return Err(failure.because(error.to_string()));
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
    pub began: Instant,
}

impl Means<'_> {
    /// Writes the beginning of an attempt down where somebody looks, and who makes it into its head.
    fn begin(&self, endpoint: &Endpoint, request: Option<&mut Request<Outgoing>>) -> Option<Running> {
        let (trail, request) = (self.wishes.trail.as_ref()?, request?);
        let step = trail.begin(What::Attempt(trail::Attempt {
            by: self.wishes.by,
            method: request.method().clone(),
            target: request.uri().clone(),
            host: request.headers().get(http::header::HOST).cloned(),
            is_tls: self.cluster.config.tls.is_some(),
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
    let mut open = Open { means, endpoint, stood: Stood::default(), is_over: false };
    let (endpoint, stood) = (&open.endpoint, &open.stood);
    let outcome = {
        // Pinned once: each place that awaited it would have room for another one.
        let mut once = pin!(async {
            let mut answer = send_once(means, endpoint, stood, unsent).await?;
            if means.policy.names_grpc() && means.spare.is_some_and(Spare::is_complete) {
                // Boxed: few exchanges wait for it, and each would have to have room.
                Box::pin(answer.look_behind_the_head()).await?;
            }
            Ok(answer)
        });
        match (means.policy.per_try_timeout, means.spare) {
            // Boxed: few exchanges have a time for one attempt.
            (Some(limit), Some(spare)) => tokio::select! {
                biased;
                outcome = once.as_mut() => Some(outcome),
                () = Box::pin(out_of_time(spare, stood, limit)) => None,
            },
            _ => Some(once.await),
        }
    };
    let outcome = outcome.unwrap_or_else(|| Err(took_too_long(unsent.is_some())));
    let first = outcome.as_ref().ok().and_then(|answer| answer.first.as_ref());
    let took = means.began.elapsed();
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
    stood: Stood,
    is_over: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.is_over && !self.stood.is_standing() && self.means.wishes.took_too_long() {
            let seen = Seen { ended: Ended::Unanswered, took: self.means.began.elapsed(), ..Seen::default() };
            self.means.cluster.saw(&self.endpoint, &seen);
        }
    }
}

/// Waits until an attempt has had its time, in which it stood in no line.
async fn out_of_time(spare: &Spare, stood: &Stood, limit: Duration) {
    let (mut left, mut excused) = (limit, Duration::ZERO);
    while !left.is_zero() {
        spare.silent_for(left).await;
        let total = stood.total();
        left = if stood.is_standing() { limit } else { total - excused };
        excused = total;
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
    means: Means<'_>,
    endpoint: &Arc<Endpoint>,
    stood: &Stood,
    unsent: &mut Option<Request<Outgoing>>,
) -> Result<Answer, Failure> {
    let cluster = means.cluster;
    let mut active = endpoint.begin(balance::decay(&cluster.config));
    let config = &cluster.config;
    let client = means.wishes.client.as_ref();
    let pool = pool::of(endpoint, &config.timeouts, &config.limits, &cluster.kept.load, client);
    let to = To { pool: &pool, endpoint, cluster, stood };
    let (response, connection) = match form::spoken(config, unsent.as_ref()) {
        Spoken::Http1 => send_http1(to, None, unsent).await.map_err(|failure| form::unblamed(config, failure))?,
        Spoken::Http2 => send_http2(to, None, unsent).await?,
        // Boxed: it has room for both.
        Spoken::Either => Box::pin(send_either(to, unsent)).await?,
    };
    active.answered();
    Ok(Answer { response, first: None, lease: Lease { _active: active, pool, connection, request: None, call: None } })
}

/// Where an attempt goes.
#[derive(Clone, Copy)]
struct To<'a> {
    pool: &'a Pool,
    endpoint: &'a Endpoint,
    cluster: &'a Cluster,
    stood: &'a Stood,
}

type Sent = Result<(Response<Incoming>, Connection), Failure>;

/// On a connection that is there, or on a new one whose handshake tells what it speaks.
async fn send_either(to: To<'_>, unsent: &mut Option<Request<Outgoing>>) -> Sent {
    match to.pool.either(to.endpoint, to.cluster, to.stood).await? {
        Either::Http1(connection, is_new) => send_http1(to, Some((connection, is_new)), unsent).await,
        Either::Http2(place) => send_http2(to, Some(place), unsent).await,
    }
}

/// Idle connections may have died unseen: a request that never left comes back and takes the next one.
async fn send_http1(to: To<'_>, mut first: Option<(Http1, bool)>, unsent: &mut Option<Request<Outgoing>>) -> Sent {
    unsent.as_mut().map_or(Ok(()), form::to_http1)?;
    loop {
        let (mut connection, is_new) = match first.take() {
            Some(first) => first,
            None => match to.pool.idle().await {
                Some(connection) => (connection, false),
                // Boxed: opening one is rare, and each exchange would have to have room for it.
                None => Box::pin(to.pool.open(to.endpoint, to.cluster, to.stood)).await?,
            },
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
async fn send_http2(to: To<'_>, mut first: Option<Place>, unsent: &mut Option<Request<Outgoing>>) -> Sent {
    const PLACES_TRIED_MAX: usize = 3;
    unsent.as_mut().map_or(Ok(()), form::to_http2)?;
    let mut tried = 1;
    loop {
        let place = match first.take() {
            Some(first) => first,
            None => to.pool.place(to.endpoint, to.cluster, to.stood).await?,
        };
        let mut sender = place.0.sender.clone();
        if unsent.as_ref().is_some_and(|request| request.method() == Method::CONNECT) {
            Box::pin(to.pool.takes_connects(&place)).await?;
        }
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
