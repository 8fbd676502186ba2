//! Metrics that filters declare, and what they counted.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::host::metrics::Kind;

/// What was counted, by the name of the metric and the values of its labels.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics {
    /// Of one instance; each declares the same.
    pub declared: Rc<[Metric]>,
    values: BTreeMap<(u32, Vec<String>), Vec<f64>>,
}

#[derive(Debug, Clone)]
pub(super) struct Metric {
    name: String,
    kind: Kind,
    labels: Vec<String>,
}

/// The next metric of an instance that is being configured.
pub(super) fn declare(declared: &mut Vec<Metric>, name: &str, kind: Kind, labels: &[String]) -> Result<u32, String> {
    if name.starts_with("tamis_") {
        return Err(format!("`{name}` is no name for a metric of a filter: `tamis_` begins those of the proxy"));
    }
    if !is_name(name, b":") {
        return Err(format!("`{name}` is no valid name of a metric; expected letters, digits, `_` and `:`, no digit first"));
    }
    for (at, label) in labels.iter().enumerate() {
        let reserved = label == "filter" || label.starts_with("__") || (kind == Kind::Histogram && label == "le");
        if reserved || labels[..at].contains(label) {
            return Err(format!("`{label}` is no name for a label of `{name}`: it is reserved, or there twice"));
        }
        if !is_name(label, b"") {
            return Err(format!("`{label}` is no valid name of a label; expected letters, digits and `_`, no digit first"));
        }
    }
    if declared.iter().any(|metric| metric.name == name) {
        return Err(format!("`{name}` is taken by `{name}`, which this filter declared before"));
    }
    declared.push(Metric { name: name.to_owned(), kind, labels: labels.to_vec() });
    Ok(declared.len() as u32 - 1)
}

impl Metrics {
    /// The proxy would leave out a value with too few labels or too many, and log it: a test is to notice.
    pub(super) fn observe(&mut self, id: u32, labels: &[String], value: f64) {
        let metric = self.declared.get(id as usize).expect("a metric that `configure` declared");
        let (found, expected) = (labels.len(), metric.labels.len());
        assert!(found == expected, "`{}` has {expected} labels and was counted with {found}", metric.name);
        let values = self.values.entry((id, labels.to_vec())).or_default();
        match (metric.kind, values.as_mut_slice()) {
            (Kind::Counter, [sum]) => *sum += value,
            (Kind::Gauge, [present]) => *present = value,
            _ => values.push(value),
        }
    }

    /// The sum of a counter, the present value of a gauge, everything that a histogram saw.
    pub(super) fn values(&self, name: &str, labels: &[&str]) -> &[f64] {
        let id = self.declared.iter().position(|metric| metric.name == name);
        let id = id.unwrap_or_else(|| panic!("the filter declares no metric `{name}`"));
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.values.get(&(id as u32, labels)).map_or(&[], Vec::as_slice)
    }
}

fn is_name(word: &str, also: &[u8]) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || also.contains(&byte);
    !word.is_empty() && word.bytes().all(good) && !word.starts_with(|first: char| first.is_ascii_digit())
}
