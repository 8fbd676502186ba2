//! What picks read: made anew when endpoints come in or go out, and swapped as a whole.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::now_ms;
use super::set::Set;
use crate::cluster::{Endpoint, Wishes};
use crate::config::{self, Labels, Standing};

/// The balancing of one cluster.
#[derive(Debug)]
pub struct Balancer {
    config: Arc<config::Cluster>,
    seats: Vec<Seat>,
    /// Places in `seats`, in the order of their addresses.
    by_address: Vec<u32>,
    by_label: HashMap<String, HashMap<String, Vec<u32>>>,
    choice: ArcSwap<Choice>,
    /// Who was in at the last refresh. Held by one, so that the last to look is the last to say.
    refreshed: Mutex<Option<Box<[bool]>>>,
}

/// An endpoint with what it is in this cluster. That is the configuration's, and may change while an endpoint stays.
#[derive(Debug)]
pub struct Seat {
    pub endpoint: Arc<Endpoint>,
    pub labels: Arc<Labels>,
    pub weight: u32,
    pub priority: u32,
    /// A number for the name of its zone.
    pub zone: u32,
}

impl Seat {
    /// Where the proxy is.
    pub const OWN_ZONE: u32 = 0;
}

/// Of one moment.
#[derive(Debug)]
struct Choice {
    whole: Set,
    /// Made when somebody asks, and kept as long as somebody does.
    subsets: ArcSwap<Subsets>,
}

type Subset = [(String, String)];
type Subsets = HashMap<Arc<Subset>, Arc<Kept>>;

#[derive(Debug)]
struct Kept {
    set: Set,
    /// Since the last refresh.
    used: AtomicBool,
}

impl Balancer {
    pub fn new(config: &Arc<config::Cluster>, endpoints: impl Iterator<Item = (Arc<Endpoint>, Arc<Labels>, Standing)>) -> Self {
        let mut zones: HashMap<Option<Arc<str>>, u32> = HashMap::new();
        zones.insert(config.zone.clone(), Seat::OWN_ZONE);
        let seats: Vec<_> = endpoints
            .map(|(endpoint, labels, standing)| {
                let Standing { weight, priority, zone } = standing;
                let next = zones.len() as u32;
                Seat { endpoint, labels, weight, priority, zone: *zones.entry(zone).or_insert(next) }
            })
            .collect();
        let mut by_address: Vec<u32> = (0..seats.len() as u32).collect();
        by_address.sort_by_key(|place| seats[*place as usize].endpoint.address);
        let mut by_label = HashMap::<String, HashMap<String, Vec<u32>>>::new();
        for (place, seat) in (0..).zip(&seats) {
            for (name, value) in &*seat.labels {
                let values = by_label.entry(name.clone()).or_default();
                values.entry(value.clone()).or_default().push(place);
            }
        }
        let choice = Choice { whole: Set::new(std::iter::empty(), config, 0), subsets: ArcSwap::default() };
        let choice = ArcSwap::from_pointee(choice);
        let balancer = Self { config: Arc::clone(config), seats, by_address, by_label, choice, refreshed: Mutex::default() };
        balancer.refresh();
        balancer
    }

    /// Has picks choose among the endpoints that are in now.
    pub fn refresh(&self) {
        let mut refreshed = self.refreshed.lock().unwrap_or_else(PoisonError::into_inner);
        let well: Box<[bool]> = self.seats.iter().map(|seat| seat.endpoint.health.is_in()).collect();
        // What is ready would be no different, but that turns would begin anew. Who is spared is so for a while only.
        if self.config.balancing.slow_start.is_zero() && refreshed.as_ref() == Some(&well) {
            return;
        }
        *refreshed = Some(well);
        let now = now_ms();
        for seat in &self.seats {
            seat.endpoint.since.note(seat.endpoint.health.is_in(), now);
        }
        let before = self.choice.load();
        let asked_for: Subsets = before
            .subsets
            .load()
            .iter()
            .filter(|(_, kept)| kept.used.load(Ordering::Relaxed))
            .map(|(subset, _)| (Arc::clone(subset), Kept::new(self.set(subset, now), false)))
            .collect();
        let whole = Set::new(self.seats.iter(), &self.config, now);
        self.choice.store(Arc::new(Choice { whole, subsets: ArcSwap::from_pointee(asked_for) }));
    }

    pub fn pick(&self, wishes: &Wishes, tried: &[u64]) -> Option<Arc<Endpoint>> {
        match wishes.endpoint {
            Some(_) => self.named(wishes).next().cloned(),
            None => self.with_set(&wishes.subset, |set| set.pick(wishes.key, tried).cloned()),
        }
    }

    /// Whether there is an endpoint that the exchange may use.
    pub fn suits(&self, wishes: &Wishes) -> bool {
        match wishes.endpoint {
            Some(_) => self.named(wishes).next().is_some(),
            None => self.with_set(&wishes.subset, |set| !set.is_empty()),
        }
    }

    /// Whether there is one that has not been tried.
    pub fn has_another(&self, wishes: &Wishes, tried: &[u64]) -> bool {
        match wishes.endpoint {
            Some(_) => self.named(wishes).any(|endpoint| !tried.contains(&endpoint.id)),
            None => self.with_set(&wishes.subset, |set| set.has_another(tried)),
        }
    }

    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// Those with the address that was named; two names may stand for the same one.
    fn named<'a>(&'a self, wishes: &'a Wishes) -> impl Iterator<Item = &'a Arc<Endpoint>> {
        let seat = |place: &u32| &self.seats[*place as usize];
        let first = self.by_address.partition_point(|place| Some(seat(place).endpoint.address) < wishes.endpoint);
        let named = self.by_address[first..].iter().map(seat);
        let named = named.take_while(|seat| Some(seat.endpoint.address) == wishes.endpoint);
        named.filter(|seat| wishes.allow(seat.endpoint.address, &seat.labels)).map(|seat| &seat.endpoint)
    }

    fn with_set<T>(&self, subset: &Subset, read: impl FnOnce(&Set) -> T) -> T {
        let choice = self.choice.load();
        if subset.is_empty() {
            return read(&choice.whole);
        }
        if let Some(kept) = choice.subsets.load().get(subset) {
            if !kept.used.load(Ordering::Relaxed) {
                kept.used.store(true, Ordering::Relaxed);
            }
            return read(&kept.set);
        }
        let kept = Kept::new(self.set(subset, now_ms()), true);
        // What filters ask for may come from clients: what no endpoint has is not worth a place.
        if !kept.set.is_empty() {
            let key: Arc<Subset> = subset.into();
            choice.subsets.rcu(|subsets| {
                let mut subsets = Subsets::clone(subsets);
                if subsets.len() < self.config.balancing.subsets {
                    subsets.insert(Arc::clone(&key), Arc::clone(&kept));
                }
                subsets
            });
        }
        read(&kept.set)
    }

    /// Of the endpoints that carry all of these labels.
    fn set(&self, subset: &Subset, now: u64) -> Set {
        let with = |(name, value): &(String, String)| self.by_label.get(name).and_then(|values| values.get(value));
        let rarest = subset.iter().map(|label| with(label).map_or(&[][..], Vec::as_slice)).min_by_key(|places| places.len());
        let seats = rarest.unwrap_or_default().iter().map(|place| &self.seats[*place as usize]);
        let carries = |seat: &&Seat| subset.iter().all(|(name, value)| seat.labels.get(name) == Some(value));
        Set::new(seats.filter(carries), &self.config, now)
    }
}

impl Kept {
    fn new(set: Set, used: bool) -> Arc<Self> {
        Arc::new(Self { set, used: AtomicBool::new(used) })
    }
}
