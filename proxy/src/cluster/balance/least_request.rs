//! The one with fewer exchanges under way of two distinct random choices (Mitzenmacher, 2001: "The Power of Two Choices in
//! Randomized Load Balancing").
//!
//! Weights count twice: the heavier is drawn more often, so that it can get its share of many, and bears more exchanges
//! before it counts as the busier one.

use super::{Member, Members, Policy};

#[derive(Debug)]
pub struct LeastRequest;

impl Policy for LeastRequest {
    fn pick(&self, members: &Members) -> usize {
        let (first, second) = members.weights.draw_two();
        let active = |member: &Member| u64::from(member.endpoint.active());
        let (one, other) = (&members.all[first], &members.all[second]);
        if active(one) * u64::from(other.weight) <= active(other) * u64::from(one.weight) { first } else { second }
    }
}
