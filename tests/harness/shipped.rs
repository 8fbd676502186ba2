//! The example files of the filters that ship, made fit to run in a scenario.

use crate::command::repository;

/// The text of `filters/FILTER/examples/NAME.toml`, with free ports for its listeners, and these endpoints for its clusters.
pub fn shipped(filter: &str, name: &str, clusters: &[(&str, String)]) -> String {
    let file = repository().join("filters").join(filter).join("examples").join(format!("{name}.toml"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
    let mut table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    for (_, listener) in table["listeners"].as_table_mut().expect("listeners are tables") {
        listener.as_table_mut().expect("a listener is a table").remove("listen");
    }
    for (name, cluster) in table["clusters"].as_table_mut().expect("clusters are tables") {
        let found = clusters.iter().find(|(known, _)| known == name);
        let (_, address) = found.unwrap_or_else(|| panic!("{} has a cluster `{name}` that needs an endpoint", file.display()));
        cluster.as_table_mut().expect("a cluster is a table").insert("endpoints".into(), vec![address.clone()].into());
    }
    table.to_string()
}
