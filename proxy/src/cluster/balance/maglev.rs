//! A table that the endpoints fill in turns, each in an order of its own; a key belongs to the owner of its place
//! (Eisenbud et al., 2016: "Maglev: A Fast and Reliable Software Network Load Balancer", 3.4).
//!
//! A pick is one look, whatever the number of endpoints, and the keys are shared out more evenly than on a ring. When one
//! leaves, a few keys of others move as well.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::least_request::LeastRequest;
use super::{Member, Members, Policy};
use crate::cluster::hash;

#[derive(Debug)]
pub struct Table {
    owners: Box<[u32]>,
}

const FREE: u32 = u32::MAX;

impl Table {
    /// `entries`: a prime, so that every step leads through the whole table.
    pub fn new(members: &Members, entries: usize) -> Self {
        let mut owners = vec![FREE; entries];
        // The turns depend on the addresses, not on the order in which a configuration or DNS tells them.
        let mut order: Vec<u32> = (0..members.all.len() as u32).collect();
        order.sort_unstable_by_key(|place| members.all[*place as usize].endpoint.hash);
        let mut walks: Vec<_> = order.iter().map(|place| Walk::of(&members.all[*place as usize], entries)).collect();
        if members.weights.are_equal() {
            for turn in 0..entries {
                let mover = turn % order.len();
                walks[mover].take(order[mover], &mut owners);
            }
        } else {
            // Who has had the least for its weight moves next; a turn of weight w comes after 1/w.
            const TURN: u64 = 1 << 32;
            let pause = |mover: usize| TURN / u64::from(members.all[order[mover] as usize].weight).max(1);
            let mut turns: BinaryHeap<_> = (0..order.len()).map(|mover| Reverse((pause(mover), mover))).collect();
            for _ in 0..entries {
                let Some(mut next) = turns.peek_mut() else { break };
                let Reverse((due, mover)) = *next;
                walks[mover].take(order[mover], &mut owners);
                *next = Reverse((due + pause(mover), mover));
            }
        }
        Self { owners: owners.into_boxed_slice() }
    }
}

impl Policy for Table {
    fn pick(&self, members: &Members) -> usize {
        LeastRequest.pick(members)
    }

    fn pick_by(&self, members: &Members, key: u64, eligible: &dyn Fn(&Member) -> bool) -> Option<usize> {
        let (before, after) = self.owners.split_at((key % self.owners.len() as u64) as usize);
        let mut places = after.iter().chain(before).map(|place| *place as usize);
        places.find(|place| eligible(&members.all[*place]))
    }
}

/// The order in which one endpoint wants the places of the table.
#[derive(Debug)]
struct Walk {
    at: usize,
    step: usize,
}

impl Walk {
    fn of(member: &Member, entries: usize) -> Self {
        let hash = member.endpoint.hash;
        let (offset, skip) = (hash::point(hash, 0), hash::point(hash, 1));
        let step = skip % (entries as u64 - 1).max(1) + 1;
        Self { at: (offset % entries as u64) as usize, step: step as usize }
    }

    /// Takes the next free place. There is one.
    fn take(&mut self, place: u32, owners: &mut [u32]) {
        let next = |at: usize| (at + self.step) % owners.len();
        let mut at = self.at;
        while owners[at] != FREE {
            at = next(at);
        }
        let after = next(at);
        owners[at] = place;
        self.at = after;
    }
}
