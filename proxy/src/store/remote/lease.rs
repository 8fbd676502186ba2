//! Tokens taken in advance, so that a busy quota does not cost a round trip each time.
//!
//! A process that asks often for one quota takes a batch, as large as what it will serve in half of the lease time, and decides
//! by itself until that is used up. What is left after the lease time goes back. Where a quota is exhausted, the process also knows for how
//! long asking is in vain. Nothing here waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config;
use crate::store::clock::{millis, nanos};
use crate::store::quota::{Ask, Decision, Kind};

/// Quotas that a process remembers something of. One more is asked for each time.
pub const LEASES_MAX: usize = 65_536;
/// How long one is remembered that nobody asks for: past it, it is not busy.
const IDLE: Duration = Duration::from_secs(1);
/// What is asked for is counted for so long at least before it says how busy a quota is.
const COUNTED_MIN: Duration = Duration::from_millis(5);
/// Of the lease time, the share for which an exhausted quota that is busy is not asked for: meanwhile a batch comes together.
const PAUSE_SHARE: u32 = 4;

/// What this process knows of the quotas of a store, by their keys in Redis.
#[derive(Debug, Default)]
pub struct Leases(Mutex<HashMap<Arc<str>, Arc<Lease>>>);

/// What it knows of one.
#[derive(Debug)]
pub struct Lease(Mutex<State>);

#[derive(Debug)]
struct State {
    /// The ask that it began with, for what goes back.
    ask: Ask,
    tokens: u64,
    /// When they go back.
    until: Instant,
    /// What a quota of a calendar was counted for when they were taken.
    window: u64,
    /// Asked for since then.
    asked: u64,
    since: Instant,
    /// Tokens to take at once, as the last count says.
    batch: u64,
    /// Until then, whoever asks for so many is refused.
    refused: Option<(Instant, u64)>,
    /// Left in Redis, and when it will be whole, as far as was heard last.
    remaining: u64,
    whole: Instant,
    /// Questions under way: only one takes a batch.
    asking: u32,
    used: Instant,
}

/// What one ask is sent with.
#[derive(Debug, Default, Clone, Copy)]
pub struct Wanted {
    pub tokens: u64,
    pub back: u64,
    pub window: u64,
    /// It has a lease to be settled.
    pub kept: bool,
}

/// What Redis says of one ask.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    pub allowed: bool,
    /// The cost, and what was taken in advance.
    pub granted: u64,
    pub remaining: u64,
    /// [`u64::MAX`]: never.
    pub retry_after_ms: u64,
    pub reset_after_ms: u64,
    pub window: u64,
}

/// Tokens that go back to a quota.
#[derive(Debug)]
pub struct Back {
    pub key: Arc<str>,
    pub ask: Ask,
    pub tokens: u64,
    pub window: u64,
}

impl Leases {
    pub fn find(&self, key: &str) -> Option<Arc<Lease>> {
        locked(&self.0).get(key).cloned()
    }

    /// The one of that key, a new one if there is room for it.
    pub fn find_or_make(&self, key: &str, ask: &Ask, now: Instant) -> Option<Arc<Lease>> {
        let mut leases = locked(&self.0);
        if let Some(lease) = leases.get(key) {
            return Some(Arc::clone(lease));
        }
        if leases.len() >= LEASES_MAX {
            return None;
        }
        let lease = Arc::new(Lease::new(ask, now));
        leases.insert(key.into(), Arc::clone(&lease));
        Some(lease)
    }

    pub fn is_empty(&self) -> bool {
        locked(&self.0).is_empty()
    }

    /// Takes what has outlived its time, and forgets what nobody asks for.
    pub fn sweep(&self, now: Instant) -> Vec<Back> {
        let mut back = Vec::new();
        locked(&self.0).retain(|key, lease| {
            let mut state = locked(&lease.0);
            if state.tokens > 0 && state.until <= now {
                let tokens = std::mem::take(&mut state.tokens);
                back.push(Back { key: Arc::clone(key), ask: state.ask.clone(), tokens, window: state.window });
            }
            let in_vain = state.refused.is_some_and(|(until, _)| until > now);
            let idle = state.tokens == 0 && state.asking == 0 && !in_vain && state.used + IDLE <= now;
            drop(state);
            // Whoever has it in hand may be about to use it.
            !idle || Arc::strong_count(lease) > 1
        });
        back
    }
}

/// Decides without a round trip, where enough is known of every ask. The leases are of the asks, in order.
pub fn serve(leases: &[Arc<Lease>], asks: &[Ask], now: Instant) -> Option<Vec<Decision>> {
    // Locked in one order by everybody, so that no two wait for each other.
    let mut order: Vec<usize> = (0..leases.len()).collect();
    order.sort_unstable_by_key(|index| Arc::as_ptr(&leases[*index]).addr());
    if order.windows(2).any(|pair| Arc::ptr_eq(&leases[pair[0]], &leases[pair[1]])) {
        return None;
    }
    let mut states: Vec<Option<MutexGuard<'_, State>>> = leases.iter().map(|_| None).collect();
    for index in order {
        states[index] = Some(locked(&leases[index].0));
    }
    let mut states: Vec<MutexGuard<'_, State>> = states.into_iter().flatten().collect();
    let known: Option<Vec<u64>> = states.iter().zip(asks).map(|(state, ask)| state.retry_after_ms(ask, now)).collect();
    let known = known?;
    let all = known.iter().all(|retry| *retry == 0);
    let decide = |((state, ask), retry): ((&mut MutexGuard<'_, State>, &Ask), u64)| {
        state.asked = state.asked.saturating_add(ask.cost);
        state.used = now;
        if all {
            state.tokens -= ask.cost;
        }
        state.decision(retry, now)
    };
    Some(states.iter_mut().zip(asks).zip(known).map(decide).collect())
}

impl Lease {
    fn new(ask: &Ask, now: Instant) -> Self {
        Self(Mutex::new(State {
            ask: ask.clone(),
            tokens: 0,
            until: now,
            window: 0,
            asked: 0,
            since: now,
            batch: 0,
            refused: None,
            remaining: 0,
            whole: now,
            asking: 0,
            used: now,
        }))
    }

    /// What to ask Redis for. Has to be settled.
    pub fn plan(&self, ask: &Ask, settings: &config::Redis, fleet: u64, now: Instant) -> Wanted {
        let mut state = locked(&self.0);
        state.asked = state.asked.saturating_add(ask.cost);
        state.used = now;
        state.count(settings.lease_time, now);
        state.asking += 1;
        if state.asking > 1 {
            return Wanted { tokens: ask.cost, kept: true, ..Wanted::default() };
        }
        let tokens = state.batch.min(settings.lease_tokens).min(share(ask, settings.lease_time, fleet)).max(ask.cost);
        Wanted { tokens, back: std::mem::take(&mut state.tokens), window: state.window, kept: true }
    }

    /// The question is over, with or without an answer. `taken`: every ask was allowed.
    pub fn settle(&self, ask: &Ask, wanted: Wanted, answer: Option<(Answer, bool)>, settings: &config::Redis, now: Instant) {
        let mut state = locked(&self.0);
        state.asking = state.asking.saturating_sub(1);
        let Some((answer, taken)) = answer else { return };
        state.remaining = answer.remaining;
        state.whole = now + Duration::from_millis(answer.reset_after_ms).min(FAR);
        let busy = state.batch > ask.cost;
        if taken {
            let mut life = settings.lease_time;
            if ask.kind == Kind::Calendar {
                life = life.min(Duration::from_millis(answer.reset_after_ms));
            }
            let extra = answer.granted.saturating_sub(ask.cost);
            if extra > 0 {
                state.tokens = state.tokens.saturating_add(extra);
                state.until = now + life;
                state.window = answer.window;
            }
            let exhausted = busy && wanted.tokens > ask.cost && answer.granted < wanted.tokens;
            state.refused = exhausted.then(|| (now + pause(ask, settings.lease_time), 1));
        } else if !answer.allowed {
            let retry = Duration::from_millis(answer.retry_after_ms).min(FAR);
            let pause = if busy { pause(ask, settings.lease_time) } else { Duration::ZERO };
            // What can never be is no matter of time.
            let known = answer.retry_after_ms != u64::MAX;
            state.refused = known.then(|| (now + retry.max(pause), ask.cost));
        }
    }
}

/// What is as good as never, and does not overflow a clock.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl State {
    /// Zero: there are tokens for it. `None`: Redis has to be asked.
    fn retry_after_ms(&self, ask: &Ask, now: Instant) -> Option<u64> {
        if self.tokens >= ask.cost && (self.until > now || ask.cost == 0) && ask.cost > 0 {
            return Some(0);
        }
        let (until, cost) = self.refused?;
        let left = until.checked_duration_since(now).filter(|left| !left.is_zero() && ask.cost >= cost)?;
        Some(millis(left.as_nanos()))
    }

    fn decision(&self, retry_after_ms: u64, now: Instant) -> Decision {
        Decision {
            allowed: retry_after_ms == 0,
            remaining: self.remaining.saturating_add(self.tokens),
            retry_after_ms,
            reset_after_ms: millis(self.whole.saturating_duration_since(now).as_nanos()),
        }
    }

    /// How many were asked for lately, told as those of half a lease.
    fn count(&mut self, lease_time: Duration, now: Instant) {
        let counted = now.saturating_duration_since(self.since);
        if counted >= COUNTED_MIN {
            let half = lease_time.as_nanos() / 2;
            let batch = u128::from(self.asked) * half / counted.as_nanos();
            self.batch = u64::try_from(batch).unwrap_or(u64::MAX);
            (self.asked, self.since) = (0, now);
        }
    }
}

/// What comes in during a lease, dealt out over the fleet: so all leases together are never more than that, and what a killed
/// process takes along is little.
fn share(ask: &Ask, lease_time: Duration, fleet: u64) -> u64 {
    let window = u128::from(nanos(ask.window_ms)).max(1);
    let incoming = u128::from(ask.limit) * lease_time.as_nanos() / window / u128::from(fleet);
    let incoming = u64::try_from(incoming).unwrap_or(u64::MAX);
    if ask.kind == Kind::Rate { incoming.min(ask.burst) } else { incoming }
}

/// How long an exhausted quota may be left alone: no longer than half of what it can save up, so that nothing is lost.
fn pause(ask: &Ask, lease_time: Duration) -> Duration {
    if ask.kind != Kind::Rate || ask.limit == 0 {
        return Duration::ZERO;
    }
    let saved = u128::from(nanos(ask.window_ms)) * u128::from(ask.burst) / u128::from(ask.limit) / 2;
    Duration::from_nanos(u64::try_from(saved).unwrap_or(u64::MAX)).min(lease_time / PAUSE_SHARE)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
