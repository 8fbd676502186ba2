//! Where the request goes.

use std::time::Duration;

use http::HeaderValue;

use super::Field;
use crate::testing::hand::{Goal, Phase, with_exchange, with_request};
use crate::testing::{call, target};

const ATTEMPTS_MAX: u32 = 10;
const MIRRORS_MAX: usize = 4;
const MIRRORED_BYTES_MAX: u32 = 1 << 20;
const OCCASIONS: [&str; 12] = [
    "connect",
    "reset",
    "timeout",
    "5xx",
    "gateway-error",
    "retriable-4xx",
    "refused-stream",
    "cancelled",
    "deadline-exceeded",
    "resource-exhausted",
    "internal",
    "unavailable",
];

pub fn cluster() -> Option<String> {
    with_exchange(|hand| hand.goal.cluster.clone())
}

pub fn set_cluster(name: &str) -> Result<(), String> {
    with_exchange(|hand| {
        known(&hand.goal, name)?;
        hand.goal.cluster = Some(name.to_owned());
        Ok(())
    })
}

pub fn set_fallback(cluster: &str) -> Result<(), String> {
    with_exchange(|hand| {
        known(&hand.goal, cluster)?;
        hand.goal.fallback = Some(cluster.to_owned());
        Ok(())
    })
}

pub fn set_endpoint(address: &str) -> Result<(), String> {
    with_exchange(|hand| {
        let cluster = hand.goal.cluster.clone().ok_or("there is no cluster whose endpoint it could be")?;
        match hand.goal.endpoints.contains(&(cluster.clone(), address.to_owned())) {
            true => {
                hand.goal.endpoint = Some(address.to_owned());
                Ok(())
            }
            false => Err(format!("the cluster `{cluster}` has no endpoint `{address}`")),
        }
    })
}

pub fn route() -> Option<String> {
    with_exchange(|hand| hand.goal.route.clone())
}

pub fn set_route(name: &str) {
    with_exchange(|hand| hand.goal.route = Some(name.to_owned()));
}

pub fn set_timeout_ms(total: u32) {
    with_exchange(|hand| hand.goal.timeout = (total > 0).then(|| Duration::from_millis(u64::from(total))));
}

pub fn set_chain(name: &str) -> Result<(), String> {
    with_exchange(|hand| match hand.goal.chains.contains(name) {
        true => {
            hand.goal.chain = Some(name.to_owned());
            Ok(())
        }
        false => Err(format!("no chain named `{name}`")),
    })
}

pub fn set_subset(labels: &[(String, String)]) {
    with_exchange(|hand| hand.goal.subset = labels.to_vec());
}

pub fn set_hash_key(key: &[u8]) {
    with_exchange(|hand| hand.goal.hash_key = Some(key.to_vec()));
}

pub fn set_retry(attempts: u32, on: &[String], per_try_timeout_ms: Option<u32>) -> Result<(), String> {
    if !(1..=ATTEMPTS_MAX).contains(&attempts) {
        return Err(format!("expected 1 to {ATTEMPTS_MAX} attempts, found {attempts}"));
    }
    if let Some(stranger) = on.iter().find(|occasion| !is_occasion(occasion)) {
        return Err(format!("no occasion `{stranger}`; expected one of {}, or a status from 400 to 599", OCCASIONS.join(", ")));
    }
    let per_try = per_try_timeout_ms.filter(|ms| *ms > 0).map(|ms| Duration::from_millis(u64::from(ms)));
    with_exchange(|hand| hand.goal.retry = Some((attempts, on.to_vec(), per_try)));
    Ok(())
}

pub fn mirror(cluster: &str, fields: &[Field], body_limit: u32) -> Result<u32, String> {
    with_request(|hand| {
        if hand.phase != Phase::Request {
            return Err("a copy can be asked for in the request hook only".to_owned());
        }
        known(&hand.goal, cluster)?;
        if hand.goal.mirrors.len() >= MIRRORS_MAX {
            return Err(format!("there are {MIRRORS_MAX} copies already"));
        }
        let (hosts, fields): (Vec<_>, Vec<_>) = fields.iter().cloned().partition(|field| field.name.eq_ignore_ascii_case("host"));
        let mut fields = call::map(&fields)?;
        if let Some(host) = hosts.last() {
            let host = String::from_utf8_lossy(&host.value);
            target::check_authority(&host)?;
            fields.insert("host", HeaderValue::try_from(&*host).map_err(|error| error.to_string())?);
        }
        hand.goal.mirrors.push((cluster.to_owned(), fields, body_limit.min(MIRRORED_BYTES_MAX)));
        Ok(hand.goal.mirrors.len() as u32 - 1)
    })
}

pub fn set_response_rate(bytes_per_second: u64) {
    with_exchange(|hand| hand.goal.response_rate = (bytes_per_second > 0).then_some(bytes_per_second));
}

fn known(goal: &Goal, cluster: &str) -> Result<(), String> {
    match goal.clusters.contains(cluster) {
        true => Ok(()),
        false => Err(format!("no cluster named `{cluster}`")),
    }
}

fn is_occasion(word: &str) -> bool {
    OCCASIONS.contains(&word) || word.parse::<u16>().is_ok_and(|status| (400..=599).contains(&status))
}
