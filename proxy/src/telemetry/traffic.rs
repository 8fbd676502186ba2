//! What the exchanges of a listener add up to: counted by the worker that ends them, by cluster and class of status. All series
//! come from the configuration; nothing of a request makes one.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;

use super::metrics::{Count, DURATIONS_US, Durations, Exposition, Kind, Lines, PerWorker};
use super::streams::Streams;

/// What a client got: a status of this class, or no answer at all.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];
/// The cluster of an exchange that never had one.
const NO_CLUSTER: &str = "";

/// Of one listener. It is handed on from snapshot to snapshot.
#[derive(Debug)]
pub struct Traffic {
    listener: Arc<str>,
    workers: usize,
    /// Words for the answers of the proxy's own, in the order of their numbers.
    reasons: &'static [&'static str],
    front: Arc<PerWorker<Front>>,
    own: Arc<PerWorker<Own>>,
    /// What of it is no HTTP.
    pub tcp: Streams,
    pub udp: Streams,
    /// What went to clusters that have left the configuration.
    gone: Totals,
    /// By cluster, made when the first exchange has ended.
    back: HashMap<Arc<str>, Arc<OnceLock<PerWorker<Back>>>>,
}

/// Towards clients.
#[derive(Debug, Default)]
struct Front {
    /// Begun and not ended.
    exchanges: Count,
    connections: Count,
    /// Opened and not closed.
    open: Count,
    /// Those of them that have no buffers.
    resting: Count,
    refused: Count,
    handshakes: Count,
    handshakes_failed: Count,
    handshakes_resumed: Count,
    handshakes_late: Count,
    /// By [`Mode`].
    modes: [Count; Mode::ALL.len()],
}

/// Most reasons that a process may know.
const REASONS_MAX: usize = 40;

/// Answers of the proxy's own, by reason.
#[derive(Debug)]
struct Own([Count; REASONS_MAX]);

impl Default for Own {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

/// How a connection of a client came to be what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Plain,
    Tls,
    /// With a certificate of the client that was verified.
    Mutual,
    /// TLS with somebody behind the proxy.
    Passed,
}

impl Mode {
    const ALL: [(Mode, &str); 4] =
        [(Mode::Plain, "plain"), (Mode::Tls, "tls"), (Mode::Mutual, "mtls"), (Mode::Passed, "passthrough")];
}

/// Of one cluster behind the listener.
#[derive(Debug, Default)]
struct Back {
    classes: [Count; CLASSES.len()],
    durations: Durations,
    request_bytes: Count,
    response_bytes: Count,
}

/// Writes what one metric tells of a cluster behind a listener, which are the labels.
type Write = fn(&mut Lines<'_>, &[(&str, &str)], &PerWorker<Back>);

/// What has been counted until now, over all workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Exchanges that have ended, by the class of the status: 1xx to 5xx, and those without any.
    pub classes: [u64; CLASSES.len()],
    /// Their durations, in buckets whose bounds are [`DURATIONS_US`], and one past the last.
    pub durations: [u64; DURATIONS_US.len() + 1],
    pub duration_us: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
}

impl AddAssign<&Totals> for Totals {
    fn add_assign(&mut self, other: &Totals) {
        self.classes.iter_mut().zip(other.classes).for_each(|(sum, more)| *sum += more);
        self.durations.iter_mut().zip(other.durations).for_each(|(sum, more)| *sum += more);
        self.duration_us += other.duration_us;
        self.request_bytes += other.request_bytes;
        self.response_bytes += other.response_bytes;
    }
}

/// How one exchange went.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    pub cluster: Option<&'a str>,
    /// Zero: the client got nothing.
    pub status: u16,
    /// The number of the reason, where the proxy answered by itself.
    pub reason: Option<usize>,
    pub duration: Duration,
    pub request_bytes: u64,
    pub response_bytes: u64,
}

/// A connection that is open.
#[derive(Debug)]
pub struct Open(Arc<PerWorker<Front>>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.mine().open.leave();
    }
}

/// A connection that has no buffers.
#[derive(Debug)]
pub struct Resting(Arc<PerWorker<Front>>);

impl Drop for Resting {
    fn drop(&mut self) {
        self.0.mine().resting.leave();
    }
}

impl Traffic {
    /// Goes on counting where `previous` was, as far as the clusters are the same.
    pub fn new<'a>(
        listener: &Arc<str>,
        clusters: impl Iterator<Item = &'a Arc<str>>,
        workers: usize,
        reasons: &'static [&'static str],
        previous: Option<&Traffic>,
    ) -> Self {
        let known = |cluster: Arc<str>| {
            let series = previous.and_then(|previous| previous.back.get(&cluster)).cloned().unwrap_or_default();
            (cluster, series)
        };
        let clusters: Vec<_> = clusters.collect();
        let streams = |of: fn(&Self) -> &Streams| Streams::new(clusters.iter().copied(), workers, previous.map(of));
        let (tcp, udp) = (streams(|traffic| &traffic.tcp), streams(|traffic| &traffic.udp));
        let back: HashMap<_, _> = clusters.iter().copied().cloned().chain([Arc::from(NO_CLUSTER)]).map(known).collect();
        let mut gone = previous.map(|previous| previous.gone.clone()).unwrap_or_default();
        for (_, totals) in
            previous.iter().flat_map(|previous| previous.totals()).filter(|(cluster, _)| !back.contains_key(*cluster))
        {
            gone += &totals;
        }
        Self {
            tcp,
            udp,
            gone,
            listener: Arc::clone(listener),
            workers,
            reasons,
            front: previous.map_or_else(|| Arc::new(PerWorker::new(workers)), |previous| Arc::clone(&previous.front)),
            own: previous.map_or_else(|| Arc::new(PerWorker::new(workers)), |previous| Arc::clone(&previous.own)),
            back,
        }
    }

    pub fn listener(&self) -> &str {
        &self.listener
    }

    pub fn opened(&self) -> Open {
        let front = self.front.mine();
        front.connections.add(1);
        front.open.add(1);
        Open(Arc::clone(&self.front))
    }

    /// A connection rests for as long as this is held.
    pub fn rests(&self) -> Resting {
        self.front.mine().resting.add(1);
        Resting(Arc::clone(&self.front))
    }

    /// A connection was closed at once, because there are too many.
    pub fn refused(&self) {
        self.front.mine().refused.add(1);
    }

    pub fn handshake(&self, well: bool) {
        let front = self.front.mine();
        if well { &front.handshakes } else { &front.handshakes_failed }.add(1);
    }

    /// A handshake took up an earlier session.
    pub fn resumed(&self) {
        self.front.mine().handshakes_resumed.add(1);
    }

    /// A connection was closed that waited for its handshake to begin for too long.
    pub fn late_for_handshake(&self) {
        self.front.mine().handshakes_late.add(1);
    }

    /// It is known now what a connection is.
    pub fn is_of(&self, mode: Mode) {
        self.front.mine().modes[mode as usize].add(1);
    }

    pub fn begun(&self) {
        self.front.mine().exchanges.add(1);
    }

    pub fn ended(&self, ended: &Ended<'_>) {
        self.front.mine().exchanges.leave();
        if let Some(count) = ended.reason.and_then(|reason| self.own.mine().0.get(reason)) {
            count.add(1);
        }
        // A cluster that has just left the configuration is counted no more.
        let Some(back) = self.back.get(ended.cluster.unwrap_or(NO_CLUSTER)) else { return };
        let back = back.get_or_init(|| PerWorker::new(self.workers)).mine();
        let class = if ended.status == 0 { CLASSES.len() } else { usize::from(ended.status / 100) };
        if let Some(count) = back.classes.get(class.wrapping_sub(1)) {
            count.add(1);
        }
        back.durations.add(ended.duration);
        back.request_bytes.add(ended.request_bytes);
        back.response_bytes.add(ended.response_bytes);
    }

    /// Exchanges and connections of clients that are under way now.
    pub fn under_way(&self) -> (u64, u64) {
        (self.front.sum(|front| &front.exchanges), self.front.sum(|front| &front.open))
    }

    /// Of all clusters, those included that are there no more: it never falls.
    pub fn total(&self) -> Totals {
        let mut total = self.gone.clone();
        self.totals().for_each(|(_, totals)| total += &totals);
        total
    }

    /// What went to each cluster; those aside that nothing went to.
    pub fn totals(&self) -> impl Iterator<Item = (&str, Totals)> {
        self.back.iter().filter_map(|(cluster, back)| {
            let mut totals = Totals::default();
            for back in back.get()?.iter() {
                totals.classes.iter_mut().zip(&back.classes).for_each(|(sum, class)| *sum += class.get());
                totals.duration_us += back.durations.add_to(&mut totals.durations);
                totals.request_bytes += back.request_bytes.get();
                totals.response_bytes += back.response_bytes.get();
            }
            Some((&**cluster, totals))
        })
    }

    /// Writes everything of these listeners. A series that nothing was counted in is left out.
    pub fn render<'a>(all: impl Iterator<Item = &'a Traffic> + Clone, exposition: &mut Exposition) {
        Self::render_front(all.clone(), exposition);
        Self::render_streams(all.clone(), exposition);
        let mut answers = exposition.metric("tamis_own_answers_total", "Answers of the proxy's own, by reason.", Kind::Counter);
        for traffic in all.clone() {
            for (reason, word) in traffic.reasons.iter().enumerate().take(REASONS_MAX) {
                let count = traffic.own.sum(|own| &own.0[reason]);
                if count > 0 {
                    answers.sample("", &[("listener", &traffic.listener), ("reason", word)], None, count as f64);
                }
            }
        }
        let mut each = |name, help, kind, write: Write| {
            let mut lines = exposition.metric(name, help, kind);
            for traffic in all.clone() {
                let mut back: Vec<_> = traffic.back.iter().filter_map(|(name, back)| Some((name, back.get()?))).collect();
                back.sort_by_key(|(name, _)| *name);
                for (cluster, back) in back {
                    write(&mut lines, &[("listener", &traffic.listener), ("cluster", cluster)], back);
                }
            }
        };
        let requests = "Exchanges that have ended, by the class of the status that the client got.";
        each("tamis_requests_total", requests, Kind::Counter, |lines, labels, back| {
            for (at, class) in CLASSES.iter().enumerate() {
                let count = back.sum(|back| &back.classes[at]);
                if count > 0 {
                    lines.sample("", &[labels[0], labels[1], ("class", class)], None, count as f64);
                }
            }
        });
        let durations = "From the head of a request to the last byte of its answer.";
        each("tamis_request_duration_seconds", durations, Kind::Histogram, |lines, labels, back| {
            Durations::render(lines, labels, back.iter().map(|back| &back.durations).collect::<Vec<_>>().into_iter());
        });
        each("tamis_request_bytes_total", "Bytes of the bodies of requests.", Kind::Counter, |lines, labels, back| {
            lines.sample("", labels, None, back.sum(|back| &back.request_bytes) as f64);
        });
        each("tamis_response_bytes_total", "Bytes of the bodies of answers.", Kind::Counter, |lines, labels, back| {
            lines.sample("", labels, None, back.sum(|back| &back.response_bytes) as f64);
        });
    }

    /// Of raw connections and datagrams.
    fn render_streams<'a>(all: impl Iterator<Item = &'a Traffic> + Clone, exposition: &mut Exposition) {
        let reasons = all.clone().next().map_or(&[][..], |traffic| traffic.reasons);
        Streams::render_tcp(all.clone().map(|traffic| (&*traffic.listener, &traffic.tcp)), reasons, exposition);
        Streams::render_udp(all.map(|traffic| (&*traffic.listener, &traffic.udp)), reasons, exposition);
    }

    fn render_front<'a>(all: impl Iterator<Item = &'a Traffic> + Clone, exposition: &mut Exposition) {
        let mut each = |name, help, kind, of: fn(&Front) -> &Count, always: bool| {
            let mut lines = exposition.metric(name, help, kind);
            for traffic in all.clone() {
                let count = traffic.front.sum(of);
                if always || count > 0 {
                    lines.sample("", &[("listener", &traffic.listener)], None, count as f64);
                }
            }
        };
        each("tamis_requests_active", "Exchanges under way.", Kind::Gauge, |front| &front.exchanges, true);
        each("tamis_connections_active", "Connections of clients.", Kind::Gauge, |front| &front.open, true);
        each("tamis_connections_resting", "Connections of clients without buffers.", Kind::Gauge, |front| &front.resting, true);
        let accepted = "Connections of clients that were accepted.";
        each("tamis_connections_total", accepted, Kind::Counter, |front| &front.connections, true);
        let refused = "Connections of clients that were closed at once, because there are too many.";
        each("tamis_connections_refused_total", refused, Kind::Counter, |front| &front.refused, true);
        each("tamis_tls_handshakes_total", "TLS handshakes of clients.", Kind::Counter, |front| &front.handshakes, false);
        let failed = "TLS handshakes of clients that failed.";
        each("tamis_tls_handshakes_failed_total", failed, Kind::Counter, |front| &front.handshakes_failed, false);
        let resumed = "TLS handshakes of clients that took up an earlier session.";
        each("tamis_tls_handshakes_resumed_total", resumed, Kind::Counter, |front| &front.handshakes_resumed, false);
        let late = "Connections that were closed while they waited for their TLS handshake to begin.";
        each("tamis_tls_handshakes_late_total", late, Kind::Counter, |front| &front.handshakes_late, false);
        let mut lines =
            exposition.metric("tamis_connections_mode_total", "Connections of clients by what they are.", Kind::Counter);
        for traffic in all {
            for (mode, word) in Mode::ALL {
                let count = traffic.front.sum(|front| &front.modes[mode as usize]);
                if count > 0 {
                    lines.sample("", &[("listener", &traffic.listener), ("mode", word)], None, count as f64);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASONS: &[&str] = &["no-route", "timeout"];

    fn traffic(clusters: &[&str], previous: Option<&Traffic>) -> Traffic {
        let clusters: Vec<Arc<str>> = clusters.iter().map(|name| Arc::from(*name)).collect();
        Traffic::new(&"edge".into(), clusters.iter(), 2, REASONS, previous)
    }

    fn ended(cluster: Option<&str>, status: u16, reason: Option<usize>) -> Ended<'_> {
        Ended { cluster, status, reason, duration: Duration::from_millis(2), request_bytes: 1, response_bytes: 10 }
    }

    fn lines(traffic: &Traffic, name: &str) -> Vec<String> {
        let mut exposition = Exposition::default();
        Traffic::render([traffic].into_iter(), &mut exposition);
        let start = format!("{name}{{");
        exposition.finish().lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
    }

    #[test]
    fn exchanges_are_counted_by_cluster_and_class() {
        let traffic = traffic(&["users", "idle"], None);
        for (cluster, status, reason) in [
            (Some("users"), 200, None),
            (Some("users"), 204, None),
            (Some("users"), 504, Some(1)),
            (None, 404, Some(0)),
            (None, 0, None),
        ] {
            traffic.begun();
            traffic.ended(&ended(cluster, status, reason));
        }
        traffic.begun();
        let requests = [
            r#"listener="edge",cluster="",class="4xx"} 1"#,
            r#"listener="edge",cluster="",class="none"} 1"#,
            r#"listener="edge",cluster="users",class="2xx"} 2"#,
            r#"listener="edge",cluster="users",class="5xx"} 1"#,
        ];
        assert_eq!(lines(&traffic, "tamis_requests_total"), requests);
        assert_eq!(lines(&traffic, "tamis_requests_active"), [r#"listener="edge"} 1"#]);
        let own = [r#"listener="edge",reason="no-route"} 1"#, r#"listener="edge",reason="timeout"} 1"#];
        assert_eq!(lines(&traffic, "tamis_own_answers_total"), own);
        let bytes = [r#"listener="edge",cluster=""} 20"#, r#"listener="edge",cluster="users"} 30"#];
        assert_eq!(lines(&traffic, "tamis_response_bytes_total"), bytes);
        let totals: HashMap<_, _> = traffic.totals().collect();
        assert_eq!(totals.len(), 2);
        assert_eq!((totals["users"].classes, totals["users"].duration_us), ([0, 2, 0, 0, 1, 0], 6_000));
        assert_eq!(totals["users"].durations[2], 3);
        assert_eq!(traffic.under_way(), (1, 0));
        let counts = [r#"listener="edge",cluster=""} 2"#, r#"listener="edge",cluster="users"} 3"#];
        assert_eq!(lines(&traffic, "tamis_request_duration_seconds_count"), counts);
    }

    #[test]
    fn a_reload_goes_on_counting_and_forgets_clusters_that_left() {
        let before = traffic(&["users", "gone"], None);
        before.begun();
        before.ended(&ended(Some("users"), 200, None));
        before.begun();
        before.ended(&ended(Some("gone"), 200, None));
        let open = before.opened();
        let after = traffic(&["users"], Some(&before));
        after.begun();
        after.ended(&ended(Some("users"), 200, None));
        after.begun();
        after.ended(&ended(Some("gone"), 200, None));
        assert_eq!(lines(&after, "tamis_requests_total"), [r#"listener="edge",cluster="users",class="2xx"} 2"#]);
        assert_eq!(lines(&after, "tamis_connections_active"), [r#"listener="edge"} 1"#]);
        assert_eq!((after.total().classes[1], after.totals().count()), (3, 1), "what went to another cluster is not forgotten");
        drop(open);
        assert_eq!(lines(&after, "tamis_connections_active"), [r#"listener="edge"} 0"#]);
    }
}
