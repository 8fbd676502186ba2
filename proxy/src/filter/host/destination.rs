//! `destination`: where the request goes.

use std::time::Duration;

use crate::exchange::Exchange;

/// An unknown cluster is an error and changes nothing.
pub fn set_cluster(exchange: &mut Exchange, name: &str) -> Result<(), String> {
    let known = exchange.clusters.get(name).cloned();
    let known = known.ok_or_else(|| format!("no cluster named `{name}`"))?;
    exchange.destination.cluster = Some(known);
    Ok(())
}

pub fn set_route(exchange: &mut Exchange, name: &str) {
    exchange.destination.route = Some(name.to_owned());
}

/// Zero: no timeout at all.
pub fn set_timeout_ms(exchange: &mut Exchange, total: u32) {
    exchange.destination.timeout = Some(Duration::from_millis(u64::from(total)));
}
