//! The keys of `[access-log]`.

use std::sync::Arc;
use std::time::Duration;

use crate::config::bounds::*;
use crate::config::kind::{AccessLogTarget, FieldOfLine, Flag, FurtherFields, Integer, LineFormat, List, Share, Time};
use crate::config::table::Table;
use crate::config::types::{AccessLog, LogField, LogFormat, LogTemplate, LogValue, LogWhen};

pub fn access_log(table: &mut Table<'_>) -> AccessLog {
    let default = AccessLog::default();
    let output = table.or(
        "output",
        &AccessLogTarget,
        default.output,
        "Where the lines go. The folder of the configuration is where a relative path starts. SIGUSR1 opens a file anew.",
    );
    let text = table.or("format", &LineFormat, None, "How a line looks: docs/access-log.md has the values of templates.");
    let only = table.optional(
        "only",
        &List::of_distinct(FieldOfLine),
        "The fields of a JSON line, in their order. Without it, those that docs/access-log.md calls usual.",
    );
    let further = table.or("fields", &FurtherFields, Vec::new(), "Further fields of a JSON line, each a template.");
    let asked_when = table.node("when").is_some();
    let when = table.table("when", "Exchanges that always have a line: one of these is enough.", when);
    AccessLog {
        output,
        format: format(table, text, only, further),
        sample: table.or(
            "sample",
            &Share,
            if asked_when { 0.0 } else { default.sample },
            "The share of the other exchanges that have a line. With `when`, none unless this says so.",
        ),
        when,
        queue: table.or(
            "queue",
            &Integer::within(1, ACCESS_LOG_QUEUE_MAX),
            default.queue,
            "Lines of one worker that wait for a slow output before further ones are dropped and counted.",
        ),
    }
}

fn when(table: &mut Table<'_>) -> LogWhen {
    let default = LogWhen::default();
    LogWhen {
        failures: table.or(
            "failures",
            &Flag,
            default.failures,
            "The proxy could not do what was asked for: answers of its own but those with 4xx, and exchanges that broke off.",
        ),
        status_min: table.optional("status-min", &Integer::within(STATUS_MIN, STATUS_MAX), "The status is this one or above."),
        slower_than: table.optional(
            "slower-than",
            &Time::within(Duration::from_millis(1), DRAIN_MAX),
            "The exchange took longer than this.",
        ),
        retried: table.or("retried", &Flag, default.retried, "More than one endpoint was asked."),
    }
}

/// `only` and `fields` speak of JSON.
fn format(
    table: &Table<'_>,
    text: Option<LogTemplate>,
    only: Option<Vec<(Arc<str>, LogValue)>>,
    further: Vec<(Arc<str>, LogTemplate)>,
) -> LogFormat {
    if let Some(template) = text {
        for key in ["only", "fields"] {
            if let Some(node) = table.node(key) {
                let message = format!("`{key}` is for `format = \"json\"`; a template says by itself what a line holds");
                table.reader().report(node.span.clone(), message);
            }
        }
        return LogFormat::Text(template);
    }
    let own = only.map(|only| only.into_iter().map(|(name, value)| (name, LogField::Value(value))).collect());
    let mut fields: Vec<_> = match (own, LogFormat::default()) {
        (Some(own), _) => own,
        (None, LogFormat::Json(usual)) => usual,
        (None, LogFormat::Text(_)) => Vec::new(),
    };
    for (name, template) in further {
        if fields.iter().any(|(known, _)| *known == name) {
            let node = table.node("fields").and_then(|node| node.entries().iter().find(|entry| *entry.key == *name));
            if let Some(entry) = node {
                table.reader().report(entry.key_span.clone(), format!("the line has a field `{name}` already"));
            }
            continue;
        }
        let field = match template.only_value() {
            Some(value) => LogField::Value(value.clone()),
            None => LogField::Text(template),
        };
        fields.push((name, field));
    }
    LogFormat::Json(fields)
}
