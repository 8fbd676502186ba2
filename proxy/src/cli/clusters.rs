//! `tamis clusters`: the clusters of a running proxy and their endpoints, through its admin.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::filter::remote::{Remote, aligned, segment};

/// Choices that are shown; `--json` has all that are remembered.
const CHOICES_SHOWN: usize = 10;

#[derive(Debug, Args)]
pub struct Clusters {
    /// Only this cluster, with its endpoints.
    name: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

impl Clusters {
    pub fn run(&self) -> ExitCode {
        let hint = "`tamis clusters` shows the clusters that there are";
        match &self.name {
            Some(name) => self.remote.show(&format!("/clusters/{}", segment(name)), hint, one),
            None => self.remote.show("/clusters", hint, all),
        }
    }
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text as it is, nothing as a dash, anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn all(answer: &Value) -> String {
    const KEYS: [&str; 8] = ["name", "balance", "count", "in", "ejected", "failing_checks", "active", "ejections"];
    let header = row(&["NAME", "BALANCE", "ENDPOINTS", "IN", "EJECTED", "FAILING", "ACTIVE", "EJECTIONS"]);
    let rows = list(&answer["clusters"]).iter().map(|cluster| KEYS.iter().map(|key| text(&cluster[*key])).collect());
    aligned(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

fn one(cluster: &Value) -> String {
    let mut said = format!(
        "{}: {} of {} endpoints are in, chosen by {}\n\n",
        text(&cluster["name"]),
        cluster["in"],
        cluster["count"],
        text(&cluster["balance"])
    );
    let endpoints = list(&cluster["endpoints"]);
    let header = row(&["ENDPOINT", "STATE", "ACTIVE", "EJECTIONS", "LAST CHECK", "LABELS"]);
    let rows = endpoints.iter().map(|endpoint| {
        vec![
            text(&endpoint["address"]),
            state(endpoint),
            text(&endpoint["active"]),
            endpoint["ejection"]["count"].as_u64().unwrap_or(0).to_string(),
            check(&endpoint["checks"]),
            labels(&endpoint["labels"]),
        ]
    });
    said.push_str(&aligned(&std::iter::once(header).chain(rows).collect::<Vec<_>>()));
    for endpoint in endpoints {
        if let Some(error) = endpoint["checks"]["error"].as_str() {
            said.push_str(&format!("\n{}: its last check failed: {error}\n", text(&endpoint["address"])));
        }
    }
    let choices = list(&cluster["choices"]);
    if !choices.is_empty() {
        let header = row(&["CHOSEN AT", "ENDPOINT", "ENDED", "AFTER"]);
        let rows = choices.iter().take(CHOICES_SHOWN).map(|choice| {
            let after = format!("{:.1} ms", choice["took_us"].as_f64().unwrap_or(0.0) / 1000.0);
            vec![text(&choice["at"]), text(&choice["endpoint"]), text(&choice["ended"]), after]
        });
        said.push('\n');
        said.push_str(&aligned(&std::iter::once(header).chain(rows).collect::<Vec<_>>()));
    }
    said
}

/// In, or why not and for how long.
fn state(endpoint: &Value) -> String {
    let reason = |reason: &Value| match reason.as_str() {
        Some("ejected") => {
            let left = endpoint["ejection"]["left_ms"].as_u64().unwrap_or(0).div_ceil(1000);
            format!("ejected for {}, {left} s left", text(&endpoint["ejection"]["why"]))
        }
        _ => format!("{} fail", text(reason)),
    };
    let why: Vec<_> = list(&endpoint["why"]).iter().map(reason).collect();
    if why.is_empty() { text(&endpoint["state"]) } else { format!("out: {}", why.join("; ")) }
}

fn check(checks: &Value) -> String {
    match (&checks["at"], &checks["error"]) {
        (Value::Null, _) => "-".to_owned(),
        (_, Value::Null) => format!("well, {} in a row", checks["run"]),
        _ => format!("failed, {} in a row", checks["run"]),
    }
}

fn labels(labels: &Value) -> String {
    let Some(labels) = labels.as_object().filter(|labels| !labels.is_empty()) else { return "-".to_owned() };
    labels.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn endpoints_with_their_reasons() {
        let cluster = json!({
            "name": "users", "balance": "least-request", "count": 2, "in": 1,
            "endpoints": [
                { "address": "10.0.0.1:80", "labels": {}, "state": "in", "why": [], "active": 3, "ejection": null, "checks": null },
                { "address": "10.0.0.2:80", "labels": { "zone": "a" }, "state": "out", "why": ["checks", "ejected"], "active": 0,
                  "ejection": { "count": 2, "why": "local-failures", "left_ms": 29_100, "at": "2026-01-01T12:00:00.000Z" },
                  "checks": { "at": "2026-01-01T12:00:00.000Z", "took_us": 100, "error": "no connection", "run": 3 } },
            ],
            "choices": [{ "at": "2026-01-01T12:00:00.000Z", "endpoint": "10.0.0.1:80", "ended": 200, "took_us": 1500 }],
        });
        let said = one(&cluster);
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines[0], "users: 1 of 2 endpoints are in, chosen by least-request");
        assert!(lines[3].starts_with("10.0.0.1:80  in "), "{said}");
        assert!(lines[4].contains("out: checks fail; ejected for local-failures, 30 s left"), "{said}");
        assert!(lines[4].ends_with("failed, 3 in a row  zone=a"), "{said}");
        assert!(said.contains("10.0.0.2:80: its last check failed: no connection"), "{said}");
        assert!(said.ends_with("2026-01-01T12:00:00.000Z  10.0.0.1:80  200    1.5 ms\n"), "{said}");
    }
}
