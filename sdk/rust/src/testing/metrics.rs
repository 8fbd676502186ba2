//! Metrics that filters declare, and what they counted.

use std::collections::BTreeMap;

use super::host::metrics::Kind;

#[derive(Debug, Clone, Default)]
pub(super) struct Metrics {
    declared: Vec<Metric>,
    values: BTreeMap<(u32, Vec<String>), Vec<f64>>,
}

#[derive(Debug, Clone)]
struct Metric {
    name: String,
    kind: Kind,
    labels: Vec<String>,
}

impl Metrics {
    pub(super) fn declare(&mut self, name: &str, kind: Kind, labels: &[String]) -> Result<u32, String> {
        for word in std::iter::once(name).chain(labels.iter().map(String::as_str)) {
            if !is_name(word) {
                return Err(format!("`{word}` is not a valid name of a metric or label"));
            }
        }
        match self.declared.iter().position(|metric| metric.name == name) {
            Some(at) if self.declared[at].kind != kind => Err(format!("`{name}` is already a metric of another kind")),
            Some(at) if self.declared[at].labels != labels => Err(format!("`{name}` is already a metric with other labels")),
            Some(at) => Ok(at as u32),
            None => {
                self.declared.push(Metric { name: name.to_owned(), kind, labels: labels.to_vec() });
                Ok(self.declared.len() as u32 - 1)
            }
        }
    }

    pub(super) fn observe(&mut self, id: u32, labels: &[String], value: f64) {
        let metric = self.declared.get(id as usize).expect("trap: no such metric");
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

fn is_name(word: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    word.bytes().all(good) && !word.starts_with(|first: char| first.is_ascii_digit()) && !word.is_empty()
}
