//! What came between two looks at `/stats`: arithmetic, without a terminal and without a clock.

use serde_json::{Map, Value, json};

use crate::cli::filter::remote::aligned;

/// The classes of status that are no success: 5xx, and no answer at all.
const FAILED: [usize; 2] = [4, 5];

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Milliseconds since 1970, of the later look.
    pub at: u64,
    pub seconds: f64,
    /// Listeners, each followed by its clusters.
    pub traffic: Vec<Traffic>,
    pub filters: Vec<Filter>,
}

/// Of a listener, or of one cluster behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    pub listener: String,
    /// `None`: all of the listener. Empty: exchanges that went to none.
    pub cluster: Option<String>,
    pub per_second: f64,
    /// From 0 to 1; `None` without exchanges.
    pub success: Option<f64>,
    /// What 50, 95 and 99 of a hundred were faster than, in milliseconds.
    pub latency_ms: Option<[f64; 3]>,
    /// Exchanges under way and open connections, of listeners only.
    pub under_way: Option<(u64, u64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    pub name: String,
    pub per_second: f64,
    /// Of a hook, waiting included; `None` where none ran.
    pub micros: Option<f64>,
    pub failed_per_second: f64,
    /// Since the proxy began.
    pub failed: u64,
}

/// Counts of exchanges that have ended.
#[derive(Debug, Default)]
struct Counts {
    classes: Vec<f64>,
    durations: Vec<f64>,
}

impl Report {
    pub fn between(before: &Value, now: &Value) -> Self {
        let at = now["at"].as_u64().unwrap_or(0);
        let millis = at.saturating_sub(before["at"].as_u64().unwrap_or(0)).max(1);
        let seconds = millis as f64 / 1000.0;
        let bounds = numbers(&now["bounds_us"]);
        let mut traffic = Vec::new();
        for (listener, shown) in entries(&now["listeners"]) {
            let known = &before["listeners"][listener]["clusters"];
            let mut all = Counts::default();
            let mut clusters = Vec::new();
            for (cluster, totals) in entries(&shown["clusters"]) {
                let counts = Counts::between(&known[cluster], totals);
                all.add(&counts);
                clusters.push(counts.told(listener, Some(cluster), &bounds, seconds));
            }
            let under_way = (shown["exchanges"].as_u64().unwrap_or(0), shown["connections"].as_u64().unwrap_or(0));
            traffic.push(Traffic { under_way: Some(under_way), ..all.told(listener, None, &bounds, seconds) });
            traffic.extend(clusters);
        }
        let filters = entries(&now["filters"]).map(|(name, totals)| {
            let known = &before["filters"][name];
            let more = |key: &str| rise(number(&known[key]), number(&totals[key]));
            let calls = more("calls");
            Filter {
                name: name.clone(),
                per_second: calls / seconds,
                micros: (calls > 0.0).then(|| more("micros") / calls),
                failed_per_second: more("failed") / seconds,
                failed: totals["failed"].as_u64().unwrap_or(0),
            }
        });
        Self { at, seconds, filters: filters.collect(), traffic }
    }

    pub fn to_json(&self) -> Value {
        let traffic = self.traffic.iter().map(|row| {
            let latency = row.latency_ms.map(|[p50, p95, p99]| json!({ "p50": p50, "p95": p95, "p99": p99 }));
            json!({
                "listener": row.listener,
                "cluster": row.cluster,
                "requests_per_second": row.per_second,
                "success": row.success,
                "latency_ms": latency,
                "exchanges": row.under_way.map(|(exchanges, _)| exchanges),
                "connections": row.under_way.map(|(_, connections)| connections),
            })
        });
        let filters = self.filters.iter().map(|row| {
            json!({
                "filter": row.name,
                "calls_per_second": row.per_second,
                "microseconds": row.micros,
                "failed_per_second": row.failed_per_second,
                "failed": row.failed,
            })
        });
        json!({
            "at": self.at,
            "seconds": self.seconds,
            "traffic": traffic.collect::<Vec<_>>(),
            "filters": filters.collect::<Vec<_>>(),
        })
    }

    pub fn to_text(&self) -> String {
        let table = |header: &[&str], rows: Vec<Vec<String>>| {
            let header = header.iter().map(|cell| (*cell).to_owned()).collect();
            aligned(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
        };
        let mut text = table(&Traffic::HEADER, self.traffic.iter().map(Traffic::cells).collect());
        if !self.filters.is_empty() {
            text.push('\n');
            text.push_str(&table(&Filter::HEADER, self.filters.iter().map(Filter::cells).collect()));
        }
        text
    }
}

impl Traffic {
    pub const HEADER: [&'static str; 8] = ["LISTENER / CLUSTER", "REQ/S", "SUCCESS", "P50", "P95", "P99", "ACTIVE", "CONNS"];

    pub fn cells(&self) -> Vec<String> {
        let name = match self.cluster.as_deref() {
            None => self.listener.clone(),
            Some("") => "  (none)".to_owned(),
            Some(cluster) => format!("  {cluster}"),
        };
        let dash = || "-".to_owned();
        let success = self.success.map_or_else(dash, percent);
        let latency = |at: usize| self.latency_ms.map_or_else(dash, |latency| millis(latency[at]));
        let [active, connections] = match self.under_way {
            Some((active, connections)) => [active.to_string(), connections.to_string()],
            None => [String::new(), String::new()],
        };
        vec![name, rate(self.per_second), success, latency(0), latency(1), latency(2), active, connections]
    }
}

impl Filter {
    pub const HEADER: [&'static str; 5] = ["FILTER", "CALLS/S", "TIME/CALL", "FAILED/S", "FAILED"];

    pub fn cells(&self) -> Vec<String> {
        let time = self.micros.map_or_else(|| "-".to_owned(), |micros| millis(micros / 1000.0));
        vec![self.name.clone(), rate(self.per_second), time, rate(self.failed_per_second), self.failed.to_string()]
    }
}

impl Counts {
    fn between(before: &Value, now: &Value) -> Self {
        let rises = |key: &str| {
            let before = numbers(&before[key]);
            let risen = |(at, now): (usize, &f64)| rise(before.get(at).copied().unwrap_or(0.0), *now);
            numbers(&now[key]).iter().enumerate().map(risen).collect()
        };
        Self { classes: rises("classes"), durations: rises("durations") }
    }

    fn add(&mut self, other: &Self) {
        let add = |to: &mut Vec<f64>, from: &[f64]| {
            to.resize(to.len().max(from.len()), 0.0);
            to.iter_mut().zip(from).for_each(|(sum, more)| *sum += more);
        };
        add(&mut self.classes, &other.classes);
        add(&mut self.durations, &other.durations);
    }

    fn told(&self, listener: &str, cluster: Option<&str>, bounds_us: &[f64], seconds: f64) -> Traffic {
        let all: f64 = self.classes.iter().sum();
        let failed: f64 = FAILED.iter().filter_map(|class| self.classes.get(*class)).sum();
        let latency_ms = [0.5, 0.95, 0.99].map(|share| quantile(&self.durations, bounds_us, share));
        let latency_ms = match latency_ms {
            [Some(p50), Some(p95), Some(p99)] => Some([p50, p95, p99]),
            _ => None,
        };
        Traffic {
            listener: listener.to_owned(),
            cluster: cluster.map(str::to_owned),
            per_second: all / seconds,
            success: (all > 0.0).then(|| (all - failed) / all),
            latency_ms,
            under_way: None,
        }
    }
}

/// As Prometheus has it: even within a bucket; past the last bound, the last bound. In milliseconds.
fn quantile(buckets: &[f64], bounds_us: &[f64], share: f64) -> Option<f64> {
    let all: f64 = buckets.iter().sum();
    if all <= 0.0 {
        return None;
    }
    let rank = share * all;
    let mut below = 0.0;
    for (at, count) in buckets.iter().enumerate() {
        if *count > 0.0 && below + count >= rank {
            let low = at.checked_sub(1).and_then(|at| bounds_us.get(at)).copied().unwrap_or(0.0);
            let high = bounds_us.get(at).copied().unwrap_or(low);
            return Some((low + (high - low) * (rank - below) / count) / 1000.0);
        }
        below += count;
    }
    None
}

/// A count that has fallen began anew: the proxy was started again.
fn rise(before: f64, now: f64) -> f64 {
    if now >= before { now - before } else { now }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().map_or_else(Vec::new, |values| values.iter().map(number).collect())
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn rate(per_second: f64) -> String {
    if per_second < 10.0 && per_second > 0.0 { format!("{per_second:.1}") } else { format!("{per_second:.0}") }
}

/// Never 100 % where something failed.
fn percent(share: f64) -> String {
    let percent = (share * 10_000.0).floor() / 100.0;
    if share >= 1.0 { "100 %".to_owned() } else { format!("{percent:.2} %") }
}

fn millis(millis: f64) -> String {
    match millis {
        millis if millis >= 1000.0 => format!("{:.2} s", millis / 1000.0),
        millis if millis >= 10.0 => format!("{millis:.0} ms"),
        millis if millis >= 1.0 => format!("{millis:.1} ms"),
        millis => format!("{:.0} us", millis * 1000.0),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two looks, ten seconds apart: a hundred exchanges in between, five of which failed.
    pub fn looks() -> (Value, Value) {
        let look = |at: u64, well: u64, failed: u64, calls: u64| {
            json!({
                "at": at, "bounds_us": [500, 1000, 10_000],
                "listeners": { "edge": { "exchanges": 3, "connections": 7, "clusters": {
                    "users": { "classes": [0, well, 0, 0, failed, 0], "durations": [well, 0, failed, 0] },
                    "": { "classes": [0, 0, 0, 0, 0, 0], "durations": [0, 0, 0, 0] },
                } } },
                "filters": { "gate": { "calls": calls, "failed": 2, "micros": calls * 40 }, "idle": { "calls": 0, "failed": 0, "micros": 0 } },
            })
        };
        (look(1000, 10, 0, 5), look(11_000, 105, 5, 105))
    }

    #[test]
    fn what_came_between_two_looks() {
        let (before, now) = looks();
        let report = Report::between(&before, &now);
        assert_eq!((report.seconds, report.traffic.len(), report.filters.len()), (10.0, 3, 2));
        let all = &report.traffic[0];
        assert_eq!((all.cluster.as_deref(), all.per_second, all.success), (None, 10.0, Some(0.95)));
        assert_eq!(all.under_way, Some((3, 7)));
        let [p50, p95, p99] = all.latency_ms.expect("there were exchanges");
        assert!((p50 - 0.5 * 50.0 / 95.0).abs() < 1e-9 && (p95 - 0.5).abs() < 1e-9 && (8.0..9.0).contains(&p99), "{all:?}");
        let none = &report.traffic[1];
        assert_eq!((none.cluster.as_deref(), none.success, none.latency_ms), (Some(""), None, None));
        assert_eq!(report.filters[0].micros, Some(40.0));
        assert_eq!((report.filters[0].per_second, report.filters[0].failed_per_second, report.filters[0].failed), (10.0, 0.0, 2));
        assert_eq!(report.to_json()["traffic"][0]["success"], 0.95);
    }

    #[test]
    fn a_proxy_that_was_started_again_counts_from_nothing() {
        let (before, now) = looks();
        let report = Report::between(&now, &Value::Object(before.as_object().expect("an object").clone()));
        assert!(report.traffic.iter().all(|row| row.per_second >= 0.0), "{report:?}");
    }

    #[test]
    fn a_table_for_people() {
        let (before, now) = looks();
        let text = Report::between(&before, &now).to_text();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("LISTENER / CLUSTER  REQ/S  SUCCESS  P50"), "{text}");
        assert!(lines[1].starts_with("edge                10     95.00 %  263 us"), "{text}");
        assert!(lines[2].starts_with("  (none)            0      -"), "{text}");
        assert!(text.contains("gate    10       40 us      0         2\n"), "{text}");
    }

    #[test]
    fn what_failed_once_is_not_all_well() {
        assert_eq!((percent(1.0).as_str(), percent(0.999_999).as_str(), percent(0.0).as_str()), ("100 %", "99.99 %", "0.00 %"));
        assert_eq!(quantile(&[0.0, 0.0, 1.0], &[500.0, 1000.0], 0.99), Some(1.0), "past the last bound");
        assert_eq!(quantile(&[], &[], 0.5), None);
    }
}
