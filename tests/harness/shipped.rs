//! The examples of the filters that ship, as scenarios run them: the same text, on free ports, with origins of the scenario.

use std::fmt::Display;

use crate::command::repository;

/// `filters/FILTER/examples/FILE.toml`, with these addresses as the endpoints of its clusters. Listeners get free ports, and
/// filters a deadline that a busy machine keeps.
pub fn shipped(filter: &str, file: &str, clusters: &[(&str, &dyn Display)]) -> String {
    let path = repository().join("filters").join(filter).join("examples").join(format!("{file}.toml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for unwanted in ["admin", "workers", "drain"] {
        table.remove(unwanted);
    }
    for listener in tables(&mut table, "listeners") {
        listener.remove("listen");
    }
    for filter in tables(&mut table, "filters") {
        filter.entry("deadline").or_insert("1s".into());
    }
    let known = table.get_mut("clusters").and_then(toml::Value::as_table_mut);
    let known = known.unwrap_or_else(|| panic!("{} has no clusters", path.display()));
    for (name, address) in clusters {
        let cluster = known.get_mut(*name).and_then(toml::Value::as_table_mut);
        let cluster = cluster.unwrap_or_else(|| panic!("{} has no cluster `{name}`", path.display()));
        cluster.insert("endpoints".into(), vec![address.to_string()].into());
    }
    table.to_string()
}

fn tables<'a>(table: &'a mut toml::Table, part: &str) -> impl Iterator<Item = &'a mut toml::Table> {
    let part = table.get_mut(part).and_then(toml::Value::as_table_mut);
    part.into_iter().flat_map(|part| part.iter_mut()).filter_map(|(_, value)| value.as_table_mut())
}
