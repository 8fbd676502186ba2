//! Clusters: named sets of endpoints, which of them is chosen, and how a request gets there.
//!
//! `wishes` is what an exchange wants; `call` is the way of a request, `attempt` one go of it, `hedge` two beside each other, with
//! `retry` to say whether there is a further one, `budget` how many all exchanges have together, and `spare` and `replay` to
//! keep what is sent again; `breaker` is what is in use and how much may be; `pool` keeps a worker's connections, which
//! `connect` opens, and `form` gives a request the form that a connection wants; `raw` opens connections that nobody shares; `discovery`
//! knows where endpoints are, and `passing` where clients were going before they were redirected; `health` and `outlier` say which of
//! them are asked at all; `choices` remembers the last ones for
//! whoever wants to know, and `counts` adds them up where that is asked for. A cluster decides nothing about traffic: filters have chosen it before.

pub mod attempt;
pub mod balance;
pub mod breaker;
pub mod budget;
mod call;
pub mod choices;
pub mod connect;
mod counted;
pub mod counts;
pub mod discovery;
pub mod endpoint;
pub mod form;
pub mod hash;
pub mod health;
mod hedge;
pub mod kept;
mod line;
pub mod outgoing;
pub mod outlier;
pub mod passing;
pub mod pool;
pub mod raw;
mod replay;
mod retry;
mod seen;
mod spare;
mod wishes;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

pub use attempt::{Answer, Lease};
pub use call::send;
pub use endpoint::Endpoint;
pub use outgoing::Outgoing;
pub use seen::{Ended, Seen};
pub use wishes::{Wishes, choose};

use crate::config;
use crate::tls;
use balance::Balancer;
use discovery::{Listed, Resolved};
use kept::Kept;

/// One cluster of one snapshot.
#[derive(Debug)]
pub struct Cluster {
    pub name: Arc<str>,
    pub config: Arc<config::Cluster>,
    /// What was said of the endpoints, each in its place.
    listed: Vec<Listed>,
    pub endpoints: Vec<Arc<Endpoint>>,
    /// What new connections to its endpoints are made with; without it, in plain text.
    pub tls: Option<Arc<tls::Client>>,
    balancer: Balancer,
    /// What the next cluster of this name goes on with.
    pub kept: Kept,
}

impl Cluster {
    /// Builds a cluster, or carries the previous one over when nothing about it has changed. Endpoints that stay keep
    /// their load and connections as long as they are spoken to in the same way.
    pub fn build(name: &Arc<str>, config: &Arc<config::Cluster>, resolved: &Resolved, previous: Option<&Arc<Self>>) -> Arc<Self> {
        Self::build_with(name, config, resolved, None, previous)
    }

    /// The same for one that speaks TLS, if its configuration says so. Connections that are there go on when only
    /// certificates have changed.
    pub fn build_with(
        name: &Arc<str>,
        config: &Arc<config::Cluster>,
        resolved: &Resolved,
        tls: Option<Arc<tls::Client>>,
        previous: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        let listed = resolved.endpoints(config);
        let alike = previous.filter(|previous| {
            previous.config.protocol == config.protocol
                && previous.config.tls == config.tls
                && previous.config.limits == config.limits
                && previous.config.timeouts == config.timeouts
        });
        if let Some(previous) = alike
            && previous.config == *config
            && previous.listed == listed
            && previous.tls.as_ref().map(Arc::as_ptr) == tls.as_ref().map(Arc::as_ptr)
        {
            return Arc::clone(previous);
        }
        let now = balance::now_ms();
        let known = previous.map_or(&[][..], |previous| &previous.endpoints).iter();
        let known: HashMap<_, _> =
            known.map(|endpoint| ((endpoint.address, endpoint.host.clone()), Arc::clone(endpoint))).collect();
        let endpoints: Vec<_> = listed
            .iter()
            .map(|listed| {
                // Who is asked for by another name is spoken to in another way.
                let host = listed.host.clone().filter(|_| config.tls.is_some());
                let known = known.get(&(listed.address, host.clone()));
                let endpoint = known.filter(|_| alike.is_some()).cloned().unwrap_or_else(|| {
                    let mut endpoint = Endpoint::new(listed.address);
                    endpoint.host = host;
                    if previous.is_some() && known.is_none() {
                        endpoint.since.begin(now);
                    }
                    Arc::new(endpoint)
                });
                endpoint.cost.seed(now, config.balancing.ewma_seed);
                endpoint
            })
            .collect();
        let seats = endpoints.iter().zip(&listed);
        let seats = seats.map(|(endpoint, listed)| (Arc::clone(endpoint), Arc::clone(&listed.labels), listed.standing.clone()));
        let balancer = Balancer::new(config, seats);
        let kept = Kept::of(config, previous.map(|previous| &previous.kept));
        Arc::new(Self { name: Arc::clone(name), config: Arc::clone(config), listed, endpoints, tls, balancer, kept })
    }

    /// Has picks choose among the endpoints that are in now: for whoever has changed the health of one.
    pub fn refresh(&self) {
        self.balancer.refresh();
    }

    /// An attempt is over, as far as its endpoint is to be judged by it.
    pub fn saw(&self, endpoint: &Endpoint, seen: &Seen) {
        if self.config.endpoint_metrics {
            endpoint.count(seen);
        }
        balance::saw(&self.config, endpoint, seen);
        tracing::trace!(cluster = %self.name, address = %endpoint.address, ?seen, "attempted");
        // There is no other place to go to.
        if !self.config.original_destination {
            outlier::saw(endpoint, seen, &self.config.outliers, &self.kept.alarm);
        }
        self.kept.choices.note(endpoint, seen);
    }

    /// The endpoint for the next attempt: rather one that has not been tried, then rather not the last one that was.
    /// `None` if the cluster has none that the exchange may use.
    pub fn pick(&self, wishes: &Wishes, tried: &[u64]) -> Option<Arc<Endpoint>> {
        if self.config.original_destination {
            return Some(passing::endpoint(self, self.original(wishes)?));
        }
        self.balancer.pick(wishes, tried)
    }

    /// Whether there is an endpoint that the exchange may use.
    pub fn suits(&self, wishes: &Wishes) -> bool {
        if self.config.original_destination { self.original(wishes).is_some() } else { self.balancer.suits(wishes) }
    }

    /// Whether there is one that has not been tried.
    fn has_another(&self, wishes: &Wishes, tried: &[u64]) -> bool {
        !self.config.original_destination && self.balancer.has_another(wishes, tried)
    }

    /// Where the client was going, if a filter has not chosen another place.
    fn original(&self, wishes: &Wishes) -> Option<SocketAddr> {
        wishes.original.filter(|original| wishes.allow(*original, &config::Labels::new()))
    }

    /// What was said of the endpoints, each in its place.
    pub fn listed(&self) -> &[Listed] {
        &self.listed
    }
}

#[cfg(test)]
mod tests;
