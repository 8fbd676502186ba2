//! An endpoint of a cluster: where it is, and its labels.

use std::sync::Arc;

use super::super::bounds::LABEL_BYTES_MAX;
use super::super::defaults::LABELS_MAX;
use super::super::read::{Kind, Reader};
use super::super::tree::{Entry, Node, Value};
use super::super::types::{Endpoint, EndpointSpec, Labels};
use super::super::words::{nearest, shortened};
use super::address;

const KEYS: [&str; 2] = ["address", "labels"];

/// An address or a host name, each with a port; or a table of that and labels.
pub struct EndpointKind;

impl Kind for EndpointKind {
    type Value = Endpoint;

    fn expected(&self) -> String {
        "an address and a port such as \"10.0.0.1:8080\", \"[::1]:8080\" or \"users.internal:8080\"".to_owned()
    }

    fn takes(&self) -> String {
        format!("{}, or a table such as {{ address = \"10.0.0.1:8080\", labels = {{ zone = \"a\" }} }}", self.expected())
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Endpoint> {
        let Value::Table(entries) = &node.value else {
            return Some(Endpoint { at: self.address(node, reader)?, labels: Arc::default() });
        };
        for entry in entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
            refuse(entry, reader);
        }
        let labels = node.get("labels").map_or_else(|| Some(Labels::new()), |node| labels(node, reader));
        let Some(at) = node.get("address") else {
            reader.report(node.span.clone(), format!("`address` is missing; expected {}", self.expected()));
            return None;
        };
        Some(Endpoint { at: self.address(at, reader)?, labels: Arc::new(labels?) })
    }

    fn show(&self, value: &Endpoint) -> String {
        let address = self.identity(value);
        if value.labels.is_empty() {
            return address;
        }
        let labels: Vec<_> = value.labels.iter().map(|(name, value)| format!("{name:?} = {value:?}")).collect();
        format!("{{ address = {address}, labels = {{ {} }} }}", labels.join(", "))
    }

    /// Labels do not make it another one.
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
        None => "known keys: `address`, `labels`".to_owned(),
    };
    reader.add(reader.problem(entry.key_span.clone(), message).with_help(help));
}
