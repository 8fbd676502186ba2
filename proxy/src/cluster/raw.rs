//! A connection for one client and no other: pick an endpoint, connect, and ask another where that fails.

use std::sync::Arc;

use http::Method;
use tokio::time::Instant;

use super::breaker::{Limit, Taken};
use super::call::{no_endpoint, permit};
use super::connect::{Stream, connect};
use super::counted::Counted;
use super::endpoint::Active;
use super::pool::give_up_an_idle_one;
use super::retry::Policy;
use super::{Cluster, Ended, Endpoint, Seen, Wishes, balance};
use crate::exchange::{Attempt, Failure};
use crate::tls::Offer;

/// One that is open, and counts as long as it is held.
#[derive(Debug)]
pub struct Raw {
    pub stream: Counted<Stream>,
    _active: Active,
}

/// Opens one. It is tried again as a request is of which nothing was sent.
pub async fn open(cluster: &Arc<Cluster>, wishes: &Wishes, attempt: &mut Attempt) -> Result<Raw, Failure> {
    let config = &cluster.config;
    // No method is safe here, so that only what named occasions say of connecting counts.
    let policy = Policy::of(&config.retry, wishes, &Method::CONNECT);
    cluster.kept.budget.deposit(Instant::now());
    let mut tried = Vec::new();
    let mut further: Option<Taken> = None;
    loop {
        let Some(endpoint) = cluster.pick(wishes, &tried) else { return Err(no_endpoint(cluster, wishes)) };
        attempt.endpoint = Some(endpoint.address);
        attempt.count += 1;
        let began = Instant::now();
        let mut active = endpoint.begin(balance::decay(config));
        let opened = open_once(cluster, &endpoint).await;
        further.take();
        let ended = opened.as_ref().map_or_else(|failure| Ended::of(failure, true), |_| Ended::Connected);
        let seen = Seen { ended, took: began.elapsed(), ..Seen::default() };
        // `Useless`: it was not asked at all.
        if seen.ended != Ended::Useless {
            cluster.saw(&endpoint, &seen);
        }
        let failure = match opened {
            Ok(stream) => {
                active.answered();
                return Ok(Raw { stream, _active: active });
            }
            Err(failure) => failure,
        };
        drop(active);
        if !policy.is_worth_it(&seen, None) {
            return Err(failure);
        }
        tried.push(endpoint.id);
        let pause = policy.pause(&seen, attempt.count, cluster.has_another(wishes, &tried));
        let Some((pause, taken)) = pause.and_then(|pause| Some((pause, permit(cluster, wishes, pause)?))) else {
            return Err(failure);
        };
        further = Some(taken);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

async fn open_once(cluster: &Cluster, endpoint: &Endpoint) -> Result<Counted<Stream>, Failure> {
    let (load, breakers) = (&cluster.kept.load, &cluster.config.breakers);
    let _pending = load.claim(Limit::Pending, breakers).ok_or_else(|| Limit::Pending.failure())?;
    let open = match load.take(Limit::Connections, breakers) {
        Some(open) => open,
        None => stand_in_line(cluster).await?,
    };
    Ok(Counted::new(connect(cluster, endpoint, Offer::Nothing).await?, open))
}

/// Waits for a place among the connections of the cluster, as long as for a connection that is opened.
async fn stand_in_line(cluster: &Cluster) -> Result<Taken, Failure> {
    let (load, limit) = (&cluster.kept.load, cluster.config.timeouts.connect);
    give_up_an_idle_one(load);
    let mut line = load.stand_in_line(&cluster.config.breakers);
    let given =
        if limit.is_zero() { Some((&mut line.given).await) } else { tokio::time::timeout(limit, &mut line.given).await.ok() };
    match given {
        Some(Ok(taken)) => Ok(taken),
        _ => {
            load.overflowed(Limit::Connections);
            Err(Limit::Connections.failure())
        }
    }
}
