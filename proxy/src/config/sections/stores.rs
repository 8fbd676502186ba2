//! The keys of `[stores.NAME]`.

use crate::config::bounds::*;
use crate::config::kind::{BackendKind, Integer, Size};
use crate::config::table::Table;
use crate::config::types::Store;

pub fn store(table: &mut Table<'_>) -> Option<Store> {
    let default = Store::default();
    let store = Store {
        backend: table.or(
            "backend",
            &BackendKind,
            default.backend,
            "Where it is kept: in the memory of this process, shared by all of its workers.",
        ),
        entries: table.or(
            "entries",
            &Integer::within(STORE_ENTRIES_MIN, STORE_ENTRIES_MAX),
            default.entries,
            "Keys that are kept, those of quotas included. Past it, the least used make room.",
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
    check_entries_fit(table, &store);
    Some(store)
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
