//! What the attempts at one endpoint add up to, for clusters whose `endpoint-metrics` asks for it.

use super::{Cluster, Ended, Endpoint, Seen};
use crate::telemetry::metrics::{Count, Durations, Exposition, Kind};

/// What came of an attempt: a status of this class, a raw connection, or nothing.
const CLASSES: [&str; 7] = ["1xx", "2xx", "3xx", "4xx", "5xx", "connected", "none"];

/// See the module. Carried from snapshot to snapshot with its endpoint; all workers add to it.
#[derive(Debug, Default)]
pub struct Counts {
    classes: [Count; CLASSES.len()],
    /// To the head of the answer, or to the failure.
    durations: Durations,
}

impl Counts {
    pub fn add(&self, seen: &Seen) {
        let class = match seen.ended {
            Ended::Answered(status) => usize::from(status.as_u16() / 100),
            Ended::Connected => CLASSES.len() - 1,
            _ => CLASSES.len(),
        };
        if let Some(count) = self.classes.get(class.wrapping_sub(1)) {
            count.add(1);
        }
        self.durations.add(seen.took);
    }
}

/// Writes one line or several of an endpoint, with these labels.
type Write<'a> = &'a mut dyn FnMut(&[(&str, &str); 2], &Endpoint);

/// Writes those of the clusters that ask for it. Endpoints that are there no more have no series.
pub fn render(clusters: &[&Cluster], exposition: &mut Exposition) {
    let asked = || clusters.iter().filter(|cluster| cluster.config.endpoint_metrics);
    let each = |write: Write<'_>| {
        for cluster in asked() {
            for endpoint in &cluster.endpoints {
                write(&[("cluster", &cluster.name), ("endpoint", &endpoint.address.to_string())], endpoint);
            }
        }
    };
    if asked().next().is_none() {
        return;
    }
    let help = "Exchanges under way at an endpoint.";
    let mut lines = exposition.metric("tamis_endpoint_requests", help, Kind::Gauge);
    each(&mut |labels, endpoint| lines.sample("", labels, None, endpoint.active().into()));
    let mut lines = exposition.metric("tamis_endpoint_in", "Whether an endpoint is asked at all.", Kind::Gauge);
    each(&mut |labels, endpoint| lines.sample("", labels, None, f64::from(u8::from(endpoint.health.is_in()))));
    let help = "Attempts at an endpoint that are over, by the class of the status.";
    let mut lines = exposition.metric("tamis_endpoint_attempts_total", help, Kind::Counter);
    each(&mut |[cluster, address], endpoint| {
        let Some(counts) = endpoint.counted() else { return };
        for (class, count) in CLASSES.iter().zip(&counts.classes).filter(|(_, count)| count.get() > 0) {
            lines.sample("", &[*cluster, *address, ("class", class)], None, count.get() as f64);
        }
    });
    let help = "From the pick of an endpoint to the head of its answer, or to the failure.";
    let mut lines = exposition.metric("tamis_endpoint_attempt_duration_seconds", help, Kind::Histogram);
    each(&mut |labels, endpoint| {
        if let Some(counts) = endpoint.counted() {
            Durations::render(&mut lines, labels, std::iter::once(&counts.durations));
        }
    });
}
