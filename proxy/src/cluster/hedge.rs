//! A second attempt beside one that takes long: whichever answers first counts, the other one is given up.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use tokio::time::Instant;

use super::attempt::{Means, Tried, try_once};
use super::call::{permit, saw};
use super::{Ended, Endpoint, Outgoing, Seen, Wishes};
use crate::exchange::Attempt;

/// Tries one endpoint, and after a while another one as well. What was tried without being what comes of it is in `tried`.
pub async fn race(
    means: Means<'_>,
    wishes: &Wishes,
    after: Duration,
    endpoint: Arc<Endpoint>,
    unsent: &mut Option<Request<Outgoing>>,
    tried: &mut Vec<u64>,
    attempt: &mut Attempt,
) -> Tried {
    let (cluster, policy) = (means.cluster, means.policy);
    let (asked, began) = (Arc::clone(&endpoint), means.began);
    let mut first = pin!(try_once(means, endpoint, unsent));
    tokio::select! {
        biased;
        over = &mut first => return over,
        () = tokio::time::sleep(after) => {}
    }
    tried.push(asked.id);
    let second = (attempt.count < policy.attempts && cluster.has_another(wishes, tried))
        .then(|| Some((cluster.pick(wishes, tried)?, means.spare?.beside()?)))
        .flatten();
    let in_time =
        |request: &mut Request<Outgoing>| wishes.deadline.as_ref().is_none_or(|at| at.tell(request.headers_mut()).is_ok());
    let second = second.and_then(|(other, mut request)| in_time(&mut request).then_some((other, request)));
    let permitted = second.and_then(|second| Some((second, permit(cluster, wishes, Duration::ZERO)?)));
    let Some(((other, request), _further)) = permitted else {
        tried.pop();
        return first.await;
    };
    attempt.count += 1;
    cluster.kept.counts.hedges.more();
    let beside = Instant::now();
    let mut request = Some(request);
    let means = Means { number: attempt.count, hedged: true, began: beside, ..means };
    let mut second = pin!(try_once(means, Arc::clone(&other), &mut request));
    let (over, is_first) = tokio::select! {
        biased;
        over = &mut first => (over, true),
        over = &mut second => (over, false),
    };
    // Only an answer counts: a failure of the one leaves the other its chance.
    if over.outcome.is_ok() && !over.is_worth_another(policy) {
        // The other one took at least as long, which is all that is known of it.
        let (loser, since) = if is_first { (&other, beside) } else { (&asked, began) };
        cluster.saw(loser, &Seen { ended: Ended::Useless, took: since.elapsed(), ..Seen::default() });
        if is_first {
            tried.pop();
        } else {
            cluster.kept.counts.hedges_won.more();
        }
        return over;
    }
    saw(cluster, &over);
    if let Ok(answer) = over.outcome {
        answer.discard(means.spare);
    }
    if is_first {
        second.await
    } else {
        tried.push(other.id);
        first.await
    }
}
