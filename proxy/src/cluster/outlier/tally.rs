//! What workers count of one endpoint. Atomics only; where nothing fails and no share is asked for, nothing is written.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::Why;
use crate::cluster::{Ended, Seen};
use crate::config::Outliers;

/// A slot is so much of an interval.
const SLOTS_PER_INTERVAL: usize = 10;
/// A whole interval and the slot that has just begun.
const SLOTS: usize = SLOTS_PER_INTERVAL + 1;

// Codes of gRPC. That a deadline has passed is as often the client's fault.
const UNKNOWN: u32 = 2;
const DEADLINE_EXCEEDED: u32 = 4;
const RESOURCE_EXHAUSTED: u32 = 8;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;
const DATA_LOSS: u32 = 15;

/// How an attempt counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// The endpoint asks for less: it serves, and this attempt has failed.
    TooMany,
    /// 500 to 599, and whether it is one of 502, 503 and 504.
    ServerError {
        gateway: bool,
    },
    /// No answer; `connected`: although a connection was there.
    Local {
        connected: bool,
    },
}

impl Verdict {
    /// `None` where the attempt says nothing about the endpoint. A status of gRPC counts as the one of HTTP that means the same.
    pub fn of(seen: &Seen) -> Option<Self> {
        Some(match seen.ended {
            Ended::Answered(StatusCode::OK) => match seen.grpc {
                Some(RESOURCE_EXHAUSTED) => Self::TooMany,
                Some(UNAVAILABLE) => Self::ServerError { gateway: true },
                Some(UNKNOWN | DEADLINE_EXCEEDED | INTERNAL | DATA_LOSS) => Self::ServerError { gateway: false },
                _ => Self::Good,
            },
            Ended::Answered(StatusCode::TOO_MANY_REQUESTS) => Self::TooMany,
            Ended::Answered(status) if status.is_server_error() => {
                Self::ServerError { gateway: matches!(status.as_u16(), 502..=504) }
            }
            Ended::Answered(_) | Ended::Connected => Self::Good,
            Ended::Unconnected | Ended::UnconnectedInTime => Self::Local { connected: false },
            Ended::Unanswered | Ended::Reset => Self::Local { connected: true },
            Ended::Refused | Ended::Useless => return None,
        })
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Tally {
    local: AtomicU32,
    /// It took connections since its last answer, and answered nothing on them.
    is_silent: AtomicBool,
    gateway: AtomicU32,
    server: AtomicU32,
    window: [Slot; SLOTS],
    /// Why the ward is to look; zero: it need not.
    tripped: AtomicU8,
}

/// One slot of the window: its number, and what ended well and badly in it, in one word so that no count is lost.
#[derive(Debug, Default)]
struct Slot(AtomicU64);

impl Slot {
    const COUNT_MAX: u64 = (1 << 24) - 1;

    fn count(&self, number: u64, good: bool) {
        let number = number & 0xffff;
        let add = |word: u64| {
            let (of, well, badly) = if word >> 48 == number { Self::parts(word) } else { (number, 0, 0) };
            let (well, badly) = if good { (well + 1, badly) } else { (well, badly + 1) };
            Some(of << 48 | well.min(Self::COUNT_MAX) << 24 | badly.min(Self::COUNT_MAX))
        };
        // It gives up only where `add` does.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Its number, what ended well, what ended badly.
    fn parts(word: u64) -> (u64, u64, u64) {
        (word >> 48, word >> 24 & Self::COUNT_MAX, word & Self::COUNT_MAX)
    }
}

/// The slot that a time since some beginning is in. Never the first ones, so that empty slots are old.
pub fn slot_of(since: Duration, rules: &Outliers) -> u64 {
    let length = rules.interval.as_millis().max(1) / SLOTS_PER_INTERVAL as u128;
    u64::try_from(since.as_millis() / length.max(1)).unwrap_or(u64::MAX / 2) + SLOTS_PER_INTERVAL as u64
}

impl Tally {
    /// Whether some rule asks for a share of attempts.
    pub fn has_window(rules: &Outliers) -> bool {
        rules.success_rate || rules.failure_percent > 0
    }

    /// Counts one attempt. True if the ward has something to look at that it did not know of.
    pub fn saw(&self, verdict: Verdict, rules: &Outliers, slot: u64) -> bool {
        let mut why = None;
        match verdict {
            Verdict::Good | Verdict::TooMany => {
                self.answered();
                clear(&self.gateway);
                clear(&self.server);
            }
            Verdict::ServerError { gateway } => {
                self.answered();
                why = rise(&self.server, rules.server_errors).then_some(Why::ServerErrors);
                match gateway {
                    true if rise(&self.gateway, rules.gateway_errors) => why = Some(Why::GatewayErrors),
                    true => {}
                    false => clear(&self.gateway),
                }
            }
            Verdict::Local { connected } => {
                if connected {
                    self.is_silent.store(true, Ordering::Relaxed);
                }
                why = rise(&self.local, rules.local_failures).then_some(Why::LocalFailures);
            }
        }
        if Self::has_window(rules) {
            let good = verdict == Verdict::Good;
            self.window[slot as usize % SLOTS].count(slot, good);
            if !good && why.is_none() && self.fails_too_often(rules, slot) {
                why = Some(Why::FailurePercent);
            }
        }
        why.is_some_and(|why| self.tripped.compare_exchange(0, why as u8, Ordering::Relaxed, Ordering::Relaxed).is_ok())
    }

    fn answered(&self) {
        clear(&self.local);
        if self.is_silent() {
            self.is_silent.store(false, Ordering::Relaxed);
        }
    }

    /// Another connection that it takes says nothing: it has taken some and not answered on them.
    pub fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Relaxed)
    }

    fn fails_too_often(&self, rules: &Outliers, slot: u64) -> bool {
        if rules.failure_percent == 0 {
            return false;
        }
        let (well, badly) = self.within(slot);
        let total = well + badly;
        total >= u64::from(rules.failure_requests) && badly * 100 >= total * u64::from(rules.failure_percent)
    }

    /// What ended well and badly in the window that ends with this slot.
    pub fn within(&self, slot: u64) -> (u64, u64) {
        let recent = |number: u64| (slot.wrapping_sub(number) & 0xffff) < SLOTS as u64;
        let slots = self.window.iter().map(|slot| Slot::parts(slot.0.load(Ordering::Relaxed)));
        slots.filter(|(number, ..)| recent(*number)).fold((0, 0), |sum, (_, well, badly)| (sum.0 + well, sum.1 + badly))
    }

    /// Why the ward is to look at the endpoint; from now on it counts anew.
    pub fn take_tripped(&self) -> Option<Why> {
        // Read first: of ten thousand endpoints, hardly any has tripped.
        if self.tripped.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let why = Why::of(self.tripped.swap(0, Ordering::Relaxed));
        self.forget_runs();
        if why == Some(Why::FailurePercent) {
            self.forget_window();
        }
        why
    }

    /// An endpoint that is let in begins with a clean slate.
    pub fn forget(&self) {
        self.tripped.store(0, Ordering::Relaxed);
        self.is_silent.store(false, Ordering::Relaxed);
        self.forget_runs();
        self.forget_window();
    }

    fn forget_runs(&self) {
        [&self.local, &self.gateway, &self.server].into_iter().for_each(clear);
    }

    fn forget_window(&self) {
        self.window.iter().for_each(|slot| slot.0.store(0, Ordering::Relaxed));
    }
}

/// A cache line that nobody writes stays with every worker.
fn clear(run: &AtomicU32) {
    if run.load(Ordering::Relaxed) != 0 {
        run.store(0, Ordering::Relaxed);
    }
}

/// One more in a row; whether there are `limit` of them now.
fn rise(run: &AtomicU32, limit: u32) -> bool {
    limit > 0 && run.fetch_add(1, Ordering::Relaxed) + 1 >= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Verdict = Verdict::ServerError { gateway: true };
    const SERVER: Verdict = Verdict::ServerError { gateway: false };
    const LOCAL: Verdict = Verdict::Local { connected: false };

    /// Why the endpoint is looked at after each of these attempts.
    fn tripped(rules: &Outliers, verdicts: &[Verdict]) -> Vec<Option<Why>> {
        let tally = Tally::default();
        verdicts.iter().map(|verdict| tally.saw(*verdict, rules, 10).then(|| tally.take_tripped()).flatten()).collect()
    }

    #[test]
    fn a_run_trips_at_its_limit_and_counts_anew() {
        let rules = Outliers { local_failures: 3, ..Outliers::default() };
        let found = tripped(&rules, &[LOCAL; 7]);
        assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true, false, false, true, false]);
        assert_eq!(found[2], Some(Why::LocalFailures));
    }

    #[test]
    fn an_answer_ends_a_run_of_local_failures_and_a_good_one_every_run() {
        let rules = Outliers { local_failures: 2, gateway_errors: 2, server_errors: 3, ..Outliers::default() };
        let quiet = [LOCAL, SERVER, LOCAL, Verdict::Good, GATEWAY, Verdict::TooMany, GATEWAY, SERVER];
        assert!(tripped(&rules, &quiet).iter().all(Option::is_none));
        assert_eq!(tripped(&rules, &[GATEWAY, GATEWAY])[1], Some(Why::GatewayErrors));
        assert_eq!(tripped(&rules, &[GATEWAY, SERVER, GATEWAY])[2], Some(Why::ServerErrors), "a 500 ends a run of 503");
    }

    #[test]
    fn who_takes_connections_and_says_nothing_is_silent_until_an_answer() {
        let (rules, tally) = (Outliers::default(), Tally::default());
        let after = |verdict: Option<Verdict>| {
            let _ = verdict.map(|verdict| tally.saw(verdict, &rules, 10));
            tally.is_silent()
        };
        let of = |ended| Verdict::of(&Seen { ended, ..Seen::default() });
        assert_eq!([after(of(Ended::Unconnected)), after(of(Ended::UnconnectedInTime))], [false; 2]);
        assert_eq!([after(of(Ended::Reset)), after(of(Ended::Unconnected))], [true; 2]);
        assert!(!after(of(Ended::Answered(StatusCode::OK))) && after(of(Ended::Unanswered)) && !after(Some(SERVER)));
    }

    #[test]
    fn zero_switches_a_rule_off() {
        let rules = Outliers { local_failures: 0, gateway_errors: 0, server_errors: 0, ..Outliers::default() };
        for verdict in [LOCAL, GATEWAY, SERVER] {
            assert!(tripped(&rules, &[verdict; 100]).iter().all(Option::is_none));
        }
    }

    #[test]
    fn what_says_nothing_of_the_endpoint_does_not_count() {
        let of = |ended| Verdict::of(&Seen { ended, ..Seen::default() });
        assert_eq!((of(Ended::Refused), of(Ended::Useless)), (None, None));
        assert_eq!(of(Ended::Answered(StatusCode::NOT_FOUND)), Some(Verdict::Good));
        assert_eq!(of(Ended::Answered(StatusCode::NOT_IMPLEMENTED)), Some(SERVER));
        assert_eq!(of(Ended::Answered(StatusCode::GATEWAY_TIMEOUT)), Some(GATEWAY));
    }

    #[test]
    fn a_status_of_grpc_counts_like_one_of_http() {
        let of = |code| Verdict::of(&Seen { grpc: Some(code), ..Seen::default() });
        assert_eq!([of(0), of(5)], [Some(Verdict::Good); 2]);
        assert_eq!([of(14), of(13), of(8)], [Some(GATEWAY), Some(SERVER), Some(Verdict::TooMany)]);
    }

    #[test]
    fn the_share_of_failures_is_of_the_window() {
        let rules = Outliers { failure_percent: 50, failure_requests: 10, ..Outliers::default() };
        let tally = Tally::default();
        for slot in 10..15 {
            assert!(!tally.saw(Verdict::Good, &rules, slot));
        }
        let trips: Vec<_> = (0..5).map(|_| tally.saw(Verdict::TooMany, &rules, 15)).collect();
        assert_eq!(trips, [false, false, false, false, true], "five of ten");
        assert_eq!(tally.within(15), (5, 5));
        assert_eq!(tally.within(22), (3, 5), "the first two tenths have gone");
        assert_eq!(tally.take_tripped(), Some(Why::FailurePercent));
        assert_eq!(tally.within(22), (0, 0));
    }

    #[test]
    fn an_old_slot_is_used_again() {
        let rules = Outliers { success_rate: true, ..Outliers::default() };
        let tally = Tally::default();
        tally.saw(Verdict::Good, &rules, 12);
        tally.saw(Verdict::TooMany, &rules, 23);
        assert_eq!(tally.within(23), (0, 1));
    }

    #[test]
    fn slots_are_tenths_of_the_interval() {
        let rules = Outliers { interval: Duration::from_secs(5), ..Outliers::default() };
        let slots: Vec<_> = [0, 499, 500, 5000].map(|ms| slot_of(Duration::from_millis(ms), &rules)).into();
        assert_eq!(slots, [10, 10, 11, 20]);
    }
}
