//! One request to one cluster: pick an endpoint, find or open a connection, send, and hand the answer over with the
//! lease that puts the connection back.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::Response;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use super::endpoint::Active;
use super::pool::{self, Place, Pool};
use super::retry;
use super::{Cluster, Ended, Endpoint, Outgoing, Seen, Wishes};
use crate::config::UpstreamProtocol;
use crate::exchange::{Attempt, Failure, Kind, Retry};

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

/// Sends a request whose target and Host are already in the form the cluster's protocol wants, as often as the exchange
/// wishes. Where no connection can be opened, another endpoint gets it.
pub fn send<'a>(
    cluster: &'a Cluster,
    mut request: Request<Outgoing>,
    wishes: &'a Wishes,
    attempt: &'a mut Attempt,
) -> impl Future<Output = Result<Answer, Failure>> + use<'a> {
    let retry = wishes.retry.as_ref();
    let spare = retry.and_then(|retry| Spare::of(&mut request, retry, cluster.config.limits.replay_bytes));
    // Captured by a block, a request has one place in the future; a parameter of an async function would have two.
    let mut unsent = Some(request);
    async move {
        let mut tried = Vec::new();
        loop {
            let Some(endpoint) = cluster.pick(wishes, &tried) else { return Err(no_endpoint(cluster, wishes)) };
            attempt.endpoint = Some(endpoint.address);
            attempt.count += 1;
            let began = Instant::now();
            let once = send_once(cluster, &endpoint, &mut unsent);
            let outcome = match (retry.and_then(|retry| retry.per_try_timeout), &spare) {
                (Some(limit), Some(spare)) => tokio::select! {
                    biased;
                    outcome = once => Some(outcome),
                    () = spare.silent_for(limit) => None,
                },
                _ => Some(once.await),
            };
            let outcome = outcome.unwrap_or_else(|| Err(took_too_long(unsent.is_some())));
            let ended = match &outcome {
                Ok(answer) => Ended::Answered(answer.response.status()),
                Err(failure) => Ended::of(failure, unsent.is_some()),
            };
            cluster.saw(&endpoint, &Seen { ended, took: began.elapsed() });
            if !retry::is_worth_it(ended, retry) {
                return outcome;
            }
            tried.push(endpoint.id);
            let another = cluster.has_another(wishes, &tried);
            let Some(pause) = retry::pause(ended, retry, attempt.count, another) else { return outcome };
            if unsent.is_none() {
                unsent = spare.as_ref().and_then(|spare| spare.request());
            }
            if unsent.is_none() {
                return outcome;
            }
            if let Ok(answer) = outcome {
                answer.discard(spare.as_deref());
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// What is needed to send a request once more. An exchange that nobody allows that has none.
struct Spare {
    head: Request<()>,
    body: Outgoing,
}

impl Spare {
    /// Has what is sent of the body kept from now on.
    fn of(request: &mut Request<Outgoing>, retry: &Retry, replay_bytes: usize) -> Option<Box<Self>> {
        let limit = if retry.attempts > 1 { replay_bytes } else { 0 };
        let kept = std::mem::replace(request.body_mut(), Outgoing::Empty).kept(limit);
        *request.body_mut() = kept.again()?;
        let mut head = Request::new(());
        head.method_mut().clone_from(request.method());
        head.uri_mut().clone_from(request.uri());
        *head.version_mut() = request.version();
        head.headers_mut().clone_from(request.headers());
        Some(Box::new(Self { head, body: kept }))
    }

    fn request(&self) -> Option<Request<Outgoing>> {
        let body = self.body.again()?;
        Some(self.head.clone().map(|()| body))
    }

    /// Waits until an attempt that begins now has had nothing from the client and no answer for this long. While it is the
    /// client that is slow, no endpoint is to blame.
    async fn silent_for(&self, limit: Duration) {
        let mut due = Instant::now() + limit;
        loop {
            tokio::time::sleep_until(due).await;
            due = match &self.body {
                Outgoing::Replay(replay) => replay.moved().unwrap_or_else(Instant::now) + limit,
                _ => return,
            };
            if due <= Instant::now() {
                return;
            }
        }
    }
}

impl Answer {
    /// Nobody reads it. A connection on which nothing is left to come can serve another exchange.
    fn discard(self, spare: Option<&Spare>) {
        let sent = spare.is_some_and(|spare| match &spare.body {
            Outgoing::Replay(replay) => replay.is_complete(),
            _ => true,
        });
        if sent && self.response.body().is_end_stream() {
            self.lease.finish();
        }
    }
}

fn no_endpoint(cluster: &Cluster, wishes: &Wishes) -> Failure {
    let name = &cluster.name;
    Failure::new(
        Kind::NoEndpoint,
        match wishes.endpoint {
            Some(_) => format!("the endpoint that was chosen is not in cluster `{name}`"),
            None if wishes.subset.is_empty() => format!("no endpoint in cluster `{name}`"),
            None => format!("no endpoint with the labels that were chosen in cluster `{name}`"),
        },
    )
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
    let active = endpoint.begin();
    let pool = pool::of(endpoint, &cluster.config.timeouts, &cluster.config.limits);
    let (response, connection) = match cluster.config.protocol {
        UpstreamProtocol::Http1 => send_http1(&pool, endpoint, unsent).await?,
        UpstreamProtocol::Http2 => send_http2(&pool, endpoint, unsent).await?,
    };
    Ok(Answer { response, lease: Lease { _active: active, pool, connection } })
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

#[cfg(test)]
mod tests {
    use super::*;

    use http_body_util::BodyExt;

    use crate::cluster::replay::tests::Client;

    const LIMIT: Duration = Duration::from_secs(1);

    /// When the time of an attempt is over, if it is within a minute.
    async fn silence(spare: &Spare) -> Option<Duration> {
        let began = Instant::now();
        let over = tokio::time::timeout(Duration::from_secs(60), spare.silent_for(LIMIT)).await;
        over.ok().map(|()| began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_takes_nothing_is_to_blame() {
        let (_client, replay) = Client::with_limit(100);
        let spare = Spare { head: Request::new(()), body: Outgoing::Replay(replay) };
        assert_eq!(silence(&spare).await, Some(LIMIT));
        let spare = Spare { head: Request::new(()), body: Outgoing::Empty };
        assert_eq!(silence(&spare).await, Some(LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_not_the_endpoints_fault() {
        let (client, replay) = Client::with_limit(100);
        let spare = Spare { head: Request::new(()), body: Outgoing::Replay(replay) };
        let mut attempt = spare.body.again().expect("nothing is lost");
        let sending = async {
            tokio::time::sleep(Duration::from_millis(10_500)).await;
            client.says("late");
            tokio::time::sleep(Duration::from_secs(10)).await;
            drop(client);
            std::future::pending::<()>().await;
        };
        let reading = async { while attempt.frame().await.is_some() {} };
        let waited = tokio::select! {
            waited = silence(&spare) => waited,
            (() , ()) = async { tokio::join!(sending, reading) } => None,
        };
        assert_eq!(waited, Some(Duration::from_millis(21_500)), "from the end of the request on");
    }
}
