//! What raw connections of a listener, or its sessions of datagrams, add up to, by cluster. Bytes are counted when they move:
//! such a connection may last for days.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::metrics::{Count, Durations, Exposition, Kind, Lines, PerWorker};

/// Those that never had a cluster.
const NO_CLUSTER: &str = "";
/// How one ended that was passed on and ended by itself.
const WELL: &str = "upstream";
/// Most reasons that a process may know.
const REASONS_MAX: usize = 40;

/// Shared by those who have it, made by the first who needs it.
type MadeLater<T> = Arc<OnceLock<Arc<T>>>;

/// Of one listener. It is handed on from snapshot to snapshot.
#[derive(Debug)]
pub struct Streams {
    workers: usize,
    /// By cluster, made when the first of them begins.
    back: HashMap<Arc<str>, MadeLater<PerWorker<Back>>>,
}

/// Of one cluster behind the listener.
#[derive(Debug)]
struct Back {
    /// Begun and not ended.
    active: Count,
    /// The first is those that ended well; the others in the order of the numbers of their reasons.
    ended: [Count; REASONS_MAX + 1],
    durations: Durations,
    received: Count,
    sent: Count,
}

impl Default for Back {
    fn default() -> Self {
        Self {
            active: Count::default(),
            ended: std::array::from_fn(|_| Count::default()),
            durations: Durations::default(),
            received: Count::default(),
            sent: Count::default(),
        }
    }
}

/// One that is under way. Without a cluster that is known, nothing is counted.
#[derive(Debug)]
pub struct Moving(Option<Arc<PerWorker<Back>>>);

impl Moving {
    /// From the client.
    pub fn received(&self, bytes: u64) {
        if let Some(back) = &self.0 {
            back.mine().received.add(bytes);
        }
    }

    /// To the client.
    pub fn sent(&self, bytes: u64) {
        if let Some(back) = &self.0 {
            back.mine().sent.add(bytes);
        }
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        if let Some(back) = &self.0 {
            back.mine().active.leave();
        }
    }
}

/// What these are called in metrics.
struct Words {
    active: [&'static str; 2],
    ended: [&'static str; 2],
    durations: [&'static str; 2],
    received: [&'static str; 2],
    sent: [&'static str; 2],
}

const TCP: Words = Words {
    active: ["tamis_tcp_connections_active", "Raw connections that are passed on."],
    ended: ["tamis_tcp_connections_total", "Raw connections that have ended, by why."],
    durations: ["tamis_tcp_connection_duration_seconds", "From the beginning of a raw connection to its end."],
    received: ["tamis_tcp_received_bytes_total", "Bytes of raw connections that came from clients."],
    sent: ["tamis_tcp_sent_bytes_total", "Bytes of raw connections that went to clients."],
};

const UDP: Words = Words {
    active: ["tamis_udp_sessions_active", "Sessions of datagrams."],
    ended: ["tamis_udp_sessions_total", "Sessions of datagrams that have ended, by why."],
    durations: ["tamis_udp_session_duration_seconds", "From the first datagram of a session to its end."],
    received: ["tamis_udp_received_bytes_total", "Bytes of datagrams that came from clients."],
    sent: ["tamis_udp_sent_bytes_total", "Bytes of datagrams that went to clients."],
};

type Write<'a> = &'a dyn Fn(&mut Lines<'_>, &[(&str, &str); 2], &PerWorker<Back>);

impl Streams {
    /// Goes on counting where `previous` was, as far as the clusters are the same.
    pub fn new<'a>(clusters: impl Iterator<Item = &'a Arc<str>>, workers: usize, previous: Option<&Self>) -> Self {
        let known = |cluster: Arc<str>| {
            let cells = previous.and_then(|previous| previous.back.get(&cluster)).cloned().unwrap_or_default();
            (cluster, cells)
        };
        Self { workers, back: clusters.cloned().chain([Arc::from(NO_CLUSTER)]).map(known).collect() }
    }

    /// A cluster that has just left the configuration is counted no more.
    fn back(&self, cluster: &str) -> Option<&Arc<PerWorker<Back>>> {
        Some(self.back.get(cluster)?.get_or_init(|| Arc::new(PerWorker::new(self.workers))))
    }

    pub fn begin(&self, cluster: &str) -> Moving {
        let back = self.back(cluster).cloned();
        if let Some(back) = &back {
            back.mine().active.add(1);
        }
        Moving(back)
    }

    /// `reason`: its number, where it did not end by itself.
    pub fn ended(&self, cluster: Option<&str>, reason: Option<usize>, duration: Duration) {
        let Some(back) = self.back(cluster.unwrap_or(NO_CLUSTER)) else { return };
        let back = back.mine();
        if let Some(count) = back.ended.get(reason.map_or(0, |reason| reason + 1)) {
            count.add(1);
        }
        back.durations.add(duration);
    }

    pub fn render_tcp<'a>(all: impl Iterator<Item = (&'a str, &'a Self)> + Clone, reasons: &[&str], exposition: &mut Exposition) {
        Self::render(&TCP, all, reasons, exposition);
    }

    pub fn render_udp<'a>(all: impl Iterator<Item = (&'a str, &'a Self)> + Clone, reasons: &[&str], exposition: &mut Exposition) {
        Self::render(&UDP, all, reasons, exposition);
    }

    /// Writes those of these listeners. Clusters to which none ever went have no series.
    fn render<'a>(
        words: &Words,
        all: impl Iterator<Item = (&'a str, &'a Self)> + Clone,
        reasons: &[&str],
        exposition: &mut Exposition,
    ) {
        let mut each = |[name, help]: [&str; 2], kind, write: Write<'_>| {
            let mut lines = exposition.metric(name, help, kind);
            for (listener, streams) in all.clone() {
                let mut back: Vec<_> = streams.back.iter().filter_map(|(name, back)| Some((name, back.get()?))).collect();
                back.sort_by_key(|(name, _)| *name);
                for (cluster, back) in back {
                    write(&mut lines, &[("listener", listener), ("cluster", cluster)], back);
                }
            }
        };
        each(words.active, Kind::Gauge, &|lines, labels, back| {
            lines.sample("", labels, None, back.sum(|back| &back.active) as f64);
        });
        each(words.ended, Kind::Counter, &|lines, labels, back| {
            for (at, reason) in std::iter::once(&WELL).chain(reasons).enumerate().take(REASONS_MAX + 1) {
                let count = back.sum(|back| &back.ended[at]);
                if count > 0 {
                    lines.sample("", &[labels[0], labels[1], ("reason", reason)], None, count as f64);
                }
            }
        });
        each(words.durations, Kind::Histogram, &|lines, labels, back| {
            Durations::render(lines, labels, back.iter().map(|back| &back.durations).collect::<Vec<_>>().into_iter());
        });
        each(words.received, Kind::Counter, &|lines, labels, back| {
            lines.sample("", labels, None, back.sum(|back| &back.received) as f64);
        });
        each(words.sent, Kind::Counter, &|lines, labels, back| {
            lines.sample("", labels, None, back.sum(|back| &back.sent) as f64);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_when_they_move_and_connections_when_they_end() {
        let clusters = [Arc::from("db")];
        let before = Streams::new(clusters.iter(), 2, None);
        let moving = before.begin("db");
        moving.received(3);
        moving.sent(5);
        let streams = Streams::new(clusters.iter(), 2, Some(&before));
        let lines = |streams: &Streams| {
            let mut exposition = Exposition::default();
            Streams::render_tcp([("edge", streams)].into_iter(), &["idle"], &mut exposition);
            let page = exposition.finish();
            let lines = page.lines().filter(|line| !line.starts_with('#') && !line.contains("duration"));
            lines.map(|line| line.replace("listener=\"edge\",cluster=\"db\"", "")).collect::<Vec<_>>()
        };
        let begun = ["tamis_tcp_connections_active{} 1", "tamis_tcp_received_bytes_total{} 3", "tamis_tcp_sent_bytes_total{} 5"];
        assert_eq!(lines(&streams), begun);
        drop(moving);
        streams.ended(Some("db"), Some(0), Duration::from_millis(1));
        streams.ended(Some("gone"), None, Duration::ZERO);
        assert_eq!(lines(&streams)[..2], ["tamis_tcp_connections_active{} 0", "tamis_tcp_connections_total{,reason=\"idle\"} 1"]);
    }
}
