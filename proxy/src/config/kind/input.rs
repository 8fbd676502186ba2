//! Inputs of a filter: files, and resources that a cluster serves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::bounds::{DURATION_MIN, INPUT_EVERY_MAX, INPUTS_MAX};
use super::super::read::{Kind, Reader};
use super::super::tree::{Entry, Node, Value};
use super::super::types::Input;
use super::{File, Reference, Time};
use crate::config::defaults::INPUT_EVERY;

const EXPECTED: &str = "a table such as { blocked = \"blocked.txt\", keys = { cluster = \"idp\", url = \"/jwks.json\" } }";
const KEYS: [&str; 3] = ["cluster", "url", "every"];

/// Names, each with a file or a resource.
pub struct Inputs;

impl Kind for Inputs {
    type Value = BTreeMap<Arc<str>, Input>;

    fn expected(&self) -> String {
        EXPECTED.to_owned()
    }

    fn read(&self, node: &Node, reader: &Reader<'_>) -> Option<Self::Value> {
        let Value::Table(entries) = &node.value else { return reader.mismatch(EXPECTED, node) };
        if entries.len() > INPUTS_MAX {
            reader.report(node.span.clone(), format!("expected at most {INPUTS_MAX} inputs, found {}", entries.len()));
            return None;
        }
        let read: Vec<_> = entries.iter().map(|entry| Some((Arc::from(&*entry.key), input(entry, reader)?))).collect();
        read.into_iter().collect()
    }

    fn show(&self, value: &Self::Value) -> String {
        if value.is_empty() { "{}".to_owned() } else { format!("{} inputs", value.len()) }
    }
}

/// `None` after telling the reader what is wrong.
fn input(entry: &Entry, reader: &Reader<'_>) -> Option<Input> {
    let node = &entry.node;
    let Value::Table(entries) = &node.value else {
        let expected = "the path of a file, or { cluster = \"…\", url = \"/…\" }";
        return if node.as_str().is_some() { File.read(node, reader).map(Input::File) } else { reader.mismatch(expected, node) };
    };
    for entry in entries.iter().filter(|entry| !KEYS.contains(&&*entry.key)) {
        reader.report(entry.key_span.clone(), format!("unknown key `{}`; expected cluster, url, every", entry.key));
    }
    let (Some(cluster), Some(url)) = (node.get("cluster"), node.get("url")) else {
        reader.report(node.span.clone(), "expected `cluster` and `url`");
        return None;
    };
    let cluster = Reference::CLUSTER.read(cluster, reader);
    let target = match url.as_str() {
        Some(target) if target.starts_with('/') => Some(Arc::from(target)),
        _ => reader.mismatch("a path that begins with \"/\", with a query or without", url),
    };
    let every = match node.get("every") {
        Some(every) => Time::within(DURATION_MIN, INPUT_EVERY_MAX).read(every, reader)?,
        None => INPUT_EVERY,
    };
    Some(Input::Resource { cluster: cluster?, target: target?, every: every.max(Duration::from_millis(1)) })
}
