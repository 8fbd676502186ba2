//! Quotas: whether so much of something is left, decided for several at once, all or nothing.
//!
//! A quota is its key, kind, limit and window: the same key under another limit is another quota. `burst` only says how
//! much of it may be saved up. What is held at once is given back when its [`Held`] is dropped.

mod rules;

use std::sync::{Arc, MutexGuard};

pub use rules::State;
#[cfg(feature = "redis")]
pub use rules::{CONCURRENCY_RETRY_MS, left};

use super::memory::{Memory, SHARDS_MAX};
use super::shard::{Content, Shard};
use super::{Error, Name, Now, Space};
use rules::Judgement;

/// Quotas of one `take`. One more is `too-large`.
pub const ASKS_MAX: usize = 64;

/// How a quota comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `limit` tokens in each window, `burst` saved up at most (GCRA).
    Rate,
    /// `limit` in the window that began at a multiple of its length since the Unix epoch.
    Calendar,
    /// `limit` at once.
    Concurrency,
}

/// What is asked for. No value makes it panic: a window or a limit of zero allows nothing, and neither does a cost of zero
/// take anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub key: String,
    pub kind: Kind,
    pub limit: u64,
    pub window_ms: u64,
    pub burst: u64,
    pub cost: u64,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether this ask alone would be granted. It was taken if all of them are.
    pub allowed: bool,
    /// What is left after this decision.
    pub remaining: u64,
    /// When asking again may help: zero if allowed, [`u64::MAX`] if never. Nobody knows when an exchange ends: for
    /// concurrency it is a guess, [`rules::CONCURRENCY_RETRY_MS`].
    pub retry_after_ms: u64,
    /// When the quota will be whole again.
    pub reset_after_ms: u64,
}

/// So much of a quota of concurrency, until it is dropped.
#[derive(Debug)]
pub enum Held {
    Here {
        _kept: HeldHere,
    },
    #[cfg(feature = "redis")]
    Shared {
        _kept: super::remote::HeldThere,
    },
}

/// Of a store in memory.
#[derive(Debug)]
pub struct HeldHere {
    store: Arc<Memory>,
    namespace: Arc<str>,
    key: Box<str>,
    space: Space,
    cost: u64,
}

impl Ask {
    fn space(&self) -> Space {
        // How long a quota of concurrency is held is not for a window to say.
        let window_ms = if self.kind == Kind::Concurrency { 0 } else { self.window_ms };
        Space::Quota { kind: self.kind, limit: self.limit, window_ms }
    }
}

/// One ask on its way to a decision.
struct Plan<'a> {
    ask: &'a Ask,
    name: Name<'a>,
    hash: u64,
    place: usize,
    /// What the store has.
    stored: Option<State>,
    judgement: Judgement,
    /// What it is after this ask and those before it on the same quota.
    after: Option<State>,
}

/// The shards of one `take`, locked from the first to the last, so that no two wait for each other.
struct Locked<'a>(Vec<(usize, MutexGuard<'a, Shard>)>);

impl Locked<'_> {
    fn at(&mut self, place: usize) -> &mut Shard {
        let index = self.0.partition_point(|(other, _)| *other < place);
        &mut self.0[index].1
    }
}

impl Memory {
    /// All or nothing: unless every ask is allowed, none is taken. A decision for each ask, in order. Asks of one list
    /// that mean the same quota add up.
    pub(super) fn take(
        self: &Arc<Self>,
        namespace: &Arc<str>,
        asks: &[Ask],
        now: Now,
        held: &mut Vec<Held>,
    ) -> Result<Vec<Decision>, Error> {
        if asks.len() > ASKS_MAX {
            return Err(Error::TooLarge);
        }
        asks.iter().try_for_each(|ask| self.check_key(&ask.key))?;
        let names: Vec<(Name<'_>, u64)> = asks
            .iter()
            .map(|ask| {
                let name = Name { space: ask.space(), namespace, key: &ask.key };
                (name, self.hash(&name))
            })
            .collect();
        let places = names.iter().fold(0u64, |places, (_, hash)| places | 1 << self.place(*hash));
        let places = (0..SHARDS_MAX).filter(|place| places & (1 << place) != 0);
        let mut shards = Locked(places.map(|place| (place, self.shard_at(place))).collect());

        let mut plans: Vec<Plan<'_>> = Vec::with_capacity(asks.len());
        for (ask, (name, hash)) in asks.iter().zip(names) {
            let place = self.place(hash);
            let before =
                plans.iter().rfind(|plan| plan.hash == hash && plan.name.key == name.key && plan.name.space == name.space);
            let (stored, present) = match before {
                Some(plan) => (plan.stored, plan.after),
                None => {
                    let stored = stored(shards.at(place), hash, &name, now);
                    (stored, stored)
                }
            };
            let judgement = rules::judge(ask, present, now);
            let after = if let Judgement::Allowed(after) = judgement { after } else { present };
            plans.push(Plan { ask, name, hash, place, stored, judgement, after });
        }

        let all = plans.iter().all(|plan| matches!(plan.judgement, Judgement::Allowed(_)));
        if all {
            check_room(&plans, &mut shards)?;
            for plan in plans.iter().filter(|plan| plan.ask.cost > 0) {
                let Some(after) = plan.after else { continue };
                let expires = rules::expires(plan.ask, after);
                shards.at(plan.place).put(plan.hash, &plan.name, Content::Quota(after), expires, now.monotonic);
            }
        }
        // Whoever gives back takes the lock of one of them.
        drop(shards);
        if all {
            let concurrent = asks.iter().filter(|ask| ask.kind == Kind::Concurrency && ask.cost > 0);
            held.extend(concurrent.map(|ask| Held::Here {
                _kept: HeldHere {
                    store: Arc::clone(self),
                    namespace: Arc::clone(namespace),
                    key: ask.key.as_str().into(),
                    space: ask.space(),
                    cost: ask.cost,
                },
            }));
        }
        Ok(plans.iter().map(|plan| decision(plan, all, now)).collect())
    }

    fn give_back(&self, name: &Name<'_>, cost: u64) {
        let hash = self.hash(name);
        let mut shard = self.shard(hash);
        // What is held has no clock: it never expires, and nobody pushes it out.
        let Some((Content::Quota(State::Concurrency { used }), expires)) = shard.get(hash, name, 0) else { return };
        match used.saturating_sub(cost) {
            0 => shard.remove(hash, name),
            used => shard.put(hash, name, Content::Quota(State::Concurrency { used }), expires, 0),
        }
    }
}

impl Drop for HeldHere {
    fn drop(&mut self) {
        let name = Name { space: self.space, namespace: &self.namespace, key: &self.key };
        self.store.give_back(&name, self.cost);
    }
}

fn stored(shard: &mut Shard, hash: u64, name: &Name<'_>, now: Now) -> Option<State> {
    match shard.get(hash, name, now.monotonic)? {
        (Content::Quota(state), _) => Some(*state),
        (Content::Value(_), _) => None,
    }
}

/// What is held cannot be pushed out, so there is a bound on it.
fn check_room(plans: &[Plan<'_>], shards: &mut Locked<'_>) -> Result<(), Error> {
    for (place, shard) in &shards.0 {
        let new = plans.iter().filter(|plan| {
            plan.place == *place && plan.ask.kind == Kind::Concurrency && plan.ask.cost > 0 && plan.stored.is_none()
        });
        let (entries, bytes) = new.fold((0, 0), |(entries, bytes), plan| (entries + 1, bytes + plan.name.entry_bytes()));
        if entries > 0 && !shard.can_hold(entries, bytes) {
            return Err(Error::Unavailable);
        }
    }
    Ok(())
}

fn decision(plan: &Plan<'_>, all: bool, now: Now) -> Decision {
    let left = rules::left(plan.ask, if all { plan.after } else { plan.stored }, now);
    let (allowed, retry_after_ms) = match plan.judgement {
        Judgement::Allowed(_) => (true, 0),
        Judgement::Denied { retry_after_ms } => (false, retry_after_ms),
    };
    Decision { allowed, remaining: left.remaining, retry_after_ms, reset_after_ms: left.reset_after_ms }
}

#[cfg(test)]
mod tests;
