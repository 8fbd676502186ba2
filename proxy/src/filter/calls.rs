//! How often the hooks of a filter ran, what they decided, and how long they took. The counts go on when its module is swapped.

use std::sync::Arc;
use std::time::Duration;

use super::{Fault, Hook, Verdict};
use crate::telemetry::metrics::{Count, Exposition, Kind, PerWorker};

/// What can come of a call.
const RESULTS: [&str; 4] = ["next", "replied", "reset", "failed"];

/// See the module.
#[derive(Debug)]
pub struct Calls {
    filter: Arc<str>,
    hooks: Arc<PerWorker<[OfHook; Hook::ALL.len()]>>,
}

#[derive(Debug, Default)]
struct OfHook {
    results: [Count; RESULTS.len()],
    nanos: Count,
    /// Of these, when no guest ran.
    waited_nanos: Count,
}

/// What has been counted until now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    pub calls: u64,
    pub failed: u64,
    /// Time that exchanges spent in them.
    pub micros: u64,
}

impl Calls {
    /// Goes on where `previous`, of a filter of the same name, was.
    pub fn of(filter: &Arc<str>, workers: usize, previous: Option<&Self>) -> Self {
        let hooks = previous.map_or_else(|| Arc::new(PerWorker::new(workers)), |previous| Arc::clone(&previous.hooks));
        Self { filter: Arc::clone(filter), hooks }
    }

    /// A call has ended, so long after it was asked for: waiting for an instance, and what the guest waited for, included.
    pub fn ended(&self, hook: Hook, result: Result<Verdict, &Fault>, took: Duration, waited: Duration) {
        let of_hook = &self.hooks.mine()[hook as usize];
        let result = match result {
            Ok(Verdict::Next) => 0,
            Ok(Verdict::Replied) => 1,
            Ok(Verdict::Reset) => 2,
            Err(_) => 3,
        };
        of_hook.results[result].add(1);
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        of_hook.nanos.add(nanos(took));
        if !waited.is_zero() {
            of_hook.waited_nanos.add(nanos(waited.min(took)));
        }
    }

    /// Over all hooks and workers.
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for of_hook in self.hooks.iter().flatten() {
            let results = of_hook.results.each_ref().map(Count::get);
            sums.calls += results.iter().sum::<u64>();
            sums.failed += results[RESULTS.len() - 1];
            sums.micros += of_hook.nanos.get() / 1000;
        }
        sums
    }

    /// Writes those of several filters. Hooks that never ran are left out.
    pub fn render<'a>(all: impl Iterator<Item = &'a Calls> + Clone, exposition: &mut Exposition) {
        let help = "Hooks of a filter that ran, by what came of it.";
        let mut lines = exposition.metric("tamis_filter_calls_total", help, Kind::Counter);
        let each = all.flat_map(|calls| Hook::ALL.iter().map(move |hook| (calls, *hook)));
        for (calls, hook) in each.clone() {
            for (at, result) in RESULTS.iter().enumerate() {
                let count = calls.hooks.sum(|hooks| &hooks[hook as usize].results[at]);
                if count > 0 {
                    let labels = [("filter", &*calls.filter), ("hook", hook.name()), ("result", result)];
                    lines.sample("", &labels, None, count as f64);
                }
            }
        }
        let help = "Time that exchanges spent in hooks of a filter, with what the guest waited for.";
        let mut seconds = |name, help, of: fn(&OfHook) -> &Count| {
            let mut lines = exposition.metric(name, help, Kind::Counter);
            for (calls, hook) in each.clone() {
                if calls.hooks.sum(|hooks| &hooks[hook as usize].nanos) > 0 {
                    let nanos = calls.hooks.sum(|hooks| of(&hooks[hook as usize]));
                    lines.sample("", &[("filter", &*calls.filter), ("hook", hook.name())], None, nanos as f64 / 1e9);
                }
            }
        };
        seconds("tamis_filter_seconds_total", help, |of_hook| &of_hook.nanos);
        let help = "Of this time, what passed without the guest at work: waiting for an instance, for others, or for the CPU.";
        seconds("tamis_filter_waiting_seconds_total", help, |of_hook| &of_hook.waited_nanos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_hook_and_result_over_swaps() {
        let first = Calls::of(&"gate".into(), 2, None);
        first.ended(Hook::Request, Ok(Verdict::Next), Duration::from_micros(2), Duration::ZERO);
        first.ended(Hook::Request, Err(&Fault::Trap(String::new())), Duration::from_micros(3), Duration::from_micros(1));
        let second = Calls::of(&"gate".into(), 2, Some(&first));
        second.ended(Hook::Response, Ok(Verdict::Replied), Duration::from_micros(1), Duration::from_micros(5));
        assert_eq!(second.sums(), Sums { calls: 3, failed: 1, micros: 6 });
        let mut exposition = Exposition::default();
        Calls::render([&second].into_iter(), &mut exposition);
        let expected = "# HELP tamis_filter_calls_total Hooks of a filter that ran, by what came of it.
# TYPE tamis_filter_calls_total counter
tamis_filter_calls_total{filter=\"gate\",hook=\"request\",result=\"next\"} 1
tamis_filter_calls_total{filter=\"gate\",hook=\"request\",result=\"failed\"} 1
tamis_filter_calls_total{filter=\"gate\",hook=\"response\",result=\"replied\"} 1
# HELP tamis_filter_seconds_total Time that exchanges spent in hooks of a filter, with what the guest waited for.
# TYPE tamis_filter_seconds_total counter
tamis_filter_seconds_total{filter=\"gate\",hook=\"request\"} 0.000005
tamis_filter_seconds_total{filter=\"gate\",hook=\"response\"} 0.000001
# HELP tamis_filter_waiting_seconds_total Of this time, what passed without the guest at work: waiting for an instance, for others, or for the CPU.
# TYPE tamis_filter_waiting_seconds_total counter
tamis_filter_waiting_seconds_total{filter=\"gate\",hook=\"request\"} 0.000001
tamis_filter_waiting_seconds_total{filter=\"gate\",hook=\"response\"} 0.000001
";
        assert_eq!(exposition.finish(), expected);
    }
}
