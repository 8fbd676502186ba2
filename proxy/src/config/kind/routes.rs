//! Where connections go: clusters by the name that a client asks for, and by weight.

use std::sync::Arc;

use super::super::bounds::WEIGHT_MAX;
use super::super::read::{Kind, Reader};
use super::super::tree::{Node, Value};
use super::super::types::ServerNames;
use super::super::words::shortened;
use super::address::host_problem;
use super::{Integer, Reference};

const NAMES: &str = "a table such as { \"db.example\" = \"db\", \"*.example\" = \"others\" }";
const WEIGHTS: &str = "a table such as { users = 90, users-next = 10 }";

/// Names of servers, each with a cluster.
pub struct Sni;

impl Kind for Sni {
    type Value = ServerNames;

    fn expected(&self) -> String {
        NAMES.to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<ServerNames> {
        let Value::Table(entries) = &node.value else { return reader.mismatch(NAMES, node) };
        let mut names = ServerNames::default();
        let mut well = true;
        for entry in entries {
            let (map, name) = match entry.key.strip_prefix('*') {
                Some(rest) if rest.starts_with('.') => (&mut names.wildcards, rest),
                _ => (&mut names.exact, &*entry.key),
            };
            let host = name.strip_prefix('.').filter(|_| entry.key.starts_with('*')).unwrap_or(name);
            if host_problem(host).is_some() {
                let found = shortened(&entry.key);
                let message = format!("expected a host name, or one with `*` for the labels at its front, found {found:?}");
                reader.report(entry.key_span.clone(), message);
                well = false;
                continue;
            }
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            match Reference::CLUSTER.read(&entry.node, reader) {
                Some(cluster) => {
                    if map.insert(name, cluster).is_some() {
                        reader.report(entry.key_span.clone(), "given twice, for case makes no difference");
                        well = false;
                    }
                }
                None => well = false,
            }
        }
        well.then_some(names)
    }

    fn show(&self, value: &ServerNames) -> String {
        if value.is_empty() { "{}".to_owned() } else { format!("{} names", value.exact.len() + value.wildcards.len()) }
    }
}

/// Clusters, each with a weight.
pub struct Weights;

impl Kind for Weights {
    type Value = Vec<(Arc<str>, u32)>;

    fn expected(&self) -> String {
        WEIGHTS.to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Self::Value> {
        let Value::Table(entries) = &node.value else { return reader.mismatch(WEIGHTS, node) };
        let read: Vec<_> = entries
            .iter()
            .map(|entry| {
                let cluster = Reference::CLUSTER.named(&entry.key, entry.key_span.clone(), reader);
                let weight = Integer::within(0, WEIGHT_MAX).read(&entry.node, reader);
                Some((cluster?, weight?))
            })
            .collect();
        let read: Vec<_> = read.into_iter().collect::<Option<_>>()?;
        if read.iter().all(|(_, weight)| *weight == 0) {
            reader.report(node.span.clone(), "expected at least one weight above zero");
            return None;
        }
        Some(read)
    }

    fn show(&self, value: &Self::Value) -> String {
        if value.is_empty() { "{}".to_owned() } else { format!("{} clusters", value.len()) }
    }
}
