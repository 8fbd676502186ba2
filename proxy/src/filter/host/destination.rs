//! `destination`: where the request goes, how often, and how fast the answer flows back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{Cluster, hash};
use crate::config::defaults::LABELS_MAX;
use crate::exchange::{Exchange, Retry};
use crate::filter::OutOfPlace;
use crate::filter::hand::InHand;
use crate::filter::witness::{self, Event, Missing};

/// An unknown cluster is an error and changes nothing. Another one than before does not have the endpoint that was set.
pub fn set_cluster(exchange: &mut Exchange, name: &str) -> Result<(), String> {
    let cluster = known(exchange, name)?;
    let destination = &mut exchange.destination;
    if destination.cluster.replace(cluster).as_deref() != Some(name) {
        destination.endpoint = None;
    }
    Ok(())
}

/// After the present chain the exchange goes on through this one.
pub fn set_chain(hand: &InHand, name: &str) -> Result<Result<(), String>, OutOfPlace> {
    let Some(exchange) = &hand.exchange else { return Err(OutOfPlace("set-chain", "a hook of an exchange")) };
    let Some((known, _)) = hand.reach.chains.get_key_value(name) else {
        return Ok(Err(format!("no chain named `{name}`")));
    };
    exchange.borrow_mut().destination.chain = Some(Arc::clone(known));
    Ok(Ok(()))
}

/// The same.
pub fn set_fallback(exchange: &mut Exchange, name: &str) -> Result<(), String> {
    exchange.destination.fallback = Some(known(exchange, name)?);
    Ok(())
}

fn known(exchange: &Exchange, name: &str) -> Result<Arc<str>, String> {
    exchange.clusters.get(name).cloned().ok_or_else(|| {
        witness::tell(|| Event::Missing(Missing::Cluster, name.to_owned()));
        format!("no cluster named `{name}`")
    })
}

/// This very endpoint of the cluster that the exchange goes to at present.
pub fn set_endpoint(hand: &InHand, address: &str) -> Result<Result<(), String>, OutOfPlace> {
    let Some(exchange) = &hand.exchange else { return Err(OutOfPlace("set-endpoint", "a hook of an exchange")) };
    let mut exchange = exchange.borrow_mut();
    let cluster = exchange.destination.cluster.as_ref().and_then(|name| hand.reach.clusters.get(name));
    let found = endpoint_of(cluster.map(|cluster| &**cluster), address);
    Ok(found.map(|address| exchange.destination.endpoint = Some(address)))
}

fn endpoint_of(cluster: Option<&Cluster>, address: &str) -> Result<SocketAddr, String> {
    let parsed = address.parse::<SocketAddr>();
    let parsed = parsed.map_err(|_| format!("`{address}` is no address; expected one such as `10.0.0.1:8080` or `[::1]:80`"))?;
    let cluster = cluster.ok_or("no cluster has been set that could have an endpoint")?;
    if !cluster.endpoints.iter().any(|endpoint| endpoint.address == parsed) {
        return Err(format!("cluster `{}` has no endpoint `{parsed}`", cluster.name));
    }
    Ok(parsed)
}

/// None: any endpoint will do.
pub fn set_subset(exchange: &mut Exchange, labels: Vec<(String, String)>) {
    exchange.destination.subset = distinct(labels);
}

/// No endpoint has more than `LABELS_MAX`, so one past that says all that the rest could: there is none.
fn distinct(labels: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut distinct = Vec::with_capacity(labels.len().min(LABELS_MAX + 1));
    for label in labels {
        if distinct.len() <= LABELS_MAX && !distinct.contains(&label) {
            distinct.push(label);
        }
    }
    distinct
}

/// The whole key counts, however long it is; only its hash is kept.
pub fn set_hash_key(exchange: &mut Exchange, key: impl AsRef<[u8]>) {
    let key = key.as_ref();
    exchange.destination.hash_key = Some(hash::of_key(key));
    witness::effect("destination", || format!("the hash key is `{}`", String::from_utf8_lossy(key)));
}

/// Bytes of the name of a route; the rest is cut off.
pub const ROUTE_BYTES_MAX: usize = 1 << 10;

pub fn set_route(exchange: &mut Exchange, name: &str) {
    exchange.destination.route = Some(name[..name.floor_char_boundary(ROUTE_BYTES_MAX)].to_owned());
}

/// Zero: no timeout at all.
pub fn set_timeout_ms(exchange: &mut Exchange, total: u32) {
    exchange.destination.timeout = Some(Duration::from_millis(u64::from(total)));
}

/// An unknown occasion, or a number of attempts that makes no sense, is an error and changes nothing.
pub fn set_retry(exchange: &mut Exchange, attempts: u32, on: &[String], per_try_ms: Option<u32>) -> Result<(), String> {
    exchange.destination.retry = Some(Retry::parse(attempts, on, per_try_ms)?);
    Ok(())
}

/// Zero: as fast as the client takes it.
pub fn set_response_rate(exchange: &mut Exchange, bytes_per_second: u64) {
    exchange.destination.response_rate = Some(bytes_per_second).filter(|rate| *rate > 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::cluster::discovery::Resolved;
    use crate::config;
    use crate::exchange::tests::exchange;

    fn cluster() -> Arc<Cluster> {
        let address = "10.0.0.1:80".parse().expect("an address");
        let endpoint = config::Endpoint {
            at: config::EndpointSpec::Address(address),
            labels: Arc::default(),
            standing: config::Standing::default(),
        };
        let config = config::Cluster::of(vec![endpoint]);
        Cluster::build(&"users".into(), &Arc::new(config), &Resolved::default(), None)
    }

    #[test]
    fn an_endpoint_is_one_of_the_cluster() {
        let cluster = cluster();
        assert_eq!(endpoint_of(Some(&cluster), "10.0.0.1:80"), Ok(cluster.endpoints[0].address));
        for (address, word) in
            [("10.0.0.2:80", "`users`"), ("10.0.0.1", "no address"), ("users:80", "no address"), ("", "no address")]
        {
            let error = endpoint_of(Some(&cluster), address).expect_err(address);
            assert!(error.contains(word), "{error}");
        }
        assert!(endpoint_of(None, "10.0.0.1:80").is_err());
    }

    #[test]
    fn another_cluster_has_other_endpoints() {
        let mut exchange = exchange();
        let address = Some(([10, 0, 0, 1], 80).into());
        set_cluster(&mut exchange, "one").expect("known");
        exchange.destination.endpoint = address;
        set_cluster(&mut exchange, "one").expect("known");
        set_cluster(&mut exchange, "three").expect_err("not known");
        assert_eq!(exchange.destination.endpoint, address);
        set_cluster(&mut exchange, "two").expect("known");
        assert_eq!(exchange.destination.endpoint, None);
    }

    #[test]
    fn what_is_kept_is_short() {
        let mut exchange = exchange();
        set_route(&mut exchange, &"ü".repeat(ROUTE_BYTES_MAX));
        assert_eq!(exchange.destination.route.map(|route| route.len()), Some(ROUTE_BYTES_MAX));
    }

    #[test]
    fn too_many_labels_still_fit_no_endpoint() {
        let label = |number: usize| (number.to_string(), String::new());
        assert_eq!(distinct((0..100).map(label).collect()).len(), LABELS_MAX + 1);
        assert_eq!(distinct(vec![label(1); 100]), [label(1)], "said twice is said once");
    }
}
