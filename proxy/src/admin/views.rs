//! What the admin shows of filters, as JSON. It looks and never changes anything.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::ledger::{Ledger, Standing};
use super::versions::{Base, Part, Version};
use crate::filter::module::hash;
use crate::filter::{Configured, Filter, Role};
use crate::snapshot::Snapshot;

/// Every filter, and those that only wait for the file to have them again.
pub fn filters(snapshot: &Snapshot, ledger: &Ledger) -> Value {
    let filters: Vec<_> = snapshot.filters.values().map(|filter| of_filter(filter, ledger)).collect();
    let waiting: Vec<_> = ledger.waiting().iter().map(ToString::to_string).collect();
    json!({ "filters": filters, "waiting": waiting })
}

/// One filter; `None` if nobody knows it.
pub fn filter(snapshot: &Snapshot, ledger: &Ledger, name: &str) -> Option<Value> {
    if let Some(filter) = snapshot.filters.get(name) {
        return Some(of_filter(filter, ledger));
    }
    let standing = ledger.standing(name)?;
    Some(json!({ "name": name, "waiting": true, "history": history(&standing) }))
}

fn of_filter(filter: &Arc<Filter>, ledger: &Ledger) -> Value {
    let entry = ledger.of(filter);
    let standing = ledger.standing(&filter.name);
    let live = standing.as_ref().map(|standing| standing.versions.live());
    let from = |part: Part| if live.is_some_and(|live| live.part(part).is_some()) { "pushed" } else { "file" };
    json!({
        "name": &*filter.name,
        "module": filter.config.module.to_string(),
        "hash": shown(&filter.module.hash),
        "compiled": filter.module.compiled.word(),
        "configured": configured(&filter.configured),
        "config_hash": shown(&hash(filter.config_json.as_bytes())),
        "from": { "module": from(Part::Module), "config": from(Part::Config) },
        "version": live.map(|live| live.number),
        "mode": if filter.is_enforced() { "enforce" } else { "observe" },
        "failures": filter.health.failures(),
        "left_alone": filter.health.is_tripped(),
        "second": filter.beside.as_ref().map(|(second, role)| second_version(second, *role)),
        "since": time(entry.since),
        "swaps": entry.swaps,
        "failed": entry.failed.map(|failed| json!({ "at": time(failed.at), "error": failed.error })),
        "conflict": standing.as_ref().map_or(Value::Null, conflict),
        "history": standing.as_ref().map_or_else(Vec::new, history),
    })
}

/// The version beside the live one.
fn second_version(second: &Filter, role: Role) -> Value {
    let percent = match role {
        Role::Canary(percent) => Some(percent),
        Role::Observed => None,
    };
    json!({
        "role": role.word(),
        "percent": percent,
        "hash": shown(&second.module.hash),
        "failures": second.health.failures(),
        "given_up": percent.is_some() && second.health.has_failed(),
    })
}

/// How instances come to be configured.
fn configured(configured: &Configured) -> Value {
    match configured {
        Configured::Image(image) => json!({
            "as": "image",
            "bytes": image.bytes,
            "compiled": image.compiled.word(),
            "took-ms": u64::try_from(image.took.as_millis()).unwrap_or(u64::MAX),
        }),
        Configured::EachInstance { why } => json!({ "as": "each-instance", "why": why }),
    }
}

/// The newest first.
fn history(standing: &Standing) -> Vec<Value> {
    let live = standing.versions.live().number;
    let entry = |version: &Version| {
        let part = |part: Part| version.part(part).map_or_else(|| "file".to_owned(), |hash| shown(hash));
        json!({
            "version": version.number,
            "live": version.number == live,
            "at": time(version.at),
            "before": version.before,
            "module": part(Part::Module),
            "config": part(Part::Config),
        })
    };
    standing.versions.iter().rev().map(entry).collect()
}

fn conflict(standing: &Standing) -> Value {
    let (Some(file), parts) = (&standing.file, standing.conflicts()) else { return Value::Null };
    if parts.is_empty() {
        return Value::Null;
    }
    let over = &standing.versions.live().base;
    let said = |part: Part| {
        let about = |base: &Base| shown(base.part(part));
        (part.name().to_owned(), json!({ "pushed_over": about(over), "file_now": about(file) }))
    };
    parts.into_iter().map(said).collect::<serde_json::Map<_, _>>().into()
}

/// A hash with its kind; the name of something built in as it is.
pub fn shown(hash: &str) -> String {
    if hash.contains(':') { hash.to_owned() } else { format!("sha256:{hash}") }
}

pub fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
