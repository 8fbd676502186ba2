//! Endpoints that stand for one another: of one priority, and of one zone where zones count.

use std::sync::Arc;

use super::weights::Weights;
use super::{Policy, now_ms, ready};
use crate::cluster::Endpoint;
use crate::config;

/// Draws that may fall on an endpoint that is spared, before one of them counts.
const SPARED_MAX: usize = 4;

/// An endpoint with its weight in one cluster.
#[derive(Debug, Clone)]
pub struct Member {
    pub endpoint: Arc<Endpoint>,
    pub weight: u32,
}

/// What a policy chooses among.
#[derive(Debug)]
pub struct Members {
    pub all: Box<[Member]>,
    pub weights: Weights,
}

impl Members {
    pub fn new(all: Vec<Member>) -> Self {
        let weights = Weights::new(all.iter().map(|member| member.weight));
        Self { all: all.into_boxed_slice(), weights }
    }
}

/// Members with the policy that is ready for them; at least one.
#[derive(Debug)]
pub struct Group {
    pub members: Members,
    policy: Box<dyn Policy>,
    /// Some have come not long ago, and are spared.
    warming: Option<config::Balancing>,
}

impl Group {
    pub fn new(members: Vec<Member>, config: &config::Cluster, now: u64) -> Self {
        let members = Members::new(members);
        let spares = |member: &Member| !member.endpoint.since.is_settled(now, &config.balancing);
        let warming = members.all.iter().any(spares).then(|| config.balancing.clone());
        Self { policy: ready(config, &members), members, warming }
    }

    /// The next one, whatever was tried before.
    pub fn pick(&self, key: Option<u64>) -> &Arc<Endpoint> {
        let members = &self.members;
        if let [only] = &members.all[..] {
            return &only.endpoint;
        }
        if let Some(place) = key.and_then(|key| self.policy.pick_by(members, key, &|_| true)) {
            return &members.all[place].endpoint;
        }
        let mut endpoint = &members.all[self.policy.pick(members)].endpoint;
        if let Some(balancing) = &self.warming {
            let now = now_ms();
            for _ in 1..SPARED_MAX {
                if fastrand::f64() < endpoint.since.share(now, balancing) {
                    break;
                }
                endpoint = &members.all[self.policy.pick(members)].endpoint;
            }
        }
        endpoint
    }

    /// For the key, the first that has not been refused.
    pub fn pick_by(&self, key: u64, refused: &[u64]) -> Option<&Arc<Endpoint>> {
        let eligible = |member: &Member| !refused.contains(&member.endpoint.id);
        if let [only] = &self.members.all[..] {
            return eligible(only).then_some(&only.endpoint);
        }
        let place = self.policy.pick_by(&self.members, key, &eligible)?;
        Some(&self.members.all[place].endpoint)
    }

    /// Any that has not been refused, found by looking.
    pub fn find(&self, refused: &[u64]) -> Option<&Arc<Endpoint>> {
        let members = &self.members.all;
        let (before, after) = members.split_at(fastrand::usize(..members.len()));
        let mut all = after.iter().chain(before).map(|member| &member.endpoint);
        all.find(|endpoint| !refused.contains(&endpoint.id))
    }
}
