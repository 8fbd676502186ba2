//! The keys of `[stores.NAME]`.

use crate::config::bounds::*;
use crate::config::defaults::*;
use crate::config::kind::{Choice, File, Integer, List, RedisNode, Size, Time};
use crate::config::table::Table;
use crate::config::types::{Backend, OnLoss, Redis, Store};

/// Keys that mean nothing for a store in memory.
const REMOTE: [&str; 8] = ["url", "cluster", "ca", "timeout", "on-loss", "lease-time", "lease-tokens", "hold-time"];

#[derive(Clone, Copy, PartialEq)]
enum Kept {
    Memory,
    Redis,
}

pub fn store(table: &mut Table<'_>, mark: Option<u32>) -> Option<Store> {
    let default = Store::default();
    let kept = table.or(
        "backend",
        &Choice::of(&[("memory", Kept::Memory), ("redis", Kept::Redis)]),
        Kept::Memory,
        "Where it is kept: in the memory of this process, shared by all of its workers; or in Redis, for every process that names \
         the same store there.",
    );
    let mut store = Store {
        backend: Backend::Memory,
        entries: table.or(
            "entries",
            &Integer::within(STORE_ENTRIES_MIN, STORE_ENTRIES_MAX),
            default.entries,
            "Keys that are kept, those of quotas included. Past it, the least used make room. Of Redis: what this process keeps \
             while it is lost.",
        ),
        bytes: table.or(
            "bytes",
            &Size::within(STORE_BYTES_MIN, STORE_BYTES_MAX),
            default.bytes,
            "Memory for all of them, about 150 bytes a key besides what the filter writes included. Past it, the least used \
             make room. It is at least sixteen times `key-bytes` and `value-bytes` together.",
        ),
        key_bytes: table.or(
            "key-bytes",
            &Size::within(1, STORE_KEY_BYTES_MAX),
            default.key_bytes,
            "One key; the filter is told `too-large` past it.",
        ),
        value_bytes: table.or(
            "value-bytes",
            &Size::within(1, STORE_VALUE_BYTES_MAX),
            default.value_bytes,
            "One value; the filter is told `too-large` past it.",
        ),
    };
    let redis = redis(table, kept, mark);
    match kept {
        Kept::Memory => refuse_remote(table),
        Kept::Redis => {
            check_built(table);
            store.backend = Backend::Redis(Box::new(redis?));
        }
    }
    check_entries_fit(table, &store);
    Some(store)
}

/// Asks for every key, so that the reference has them; what comes of it counts only if the store is there.
fn redis(table: &mut Table<'_>, kept: Kept, mark: Option<u32>) -> Option<Redis> {
    let url = table.optional(
        "url",
        &RedisNode,
        "Of `backend = \"redis\"`: where it is, `redis://user:password@host:port/database`, or `rediss://` for TLS.",
    );
    let nodes = table.optional(
        "cluster",
        &List::of_distinct(RedisNode),
        "In the place of `url`: the first nodes of a Redis Cluster; it tells the others. All quotas of a store are on one of \
         them, so that one decision can be about several.",
    );
    let redis = Redis {
        cluster: nodes.is_some(),
        nodes: Vec::new(),
        mark,
        ca: table.optional("ca", &File, "A PEM file of authorities that Redis is trusted by, in the place of the system's."),
        timeout: table.or(
            "timeout",
            &Time::within(STORE_TIMEOUT_MIN, STORE_TIMEOUT_MAX),
            STORE_TIMEOUT,
            "Of one operation on Redis. After a few misses in a row Redis counts as lost, and nobody waits until it answers again.",
        ),
        on_loss: table.or(
            "on-loss",
            &Choice::of(&[("local", OnLoss::Local), ("open", OnLoss::Open), ("closed", OnLoss::Closed)]),
            OnLoss::Local,
            "How quotas are decided while Redis is lost: by each process with its share of the limit, always allowed, or not at \
             all (`unavailable`). All else is `unavailable` then.",
        ),
        lease_time: table.or(
            "lease-time",
            &Time::within(std::time::Duration::ZERO, STORE_LEASE_TIME_MAX),
            STORE_LEASE_TIME,
            "How long a process serves a busy quota from tokens that it took in advance, without a round trip; `\"0s\"`: each is \
             asked for.",
        ),
        lease_tokens: table.or(
            "lease-tokens",
            &Integer::within(1, STORE_LEASE_TOKENS_MAX),
            STORE_LEASE_TOKENS,
            "Tokens that it takes in advance at most; how many it does depends on how busy the quota is.",
        ),
        hold_time: table.or(
            "hold-time",
            &Time::within(STORE_HOLD_TIME_MIN, STORE_HOLD_TIME_MAX),
            STORE_HOLD_TIME,
            "How long what a killed process held at once stays held.",
        ),
    };
    if kept == Kept::Memory {
        return None;
    }
    let nodes = match (url, nodes) {
        (Some(url), None) => vec![url],
        (None, Some(nodes)) if (1..=STORE_NODES_MAX).contains(&nodes.len()) => nodes,
        (None, None) if table.node("url").or(table.node("cluster")).is_some() => return None,
        (None, None) => {
            let node = table.node("backend")?;
            table
                .reader()
                .report(node.span.clone(), "a store in Redis needs `url`, or `cluster` with its first nodes".to_owned());
            return None;
        }
        (url, Some(nodes)) => {
            let node = table.node("cluster")?;
            let message = match url {
                Some(_) => "`url` and `cluster` exclude each other".to_owned(),
                None => format!("expected from 1 to {STORE_NODES_MAX} nodes, found {}", nodes.len()),
            };
            table.reader().report(node.span.clone(), message);
            return None;
        }
    };
    Some(Redis { nodes, ..redis })
}

fn refuse_remote(table: &Table<'_>) {
    for key in REMOTE {
        if let Some(node) = table.node(key) {
            table.reader().report(node.span.clone(), format!("`{key}` is for a store with backend = \"redis\""));
        }
    }
}

/// A binary can be built without.
fn check_built(table: &Table<'_>) {
    if let (false, Some(node)) = (cfg!(feature = "redis"), table.node("backend")) {
        table.reader().report(node.span.clone(), "this tamis was built without redis (the cargo feature `redis`)".to_owned());
    }
}

fn check_entries_fit(table: &Table<'_>, store: &Store) {
    let Store { bytes, key_bytes, value_bytes, .. } = *store;
    let least = STORE_LARGEST_ENTRIES_MIN * (key_bytes + value_bytes);
    let given = ["bytes", "value-bytes", "key-bytes"].into_iter().find_map(|key| table.node(key));
    if let (Some(node), true) = (given, bytes < least) {
        let message = format!(
            "bytes ({bytes} bytes) is less than {STORE_LARGEST_ENTRIES_MIN} times key-bytes and value-bytes together ({least} bytes)"
        );
        table.reader().report(node.span.clone(), message);
    }
}
