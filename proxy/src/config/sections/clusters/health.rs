//! The keys of `[clusters.NAME.health]` and `[clusters.NAME.outliers]`.

use std::time::Duration;

use crate::config::bounds::*;
use crate::config::defaults;
use crate::config::kind::{Choice, Flag, Integer, List, Statuses, Target, Text, Time};
use crate::config::table::Table;
use crate::config::types::{HealthCheck, HttpProbe, HttpProbeMethod, Outliers, Probe};

const METHOD: Choice<HttpProbeMethod> =
    Choice::of(&[("GET", HttpProbeMethod::Get), ("HEAD", HttpProbeMethod::Head), ("OPTIONS", HttpProbeMethod::Options)]);
/// One check goes by one of these.
const KINDS: [&str; 3] = ["http", "grpc", "tcp"];
/// Keys that say something about an HTTP check only.
const OF_HTTP: [&str; 4] = ["method", "host", "statuses", "contains"];

pub fn check(table: &mut Table<'_>) -> Option<HealthCheck> {
    let http = table.optional(
        "http",
        &Target,
        "An HTTP request for this path, in the protocol of the cluster. One of `http`, `grpc` and `tcp` has to be there.",
    );
    let grpc = table.optional(
        "grpc",
        &Text::up_to(GRPC_SERVICE_BYTES_MAX),
        "A call of `grpc.health.v1.Health/Check` for this service, over HTTP/2; `\"\"` asks for the server as a whole.",
    );
    let tcp = table.or("tcp", &Flag, false, "A connection that is opened and closed again.");
    let method = table.or("method", &METHOD, HttpProbeMethod::Get, "Of an HTTP check.");
    let host = table.optional("host", &Text::up_to(HOST_BYTES_MAX), "Of an HTTP check: its `Host`. Without it, the endpoint.");
    let statuses = table.or(
        "statuses",
        &List::of(Statuses),
        vec![200..=299],
        "Of an HTTP check: statuses that are expected. Redirects are not followed.",
    );
    let contains = table.optional(
        "contains",
        &Text::up_to(HEALTH_CONTAINS_BYTES_MAX),
        "Of an HTTP check: what the first 64 KiB of the body have to contain.",
    );
    let interval = table.or(
        "interval",
        &Time::within(HEALTH_INTERVAL_MIN, HEALTH_INTERVAL_MAX),
        defaults::HEALTH_INTERVAL,
        "From the end of one check of an endpoint to its next one, up to a tenth more or less at random.",
    );
    let timeout = table.or(
        "timeout",
        &Time::within(DURATION_MIN, HEALTH_INTERVAL_MAX),
        defaults::HEALTH_TIMEOUT,
        "Of one check, connecting included.",
    );
    let threshold = Integer::within(1, HEALTH_THRESHOLD_MAX);
    let unhealthy = table.or(
        "unhealthy",
        &threshold,
        defaults::HEALTH_UNHEALTHY,
        "Checks in a row that have to fail before an endpoint is out. The first check of an endpoint decides by itself.",
    );
    let healthy =
        table.or("healthy", &threshold, defaults::HEALTH_HEALTHY, "Checks in a row that have to succeed before it is in again.");
    only_one_kind(table)?;
    let probe = match (http, grpc, tcp) {
        (Some(target), None, _) => Probe::Http(HttpProbe { method, target, host, statuses, contains }),
        (None, Some(service), _) => Probe::Grpc { service },
        (None, None, true) => Probe::Tcp,
        // What was wrong with it has been told.
        _ => return None,
    };
    Some(HealthCheck { probe, interval, timeout, unhealthy, healthy })
}

/// Keys that contradict each other; `None` where it is not clear what a check is to do.
fn only_one_kind(table: &Table<'_>) -> Option<()> {
    let reader = table.reader();
    if reader.describes() {
        return Some(());
    }
    let off = |key: &&str| *key == "tcp" && table.node("tcp").is_some_and(|node| node.is_false());
    let given: Vec<_> = KINDS.into_iter().filter(|key| !off(key)).filter_map(|key| Some((key, table.node(key)?))).collect();
    match given[..] {
        [] => {
            let message =
                "one of `http`, `grpc` and `tcp` is missing; expected what a check is to do, such as http = \"/healthz\"";
            reader.report(table.span(), message);
            None
        }
        [("http", _)] => Some(()),
        [(kind, _)] => {
            for node in OF_HTTP.iter().filter_map(|key| table.node(key)) {
                reader.report(node.span.clone(), format!("only a check by `http` has this; this one is by `{kind}`"));
            }
            Some(())
        }
        [(first, _), (second, node), ..] => {
            reader.report(node.span.clone(), format!("expected one of `http`, `grpc` and `tcp`, found `{first}` and `{second}`"));
            None
        }
    }
}

pub fn outliers(table: &mut Table<'_>) -> Outliers {
    let default = Outliers::default();
    let outliers = Outliers {
        local_failures: run(
            table,
            "local-failures",
            default.local_failures,
            "Attempts in a row that found no connection, lost it before an answer, or had no answer in time.",
        ),
        gateway_errors: run(table, "gateway-errors", default.gateway_errors, "Answers in a row with 502, 503 or 504."),
        server_errors: run(table, "server-errors", default.server_errors, "Answers in a row with any status from 500 to 599."),
        failure_percent: table.or(
            "failure-percent",
            &Integer::within(0, 100).zero_means("never"),
            default.failure_percent,
            "Of the attempts within `interval`, how many in a hundred have to fail: those above, and answers with 429.",
        ),
        failure_requests: table.or(
            "failure-requests",
            &Integer::within(1, OUTLIER_REQUESTS_MAX),
            default.failure_requests,
            "Attempts within `interval` before `failure-percent` is looked at.",
        ),
        success_rate: table.or(
            "success-rate",
            &Flag,
            default.success_rate,
            "Whether endpoints are compared: one whose share of good attempts is far below the mean is ejected.",
        ),
        success_rate_requests: table.or(
            "success-rate-requests",
            &Integer::within(1, OUTLIER_REQUESTS_MAX),
            default.success_rate_requests,
            "Attempts within `interval` that make an endpoint worth comparing.",
        ),
        success_rate_endpoints: table.or(
            "success-rate-endpoints",
            &Integer::within(2, OUTLIER_ENDPOINTS_MAX),
            default.success_rate_endpoints,
            "Such endpoints before any is compared.",
        ),
        success_rate_deviation_percent: table.or(
            "success-rate-deviation-percent",
            &Integer::within(1, OUTLIER_DEVIATION_PERCENT_MAX),
            default.success_rate_deviation_percent,
            "How far below the mean, in hundredths of a standard deviation.",
        ),
        interval: table.or(
            "interval",
            &Time::within(OUTLIER_INTERVAL_MIN, HEALTH_INTERVAL_MAX),
            default.interval,
            "What is looked back on, and how often endpoints are compared.",
        ),
        ..default.clone()
    };
    ejections(table, outliers)
}

/// How long, and how many.
fn ejections(table: &mut Table<'_>, default: Outliers) -> Outliers {
    let time = Time::within(DURATION_MIN, OUTLIER_EJECTION_LONGEST);
    Outliers {
        ejection: table.or(
            "ejection",
            &time,
            default.ejection,
            "How long an endpoint is out the first time; the second time twice as long, the third time three times.",
        ),
        ejection_max: table.or("ejection-max", &time, default.ejection_max, "The longest time."),
        ejection_jitter: table.or(
            "ejection-jitter",
            &Time::within(Duration::ZERO, OUTLIER_EJECTION_LONGEST),
            default.ejection_jitter,
            "Up to so much is added at random.",
        ),
        ejected_percent: table.or(
            "ejected-percent",
            &Integer::within(0, 100).zero_means("never"),
            default.ejected_percent,
            "Of a hundred endpoints, how many are ejected at a time; rounded down.",
        ),
        ..default
    }
}

fn run(table: &mut Table<'_>, key: &'static str, default: u32, meaning: &'static str) -> u32 {
    table.or(key, &Integer::within(0, OUTLIER_RUN_MAX).zero_means("never"), default, meaning)
}
