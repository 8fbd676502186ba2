//! One request to one cluster: pick an endpoint, try it, and try another one as long as there is reason to, time left and
//! something in the budget.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use tokio::time::Instant;

use super::attempt::{Call, Means, Tried, try_once};
use super::breaker::{Limit, Taken};
use super::retry::Policy;
use super::spare::Spare;
use super::{Answer, Cluster, Outgoing, Wishes, hedge, seen};
use crate::exchange::{Attempt, Failure, Kind};

/// Sends a request whose target and Host are already in the form the cluster's protocol wants, as often as the exchange
/// wishes. Where no connection can be opened, another endpoint gets it.
pub fn send<'a>(
    cluster: &'a Arc<Cluster>,
    mut request: Request<Outgoing>,
    wishes: &'a Wishes,
    attempt: &'a mut Attempt,
) -> impl Future<Output = Result<Answer, Failure>> + use<'a> {
    let policy = Policy::of(&cluster.config.retry, wishes, request.method());
    let spare = Spare::of(&mut request, &policy, cluster.config.limits.replay_bytes);
    // Captured by a block, a request has one place in the future; a parameter of an async function would have two.
    let mut unsent = Some(request);
    async move {
        let config = &cluster.config;
        let place = cluster.kept.load.claim(Limit::Requests, &config.breakers).ok_or_else(|| Limit::Requests.failure())?;
        let mut began = Instant::now();
        cluster.kept.budget.deposit(began);
        let means = Means { cluster, wishes, policy: &policy, spare: spare.as_deref(), number: 1, hedged: false, began };
        let mut tried = Vec::new();
        let mut further: Option<Taken> = None;
        loop {
            let Some(endpoint) = cluster.pick(wishes, &tried) else { return Err(no_endpoint(cluster, wishes)) };
            attempt.endpoint = Some(endpoint.address);
            attempt.count += 1;
            let means = Means { number: attempt.count, began, ..means };
            let last = match policy.hedge_after {
                // Boxed: it has room for two attempts, and few exchanges are sent so.
                Some(after) => Box::pin(hedge::race(means, wishes, after, endpoint, &mut unsent, &mut tried, attempt)).await,
                None => try_once(means, endpoint, &mut unsent).await,
            };
            attempt.endpoint = Some(last.endpoint.address);
            // What the last attempt held is given back before another one asks.
            further.take();
            let may_leave = unsent.is_some() || means.spare.is_some_and(Spare::is_kept);
            let pause = may_leave.then(|| pause(means, wishes, &last, &mut tried, attempt.count)).flatten();
            match pause.and_then(|pause| Some((pause, permit(cluster, wishes, pause)?))) {
                None => return done(cluster, last, place),
                Some((pause, taken)) => {
                    saw(cluster, &last);
                    further = Some(taken);
                    if unsent.is_none() {
                        unsent = means.spare.and_then(Spare::request);
                    }
                    if let Ok(answer) = last.outcome {
                        answer.discard(means.spare);
                    }
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                    if let (Some(deadline), Some(request)) = (&wishes.deadline, &mut unsent) {
                        deadline.tell(request.headers_mut()).inspect_err(|_| cluster.kept.counts.expired.more())?;
                    }
                    began = Instant::now();
                }
            }
        }
    }
}

/// With less than this left, an attempt comes to nothing: the answer that there is, if any, is better than none.
const LEFT_MIN: Duration = Duration::from_millis(10);

/// How long to wait before another attempt; `None`: this one was the last.
fn pause(means: Means<'_>, wishes: &Wishes, last: &Tried, tried: &mut Vec<u64>, made: u32) -> Option<Duration> {
    if !last.is_worth_another(means.policy) {
        return None;
    }
    tried.push(last.endpoint.id);
    means.policy.pause(&last.seen, made, means.cluster.has_another(wishes, tried))
}

/// Whether the exchange has the time for another attempt, and the cluster bears it.
pub fn permit(cluster: &Cluster, wishes: &Wishes, pause: Duration) -> Option<Taken> {
    let (kept, config) = (&cluster.kept, &cluster.config);
    if wishes.time_left().is_some_and(|left| left <= pause + LEFT_MIN) {
        kept.counts.too_late.more();
        return None;
    }
    let taken = kept.load.claim(Limit::Retries, &config.breakers)?;
    if !kept.budget.withdraw(&config.retry_budget, Instant::now()) {
        kept.counts.over_budget.more();
        return None;
    }
    kept.counts.retries.more();
    Some(taken)
}

/// Tells balancing and health, unless the endpoint was not asked at all.
pub fn saw(cluster: &Cluster, last: &Tried) {
    if !matches!(&last.outcome, Err(failure) if failure.kind == Kind::ClusterOverloaded) {
        cluster.saw(&last.endpoint, &last.seen);
    }
}

/// What comes of it, with what it holds of the cluster.
fn done(cluster: &Arc<Cluster>, last: Tried, place: Taken) -> Result<Answer, Failure> {
    let is_call = |answer: &Answer| last.seen.grpc.is_none() && seen::is_grpc(answer.response.headers());
    let is_to_be_heard = last.outcome.as_ref().is_ok_and(is_call);
    if !is_to_be_heard {
        saw(cluster, &last);
    }
    let mut answer = last.outcome?;
    answer.lease.request = Some(place);
    if is_to_be_heard {
        answer.lease.call = Some(Call { cluster: Arc::clone(cluster), endpoint: last.endpoint, seen: last.seen });
    }
    Ok(answer)
}

pub fn no_endpoint(cluster: &Cluster, wishes: &Wishes) -> Failure {
    let name = &cluster.name;
    if cluster.config.original_destination && wishes.original.is_none() {
        return Failure::new(Kind::Loop, "the destination is the proxy itself");
    }
    Failure::new(
        Kind::NoEndpoint,
        match wishes.endpoint {
            Some(_) => format!("the endpoint that was chosen is not in cluster `{name}`"),
            None if wishes.subset.is_empty() => format!("no endpoint in cluster `{name}`"),
            None => format!("no endpoint with the labels that were chosen in cluster `{name}`"),
        },
    )
}
