//! `RateLimit-Policy` and `RateLimit`, as the IETF's draft-ietf-httpapi-ratelimit-headers has them: lists of structured fields.

use std::fmt::Write;
use std::time::Duration;

use tamis_sdk::clock;
use tamis_sdk::quota::Decision;

use crate::rule::Rule;

pub const POLICY: &str = "ratelimit-policy";
pub const RATELIMIT: &str = "ratelimit";
/// What the request hook leaves for the answer.
pub const POLICY_NOTE: &str = "quota.policy";
pub const RATELIMIT_NOTE: &str = "quota.ratelimit";

/// The largest integer of a structured field.
const INTEGER_MAX: u64 = 999_999_999_999_999;

/// The values of both fields, in this order, for these rules and what was decided of them.
pub fn of<'a>(rules: impl Iterator<Item = (&'a Rule, &'a [Decision])>) -> (String, String) {
    let (mut policy, mut limits) = (String::new(), String::new());
    for (rule, decisions) in rules {
        let several = decisions.len() > 1;
        let units = rule.limits.iter().map(|limit| limit.unit.word()).chain(rule.concurrency.map(|_| "concurrency"));
        for (index, (unit, decision)) in units.zip(decisions).enumerate() {
            if !policy.is_empty() {
                policy.push_str(", ");
                limits.push_str(", ");
            }
            // Names are what strings of structured fields can be as they are.
            let name = if several { format!("\"{}.{unit}\"", rule.name) } else { format!("\"{}\"", rule.name) };
            let _ = match rule.limits.get(index) {
                Some(limit) => {
                    let window = limit.unit.window(clock::now());
                    write!(policy, "{name};q={};w={}", limit.count, window.seconds)
                }
                None => write!(
                    policy,
                    "{name};q={};qu=\"concurrent-requests\"",
                    rule.concurrency.unwrap_or_default().min(INTEGER_MAX)
                ),
            };
            let _ = write!(limits, "{name};r={}", decision.remaining.min(INTEGER_MAX));
            if rule.limits.get(index).is_some() {
                let _ = write!(limits, ";t={}", seconds(decision.reset_after).min(INTEGER_MAX));
            }
        }
    }
    (policy, limits)
}

/// Rounded up: who waits for so long has waited long enough.
pub fn seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}
