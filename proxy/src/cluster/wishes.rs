//! What one exchange wants of a cluster, and which cluster that makes it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Cluster;
use crate::config::Labels;
use crate::exchange::{Deadline, Destination, Failure, Inflow, Kind, Retry, Trail};

/// See the module. The default wants nothing in particular, and allocates nothing.
#[derive(Debug, Default)]
pub struct Wishes {
    /// This endpoint and no other.
    pub endpoint: Option<SocketAddr>,
    /// Where the client was going before it was redirected.
    pub original: Option<SocketAddr>,
    /// Labels that an endpoint must carry.
    pub subset: Vec<(String, String)>,
    /// The hash of the key that a filter set.
    pub key: Option<u64>,
    /// What a filter says of retries.
    pub retry: Option<Retry>,
    /// Where no filter does, the cluster's policy holds. Copies and calls of filters have none.
    pub by_policy: bool,
    /// When the client no longer waits.
    pub deadline: Option<Deadline>,
    /// How long it may take from the end of the request on.
    pub timeout: Option<Duration>,
    /// How far the request has come, where it has a client.
    pub inflow: Option<Rc<Inflow>>,
    /// Where attempts are written down, if somebody looks at the exchange.
    pub trail: Option<Rc<Trail>>,
    /// The step of the hook that makes the request; `None`: it is the client's.
    pub by: Option<u64>,
}

impl Wishes {
    pub fn allow(&self, address: SocketAddr, labels: &Labels) -> bool {
        self.endpoint.is_none_or(|wanted| wanted == address)
            && self.subset.iter().all(|(name, value)| labels.get(name) == Some(value))
    }

    /// What is left of the time that it may take; `None`: it may take any.
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.deadline.as_ref().map(Deadline::left);
        [deadline, self.timeout_left()].into_iter().flatten().min()
    }

    /// What is left of the time that the operator gives it; while the request is still to end, it has not begun.
    fn timeout_left(&self) -> Option<Duration> {
        let ended = self.inflow.as_ref()?.ended_at()?;
        Some(self.timeout?.saturating_sub(Instant::now().saturating_duration_since(ended)))
    }

    /// That time is over.
    pub fn took_too_long(&self) -> bool {
        self.timeout_left().is_some_and(|left| left.is_zero())
    }

    /// The client, or a filter, has ended the request: no endpoint is to blame for what follows.
    pub fn was_cut(&self) -> bool {
        self.inflow.as_ref().is_some_and(|inflow| inflow.failure().is_some())
    }

    /// Takes the lists out of the destination, for nobody looks at them once the request is on its way.
    fn of(destination: &mut Destination) -> Self {
        Self {
            endpoint: destination.endpoint,
            original: destination.original,
            subset: std::mem::take(&mut destination.subset),
            key: destination.hash_key,
            retry: destination.retry.take(),
            by_policy: true,
            deadline: None,
            timeout: None,
            inflow: None,
            trail: None,
            by: None,
        }
    }
}

/// Where an exchange goes: to its cluster, or, if that has no endpoint for it, to the fallback, whose endpoints the
/// exchange knows nothing about. The destination then says so.
pub fn choose<'a>(
    clusters: &'a HashMap<Arc<str>, Arc<Cluster>>,
    destination: &mut Destination,
) -> Result<(&'a Arc<Cluster>, Wishes), Failure> {
    let named = |name: &str| {
        let cluster = clusters.get(name);
        cluster.ok_or_else(|| Failure::new(Kind::NoCluster, format!("no cluster named `{name}`")))
    };
    let Some(name) = &destination.cluster else {
        return Err(Failure::new(Kind::NoRoute, "no route leads from here"));
    };
    let mut cluster = named(name)?;
    let mut wishes = Wishes::of(destination);
    if !cluster.suits(&wishes)
        && let Some(fallback) = &destination.fallback
    {
        cluster = named(fallback)?;
        wishes = Wishes { endpoint: None, subset: Vec::new(), ..wishes };
        destination.cluster = Some(Arc::clone(fallback));
    }
    Ok((cluster, wishes))
}
