//! `destination`: where the request goes, how often, and how fast the answer flows back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::defaults::LABELS_MAX;
use crate::exchange::{Exchange, Retry};
use crate::filter::OutOfPlace;
use crate::filter::hand::InHand;

/// An unknown cluster is an error and changes nothing.
pub fn set_cluster(exchange: &mut Exchange, name: &str) -> Result<(), String> {
    exchange.destination.cluster = Some(known(exchange, name)?);
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
    exchange.clusters.get(name).cloned().ok_or_else(|| format!("no cluster named `{name}`"))
}

/// This very endpoint of the cluster that the exchange goes to at present.
pub fn set_endpoint(hand: &InHand, address: &str) -> Result<Result<(), String>, OutOfPlace> {
    let Some(exchange) = &hand.exchange else { return Err(OutOfPlace("set-endpoint", "a hook of an exchange")) };
    let mut exchange = exchange.borrow_mut();
    let cluster = exchange.destination.cluster.as_ref().and_then(|name| hand.reach.clusters.get(name));
    let found = cluster.ok_or_else(|| "no cluster has been set that could have an endpoint".to_owned()).and_then(|cluster| {
        let parsed = address.parse::<SocketAddr>();
        let parsed =
            parsed.map_err(|_| format!("`{address}` is no address; expected one such as `10.0.0.1:8080` or `[::1]:80`"))?;
        match cluster.endpoints.iter().any(|endpoint| endpoint.address == parsed) {
            true => Ok(parsed),
            false => Err(format!("cluster `{}` has no endpoint `{parsed}`", cluster.name)),
        }
    });
    Ok(found.map(|address| exchange.destination.endpoint = Some(address)))
}

/// None: any endpoint will do.
pub fn set_subset(exchange: &mut Exchange, labels: Vec<(String, String)>) {
    let subset = &mut exchange.destination.subset;
    subset.clear();
    for label in labels {
        // No endpoint has more labels, so one past that says all that the rest could: there is none.
        if subset.len() <= LABELS_MAX && !subset.contains(&label) {
            subset.push(label);
        }
    }
}

/// The whole key counts, however long it is.
pub fn set_hash_key(exchange: &mut Exchange, key: Vec<u8>) {
    exchange.destination.hash_key = Some(key);
}

pub fn set_route(exchange: &mut Exchange, name: &str) {
    exchange.destination.route = Some(name.to_owned());
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
