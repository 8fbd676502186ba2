//! The arithmetic of quotas: pure, exact, in nanoseconds. No value makes it panic or wrap.

use super::super::Now;
use super::super::clock::{millis, nanos};
use super::{Ask, Kind};

/// Nobody knows when an exchange will end; a client that asks again after a second is not a burden.
pub const CONCURRENCY_RETRY_MS: u64 = 1000;

/// How much of a quota is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// When all would be back, on a clock that runs `limit` times as fast as ours: so a token is exactly a window long,
    /// whatever the limit.
    Rate {
        whole_at: u128,
    },
    Calendar {
        used: u64,
        /// The window, counted since the Unix epoch.
        window: u64,
        /// Its end, on the monotonic clock.
        ends: u64,
    },
    Concurrency {
        used: u64,
    },
}

/// What becomes of an ask.
#[derive(Debug, Clone, Copy)]
pub enum Judgement {
    /// With the state as it is then; `None`: untouched.
    Allowed(Option<State>),
    Denied {
        retry_after_ms: u64,
    },
}

/// What a quota has left.
#[derive(Debug, Clone, Copy)]
pub struct Left {
    pub remaining: u64,
    pub reset_after_ms: u64,
}

const NEVER: Judgement = Judgement::Denied { retry_after_ms: u64::MAX };

/// Whether it is allowed, from this state.
pub fn judge(ask: &Ask, state: Option<State>, now: Now) -> Judgement {
    if ask.cost == 0 {
        return Judgement::Allowed(state);
    }
    if ask.kind != Kind::Concurrency && (ask.window_ms == 0 || ask.limit == 0) {
        return NEVER;
    }
    match ask.kind {
        Kind::Rate => rate(ask, state, now),
        Kind::Calendar => calendar(ask, state, now),
        Kind::Concurrency => {
            let used = concurrent(state);
            match used.checked_add(ask.cost) {
                _ if ask.cost > ask.limit => NEVER,
                Some(used) if used <= ask.limit => Judgement::Allowed(Some(State::Concurrency { used })),
                _ => Judgement::Denied { retry_after_ms: CONCURRENCY_RETRY_MS },
            }
        }
    }
}

/// What is left in this state.
pub fn left(ask: &Ask, state: Option<State>, now: Now) -> Left {
    let zero = ask.limit == 0 || ask.window_ms == 0;
    match ask.kind {
        Kind::Rate | Kind::Calendar if zero => Left { remaining: 0, reset_after_ms: 0 },
        Kind::Rate => {
            let Rate { token, now, capacity } = Rate::of(ask, now);
            let debt = whole_at(state, now) - now;
            let remaining = u64::try_from(capacity.saturating_sub(debt) / token).unwrap_or(u64::MAX);
            Left { remaining, reset_after_ms: millis(debt.div_ceil(u128::from(ask.limit))) }
        }
        Kind::Calendar => {
            let (used, _, ends) = window(ask, state, now);
            let left = if used == 0 { 0 } else { millis(u128::from(ends.saturating_sub(now.monotonic))) };
            Left { remaining: ask.limit.saturating_sub(used), reset_after_ms: left }
        }
        Kind::Concurrency => {
            let used = concurrent(state);
            let reset_after_ms = if used == 0 { 0 } else { CONCURRENCY_RETRY_MS };
            Left { remaining: ask.limit.saturating_sub(used), reset_after_ms }
        }
    }
}

/// When this state says no more than none would, on the monotonic clock.
pub fn expires(ask: &Ask, state: State) -> u64 {
    match state {
        State::Rate { whole_at } => u64::try_from(whole_at.div_ceil(u128::from(ask.limit.max(1)))).unwrap_or(u64::MAX),
        State::Calendar { ends, .. } => ends,
        State::Concurrency { .. } => u64::MAX,
    }
}

/// The clock and the measures of a rate, all `limit` times as fine as nanoseconds.
struct Rate {
    token: u128,
    now: u128,
    capacity: u128,
}

impl Rate {
    /// Products of two numbers of 64 bits, which fit.
    fn of(ask: &Ask, now: Now) -> Self {
        let token = u128::from(nanos(ask.window_ms));
        let now = u128::from(now.monotonic) * u128::from(ask.limit);
        Self { token, now, capacity: token * u128::from(ask.burst) }
    }
}

fn rate(ask: &Ask, state: Option<State>, now: Now) -> Judgement {
    if ask.cost > ask.burst {
        return NEVER;
    }
    let Rate { token, now, capacity } = Rate::of(ask, now);
    let whole_at = whole_at(state, now).saturating_add(token * u128::from(ask.cost));
    let latest = now.saturating_add(capacity);
    if whole_at <= latest {
        return Judgement::Allowed(Some(State::Rate { whole_at }));
    }
    Judgement::Denied { retry_after_ms: millis((whole_at - latest).div_ceil(u128::from(ask.limit))) }
}

fn whole_at(state: Option<State>, now: u128) -> u128 {
    match state {
        Some(State::Rate { whole_at }) => whole_at.max(now),
        _ => now,
    }
}

fn calendar(ask: &Ask, state: Option<State>, now: Now) -> Judgement {
    if ask.cost > ask.limit {
        return NEVER;
    }
    let (used, window, ends) = window(ask, state, now);
    match used.checked_add(ask.cost) {
        Some(used) if used <= ask.limit => Judgement::Allowed(Some(State::Calendar { used, window, ends })),
        _ => Judgement::Denied { retry_after_ms: millis(u128::from(ends.saturating_sub(now.monotonic))).max(1) },
    }
}

/// What is used of the present window, which one it is, and when it ends. A clock that is set back does not open an old
/// window again; the monotonic clock ends the present one in any case.
fn window(ask: &Ask, state: Option<State>, now: Now) -> (u64, u64, u64) {
    let length = nanos(ask.window_ms);
    let present = now.unix / length;
    match state {
        Some(State::Calendar { used, window, ends }) if window >= present && ends > now.monotonic => (used, window, ends),
        _ => (0, present, now.monotonic.saturating_add(length - now.unix % length)),
    }
}

fn concurrent(state: Option<State>) -> u64 {
    match state {
        Some(State::Concurrency { used }) => used,
        _ => 0,
    }
}
