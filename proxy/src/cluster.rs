//! Clusters: named sets of endpoints, which of them is chosen, and how a request gets there.
//!
//! `wishes` is what an exchange wants; `call` is the way of a request, `attempt` one go of it, `hedge` two beside each other, with
//! `retry` to say whether there is a further one, `budget` how many all exchanges have together, and `spare` and `replay` to
//! keep what is sent again; `breaker` is what is in use and how much may be; `pool` keeps a worker's connections; `discovery`
//! knows where endpoints are; `health` and `outlier` say which of them are asked at all; `choices` remembers the last ones for
//! whoever wants to know. A cluster decides nothing about traffic: filters have chosen it before.

pub mod attempt;
pub mod balance;
pub mod breaker;
pub mod budget;
mod call;
pub mod choices;
pub mod discovery;
pub mod endpoint;
pub mod hash;
pub mod health;
mod hedge;
pub mod kept;
pub mod outgoing;
pub mod outlier;
pub mod pool;
mod replay;
mod retry;
mod seen;
mod spare;
mod wishes;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

pub use attempt::{Answer, Lease};
pub use call::send;
pub use endpoint::Endpoint;
pub use outgoing::Outgoing;
pub use seen::{Ended, Seen};
pub use wishes::{Wishes, choose};

use crate::config::{self, Labels};
use balance::Balancer;
use discovery::Resolved;
use kept::Kept;

/// One cluster of one snapshot.
#[derive(Debug)]
pub struct Cluster {
    pub name: Arc<str>,
    pub config: Arc<config::Cluster>,
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Of each endpoint. They are the configuration's and may change while an endpoint stays.
    pub labels: Vec<Arc<Labels>>,
    /// Those that picks choose among: what is in, or all where nothing is.
    candidates: ArcSwap<Vec<Arc<Endpoint>>>,
    balancer: Balancer,
    /// What the next cluster of this name goes on with.
    pub kept: Kept,
}

impl Cluster {
    /// Builds a cluster, or carries the previous one over when nothing about it has changed. Endpoints that stay keep
    /// their load and connections as long as they are spoken to in the same way.
    pub fn build(name: &Arc<str>, config: &Arc<config::Cluster>, resolved: &Resolved, previous: Option<&Arc<Self>>) -> Arc<Self> {
        let addresses = resolved.endpoints(config);
        let alike = previous.filter(|previous| {
            previous.config.protocol == config.protocol
                && previous.config.limits == config.limits
                && previous.config.timeouts == config.timeouts
        });
        if let Some(previous) = alike
            && previous.config == *config
            && previous.endpoints.iter().map(|endpoint| endpoint.address).eq(addresses.iter().map(|(address, _)| *address))
        {
            return Arc::clone(previous);
        }
        let (addresses, labels): (Vec<_>, Vec<_>) = addresses.into_iter().unzip();
        let known = alike.map_or(&[][..], |previous| &previous.endpoints).iter();
        let known: HashMap<_, _> = known.map(|endpoint| (endpoint.address, endpoint)).collect();
        let endpoints: Vec<_> = addresses
            .into_iter()
            .map(|address| known.get(&address).map_or_else(|| Arc::new(Endpoint::new(address)), |known| Arc::clone(known)))
            .collect();
        let balancer = Balancer::new(config.balance);
        let candidates = ArcSwap::from_pointee(candidates(&endpoints));
        let kept = Kept::of(config, previous.map(|previous| &previous.kept));
        Arc::new(Self { name: Arc::clone(name), config: Arc::clone(config), endpoints, labels, candidates, balancer, kept })
    }

    /// Has picks choose among the endpoints that are in now: for whoever has changed the health of one.
    pub fn refresh(&self) {
        self.candidates.store(Arc::new(candidates(&self.endpoints)));
    }

    /// An attempt is over, as far as its endpoint is to be judged by it.
    pub fn saw(&self, endpoint: &Endpoint, seen: &Seen) {
        tracing::trace!(cluster = %self.name, address = %endpoint.address, ?seen, "attempted");
        outlier::saw(endpoint, seen, &self.config.outliers, &self.kept.alarm);
        self.kept.choices.note(endpoint, seen);
    }

    /// The endpoint for the next attempt: rather one that has not been tried, then rather not the last one that was.
    /// `None` if the cluster has none that the exchange may use.
    pub fn pick(&self, wishes: &Wishes, tried: &[u64]) -> Option<Arc<Endpoint>> {
        if wishes.endpoint.is_none() && wishes.subset.is_empty() && tried.is_empty() {
            let candidates = self.candidates.load();
            return self.balancer.pick(&candidates, wishes.key).map(|place| Arc::clone(&candidates[place]));
        }
        let eligible = candidates(self.eligible(wishes));
        let without =
            |refused: &[u64]| -> Vec<_> { eligible.iter().filter(|endpoint| !refused.contains(&endpoint.id)).cloned().collect() };
        let last = tried.last().map_or(&[][..], std::slice::from_ref);
        let candidates = [without(tried), without(last)].into_iter().find(|left| !left.is_empty()).unwrap_or(eligible);
        self.balancer.pick(&candidates, wishes.key).map(|place| Arc::clone(&candidates[place]))
    }

    /// Whether there is an endpoint that the exchange may use.
    pub fn suits(&self, wishes: &Wishes) -> bool {
        self.eligible(wishes).next().is_some()
    }

    /// Whether there is one that has not been tried.
    fn has_another(&self, wishes: &Wishes, tried: &[u64]) -> bool {
        self.eligible(wishes).any(|endpoint| !tried.contains(&endpoint.id))
    }

    fn eligible<'a>(&'a self, wishes: &'a Wishes) -> impl Iterator<Item = &'a Arc<Endpoint>> + Clone {
        let all = self.endpoints.iter().zip(&self.labels);
        all.filter(|(endpoint, labels)| wishes.allow(endpoint.address, labels)).map(|(endpoint, _)| endpoint)
    }
}

/// Those of these that are in; all of them where none is, for somebody may still answer.
fn candidates<'a>(endpoints: impl IntoIterator<Item = &'a Arc<Endpoint>> + Clone) -> Vec<Arc<Endpoint>> {
    let well: Vec<_> = endpoints.clone().into_iter().filter(|endpoint| endpoint.health.is_in()).cloned().collect();
    if well.is_empty() { endpoints.into_iter().cloned().collect() } else { well }
}

#[cfg(test)]
mod tests;
