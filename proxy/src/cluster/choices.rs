//! The last attempts of a cluster, for whoever wants to know why traffic goes where it goes.
//!
//! Each worker writes into a ring of its own, without a lock and without waiting; a reader leaves out what is being written.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;

use super::{Ended, Endpoint, Seen};
use crate::worker;

/// Workers with a ring of their own. Further ones share them; then an entry may be lost.
const RINGS: usize = 16;
/// Attempts that one ring keeps.
pub const KEPT: usize = 16;

/// See the module. Carried from snapshot to snapshot.
#[derive(Debug, Default)]
pub struct Choices([Ring; RINGS]);

/// A worker's lines of the cache.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Ring {
    written: AtomicU64,
    slots: [Slot; KEPT],
}

/// `turn` is zero while it is written, and another number each time.
#[derive(Debug, Default)]
struct Slot {
    turn: AtomicU64,
    endpoint: AtomicU64,
    /// Milliseconds since 1970.
    at: AtomicU64,
    /// Microseconds, and in the lowest 16 bits how it ended.
    outcome: AtomicU64,
}

/// One attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The id of the endpoint.
    pub endpoint: u64,
    pub at: SystemTime,
    pub seen: Seen,
}

impl Choices {
    pub fn note(&self, endpoint: &Endpoint, seen: &Seen) {
        self.write(worker::index(), endpoint.id, now_ms(), seen);
    }

    fn write(&self, worker: usize, endpoint: u64, at: u64, seen: &Seen) {
        let ring = &self.0[worker % RINGS];
        let turn = ring.written.load(Ordering::Relaxed) + 1;
        ring.written.store(turn, Ordering::Relaxed);
        let slot = &ring.slots[turn as usize % KEPT];
        slot.turn.store(0, Ordering::Relaxed);
        fence(Ordering::Release);
        slot.endpoint.store(endpoint, Ordering::Relaxed);
        slot.at.store(at, Ordering::Relaxed);
        let took = u64::try_from(seen.took.as_micros()).unwrap_or(u64::MAX).min(u64::MAX >> 16);
        slot.outcome.store(took << 16 | u64::from(code(seen)), Ordering::Relaxed);
        slot.turn.store(turn, Ordering::Release);
    }

    /// The newest first.
    pub fn last(&self) -> Vec<Choice> {
        let mut choices: Vec<_> = self.0.iter().flat_map(|ring| &ring.slots).filter_map(Slot::read).collect();
        choices.sort_by_key(|choice| std::cmp::Reverse(choice.at));
        choices
    }
}

impl Slot {
    fn read(&self) -> Option<Choice> {
        let turn = self.turn.load(Ordering::Acquire);
        let endpoint = self.endpoint.load(Ordering::Relaxed);
        let at = self.at.load(Ordering::Relaxed);
        let outcome = self.outcome.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        if turn == 0 || self.turn.load(Ordering::Relaxed) != turn {
            return None;
        }
        let (ended, grpc) = decoded((outcome & 0xffff) as u16)?;
        let seen = Seen { ended, took: Duration::from_micros(outcome >> 16), grpc, ..Seen::default() };
        Some(Choice { endpoint, at: UNIX_EPOCH + Duration::from_millis(at), seen })
    }
}

/// Of a clock that is quick to read.
fn now_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// A status stands for itself.
const CODES: [(Ended, u16); 7] = [
    (Ended::Unconnected, 1),
    (Ended::UnconnectedInTime, 2),
    (Ended::Unanswered, 3),
    (Ended::Reset, 4),
    (Ended::Refused, 5),
    (Ended::Useless, 6),
    (Ended::Connected, 7),
];

/// Above the status, one more than the code of gRPC.
const GRPC_SHIFT: u16 = 10;

fn code(seen: &Seen) -> u16 {
    let ended = match seen.ended {
        Ended::Answered(status) => status.as_u16(),
        other => CODES.iter().find(|(known, _)| *known == other).map_or(0, |(_, code)| *code),
    };
    let grpc = seen.grpc.and_then(|code| u16::try_from(code + 1).ok()).filter(|code| *code < 1 << (16 - GRPC_SHIFT));
    ended | grpc.unwrap_or(0) << GRPC_SHIFT
}

fn decoded(code: u16) -> Option<(Ended, Option<u32>)> {
    let (grpc, code) = (code >> GRPC_SHIFT, code & ((1 << GRPC_SHIFT) - 1));
    let known = CODES.iter().find(|(_, known)| *known == code).map(|(ended, _)| *ended);
    let ended = known.or_else(|| StatusCode::from_u16(code).ok().map(Ended::Answered))?;
    Some((ended, grpc.checked_sub(1).map(u32::from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_of_every_worker_are_kept() {
        let choices = Choices::default();
        let seen = Seen { ended: Ended::Answered(StatusCode::OK), took: Duration::from_micros(1500), ..Seen::default() };
        for at in 1..=20 {
            choices.write(0, at, at, &seen);
        }
        choices.write(1, 100, 100, &Seen { ended: Ended::Reset, took: Duration::from_secs(1 << 40), ..Seen::default() });
        let last = choices.last();
        assert_eq!(last.len(), KEPT + 1);
        assert_eq!((last[0].endpoint, last[0].seen.ended), (100, Ended::Reset));
        let rest: Vec<_> = last[1..].iter().map(|choice| choice.endpoint).collect();
        assert_eq!(rest, (5..=20).rev().collect::<Vec<_>>());
        assert!(last[1..].iter().all(|choice| choice.seen == seen));
    }

    #[test]
    fn every_end_has_a_code_of_its_own() {
        let all = CODES.iter().map(|(ended, _)| *ended).chain([Ended::Answered(StatusCode::IM_A_TEAPOT)]);
        for ended in all {
            for grpc in [None, Some(0), Some(16), Some(62)] {
                assert_eq!(decoded(code(&Seen { ended, grpc, ..Seen::default() })), Some((ended, grpc)));
            }
        }
        let unheard_of = Seen { grpc: Some(u32::MAX - 1), ..Seen::default() };
        assert_eq!(decoded(code(&unheard_of)), Some((unheard_of.ended, None)));
    }

    #[test]
    fn what_is_read_was_written_as_one() {
        let choices = Choices::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1..100_000 {
                    let seen = Seen { ended: Ended::Reset, took: Duration::from_micros(number), ..Seen::default() };
                    choices.write(0, number, number, &seen);
                }
            });
            for _ in 0..1000 {
                for choice in choices.last() {
                    let number = choice.endpoint;
                    let at = choice.at.duration_since(UNIX_EPOCH).expect("after it");
                    assert_eq!((at, choice.seen.took), (Duration::from_millis(number), Duration::from_micros(number)));
                }
            }
        });
    }
}
