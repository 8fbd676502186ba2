//! `GET /stats`: what has been counted until now, as JSON, for the dashboard and whoever else does arithmetic with it; and
//! `GET /stats/history`: the same of the last half hour, sampled beside the workers.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Value, json};

use crate::snapshot::{Live, Snapshot};
use crate::telemetry::metrics::DURATIONS_US;
use crate::telemetry::traffic::Totals;

/// How often the totals are sampled: a point of the charts.
pub const EVERY: Duration = Duration::from_secs(10);
/// Samples that are kept: half an hour.
const SAMPLES_MAX: usize = 181;
/// Listeners of one sample; further ones are in the sum only.
const LISTENERS_MAX: usize = 20;

/// One look at the totals.
#[derive(Debug, Clone, Serialize)]
struct Sample {
    /// Milliseconds since the epoch.
    at: u64,
    total: Totals,
    listeners: BTreeMap<String, Totals>,
}

/// The samples of the last half hour, the oldest first.
#[derive(Debug, Clone, Default)]
pub struct History(Arc<Mutex<VecDeque<Sample>>>);

impl History {
    /// Samples for as long as the runtime lives.
    pub async fn keep(self, live: Arc<Live>) {
        let mut due = tokio::time::interval(EVERY);
        loop {
            due.tick().await;
            self.add(sample(&live.load()));
        }
    }

    fn add(&self, sample: Sample) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    pub fn shown(&self) -> Value {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "every_s": EVERY.as_secs(), "bounds_us": DURATIONS_US, "samples": &*samples })
    }
}

fn sample(snapshot: &Snapshot) -> Sample {
    let mut total = Totals::default();
    let mut listeners = BTreeMap::new();
    for (name, listener) in &snapshot.listeners {
        let of_listener = listener.traffic.total();
        total += &of_listener;
        listeners.insert(name.to_string(), of_listener);
    }
    while listeners.len() > LISTENERS_MAX {
        listeners.pop_last();
    }
    Sample { at: now_ms(), total, listeners }
}

/// Everything, by listener, cluster and filter. `listening`: the real addresses.
pub fn now(snapshot: &Snapshot, listening: &BTreeMap<Arc<str>, SocketAddr>) -> Value {
    let listeners: BTreeMap<_, _> = snapshot
        .listeners
        .iter()
        .map(|(name, listener)| {
            let (exchanges, connections) = listener.traffic.under_way();
            let shown = json!({
                "address": listening.get(name).unwrap_or(&listener.config.listen).to_string(),
                "tls": listener.tls.is_some(),
                "filters": listener.filters.iter().map(|filter| &*filter.name).collect::<Vec<_>>(),
                "exchanges": exchanges,
                "connections": connections,
                "clusters": listener.traffic.totals().collect::<BTreeMap<_, _>>(),
            });
            (&**name, shown)
        })
        .collect();
    let filters: BTreeMap<_, _> = snapshot
        .filters
        .iter()
        .map(|(name, filter)| {
            let sums = filter.calls.sums();
            (&**name, json!({ "calls": sums.calls, "failed": sums.failed, "micros": sums.micros }))
        })
        .collect();
    json!({ "at": now_ms(), "bounds_us": DURATIONS_US, "listeners": listeners, "filters": filters })
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_hour_is_kept() {
        let history = History::default();
        for at in 0..(SAMPLES_MAX as u64 + 5) {
            history.add(Sample { at, total: Totals::default(), listeners: BTreeMap::new() });
        }
        let shown = history.shown();
        let samples = shown["samples"].as_array().expect("a list");
        assert_eq!((samples.len(), &samples[0]["at"]), (SAMPLES_MAX, &json!(5)));
        assert!(EVERY * (SAMPLES_MAX as u32 - 1) == Duration::from_secs(30 * 60));
    }
}
