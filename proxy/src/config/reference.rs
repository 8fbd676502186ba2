//! The reference of every key, made from what reads them: docs/configuration.md is this text.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use super::read::{Preset, Reader, Row};
use super::sections;
use super::source::Source;
use super::text::Text;
use super::tree::{Node, Value};

/// What the page says before the keys.
const OPENING: &str = include_str!("reference.md");

/// The page, as Markdown.
pub fn page() -> String {
    let mut page = OPENING.to_owned();
    let mut section = None;
    for row in in_sections(rows()) {
        if section.as_ref() != Some(&row.section) {
            open_section(&mut page, &row);
            section = Some(row.section.clone());
        }
        if !row.key.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} |",
                row.key,
                cell(&row.takes),
                default_words(&row.default),
                cell(row.meaning)
            );
        }
    }
    page
}

/// Every key that the file may hold, tables before their keys, in the order in which they are read.
pub fn rows() -> Vec<Row> {
    let text = Arc::new(Text::new(Path::new(""), String::new()));
    let source = Source::new(text, Node { span: 0..0, value: Value::Table(Vec::new()) });
    let reader = Reader::describing(&source);
    reader.top(sections::config);
    reader.into_rows()
}

/// Every key that bounds something, with its section, and its default as the page of limits shows it.
pub fn limit_rows() -> Vec<(String, String)> {
    let sections = ["limits", "timeouts", "drain", "outliers"];
    let keys = [
        "access-log.queue",
        "admin.connections",
        "admin.request-headers",
        "admin.tap.watchers",
        "admin.tap.queue",
        "admin.tap.queue-bytes",
        "admin.tap.body-bytes",
        "state.versions",
        "upgrade.deadline",
        "dns.query-timeout",
        "dns.ttl-min",
        "dns.retry",
        "modules.cache-bytes",
        "modules.fetch-timeout",
        "filters.NAME.deadline",
        "filters.NAME.configure-deadline",
        "filters.NAME.memory",
        "clusters.NAME.health.interval",
        "clusters.NAME.health.timeout",
        "clusters.NAME.health.unhealthy",
        "clusters.NAME.health.healthy",
        "stores.NAME.entries",
        "stores.NAME.bytes",
        "stores.NAME.key-bytes",
        "stores.NAME.value-bytes",
    ];
    rows()
        .into_iter()
        .filter(|row| !row.key.is_empty())
        .map(|row| (format!("{}.{}", row.section, row.key), row))
        .filter(|(key, row)| {
            let section = row.section.rsplit('.').next().unwrap_or_default();
            sections.contains(&section) || keys.contains(&key.as_str())
        })
        .map(|(key, row)| (key, default_words(&row.default)))
        .collect()
}

/// The keys of a table together, for a table inside it is read between two of them.
fn in_sections(rows: Vec<Row>) -> Vec<Row> {
    let mut order: Vec<String> = Vec::new();
    for row in &rows {
        if !order.contains(&row.section) {
            order.push(row.section.clone());
        }
    }
    let mut sorted = rows;
    sorted.sort_by_key(|row| order.iter().position(|section| *section == row.section));
    sorted
}

fn open_section(page: &mut String, row: &Row) {
    let (title, meaning) = match (row.section.as_str(), row.key) {
        ("", _) => ("At the top".to_owned(), ""),
        (section, "") => (format!("`[{section}]`"), row.meaning),
        (section, _) => (format!("`[{section}]`"), ""),
    };
    let _ = writeln!(page, "\n## {title}\n");
    if !meaning.is_empty() {
        let _ = writeln!(page, "{meaning}\n");
    }
    page.push_str("| key | takes | default | meaning |\n|---|---|---|---|\n");
}

fn default_words(default: &Preset) -> String {
    match default {
        Preset::Required => "required".to_owned(),
        Preset::Absent => "none".to_owned(),
        Preset::Value(value) => format!("`{}`", cell(value)),
        Preset::Table => String::new(),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
