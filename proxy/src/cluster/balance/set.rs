//! All groups of a cluster, or of one subset of it, and which share of the load each has.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::choice::Seat;
use super::group::{Group, Member};
use super::priorities::{Tally, loads};
use super::{goes_by_key, zones};
use crate::cluster::{Endpoint, hash};
use crate::config;

/// Draws among those that may have been tried, before somebody looks for one that has not.
const DRAWS: usize = 4;
/// What all shares together are.
const WHOLE: f64 = (1_u64 << 32) as f64;

/// See the module. It may be empty, and it may hold groups that have no load as long as others can bear it.
#[derive(Debug)]
pub struct Set {
    groups: Vec<Group>,
    /// Where the share of each group ends.
    ends: Vec<u64>,
}

impl Set {
    pub fn new<'a>(seats: impl Iterator<Item = &'a Seat>, config: &config::Cluster, now: u64) -> Self {
        let mut priorities = BTreeMap::<u32, Vec<&Seat>>::new();
        for seat in seats {
            priorities.entry(seat.priority).or_default().push(seat);
        }
        let tallies: Vec<_> = priorities.values().map(|seats| tally(seats)).collect();
        let (mut groups, mut ends, mut end) = (Vec::new(), Vec::new(), 0.0);
        for (seats, load) in priorities.values().zip(loads(&tallies, &config.balancing)) {
            let asked = |seat: &&Seat| load.panics || seat.endpoint.health.is_in();
            let by_zone = match load.panics || !has_zones(seats, config) {
                true => vec![(seats.iter().copied().filter(asked).collect(), 1.0)],
                false => zoned(seats),
            };
            for (members, share) in by_zone.into_iter().filter(|(members, _): &(Vec<&Seat>, _)| !members.is_empty()) {
                let member = |seat: &Seat| Member { endpoint: Arc::clone(&seat.endpoint), weight: seat.weight };
                groups.push(Group::new(members.into_iter().map(member).collect(), config, now));
                end += share * load.share;
                ends.push((end * WHOLE).round() as u64);
            }
        }
        Self { groups, ends }
    }

    pub fn is_empty(&self) -> bool {
        self.ends.last().is_none_or(|end| *end == 0)
    }

    /// Whether there is one that has not been tried.
    pub fn has_another(&self, tried: &[u64]) -> bool {
        let mut members = self.groups.iter().flat_map(|group| &group.members.all);
        members.any(|member| !tried.contains(&member.endpoint.id))
    }

    /// Rather one that has not been tried, then rather not the last one that was.
    pub fn pick(&self, key: Option<u64>, tried: &[u64]) -> Option<&Arc<Endpoint>> {
        let group = self.draw(key)?;
        let Some(last) = tried.last() else { return Some(group.pick(key)) };
        let last = std::slice::from_ref(last);
        self.without(key, tried).or_else(|| self.without(key, last)).or_else(|| Some(group.pick(key)))
    }

    fn without(&self, key: Option<u64>, refused: &[u64]) -> Option<&Arc<Endpoint>> {
        if let Some(key) = key
            && let Some(next) = self.draw(Some(key)).and_then(|group| group.pick_by(key, refused))
        {
            return Some(next);
        }
        let drawn = (0..DRAWS).filter_map(|_| Some(self.draw(None)?.pick(None)));
        let found = self.groups.iter().filter_map(|group| group.find(refused));
        drawn.filter(|endpoint| !refused.contains(&endpoint.id)).chain(found).next()
    }

    /// The group for the next request, by the shares; for the same key the same one.
    fn draw(&self, key: Option<u64>) -> Option<&Group> {
        let whole = *self.ends.last()?;
        if whole == 0 {
            return None;
        }
        if let [only] = &self.groups[..] {
            return Some(only);
        }
        let point = match key {
            Some(key) => ((u128::from(hash::point(key, 0)) * u128::from(whole)) >> 64) as u64,
            None => fastrand::u64(..whole),
        };
        self.groups.get(self.ends.partition_point(|end| *end <= point))
    }
}

fn tally(seats: &[&Seat]) -> Tally {
    Tally { all: seats.len(), well: seats.iter().filter(|seat| seat.endpoint.health.is_in()).count() }
}

/// Zones make a difference: there are enough endpoints, the proxy knows its own, and no key has to find its one place.
fn has_zones(seats: &[&Seat], config: &config::Cluster) -> bool {
    let least = config.balancing.zone_endpoints_min;
    config.zone.is_some() && least > 0 && seats.len() >= least && !goes_by_key(config.balance)
}

/// Zone by zone what is in, with its share.
fn zoned<'a>(seats: &[&'a Seat]) -> Vec<(Vec<&'a Seat>, f64)> {
    let mut by_zone = BTreeMap::<u32, Vec<&Seat>>::new();
    for seat in seats {
        // A zone with nobody in has proxies all the same.
        let well = by_zone.entry(seat.zone).or_default();
        well.extend(seat.endpoint.health.is_in().then_some(seat));
    }
    let capacity = |seats: &Vec<&Seat>| seats.iter().map(|seat| u64::from(seat.weight)).sum();
    let capacities: Vec<u64> = by_zone.values().map(capacity).collect();
    let own = by_zone.keys().position(|zone| *zone == Seat::OWN_ZONE);
    let shares = zones::shares(&capacities, own);
    by_zone.into_values().zip(shares).collect()
}
