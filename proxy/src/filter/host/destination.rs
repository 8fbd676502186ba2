//! `destination`: where the request goes.

use std::sync::Arc;
use std::time::Duration;

use crate::exchange::Exchange;
use crate::filter::OutOfPlace;
use crate::filter::hand::InHand;

/// An unknown cluster is an error and changes nothing.
pub fn set_cluster(exchange: &mut Exchange, name: &str) -> Result<(), String> {
    let known = exchange.clusters.get(name).cloned();
    let known = known.ok_or_else(|| format!("no cluster named `{name}`"))?;
    exchange.destination.cluster = Some(known);
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

pub fn set_route(exchange: &mut Exchange, name: &str) {
    exchange.destination.route = Some(name.to_owned());
}

/// Zero: no timeout at all.
pub fn set_timeout_ms(exchange: &mut Exchange, total: u32) {
    exchange.destination.timeout = Some(Duration::from_millis(u64::from(total)));
}
