//! `request`: the head of the request, as the filters before have left it.

use std::time::Instant;

use http::uri::{Authority, PathAndQuery};
use http::{Method, Uri};

use crate::config::defaults::URI_BYTES;
use crate::exchange::Exchange;

pub fn path(exchange: &Exchange) -> &str {
    exchange.request.uri.path()
}

pub fn query(exchange: &Exchange) -> Option<&str> {
    exchange.request.uri.query()
}

pub fn set_method(exchange: &mut Exchange, method: &str) -> Result<(), String> {
    let parsed = Method::from_bytes(method.as_bytes()).map_err(|_| format!("`{method}` is no valid method"))?;
    if parsed == Method::CONNECT {
        return Err("`CONNECT` cannot be made of another method".to_owned());
    }
    exchange.request.method = parsed;
    Ok(())
}

pub fn set_authority(exchange: &mut Exchange, authority: &str) -> Result<(), String> {
    let parsed = authority.parse::<Authority>();
    if parsed.is_err() || authority.contains('@') {
        return Err(format!("`{authority}` is no valid authority; expected a host, with a port or without"));
    }
    authority.clone_into(&mut exchange.authority);
    Ok(())
}

pub fn set_target(exchange: &mut Exchange, target: &str) -> Result<(), String> {
    if target.len() > URI_BYTES {
        return Err(format!("the target has {} bytes, expected at most {URI_BYTES}", target.len()));
    }
    if !target.starts_with('/') && target != "*" {
        return Err(format!("`{target}` is no valid target; expected a path that begins with \"/\""));
    }
    if target.contains('#') {
        return Err(format!("`{target}` is no valid target; a fragment is never sent"));
    }
    let target = target.parse::<PathAndQuery>().map_err(|_| format!("`{target}` is no valid target"))?;
    exchange.request.uri = Uri::from(target);
    Ok(())
}

/// Whole milliseconds until the client gives up, if it said when.
pub fn deadline_left_ms(exchange: &Exchange) -> Option<u64> {
    let left = exchange.deadline?.saturating_duration_since(Instant::now());
    Some(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
}
