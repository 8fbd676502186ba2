//! Clusters: named sets of endpoints, which of them is chosen, and how a request gets there.
//!
//! `call` is the way of a request; `pool` keeps a worker's connections; `discovery` turns names into addresses. A
//! cluster decides nothing about traffic: filters have chosen it before.

pub mod balance;
pub mod call;
pub mod discovery;
pub mod endpoint;
pub mod outgoing;
pub mod pool;

use std::sync::Arc;

pub use call::{Answer, send};
pub use endpoint::Endpoint;
pub use outgoing::Outgoing;

use crate::config;
use balance::Balancer;
use discovery::Resolved;

/// One cluster of one snapshot.
#[derive(Debug)]
pub struct Cluster {
    pub name: Arc<str>,
    pub config: Arc<config::Cluster>,
    pub endpoints: Vec<Arc<Endpoint>>,
    balancer: Balancer,
}

impl Cluster {
    /// Builds a cluster, or carries the previous one over when nothing about it has changed. Endpoints that stay keep
    /// their load and connections as long as they are spoken to in the same way.
    pub fn build(name: &Arc<str>, config: &Arc<config::Cluster>, resolved: &Resolved, previous: Option<&Arc<Self>>) -> Arc<Self> {
        let addresses = resolved.addresses(&config.endpoints);
        let kept = previous.filter(|previous| {
            previous.config.protocol == config.protocol
                && previous.config.limits == config.limits
                && previous.config.timeouts == config.timeouts
        });
        if let Some(previous) = kept
            && previous.config == *config
            && previous.endpoints.iter().map(|endpoint| endpoint.address).eq(addresses.iter().copied())
        {
            return Arc::clone(previous);
        }
        let endpoints = addresses
            .into_iter()
            .map(|address| {
                kept.and_then(|previous| previous.endpoints.iter().find(|endpoint| endpoint.address == address))
                    .cloned()
                    .unwrap_or_else(|| Arc::new(Endpoint::new(address)))
            })
            .collect();
        Arc::new(Self { name: Arc::clone(name), config: Arc::clone(config), endpoints, balancer: Balancer::new(config.balance) })
    }

    /// The endpoint for the next request, rather not the one to avoid; `None` if there is none at all.
    pub fn pick(&self, avoid: Option<u64>) -> Option<&Arc<Endpoint>> {
        let picked = self.balancer.pick(&self.endpoints)?;
        if avoid != Some(picked.id) {
            return Some(picked);
        }
        self.endpoints.iter().find(|endpoint| avoid != Some(endpoint.id)).or(Some(picked))
    }
}
