//! The keys of the file: each told once, with what it takes, its default and its meaning.

mod access_log;
mod admin;
mod clusters;
mod filters;
mod listeners;
mod proxy_wasm;
mod redact;
mod sidecar;
mod stores;
mod tcp;
mod tls;
mod tracing;
mod upgrade;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bounds::*;
use super::kind::{CacheFolder, Choice, File, Folder, Integer, List, NameServer, Reference, Size, Time, Word};
use super::sidecar::{APPLICATION, PASSTHROUGH};
use super::table::Table;
use super::types::{Chain, Config, Dns, Drain, Modules, ProcessLimits, Service, Sidecar, State};

const DIRECT_OR_COMPONENT: Choice<bool> = Choice::of(&[("direct", true), ("component", false)]);

/// Reads the top of the file.
pub fn config(top: &mut Table<'_>) -> Config {
    let (sidecar, services) = of_a_sidecar(top);
    let mark = top.optional(
        "mark",
        &Integer::within(1, u32::MAX),
        "The firewall mark (SO_MARK) of connections that the proxy opens, those of clusters without a `mark` of their own included: by it, \
         what redirects leaves them out. It takes CAP_NET_ADMIN.",
    );
    let zone = top.optional("zone", &Word, "Where this proxy is: clusters prefer endpoints of the same zone.");
    Config {
        workers: top.optional(
            "workers",
            &Integer::within(1, WORKERS_MAX),
            "Worker threads, each with connections, pools and filter instances of its own. Without it, one a core.",
        ),
        mark,
        admin: top.optional_table("admin", "The listener of the operator. Without it there is none.", admin::admin),
        state: top.table("state", "What is pushed through the admin, and what is remembered of it.", state),
        access_log: top.table(
            "access-log",
            "One line an exchange: which have one, how it looks, where it goes.",
            access_log::access_log,
        ),
        redact: top.table("redact", "Whose values telemetry hides wherever it would show them.", redact::redact),
        tracing: top
            .optional_table(
                "tracing",
                "Traces that go on, and spans that are told of. Without it, fields of traces pass as they are.",
                |table| tracing::tracing(table, mark),
            )
            .map(std::sync::Arc::new),
        limits: top.table("limits", "What holds for the whole process.", process_limits),
        drain: top.table("drain", "How the proxy leaves after SIGTERM.", drain),
        upgrade: top.table("upgrade", "Another process takes over from this one.", upgrade::upgrade),
        dns: top.table("dns", "How host names in `endpoints` are resolved.", dns),
        modules: top.table("modules", "How modules are fetched, and what is kept of them.", |table| modules(table, mark)),
        spiffe: top.optional_table(
            "spiffe",
            "Who the proxy itself is, as the SPIFFE Workload API says. Takes effect at the next start.",
            tls::spiffe,
        ),
        sidecar,
        services,
        listeners: top.named("listeners", "A socket that clients connect to; at least one.", listeners::listener),
        clusters: top.named("clusters", "A named set of endpoints that exchanges go to.", |table| {
            clusters::cluster(table, zone.as_ref(), mark)
        }),
        filters: top.named("filters", "A module with its configuration, for `filters` of listeners.", filters::filter),
        chains: top.named("chains", "Filters that a filter may append to those of the listener.", chain),
        stores: top.named("stores", "Small state that filters share; `allow` of a filter grants it.", |table| {
            stores::store(table, mark)
        }),
    }
}

/// What stands for listeners, clusters and filters.
pub fn of_a_sidecar(top: &mut Table<'_>) -> (Option<Sidecar>, BTreeMap<Arc<str>, Arc<Service>>) {
    let meaning = "A proxy beside a service, which takes the service's calls and those to it ([sidecar.md](sidecar.md)): it stands for \
                   listeners and clusters, which `tamis sidecar --print` shows.";
    let sidecar = top.optional_table("sidecar", meaning, sidecar::sidecar);
    let services = top.named("services", "A service that is called from beside a sidecar.", sidecar::service);
    if let (true, Some(node)) = (top.node("sidecar").is_none(), top.node("services")) {
        top.reader().report(node.span.clone(), "`services` are those of a sidecar, and there is no [sidecar]");
    }
    for name in [APPLICATION, PASSTHROUGH] {
        if let Some(node) = top.node("services").and_then(|services| services.get(name)) {
            top.reader().report(node.span.clone(), format!("expected another name: `{name}` is a cluster of the sidecar's own"));
        }
    }
    (sidecar, services)
}

fn state(table: &mut Table<'_>) -> State {
    State {
        directory: table.optional(
            "directory",
            &Folder,
            "Where what is pushed is kept, so that it survives a restart. Without it, it is gone with the process.",
        ),
        versions: table.or(
            "versions",
            &Integer::within(STATE_VERSIONS_MIN, STATE_VERSIONS_MAX),
            State::default().versions,
            "Versions of a filter that are remembered, the live one included.",
        ),
    }
}

fn process_limits(table: &mut Table<'_>) -> ProcessLimits {
    let default = ProcessLimits::default();
    ProcessLimits {
        connections: table.or(
            "connections",
            &Integer::within(1, CONNECTIONS_MAX),
            default.connections,
            "Downstream connections of all listeners; one more is closed at once.",
        ),
        exchanges: table.or(
            "exchanges",
            &Integer::within(1, EXCHANGES_MAX),
            default.exchanges,
            "Exchanges under way; one more is answered 503 `overloaded`.",
        ),
        instances: table.or(
            "instances",
            &Integer::within(1, INSTANCES_MAX),
            default.instances,
            "Instances of all filters at once. Takes effect at the next start.",
        ),
        complete_hooks: table.or(
            "complete-hooks",
            &Integer::within(1, EXCHANGES_MAX),
            default.complete_hooks,
            "Exchanges that are over and whose complete hooks are pending; those of one more are left out, with a line in the log.",
        ),
        trail_steps: table.or(
            "trail-steps",
            &Integer::within(1, TRAIL_STEPS_MAX),
            default.trail_steps,
            "Hooks and attempts that are kept of an exchange that is traced or watched; further ones are only counted.",
        ),
    }
}

fn chain(table: &mut Table<'_>) -> Option<Chain> {
    let filters =
        table.required("filters", &List::of(Reference::FILTER), "The filters, in the order in which request hooks run.");
    Some(Chain { filters: filters? })
}

fn drain(table: &mut Table<'_>) -> Drain {
    let default = Drain::default();
    let time = Time::within(std::time::Duration::ZERO, DRAIN_MAX);
    Drain {
        pre_stop: table.or(
            "pre-stop",
            &time,
            default.pre_stop,
            "Between the moment `/ready` turns 503 and the moment listeners close.",
        ),
        timeout: table.or("timeout", &time, default.timeout, "What is still under way after this long is cut."),
    }
}

fn dns(table: &mut Table<'_>) -> Dns {
    let default = Dns::default();
    let wait = Time::within(DURATION_MIN, DNS_WAIT_MAX);
    Dns {
        servers: table.or(
            "servers",
            &List::of_distinct(NameServer),
            default.servers,
            "Name servers. Empty: those of the system's resolv.conf.",
        ),
        query_timeout: table.or(
            "query-timeout",
            &Time::within(DURATION_MIN, DNS_QUERY_MAX),
            default.query_timeout,
            "One query, retries of the resolver included.",
        ),
        ttl_min: table.or("ttl-min", &wait, default.ttl_min, "An answer is asked again after its TTL, but not sooner than this."),
        retry: table.or(
            "retry",
            &wait,
            default.retry,
            "After a failed query the last good answer is kept and the next query waits this long.",
        ),
    }
}

fn modules(table: &mut Table<'_>, mark: Option<u32>) -> Modules {
    let default = Modules::default();
    let cache = table.optional(
        "cache",
        &CacheFolder,
        "Where fetched modules and compiled code are kept, which must be yours alone to write. Without it, \
         `$XDG_CACHE_HOME/tamis` or `~/.cache/tamis`.",
    );
    Modules {
        cache: cache.unwrap_or(default.cache),
        cache_bytes: table.or(
            "cache-bytes",
            &Size::within(MODULE_CACHE_BYTES_MIN, MODULE_CACHE_BYTES_MAX),
            default.cache_bytes,
            "What the cache may hold; past it, what was not used for the longest time goes.",
        ),
        ca: table.or(
            "ca",
            &List::of_distinct(File),
            default.ca,
            "PEM files of authorities that are trusted for fetching, besides those of the system.",
        ),
        fetch_timeout: table.or(
            "fetch-timeout",
            &Time::within(DURATION_MIN, MODULE_FETCH_MAX),
            default.fetch_timeout,
            "For fetching all modules that are not in the cache, retries included; then the start or the reload fails.",
        ),
        mark,
        direct: table.or(
            "enter",
            &DIRECT_OR_COMPONENT,
            default.direct,
            "How core modules of wit-bindgen are entered: as what they are, which is faster, or as the components that \
             are made of them. A filter cannot tell. Takes effect at the next start.",
        ),
    }
}
