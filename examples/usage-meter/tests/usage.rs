//! What a user of the filter would notice.

use std::time::Duration;

use serde_json::{Value, json};
use tamis_sdk::testing::{Configured, Exchange, Host, configure};
use usage_meter::UsageMeter;

fn meter(config: Value) -> Configured<UsageMeter> {
    Host::new().store("usage").now(Duration::from_secs(1_000)).configure(config).unwrap()
}

fn used(client: &str, sent: &str, got: &str) -> Exchange {
    Exchange::post("/").header("x-key", client).body(sent).answer_body(got)
}

#[test]
fn requests_and_bytes_are_counted_by_client() {
    let meter = meter(json!({ "header": "x-key" }));
    used("ann", "12345", "123").through(&meter);
    used("ann", "", "1").through(&meter);
    used("bob", "1", "").through(&meter);
    Exchange::get("/").through(&meter);
    let stored = |key: &str| String::from_utf8(meter.stored("usage", key).unwrap()).unwrap();
    assert_eq!((stored("requests:ann"), stored("bytes:ann")), ("2".to_owned(), "9".to_owned()));
    assert_eq!((stored("requests:bob"), stored("requests:anonymous")), ("1".to_owned(), "1".to_owned()));
    assert_eq!(stored("clients"), "ann\nbob\nanonymous");
    assert_eq!(meter.counted("usage_requests_total", &[]), 4.0);
    assert_eq!((meter.counted("usage_bytes_total", &["in"]), meter.counted("usage_bytes_total", &["out"])), (6.0, 4.0));
}

#[test]
fn a_tick_tells_the_totals_and_forgets_who_is_gone() {
    let meter = meter(json!({ "header": "x-key", "report-every": "2s", "forget-after": "1m" }));
    assert_eq!(meter.ticks_every(), Some(Duration::from_secs(2)));
    used("ann", "12345", "123").through(&meter);
    meter.advance(Duration::from_secs(30));
    used("bob", "1", "").through(&meter);
    assert_eq!(meter.tick()[0].message, "usage of 2 clients: 2 requests, 9 bytes");
    assert_eq!(meter.gauge("usage_client_requests", &["ann"]), Some(1.0));
    assert_eq!(meter.gauge("usage_client_bytes", &["ann"]), Some(8.0));
    meter.advance(Duration::from_secs(30));
    assert_eq!(meter.tick()[0].message, "usage of 1 clients: 1 requests, 1 bytes");
    assert_eq!(meter.gauge("usage_client_bytes", &["ann"]), Some(0.0));
    assert_eq!(meter.stored("usage", "clients").unwrap(), b"bob");
    used("ann", "1", "").through(&meter);
    assert_eq!(meter.stored("usage", "clients").unwrap(), b"bob\nann");
}

#[test]
fn past_the_limit_others_are_counted_together() {
    let meter = meter(json!({ "header": "x-key", "clients-max": 1 }));
    for client in ["ann", "bob", "eve", "ann"] {
        used(client, "1", "").through(&meter);
    }
    assert_eq!(meter.stored("usage", "clients").unwrap(), b"ann");
    assert_eq!(meter.stored("usage", "requests:other").unwrap(), b"2");
    assert_eq!(meter.tick()[0].message, "usage of 2 clients: 4 requests, 4 bytes");
}

#[test]
fn without_a_field_the_address_is_the_client() {
    let meter = meter(json!({}));
    Exchange::get("/").source("203.0.113.7").through(&meter);
    assert_eq!(meter.stored("usage", "requests:203.0.113.7").unwrap(), b"1");
}

#[test]
fn a_store_that_does_not_answer_costs_no_exchange() {
    let meter: Configured<UsageMeter> = Host::new().unavailable_store("usage").configure("{}").unwrap();
    let outcome = Exchange::get("/").through(&meter);
    assert_eq!(outcome.response().unwrap().status(), 200);
    assert_eq!(outcome.logs()[0].message, "an exchange of 192.0.2.1 is not counted: the store does not answer");
    assert_eq!(meter.tick()[0].message, "usage cannot be told: the store does not answer");
    assert_eq!(meter.counted("usage_requests_total", &[]), 1.0);
}

#[test]
fn mistakes_are_told_with_their_path() {
    let said = |config| configure::<UsageMeter>(config).unwrap_err().to_string();
    assert_eq!(said(json!({ "report-every": "0s" })), "report-every: expected more than 0ms, found 0ms");
    assert_eq!(said(json!({ "clients-max": 0 })), "clients-max: expected 1 to 1000, found 0");
    assert_eq!(said(json!({ "stores": "x" })), "stores: unknown key `stores`; the nearest is `store`");
}

#[test]
fn the_configuration_that_ships_is_taken() {
    let file: toml::Table = toml::from_str(include_str!("../tamis.toml")).unwrap();
    let config = &file["filters"]["usage-meter"]["config"];
    let taken = configure::<UsageMeter>(serde_json::to_value(config).unwrap());
    assert!(taken.is_ok(), "{:?}", taken.err());
}
