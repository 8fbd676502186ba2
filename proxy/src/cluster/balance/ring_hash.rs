//! A ring on which each endpoint has points in proportion to its weight; a key belongs to the next point (Karger et al.,
//! 1997: "Consistent Hashing and Random Trees").
//!
//! Where the points of an endpoint are depends on it alone, and how many a unit of weight has is a power of two: so one that
//! comes or goes moves its own keys and no other, unless the sum of the weights crosses a power of two.

use super::least_request::LeastRequest;
use super::{Member, Members, Policy};
use crate::cluster::hash;
use crate::config::Balancing;

#[derive(Debug)]
pub struct Ring {
    points: Box<[Point]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    hash: u64,
    place: u32,
}

impl Ring {
    pub fn new(members: &Members, balancing: &Balancing) -> Self {
        let total: u64 = members.all.iter().map(|member| u64::from(member.weight)).sum();
        let scale = Scale::of(total, balancing);
        let mut points: Vec<Point> = members
            .all
            .iter()
            .zip(0..)
            .flat_map(|(member, place)| {
                let count = scale.points(member.weight);
                (0..count).map(move |number| Point { hash: hash::point(member.endpoint.hash, number), place })
            })
            .collect();
        points.sort_unstable();
        Self { points: points.into_boxed_slice() }
    }
}

impl Policy for Ring {
    fn pick(&self, members: &Members) -> usize {
        LeastRequest.pick(members)
    }

    fn pick_by(&self, members: &Members, key: u64, eligible: &dyn Fn(&Member) -> bool) -> Option<usize> {
        let next = self.points.partition_point(|point| point.hash < key);
        let (before, after) = self.points.split_at(next);
        let mut places = after.iter().chain(before).map(|point| point.place as usize);
        places.find(|place| eligible(&members.all[*place]))
    }
}

/// How many points a unit of weight has: so many, or one for so many units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Times(u64),
    Fraction(u64),
}

impl Scale {
    fn of(total: u64, balancing: &Balancing) -> Self {
        let (least, most) = (balancing.ring_entries_min as u64, balancing.ring_entries_max as u64);
        if total > most {
            return Self::Fraction(total.div_ceil(most).next_power_of_two());
        }
        let wanted = least.div_ceil(total.max(1)).next_power_of_two();
        Self::Times(if wanted * total > most { 1.max(wanted / 2) } else { wanted })
    }

    fn points(self, weight: u32) -> u64 {
        match self {
            Self::Times(times) => u64::from(weight) * times,
            Self::Fraction(units) => (u64::from(weight) / units).max(1),
        }
    }
}
