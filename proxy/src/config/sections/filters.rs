//! The keys of `[filters.NAME]`.

use std::sync::Arc;
use std::time::Duration;

use crate::config::bounds::*;
use crate::config::defaults;
use crate::config::kind::{Choice, Digest, Environment, Flag, Inputs, Integer, Json, List, Module, Place, Reference, Size, Time};
use crate::config::table::Table;
use crate::config::types::{Allow, Canary, Filter, Isolation, Mode, ModuleSource, OnFailure, Sha256, Trip};

const ON_FAILURE: Choice<OnFailure> = Choice::of(&[("closed", OnFailure::Closed), ("open", OnFailure::Open)]);

const MODE: Choice<Mode> = Choice::of(&[("enforce", Mode::Enforce), ("observe", Mode::Observe)]);
const ISOLATION: Choice<Isolation> = Choice::of(&[("reuse", Isolation::Reuse), ("fresh", Isolation::Fresh)]);

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
    let hook_timeout = table.or(
        "hook-timeout",
        &Time::within(Duration::ZERO, FILTER_HOOK_TIMEOUT_MAX),
        defaults::FILTER_HOOK_TIMEOUT,
        "Wall time that one hook may take, waiting included. `\"0s\"` switches it off.",
    );
    let memory = table.or(
        "memory",
        &Size::within(FILTER_MEMORY_MIN, defaults::FILTER_MEMORY_MAX),
        defaults::FILTER_MEMORY,
        "Linear memory of one instance.",
    );
    let isolation = table.or(
        "isolation",
        &ISOLATION,
        Isolation::Reuse,
        "Whether an instance serves one exchange after the other, or every hook gets a new one.",
    );
    let instances_max = table.or(
        "instances-max",
        &Integer::within(1, INSTANCES_MAX),
        defaults::FILTER_INSTANCES,
        "Instances that can be at work at once, shared out among the workers.",
    );
    let instances_wait = table.or(
        "instances-wait",
        &Time::within(Duration::ZERO, FILTER_HOOK_TIMEOUT_MAX),
        defaults::FILTER_INSTANCES_WAIT,
        "How long an exchange waits for an instance when all are at work. Then the filter counts as failed.",
    );
    let retire_after = table.or(
        "retire-after",
        &Integer::within(0, u64::MAX),
        defaults::FILTER_RETIRE_AFTER,
        "Hooks after which an instance is replaced; 0: never.",
    );
    let retire_memory = table.optional(
        "retire-memory",
        &Size::within(FILTER_MEMORY_MIN, defaults::FILTER_MEMORY_MAX),
        "Linear memory past which an instance is replaced. Without it, three quarters of `memory`.",
    );
    let log_lines = table.or(
        "log-lines",
        &Integer::within(0, FILTER_LOG_LINES_MAX),
        defaults::FILTER_LOG_LINES,
        "Lines that it may write into the log in a second; 0: as many as it likes.",
    );
    let trip =
        table.table("trip", "When a filter that keeps failing is left alone for a while.", |table| trip(table, on_failure));
    let mode = table.or(
        "mode",
        &MODE,
        Mode::Enforce,
        "Whether what it decides is done, or only compared and counted while it sees copies of the exchanges.",
    );
    let observe = table.optional_table("observe", "A second version beside it that is only watched.", second);
    let observe_calls = table.or("observe-calls", &Flag, false, "Whether what is watched may send requests of its own.");
    let canary = table.optional_table("canary", "A second version that gets a share of the exchanges.", canary);
    if let (Some(node), true) = (table.node("canary"), observe.is_some() || mode == Mode::Observe) {
        let message = "a filter that is observed, or has a version that is, takes no `canary`: one second version at a time";
        table.reader().report(node.span.clone(), message);
    }
    let probation = table.or(
        "probation",
        &Time::within(Duration::ZERO, FILTER_HOOK_TIMEOUT_MAX),
        defaults::FILTER_PROBATION,
        "A version that keeps failing within this long of going live makes way for the one before. `\"0s\"` switches it off.",
    );
    let inputs = table.or(
        "inputs",
        &Inputs,
        std::collections::BTreeMap::new(),
        "Files, and resources of clusters, that `configure` is given. A change configures anew.",
    );
    let allow = table.table("allow", "What a filter can reach beyond the exchange in hand. Nothing that is not granted.", allow);
    let proxy_wasm = table.table(
        "proxy-wasm",
        "For modules made for that ABI, which other proxies have as well.",
        super::proxy_wasm::proxy_wasm,
    );
    let config = table.or(
        "config",
        &Json,
        serde_json::Value::Object(serde_json::Map::new()),
        "What the filter's `configure` is given, as JSON; a date becomes a string. The filter's own page says what it takes.",
    );
    let config = Arc::new(config);
    Some(Filter {
        module: module?,
        on_failure,
        deadline,
        configure_deadline,
        hook_timeout,
        memory,
        isolation,
        instances_max,
        instances_wait,
        retire_after,
        retire_memory: retire_memory.unwrap_or(memory / 4 * 3),
        log_lines,
        trip,
        mode,
        observe,
        observe_calls,
        canary,
        probation,
        inputs,
        allow,
        proxy_wasm,
        config,
    })
}

/// Another module for the same configuration.
fn second(table: &mut Table<'_>) -> Option<ModuleSource> {
    let place = table.required("module", &Module, "As that of the filter.");
    let sha256 = table.optional("sha256", &Digest, "As that of the filter.");
    place.and_then(|place| source(table, place, sha256))
}

fn canary(table: &mut Table<'_>) -> Option<Canary> {
    let module = second(table);
    let percent = table.required("percent", &Integer::within(1, 100), "Of a hundred exchanges, how many go through it.");
    Some(Canary { module: module?, percent: percent? })
}

fn trip(table: &mut Table<'_>, on_failure: OnFailure) -> Option<Trip> {
    let enabled = table.optional(
        "enabled",
        &Flag,
        "Whether it is. Without it, only where `on-failure = \"closed\"`: otherwise whoever can make a filter fail could switch it off.",
    );
    let trip = Trip {
        calls: table.or(
            "calls",
            &Integer::within(1, TRIP_CALLS_MAX),
            defaults::TRIP_CALLS,
            "Calls within 10 s before a filter is judged.",
        ),
        percent: table.or(
            "percent",
            &Integer::within(1, 100),
            defaults::TRIP_PERCENT,
            "Of them, how many in a hundred must have failed.",
        ),
        backoff: table.or(
            "backoff",
            &Time::within(DURATION_MIN, FILTER_HOOK_TIMEOUT_MAX),
            defaults::TRIP_BACKOFF,
            "How long it is left alone the first time; twice as long each further time.",
        ),
        backoff_max: table.or(
            "backoff-max",
            &Time::within(DURATION_MIN, FILTER_HOOK_TIMEOUT_MAX),
            defaults::TRIP_BACKOFF_MAX,
            "The longest time.",
        ),
    };
    enabled.unwrap_or(on_failure == OnFailure::Closed).then_some(trip)
}

fn allow(table: &mut Table<'_>) -> Allow {
    Allow {
        clusters: table.or(
            "clusters",
            &List::of_distinct(Reference::CLUSTER),
            Vec::new(),
            "Clusters that it may send requests of its own to.",
        ),
        stores: table.or("stores", &List::of_distinct(Reference::STORE), Vec::new(), "Stores that it may read and write."),
        environment: table.or(
            "environment",
            &Environment,
            std::collections::BTreeMap::new(),
            "The environment variables that it sees. Those of the proxy it never does.",
        ),
    }
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
