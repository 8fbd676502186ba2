//! The one with the best score for the key (see [`hash`]): a look at every member, so for small sets.

use super::least_request::LeastRequest;
use super::{Member, Members, Policy};
use crate::cluster::hash;

#[derive(Debug)]
pub struct Rendezvous;

impl Policy for Rendezvous {
    fn pick(&self, members: &Members) -> usize {
        LeastRequest.pick(members)
    }

    fn pick_by(&self, members: &Members, key: u64, eligible: &dyn Fn(&Member) -> bool) -> Option<usize> {
        let places = (0..members.all.len()).filter(|place| eligible(&members.all[*place]));
        let score = |place: &usize| hash::score(key, members.all[*place].endpoint.hash);
        if members.weights.are_equal() {
            return places.max_by_key(score);
        }
        let weighted = |place: &usize| hash::weighted(score(place), members.all[*place].weight);
        places.max_by(|one, other| weighted(one).total_cmp(&weighted(other)))
    }
}
