//! What those who watch get, and what they cost.

use std::rc::Rc;

use http::StatusCode;

use super::super::tests::exchange;
use super::super::{Inflow, Record};
use super::*;
use crate::config::{AccessLog as LogConfig, AccessLogOutput};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::traffic::Traffic;

fn wanted(matching: &str, sample: f64) -> Wanted {
    Wanted { matching: Expression::parse(matching).expect("well formed"), sample, body_bytes: 4 }
}

fn limits(queue: usize, watchers: usize) -> config::Tap {
    config::Tap { queue, watchers, ..config::Tap::default() }
}

/// An exchange for `/v1/users` that ends with this status.
fn passes(tap: &Arc<Tap>, status: u16) {
    let config = LogConfig { output: AccessLogOutput::Off, ..LogConfig::default() };
    let redact = Arc::<Redact>::default();
    let log = Arc::new(AccessLog::open(&config, &redact, None).expect("nothing to open"));
    let traffic = Arc::new(Traffic::new(&"edge".into(), [].iter(), 1, &[], None));
    let mut exchange = exchange();
    exchange.request.uri = "/v1/users?secret".parse().expect("a target");
    exchange.destination.cluster = Some("users".into());
    let mut record = Record::new(exchange, Rc::new(Inflow::new(true)), log, traffic);
    let onlooker: Arc<dyn Onlooker> = Arc::new(Showing::new(tap, &redact));
    record.exchange_mut().offer(&[onlooker], "/", 8);
    if let Some(kept) = record.inflow.kept() {
        kept.response(b"hello");
    }
    record.status = StatusCode::from_u16(status).ok();
    (record.response_bytes, record.complete) = (5, true);
}

fn shown(watching: &mut Watching) -> Vec<serde_json::Value> {
    let events = std::iter::from_fn(|| watching.at_hand());
    events.map(|event| serde_json::from_slice(&event).expect("an event is JSON")).collect()
}

#[test]
fn everybody_sees_what_they_asked_for() {
    let tap = Arc::new(Tap::new(&Registry::default()));
    passes(&tap, 200);
    let mut all = tap.watch(wanted("", 1.0), &limits(8, 4)).expect("there is room");
    let mut errors = tap.watch(wanted("cluster=users status=5xx /V1/", 1.0), &limits(8, 4)).expect("there is room");
    let mut others = tap.watch(wanted("listener=other|another", 1.0), &limits(8, 4)).expect("there is room");
    passes(&tap, 200);
    passes(&tap, 503);
    let seen = shown(&mut all);
    assert_eq!(seen.iter().map(|event| &event["status"]).collect::<Vec<_>>(), [200, 503], "not what was before");
    assert_eq!(seen[0]["path"], "/v1/users", "without the query");
    assert_eq!((&seen[0]["response"]["body"], &seen[0]["response"]["body_cut"]), (&"hell".into(), &true.into()));
    assert_eq!(shown(&mut errors).iter().map(|event| &event["status"]).collect::<Vec<_>>(), [503]);
    assert!(shown(&mut others).is_empty());
}

#[test]
fn what_is_not_taken_in_time_is_counted() {
    let tap = Arc::new(Tap::new(&Registry::default()));
    let mut slow = tap.watch(wanted("", 1.0), &limits(2, 4)).expect("there is room");
    (0..5).for_each(|_| passes(&tap, 200));
    assert_eq!((slow.lost(), slow.lost(), shown(&mut slow).len()), (3, 0, 2));
}

#[test]
fn what_waits_is_bounded_by_what_it_takes() {
    let tap = Arc::new(Tap::new(&Registry::default()));
    let mut one = tap.watch(wanted("", 1.0), &limits(8, 4)).expect("there is room");
    passes(&tap, 200);
    let length = one.at_hand().expect("it is shown").len();
    drop(one);
    // Times and sizes have not always the same number of digits.
    let mut slow =
        tap.watch(wanted("", 1.0), &config::Tap { queue_bytes: 5 * length / 2, ..limits(8, 4) }).expect("there is room");
    (0..5).for_each(|_| passes(&tap, 200));
    assert_eq!((slow.lost(), shown(&mut slow).len()), (3, 2));
    (0..5).for_each(|_| passes(&tap, 200));
    assert_eq!((slow.lost(), shown(&mut slow).len()), (3, 2), "what was taken makes room");
}

#[test]
fn a_sample_is_about_that_share() {
    let tap = Arc::new(Tap::new(&Registry::default()));
    let mut some = tap.watch(wanted("", 0.5), &limits(2000, 4)).expect("there is room");
    (0..1000).for_each(|_| passes(&tap, 200));
    let seen = shown(&mut some).len();
    assert!((350..650).contains(&seen), "{seen} of 1000");
}

#[test]
fn who_leaves_makes_room_and_costs_nothing_more() {
    let tap = Arc::new(Tap::new(&Registry::default()));
    let first = tap.watch(wanted("", 1.0), &limits(2, 1)).expect("there is room");
    assert_eq!(tap.watch(wanted("", 1.0), &limits(2, 1)).expect_err("there is none"), Full(1));
    assert!(Showing::new(&tap, &Arc::default()).wants(&exchange(), "/"));
    drop(first);
    assert!(!Showing::new(&tap, &Arc::default()).wants(&exchange(), "/"), "nobody watches");
    assert!(tap.watch(wanted("", 1.0), &limits(2, 1)).is_ok());
}
