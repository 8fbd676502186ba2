//! The keys of `[clusters.NAME.balancing]`, and the words for `balance`.

use crate::config::bounds::*;
use crate::config::kind::{Choice, Integer, Prime, Time};
use crate::config::table::Table;
use crate::config::types::{Balance, Balancing};

pub const BALANCE: Choice<Balance> = Choice::of(&[
    (Balance::LeastRequest.name(), Balance::LeastRequest),
    (Balance::PeakEwma.name(), Balance::PeakEwma),
    (Balance::RoundRobin.name(), Balance::RoundRobin),
    (Balance::Random.name(), Balance::Random),
    (Balance::Hash.name(), Balance::Hash),
    (Balance::RingHash.name(), Balance::RingHash),
    (Balance::Maglev.name(), Balance::Maglev),
]);

pub const BALANCE_MEANING: &str = "How an endpoint is chosen: the less busy or the quicker of two random ones, one after the \
     other, by chance, or by the hash key that a filter sets (without one, as `\"least-request\"` does).";

pub fn balancing(table: &mut Table<'_>) -> Balancing {
    let default = Balancing::default();
    let latency = Time::within(DURATION_MIN, EWMA_TIME_MAX);
    let percent = |zero| Integer::within(0, 100).zero_means(zero);
    let balancing = Balancing {
        panic_percent: table.or(
            "panic-percent",
            &percent("never"),
            default.panic_percent,
            "Where fewer endpoints than this many in a hundred are in, all are asked: it is likelier that the checks are wrong, \
             and the few would not bear the load.",
        ),
        overprovisioning_percent: table.or(
            "overprovisioning-percent",
            &Integer::within(100, OVERPROVISIONING_PERCENT_MAX),
            default.overprovisioning_percent,
            "What endpoints of one priority can bear, in percent of their usual load. The next priority gets what is above it.",
        ),
        zone_endpoints_min: table.or(
            "zone-endpoints-min",
            &Integer::within(0, ENDPOINTS_MIN_MAX).zero_means("no preference at all"),
            default.zone_endpoints_min,
            "Endpoints of one priority from which on those in the proxy's own `zone` are preferred.",
        ),
        slow_start: table.or(
            "slow-start",
            &Time::timeout(),
            default.slow_start,
            "How long an endpoint that comes, or comes back, gets less than its share.",
        ),
        slow_start_percent_min: table.or(
            "slow-start-percent-min",
            &Integer::within(1, 100),
            default.slow_start_percent_min,
            "What it gets of its share at first.",
        ),
        slow_start_aggression_percent: table.or(
            "slow-start-aggression-percent",
            &Integer::within(1, SLOW_START_AGGRESSION_PERCENT_MAX),
            default.slow_start_aggression_percent,
            "How its share grows: at 100 evenly, above sooner, below later.",
        ),
        ewma_decay: table.or(
            "ewma-decay",
            &latency,
            default.ewma_decay,
            "`\"peak-ewma\"`: after this long a slow answer counts a third (1/e) of what it did.",
        ),
        ewma_seed: table.or(
            "ewma-seed",
            &latency,
            default.ewma_seed,
            "`\"peak-ewma\"`: how slow an endpoint is taken to be before its first answer.",
        ),
        ewma_penalty: table.or(
            "ewma-penalty",
            &latency,
            default.ewma_penalty,
            "`\"peak-ewma\"`: how slow a failure, a 429 or a 5xx is taken to be, unless it took longer.",
        ),
        ewma_penalty_max: table.or(
            "ewma-penalty-max",
            &latency,
            default.ewma_penalty_max,
            "`\"peak-ewma\"`: the most that the `retry-after` of a 429 or 503 makes of it.",
        ),
        ring_entries_min: table.or(
            "ring-entries-min",
            &Integer::within(1, RING_ENTRIES_MAX_MAX),
            default.ring_entries_min,
            "`\"ring-hash\"`: points on the ring, of all endpoints together. More share the keys out more evenly.",
        ),
        ring_entries_max: table.or(
            "ring-entries-max",
            &Integer::within(1, RING_ENTRIES_MAX_MAX),
            default.ring_entries_max,
            "`\"ring-hash\"`: the same with large weights.",
        ),
        maglev_entries: table.or(
            "maglev-entries",
            &Prime::up_to(MAGLEV_ENTRIES_MAX),
            default.maglev_entries,
            "`\"maglev\"`: places in the table; a hundred times the endpoints share the keys out within a percent.",
        ),
        subsets: table.or(
            "subsets",
            &Integer::within(1, SUBSETS_MAX),
            default.subsets,
            "Subsets, as filters choose them, for which what a pick needs is kept; others have it made anew each time.",
        ),
    };
    check_ring(table, &balancing);
    balancing
}

fn check_ring(table: &Table<'_>, balancing: &Balancing) {
    let given = ["ring-entries-max", "ring-entries-min"].into_iter().find_map(|key| table.node(key));
    let Balancing { ring_entries_min, ring_entries_max, .. } = balancing;
    if let (Some(node), true) = (given, ring_entries_min > ring_entries_max) {
        let message = format!("ring-entries-max ({ring_entries_max}) is below ring-entries-min ({ring_entries_min})");
        table.reader().report(node.span.clone(), message);
    }
}
