//! The one with the lower cost of two distinct random choices, where the cost is how slow the endpoint has been of late,
//! times the exchanges under way at it and the one to come.

use std::time::Duration;

use http::StatusCode;

use super::{Member, Members, Policy, now_ms};
use crate::cluster::{Ended, Seen};
use crate::config::Balancing;

/// Below this, in milliseconds, nobody is quicker than anybody else: one that has not been asked for long still counts as
/// the busier one when it is.
const COST_MIN: f64 = 0.01;

/// Codes of gRPC that are no fault of the caller: unknown, deadline exceeded, resource exhausted, internal, unavailable, data
/// loss.
const GRPC_FAILED: [u32; 6] = [2, 4, 8, 13, 14, 15];

#[derive(Debug)]
pub struct PeakEwma {
    decay: Duration,
}

impl PeakEwma {
    pub fn new(balancing: &Balancing) -> Self {
        Self { decay: balancing.ewma_decay }
    }

    fn cost(&self, member: &Member, now: u64) -> f64 {
        let slow = member.endpoint.cost.at(now, self.decay).max(COST_MIN);
        slow * (f64::from(member.endpoint.active()) + 1.0) / f64::from(member.weight)
    }
}

impl Policy for PeakEwma {
    fn pick(&self, members: &Members) -> usize {
        let (first, second) = members.weights.draw_two();
        let now = now_ms();
        let cost = |place: usize| self.cost(&members.all[place], now);
        if cost(first) <= cost(second) { first } else { second }
    }
}

/// How slow an endpoint was in an attempt. Failing is quick, and so is saying that there is too much to do: both count as
/// slow, or they would draw more requests. `None`: it says nothing about the endpoint.
pub fn counts_as(seen: &Seen, balancing: &Balancing) -> Option<Duration> {
    // An endpoint that says for how long it is to be left alone is heard, within reason.
    let asked = seen.retry_after.unwrap_or_default().min(balancing.ewma_penalty_max);
    let penalty = seen.took.max(balancing.ewma_penalty).max(asked);
    match seen.ended {
        Ended::Answered(_) if seen.grpc.is_some_and(|code| GRPC_FAILED.contains(&code)) => Some(penalty),
        Ended::Answered(status) if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => Some(penalty),
        Ended::Answered(_) | Ended::Connected => Some(seen.took),
        Ended::Unconnected | Ended::UnconnectedInTime | Ended::Unanswered | Ended::Reset | Ended::Refused => Some(penalty),
        Ended::Useless => None,
    }
}
