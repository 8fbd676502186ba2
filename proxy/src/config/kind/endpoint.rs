//! An endpoint of a cluster: where it is, its labels, and its standing among the others.

use std::sync::Arc;

use super::super::bounds::{LABEL_BYTES_MAX, PRIORITY_MAX, WEIGHT_MAX};
use super::super::defaults::LABELS_MAX;
use super::super::read::{Kind, Reader};
use super::super::tree::{Entry, Node, Value};
use super::super::types::{Endpoint, EndpointSpec, Labels, Standing};
use super::super::words::{listed, nearest, shortened};
use super::{Integer, Word, address};

const KEYS: [&str; 5] = ["address", "labels", "weight", "priority", "zone"];

/// An address or a host name, each with a port; or a table of that and more.
pub struct EndpointKind;

impl Kind for EndpointKind {
    type Value = Endpoint;

    fn expected(&self) -> String {
        "an address and a port such as \"10.0.0.1:8080\", \"[::1]:8080\" or \"users.internal:8080\"".to_owned()
    }

    fn takes(&self) -> String {
        format!(
            "{}, or a table such as {{ address = \"10.0.0.1:8080\", weight = 2, labels = {{ zone = \"a\" }} }} with any of the keys \
             `labels`, `weight` (1 to {WEIGHT_MAX}), `priority` (0 to {PRIORITY_MAX}) and `zone`",
            self.expected()
        )
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Endpoint> {
        let Value::Table(entries) = &node.value else {
            return Some(Endpoint { at: self.address(node, reader)?, labels: Arc::default(), standing: Standing::default() });
        };
        for entry in entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
            refuse(entry, reader);
        }
        let labels = node.get("labels").map_or_else(|| Some(Labels::new()), |node| labels(node, reader));
        let standing = labels.as_ref().and_then(|labels| standing(node, labels, reader));
        let Some(at) = node.get("address") else {
            reader.report(node.span.clone(), format!("`address` is missing; expected {}", self.expected()));
            return None;
        };
        Some(Endpoint { at: self.address(at, reader)?, labels: Arc::new(labels?), standing: standing? })
    }

    fn show(&self, value: &Endpoint) -> String {
        let address = self.identity(value);
        let usual = Standing { zone: value.labels.get("zone").map(|zone| zone.as_str().into()), ..Standing::default() };
        let standing = &value.standing;
        let mut said = vec![format!("address = {address}")];
        if !value.labels.is_empty() {
            let labels: Vec<_> = value.labels.iter().map(|(name, value)| format!("{name:?} = {value:?}")).collect();
            said.push(format!("labels = {{ {} }}", labels.join(", ")));
        }
        said.extend((standing.weight != usual.weight).then(|| format!("weight = {}", standing.weight)));
        said.extend((standing.priority != usual.priority).then(|| format!("priority = {}", standing.priority)));
        said.extend(standing.zone.as_ref().filter(|_| standing.zone != usual.zone).map(|zone| format!("zone = {zone:?}")));
        if said.len() == 1 { address } else { format!("{{ {} }}", said.join(", ")) }
    }

    /// What else is said of it does not make it another one.
    fn identity(&self, value: &Endpoint) -> String {
        match &value.at {
            EndpointSpec::Address(address) => format!("\"{address}\""),
            EndpointSpec::Name { host, port } => format!("\"{host}:{port}\""),
        }
    }
}

impl EndpointKind {
    fn address(&self, node: &Node, reader: &Reader<'_>) -> Option<EndpointSpec> {
        let Some(text) = node.as_str() else { return reader.mismatch(&self.expected(), node) };
        address::endpoint(text).map_err(|help| reader.mismatch_with_help::<()>(&self.expected(), node, help)).ok()
    }
}

fn standing(node: &Node, labels: &Labels, reader: &Reader<'_>) -> Option<Standing> {
    let usual = Standing::default();
    let number = |key, min, max, usual| node.get(key).map_or(Some(usual), |node| Integer::within(min, max).read(node, reader));
    let weight = number("weight", 1, WEIGHT_MAX, usual.weight);
    let priority = number("priority", 0, PRIORITY_MAX, usual.priority);
    let zone = match node.get("zone") {
        Some(node) => Word.read(node, reader).map(Some),
        None => Some(labels.get("zone").filter(|zone| !zone.is_empty()).map(|zone| zone.as_str().into())),
    };
    Some(Standing { weight: weight?, priority: priority?, zone: zone? })
}

fn labels(node: &Node, reader: &Reader<'_>) -> Option<Labels> {
    let Value::Table(entries) = &node.value else {
        return reader.mismatch("a table of labels such as { zone = \"a\" }", node);
    };
    if entries.len() > LABELS_MAX {
        reader.report(node.span.clone(), format!("expected at most {LABELS_MAX} labels, found {}", entries.len()));
        return None;
    }
    // All are read before one that is wrong ends it.
    let read: Vec<_> = entries.iter().map(|entry| label(entry, reader)).collect();
    read.into_iter().collect()
}

fn label(entry: &Entry, reader: &Reader<'_>) -> Option<(String, String)> {
    if entry.key.is_empty() || entry.key.len() > LABEL_BYTES_MAX {
        let message = format!("expected a label of 1 to {LABEL_BYTES_MAX} bytes, found {:?}", shortened(&entry.key));
        reader.report(entry.key_span.clone(), message);
        return None;
    }
    match entry.node.as_str() {
        Some(value) if value.len() <= LABEL_BYTES_MAX => Some((entry.key.clone(), value.to_owned())),
        _ => reader.mismatch(&format!("a text of at most {LABEL_BYTES_MAX} bytes"), &entry.node),
    }
}

fn refuse(entry: &Entry, reader: &Reader<'_>) {
    let message = format!("unknown key `{}` of an endpoint", shortened(&entry.key));
    let help = match nearest(&entry.key, KEYS.into_iter()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known keys: {}", listed(KEYS.into_iter())),
    };
    reader.add(reader.problem(entry.key_span.clone(), message).with_help(help));
}
