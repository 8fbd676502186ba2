//! The checks of one cluster, on the control runtime: each endpoint again and again, for as long as it is one of the cluster.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch::Receiver;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::{Check, Out, probe};
use crate::cluster::outlier::Why;
use crate::cluster::{Cluster, Endpoint};
use crate::config::{HealthCheck, Probe};

/// Checks of one cluster under way. A list of ten thousand endpoints is not asked all at once.
const UNDER_WAY_MAX: usize = 128;
/// Up to this share (in percent) is added to an interval or taken away at random, so that proxies do not ask in step.
const JITTER_PERCENT: u32 = 10;

type Checked = (Arc<Endpoint>, Check);

/// Checks the endpoints of one cluster, through all of its snapshots, until nobody sends a further one.
pub async fn tend(mut clusters: Receiver<Arc<Cluster>>) {
    let mut rounds = Rounds::default();
    loop {
        let cluster = Arc::clone(&clusters.borrow_and_update());
        rounds.adopt(&cluster);
        loop {
            let due = rounds.next_due(&cluster);
            tokio::select! {
                changed = clusters.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                Some(checked) = rounds.under_way.join_next_with_id() => {
                    let mut changed = false;
                    let mut next = Some(checked);
                    // Whatever has ended meanwhile is judged with it, so that a list whose endpoints all fail is gone through once.
                    while let Some(checked) = next {
                        if let Some((endpoint, check)) = rounds.ended(checked) {
                            changed |= rounds.checked(&cluster, endpoint, check);
                        }
                        next = rounds.under_way.try_join_next_with_id();
                    }
                    if changed {
                        cluster.refresh();
                    }
                }
                () = sleep_until(due) => rounds.begin(&cluster),
            }
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[derive(Default)]
struct Rounds {
    config: Option<HealthCheck>,
    known: HashSet<u64>,
    /// In the order in which they are to be checked.
    due: BTreeMap<(Instant, u64), Arc<Endpoint>>,
    under_way: JoinSet<Checked>,
    /// Whose they are.
    asked: HashMap<Id, Arc<Endpoint>>,
}

impl Rounds {
    /// Another list of endpoints, or another way to check them. Those that stay keep their turn and their state.
    fn adopt(&mut self, cluster: &Cluster) {
        let config = cluster.config.health.clone();
        if config.is_none() {
            let checked = cluster.endpoints.iter().filter(|endpoint| self.known.contains(&endpoint.id));
            for endpoint in checked {
                *endpoint.checks() = super::Checks::default();
                endpoint.health.set(Out::Checks, false);
            }
            *self = Self::default();
            cluster.refresh();
            return;
        }
        if self.config != config {
            // What another check has found holds until the first of these says something else.
            cluster.endpoints.iter().for_each(|endpoint| *endpoint.checks() = super::Checks::default());
            *self = Self { config, ..Self::default() };
        }
        let present: HashMap<_, _> = cluster.endpoints.iter().map(|endpoint| (endpoint.id, endpoint)).collect();
        self.due.retain(|(_, id), _| present.contains_key(id));
        self.known.retain(|id| present.contains_key(id));
        let now = Instant::now();
        for (id, endpoint) in present {
            if self.known.insert(id) {
                self.due.insert((now, id), Arc::clone(endpoint));
            }
        }
        cluster.refresh();
    }

    fn next_due(&self, cluster: &Cluster) -> Option<Instant> {
        let has_room = cluster.config.health.is_some() && self.under_way.len() < UNDER_WAY_MAX;
        self.due.first_key_value().filter(|_| has_room).map(|((due, _), _)| *due)
    }

    /// Begins what is due.
    fn begin(&mut self, cluster: &Arc<Cluster>) {
        let Some(config) = &self.config else { return };
        let now = Instant::now();
        while self.under_way.len() < UNDER_WAY_MAX
            && self.due.first_key_value().is_some_and(|((due, _), _)| *due <= now)
            && let Some((_, endpoint)) = self.due.pop_first()
        {
            let (config, cluster) = (config.clone(), Arc::clone(cluster));
            let asked = Arc::clone(&endpoint);
            let check = self.under_way.spawn(async move {
                let (at, began) = (SystemTime::now(), Instant::now());
                let error = probe::check(&cluster, &endpoint, &config).await.err();
                (endpoint, Check { at, took: began.elapsed(), error })
            });
            self.asked.insert(check.id(), asked);
        }
    }

    /// What came of a check. One that broke off has failed, and is made again like any other.
    fn ended(&mut self, checked: Result<(Id, Checked), JoinError>) -> Option<Checked> {
        match checked {
            Ok((id, checked)) => {
                self.asked.remove(&id);
                Some(checked)
            }
            Err(broken) => {
                let endpoint = self.asked.remove(&broken.id())?;
                let error = Some(format!("the check itself broke off: {broken}"));
                Some((endpoint, Check { at: SystemTime::now(), took: Duration::ZERO, error }))
            }
        }
    }

    /// Whether another set of endpoints is in.
    fn checked(&mut self, cluster: &Cluster, endpoint: Arc<Endpoint>, check: Check) -> bool {
        let Some(config) = &self.config else { return false };
        if !self.known.contains(&endpoint.id) {
            return false;
        }
        let (error, began) = (check.error.clone(), check.at);
        let verdict = endpoint.checks().add(check, config);
        let mut changed = false;
        if let Some(out) = verdict
            && endpoint.health.has(Out::Checks) != out
        {
            changed = endpoint.health.set(Out::Checks, out);
            let (cluster, endpoint) = (&cluster.name, endpoint.address);
            match error {
                Some(error) => tracing::warn!(%cluster, %endpoint, %error, "checks fail: the endpoint is out"),
                None => tracing::info!(%cluster, %endpoint, "checks succeed: the endpoint is in"),
            }
        }
        // That it answers is just what it was ejected for not doing. Answers that were no good are another matter: what is
        // asked here is not what failed; nor are answers that did not come, where only a connection is asked for.
        let ejection = endpoint.ejection().clone();
        let is_older = ejection.last.is_some_and(|(ejected, _)| ejected < began);
        let was_missing = config.probe != Probe::Tcp || !endpoint.tally.is_silent();
        if verdict == Some(false) && was_missing && is_older && ejection.term.is_some_and(|term| term.why == Why::LocalFailures) {
            endpoint.end_ejection();
            changed = true;
            tracing::info!(cluster = %cluster.name, endpoint = %endpoint.address, "not ejected any more: it answers checks");
        }
        self.due.insert((Instant::now() + with_jitter(config.interval), endpoint.id), endpoint);
        changed
    }
}

fn with_jitter(interval: Duration) -> Duration {
    let part = interval * JITTER_PERCENT / 100;
    interval - part + (part * 2).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_that_panics_has_failed_and_is_made_again() {
        let endpoint = Arc::new(Endpoint::new(([127, 0, 0, 1], 1).into()));
        let mut rounds = Rounds::default();
        let id = rounds.under_way.spawn(async { panic!("on purpose") }).id();
        rounds.asked.insert(id, Arc::clone(&endpoint));
        let broken = rounds.under_way.join_next_with_id().await.expect("one is under way");
        let (asked, check) = rounds.ended(broken).expect("it is known whose it was");
        assert_eq!((asked.id, rounds.asked.len()), (endpoint.id, 0));
        assert!(check.error.is_some_and(|error| error.contains("on purpose")));
    }

    #[test]
    fn an_interval_is_a_tenth_more_or_less() {
        let all: Vec<_> = (0..200).map(|_| with_jitter(Duration::from_secs(10))).collect();
        let (least, most) = (all.iter().min().expect("some"), all.iter().max().expect("some"));
        assert!(*least >= Duration::from_secs(9) && *most <= Duration::from_secs(11), "{least:?} {most:?}");
        assert!(*most - *least > Duration::from_secs(1), "{least:?} {most:?}");
    }
}
