//! How slow an endpoint has been of late: an average in which a peak counts at once and is forgotten little by little.
//!
//! Both numbers are in one atomic, so that workers read and write them without a lock and never see half of a change.
//! Reading writes nothing: what has been forgotten since the last answer is projected.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Of one endpoint: milliseconds as an `f32`, and the milliseconds of the clock when that was. The latter wraps around after
/// 49 days: an endpoint that nobody has asked for so long is taken for as slow as it was then, for some seconds.
#[derive(Debug, Default)]
pub struct Cost(AtomicU64);

/// Nobody has said anything yet.
const UNKNOWN: u64 = 0;

#[derive(Debug, Clone, Copy)]
struct Value {
    ms: f32,
    stamp: u32,
}

impl Value {
    fn unpack(packed: u64) -> Self {
        Self { ms: f32::from_bits((packed >> 32) as u32), stamp: packed as u32 }
    }

    fn pack(self) -> u64 {
        (u64::from(self.ms.to_bits()) << 32) | u64::from(self.stamp)
    }

    /// What is left of it, from 1 down to 0.
    fn left(self, now: u64, decay: Duration) -> f64 {
        let passed = (now as u32).wrapping_sub(self.stamp);
        // Another worker may have looked at its clock a little later: that is no age of 49 days.
        let passed = if passed > u32::MAX - AHEAD_MAX { 0 } else { passed };
        (-f64::from(passed) / (decay.as_secs_f64() * 1000.0)).exp()
    }
}

/// How far apart two workers can see the clock, in milliseconds.
const AHEAD_MAX: u32 = 60_000;

impl Cost {
    /// In milliseconds, at this time; 0 for one that nobody has asked.
    pub fn at(&self, now: u64, decay: Duration) -> f64 {
        let value = Value::unpack(self.0.load(Ordering::Relaxed));
        f64::from(value.ms) * value.left(now, decay)
    }

    /// What an endpoint is taken for before its first answer.
    pub fn seed(&self, now: u64, slow: Duration) {
        let seed = Value { ms: milliseconds(slow), stamp: now as u32 };
        let _ = self.0.compare_exchange(UNKNOWN, seed.pack(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// An answer, or what stands for one.
    pub fn learn(&self, now: u64, took: Duration, decay: Duration) {
        let took = milliseconds(took);
        self.update(now, decay, |ms, left| took.max((f64::from(ms) * left + f64::from(took) * (1.0 - left)) as f32));
    }

    /// There was no answer within this time: only a peak can come of it.
    pub fn at_least(&self, now: u64, waited: Duration, decay: Duration) {
        let waited = milliseconds(waited);
        if f64::from(waited) > self.at(now, decay) {
            self.update(now, decay, |ms, left| waited.max((f64::from(ms) * left) as f32));
        }
    }

    fn update(&self, now: u64, decay: Duration, change: impl Fn(f32, f64) -> f32) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
            let value = Value::unpack(packed);
            let left = value.left(now, decay);
            // Time that a fraction of a millisecond long answer cannot tell is left to the next one.
            let stamp = if packed != UNKNOWN && left == 1.0 { value.stamp } else { now as u32 };
            Some(Value { ms: change(value.ms, left), stamp }.pack())
        });
    }
}

/// Never 0: that is nobody's.
fn milliseconds(time: Duration) -> f32 {
    ((time.as_secs_f64() * 1000.0) as f32).max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    const DECAY: Duration = Duration::from_secs(10);
    const START: u64 = 1000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn after(answers: &[(u64, u64)]) -> (Cost, u64) {
        let (cost, mut now) = (Cost::default(), START);
        cost.seed(now, ms(30));
        for (pause, took) in answers {
            now += pause;
            cost.learn(now, ms(*took), DECAY);
        }
        (cost, now)
    }

    proptest! {
        #[test]
        fn a_slower_answer_never_makes_it_cheaper(
            answers in prop::collection::vec((0u64..20_000, 0u64..10_000), 0..20),
            pause in 0u64..60_000,
            took in 0u64..10_000,
            more in 0u64..10_000,
        ) {
            let ((one, now), (other, _)) = (after(&answers), after(&answers));
            one.learn(now + pause, ms(took), DECAY);
            other.learn(now + pause, ms(took + more), DECAY);
            prop_assert!(one.at(now + pause, DECAY) <= other.at(now + pause, DECAY));
        }

        #[test]
        fn it_falls_while_nobody_answers(answers in prop::collection::vec((0u64..20_000, 1u64..10_000), 0..20), pauses in prop::collection::vec(1u64..5000, 1..20)) {
            let (cost, mut now) = after(&answers);
            let mut before = cost.at(now, DECAY);
            for pause in pauses {
                now += pause;
                let later = cost.at(now, DECAY);
                prop_assert!(later < before, "{later} after {before}");
                before = later;
            }
        }

        #[test]
        fn an_answer_is_never_cheaper_than_none(answers in prop::collection::vec((0u64..20_000, 0u64..10_000), 0..20), pause in 0u64..60_000, took in 0u64..10_000) {
            let ((answered, now), (silent, _)) = (after(&answers), after(&answers));
            answered.learn(now + pause, ms(took), DECAY);
            let (answered, silent) = (answered.at(now + pause, DECAY), silent.at(now + pause, DECAY));
            prop_assert!(answered >= silent * (1.0 - 1e-6), "{answered} {silent}");
        }

        #[test]
        fn a_peak_counts_at_once(answers in prop::collection::vec((0u64..20_000, 0u64..1000), 0..20), peak in 1000u64..100_000) {
            let (cost, now) = after(&answers);
            cost.learn(now, ms(peak), DECAY);
            prop_assert!((cost.at(now, DECAY) - peak as f64).abs() < 0.01);
        }
    }

    #[test]
    fn a_third_is_left_after_the_decay() {
        let (cost, now) = after(&[(0, 1000)]);
        let left = cost.at(now + 10_000, DECAY);
        assert!((left - 1000.0 / std::f64::consts::E).abs() < 0.1, "{left}");
    }

    /// Ten thousand a second: most come in the same millisecond as the one before.
    #[test]
    fn it_comes_down_however_many_answers_there_are() {
        let (cost, now) = after(&[(0, 2000)]);
        for number in 0..600_000 {
            cost.learn(now + number / 10, ms(1), DECAY);
        }
        let left = cost.at(now + 60_000, DECAY);
        assert!((1.0..10.0).contains(&left), "{left}");
    }

    #[test]
    fn giving_up_early_says_nothing() {
        let (cost, now) = after(&[(0, 100)]);
        cost.at_least(now, ms(3), DECAY);
        assert!((cost.at(now, DECAY) - 100.0).abs() < 0.01);
        cost.at_least(now, ms(1000), DECAY);
        assert!((cost.at(now, DECAY) - 1000.0).abs() < 0.01);
    }

    #[test]
    fn a_clock_that_is_a_little_behind_is_no_age() {
        let (cost, now) = after(&[(0, 100)]);
        assert!((cost.at(now - 5, DECAY) - 100.0).abs() < 0.01);
    }
}
