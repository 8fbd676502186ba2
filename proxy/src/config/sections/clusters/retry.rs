//! The keys of `[clusters.NAME.retry]` and `[clusters.NAME.retry-budget]`.

use std::time::Duration;

use crate::config::bounds::*;
use crate::config::kind::{Choice, FieldName, Integer, List, OccasionWord, Time};
use crate::config::table::Table;
use crate::config::types::{ATTEMPTS_MAX, Occasions, Retry, RetryBudget};

const METHODS: Choice<bool> = Choice::of(&[("idempotent", false), ("any", true)]);

pub fn retry(table: &mut Table<'_>) -> Retry {
    let default = Retry::default();
    let backoff = Time::within(Duration::ZERO, RETRY_BACKOFF_LIMIT);
    let retry = Retry {
        attempts: table.or(
            "attempts",
            &Integer::within(1, ATTEMPTS_MAX),
            default.attempts,
            "How often a request is sent at most, the first time included. 1: never again, not even where no connection could \
             be opened.",
        ),
        on: occasions(table),
        when_header: table.or(
            "when-header",
            &List::of_distinct(FieldName),
            default.when_header,
            "Response fields that ask for another attempt by being there, such as `\"x-retriable\"`.",
        ),
        any_method: table.or(
            "methods",
            &METHODS,
            default.any_method,
            "What may have been acted upon is sent again for idempotent methods only (GET, HEAD, OPTIONS, TRACE, PUT, DELETE), or \
             for `\"any\"`.",
        ),
        per_try_timeout: table.or(
            "per-try-timeout",
            &Time::timeout(),
            default.per_try_timeout,
            "From the beginning of an attempt to the head of its answer.",
        ),
        backoff: table.or(
            "backoff",
            &backoff,
            default.backoff,
            "The longest pause before the second attempt; it doubles with each further one, and the real one is random below it.",
        ),
        backoff_max: table.or("backoff-max", &backoff, default.backoff_max, "The longest pause before any attempt."),
        hedge_after: table.or(
            "hedge-after",
            &Time::timeout(),
            default.hedge_after,
            "After this long without an answer, an idempotent request is sent to a second endpoint as well. The first answer \
             counts.",
        ),
    };
    check(table, &retry);
    retry
}

fn occasions(table: &mut Table<'_>) -> Occasions {
    let words = table.or(
        "on",
        &List::of_distinct(OccasionWord),
        Vec::new(),
        "What another attempt is made for; [retries.md](retries.md#when) has them all. Without any, a request is sent again only \
         where no connection could be opened and another endpoint is left.",
    );
    Occasions::parse(&words).unwrap_or_else(|problem| {
        // Each word is known by itself, so there are too many of them.
        if let Some(node) = table.node("on") {
            table.reader().report(node.span.clone(), problem);
        }
        Occasions::default()
    })
}

fn check(table: &Table<'_>, retry: &Retry) {
    let report = |key: &str, message: String| {
        if let Some(node) = table.node(key) {
            table.reader().report(node.span.clone(), message);
        }
    };
    if retry.when_header.len() > RETRY_FIELDS_MAX {
        report("when-header", format!("expected at most {RETRY_FIELDS_MAX} names, found {}", retry.when_header.len()));
    }
    if retry.backoff > retry.backoff_max {
        let given = if table.node("backoff").is_some() { "backoff" } else { "backoff-max" };
        report(given, format!("backoff ({:?}) is longer than backoff-max ({:?})", retry.backoff, retry.backoff_max));
    }
}

pub fn budget(table: &mut Table<'_>) -> RetryBudget {
    let default = RetryBudget::default();
    RetryBudget {
        percent: table.or(
            "percent",
            &Integer::within(0, RETRY_BUDGET_PERCENT_MAX),
            default.percent,
            "Retries in a hundred requests.",
        ),
        minimum: table.or(
            "minimum",
            &Integer::within(0, RETRY_BUDGET_MINIMUM_MAX),
            default.minimum,
            "Retries a second that are allowed besides, however few requests there are.",
        ),
        window: table.or(
            "window",
            &Time::within(RETRY_BUDGET_WINDOW_MIN, RETRY_BUDGET_WINDOW_MAX),
            default.window,
            "How long requests and retries count.",
        ),
    }
}
