//! The ward of a cluster, on the control runtime: who is ejected, and who comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use super::{Why, now_slot, rates};
use crate::cluster::health::Out;
use crate::cluster::{Cluster, Endpoint};

/// Between two looks at endpoints that have tripped. In an outage they trip all the time, and one look is for all.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// Looks after the endpoints of one cluster, through all of its snapshots, until nobody sends a further one.
pub async fn tend(mut clusters: Receiver<Arc<Cluster>>) {
    let interval = clusters.borrow().config.outliers.interval;
    let mut compare = Instant::now() + interval;
    loop {
        let cluster = Arc::clone(&clusters.borrow_and_update());
        let ward = Ward(&cluster);
        ward.adopt();
        compare = compare.min(Instant::now() + cluster.config.outliers.interval);
        loop {
            let due = ward.first_back().map_or(compare, |back| back.min(compare));
            tokio::select! {
                changed = clusters.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = cluster.kept.alarm.rung() => {
                    ward.look();
                    tokio::time::sleep(LOOK_PAUSE).await;
                }
                () = tokio::time::sleep_until(due) => {
                    ward.let_in();
                    if Instant::now() >= compare {
                        ward.compare();
                        compare = Instant::now() + cluster.config.outliers.interval;
                    }
                }
            }
        }
    }
}

struct Ward<'a>(&'a Cluster);

impl Ward<'_> {
    /// Another list of endpoints. Somebody may have been ejected while it was made, and those that are may be too many for it.
    fn adopt(&self) {
        while self.is_over_cap() {
            let terms = self.ejected().filter_map(|endpoint| Some((endpoint.ejection().term?.until, endpoint)));
            let Some((_, endpoint)) = terms.min_by_key(|(until, _)| *until) else { break };
            self.uneject(endpoint, "too many are ejected for so few endpoints");
        }
        self.0.refresh();
    }

    /// Ejects those that have tripped since.
    fn look(&self) {
        let mut changed = false;
        for endpoint in &self.0.endpoints {
            if let Some(why) = endpoint.tally.take_tripped() {
                changed |= self.eject(endpoint, why);
            }
        }
        if changed {
            self.0.refresh();
        }
    }

    /// Ejects those that do far worse than the others, and forgives those that did well.
    fn compare(&self) {
        let rules = &self.0.config.outliers;
        let mut changed = false;
        if rules.success_rate {
            let slot = now_slot(rules);
            let busy = self.0.endpoints.iter().filter(|endpoint| !endpoint.health.has(Out::Ejected));
            let busy = busy.map(|endpoint| (endpoint, endpoint.tally.within(slot)));
            let (endpoints, counts): (Vec<_>, Vec<_>) =
                busy.filter(|(_, (well, badly))| well + badly >= u64::from(rules.success_rate_requests)).unzip();
            if endpoints.len() >= rules.success_rate_endpoints {
                for place in rates::outliers(&counts, rules.success_rate_deviation_percent) {
                    changed |= self.eject(endpoints[place], Why::SuccessRate);
                }
            }
        }
        for endpoint in &self.0.endpoints {
            endpoint.ejection().forgive();
        }
        if changed {
            self.0.refresh();
        }
    }

    /// Lets those in again whose time is over.
    fn let_in(&self) {
        let now = Instant::now();
        let mut changed = false;
        for endpoint in self.ejected() {
            let is_over = endpoint.ejection().term.is_none_or(|term| term.until <= now);
            if is_over {
                self.uneject(endpoint, "its time is over");
                changed = true;
            }
        }
        if changed {
            self.0.refresh();
        }
    }

    /// False if it is out already, or if that would be one too many.
    fn eject(&self, endpoint: &Endpoint, why: Why) -> bool {
        if endpoint.health.has(Out::Ejected) || !self.has_room(endpoint) {
            return false;
        }
        let length = endpoint.ejection().begin(why, &self.0.config.outliers, Instant::now());
        endpoint.health.set(Out::Ejected, true);
        self.0.kept.alarm.ejections.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(cluster = %self.0.name, endpoint = %endpoint.address, why = why.word(), ?length, "ejected");
        true
    }

    fn uneject(&self, endpoint: &Endpoint, why: &str) {
        endpoint.end_ejection();
        tracing::info!(cluster = %self.0.name, endpoint = %endpoint.address, why, "not ejected any more");
    }

    /// A share of all, rounded down, and never the last one that is in.
    fn has_room(&self, endpoint: &Endpoint) -> bool {
        let others_in = self.0.endpoints.iter().filter(|other| other.id != endpoint.id && other.health.is_in()).count();
        others_in > 0 && self.is_within_cap(self.ejected().count() + 1)
    }

    fn is_over_cap(&self) -> bool {
        let ejected = self.ejected().count();
        ejected > 0 && (!self.is_within_cap(ejected) || !self.0.endpoints.iter().any(|endpoint| endpoint.health.is_in()))
    }

    fn is_within_cap(&self, ejected: usize) -> bool {
        ejected * 100 <= self.0.endpoints.len() * self.0.config.outliers.ejected_percent as usize
    }

    fn first_back(&self) -> Option<Instant> {
        self.ejected().filter_map(|endpoint| Some(endpoint.ejection().term?.until)).min()
    }

    fn ejected(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.0.endpoints.iter().filter(|endpoint| endpoint.health.has(Out::Ejected))
    }
}
