//! The keys of `[filters.NAME]`.

use std::sync::Arc;

use crate::config::bounds::*;
use crate::config::defaults;
use crate::config::kind::{Choice, Digest, Json, Module, Place, Size, Time};
use crate::config::table::Table;
use crate::config::types::{Filter, ModuleSource, OnFailure, Sha256};

const ON_FAILURE: Choice<OnFailure> = Choice::of(&[("closed", OnFailure::Closed), ("open", OnFailure::Open)]);

pub fn filter(table: &mut Table<'_>) -> Option<Filter> {
    let place = table.required(
        "module",
        &Module,
        "A filter that ships with the proxy, a file, which is watched, or an address to fetch it from.",
    );
    let sha256 = table.optional(
        "sha256",
        &Digest,
        "The SHA-256 that the module must have; one with another is refused. Required for an address.",
    );
    let module = place.and_then(|place| source(table, place, sha256));
    let on_failure = table.or(
        "on-failure",
        &ON_FAILURE,
        OnFailure::Closed,
        "What an exchange gets when the filter fails: 500 `filter-failed`, or it goes on without the filter.",
    );
    let deadline = table.or(
        "deadline",
        &Time::within(DURATION_MIN, FILTER_DEADLINE_MAX),
        defaults::FILTER_DEADLINE,
        "CPU time that one hook may use; waiting does not count.",
    );
    let configure_deadline = table.or(
        "configure-deadline",
        &Time::within(DURATION_MIN, FILTER_CONFIGURE_DEADLINE_MAX),
        defaults::FILTER_CONFIGURE_DEADLINE,
        "CPU time that `configure` may use.",
    );
    let memory = table.or(
        "memory",
        &Size::within(FILTER_MEMORY_MIN, defaults::FILTER_MEMORY_MAX),
        defaults::FILTER_MEMORY,
        "Linear memory of one instance.",
    );
    let config = table.or(
        "config",
        &Json,
        serde_json::Value::Object(serde_json::Map::new()),
        "What the filter's `configure` is given, as JSON; a date becomes a string. The filter's own page says what it takes.",
    );
    let config = Arc::new(config);
    Some(Filter { module: module?, on_failure, deadline, configure_deadline, memory, config })
}

/// What is said to be there, and how it is recognized.
fn source(table: &Table<'_>, place: Place, sha256: Option<Sha256>) -> Option<ModuleSource> {
    let given = table.node("sha256");
    match (place, sha256) {
        (Place::Builtin(name), None) => Some(ModuleSource::Builtin(name)),
        (Place::Builtin(_), Some(_)) => {
            let message = "a filter that is built in takes no `sha256`: it is part of the proxy";
            table.reader().report(given?.span.clone(), message);
            None
        }
        (Place::Path(path), sha256) => Some(ModuleSource::Path { path, sha256 }),
        (Place::Https(url), Some(sha256)) => Some(ModuleSource::Https { url, sha256 }),
        (Place::Https(_), None) => {
            // A hash that is written wrong has been told.
            if let (Some(node), None) = (table.node("module"), given) {
                let message = "`sha256` is missing; a module that is fetched must be known by its SHA-256";
                let problem = table.reader().problem(node.span.clone(), message);
                table.reader().add(problem.with_help("`sha256sum FILE` prints it"));
            }
            None
        }
    }
}
