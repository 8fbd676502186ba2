//! The keys of `[filters.NAME]`.

use std::sync::Arc;

use crate::config::bounds::*;
use crate::config::defaults;
use crate::config::kind::{Choice, Environment, Json, List, Module, Reference, Size, Time};
use crate::config::table::Table;
use crate::config::types::{Allow, Filter, OnFailure};

const ON_FAILURE: Choice<OnFailure> = Choice::of(&[("closed", OnFailure::Closed), ("open", OnFailure::Open)]);

pub fn filter(table: &mut Table<'_>) -> Option<Filter> {
    let module = table.required("module", &Module, "A filter that ships with the proxy, or a file, which is watched.");
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
    let allow = table.table("allow", "What a filter can reach beyond the exchange in hand. Nothing that is not granted.", allow);
    let config = table.or(
        "config",
        &Json,
        serde_json::Value::Object(serde_json::Map::new()),
        "What the filter's `configure` is given, as JSON; a date becomes a string. The filter's own page says what it takes.",
    );
    let config = Arc::new(config);
    Some(Filter { module: module?, on_failure, deadline, configure_deadline, memory, allow, config })
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
