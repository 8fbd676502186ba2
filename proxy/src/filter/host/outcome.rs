//! `outcome`: how the exchange went, in the complete hook.

use std::time::Duration;

use http::HeaderValue;

use super::fields;
use crate::exchange::{MirrorResult, Origin, Outcome};
use crate::filter::hand::InHand;
use crate::filter::{Hook, OutOfPlace};

/// Looks at the outcome, which only the complete hook has.
pub fn of<T>(hand: &InHand, function: &'static str, job: impl FnOnce(&Outcome) -> T) -> Result<T, OutOfPlace> {
    match &hand.outcome {
        Some(outcome) if hand.hook == Hook::Complete => Ok(job(outcome)),
        _ => Err(OutOfPlace(function, "the complete hook")),
    }
}

pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The endpoint that answered.
pub fn upstream(outcome: &Outcome) -> Option<String> {
    let answered = outcome.exchange.borrow().answered;
    outcome.attempt.endpoint.filter(|_| answered).map(|endpoint| endpoint.to_string())
}

/// Why the proxy answered by itself, or cut the exchange off.
pub fn failure(outcome: &Outcome) -> Option<String> {
    match outcome.origin {
        Origin::Failure(kind) => Some(kind.reason().to_owned()),
        Origin::Upstream | Origin::Filter => None,
    }
}

/// How a copy was answered, if it has been by now.
pub fn mirrored<T>(outcome: &Outcome, id: u32, look: impl FnOnce(&MirrorResult) -> T) -> Option<T> {
    let mirror = outcome.mirrors.get(usize::try_from(id).ok()?)?;
    mirror.ticket.result().as_ref().map(look)
}

/// Each value of a field of that answer.
pub fn mirrored_headers(outcome: &Outcome, id: u32, name: &str) -> Vec<HeaderValue> {
    mirrored(outcome, id, |result| fields::each(&result.headers, name)).unwrap_or_default()
}
