//! Steps that reach what lies outside of the exchange.

use std::time::Duration;

use tamis_sdk::http_client::{self, Incoming, Outgoing};
use tamis_sdk::log::Severity;
use tamis_sdk::prelude::*;
use tamis_sdk::quota::{Ask, Decision};
use tamis_sdk::store::{self, Store};

use super::Words;
use crate::Metrics;
use crate::words::{encoded, list, option, value};

pub fn http(words: &Words) -> String {
    match words.text(0) {
        "http.send" => {
            let method = Method::from_bytes(words.text(2).as_bytes()).expect("a method");
            let mut call = Outgoing::new(words.text(1), method, words.text(3));
            if let Some(timeout) = words.time(4) {
                call = call.timeout(timeout);
            }
            if let Some(authority) = words.some(5) {
                call = call.authority(authority);
            }
            call = words.pairs(7).fold(call, |call, (name, value)| call.header(name, value));
            match call.body(words.bytes(6)).send() {
                Ok(answer) => answered(&answer),
                Err(why) => unanswered(why),
            }
        }
        "http.send-trailers" => {
            let call = Outgoing::new(words.text(1), Method::POST, words.text(2)).body(words.bytes(3));
            match words.pairs(4).fold(call, |call, (name, value)| call.trailer(name, value)).send() {
                Ok(answer) => format!("{}{}", answer.status().as_str(), fields(answer.all_trailers())),
                Err(why) => unanswered(why),
            }
        }
        "http.send-all" => {
            let calls = words.rest(2).into_iter().map(|target| Outgoing::get(words.text(1), target));
            let status =
                |answer: Result<Incoming, _>| answer.map_or_else(unanswered, |answer| answer.status().as_str().to_owned());
            list(http_client::send_all(calls).into_iter().map(status))
        }
        other => panic!("no such step: {other}"),
    }
}

fn answered(answer: &Incoming) -> String {
    format!("{}{} {}", answer.status().as_str(), fields(answer.all_headers()), value(answer.body()))
}

fn fields<'a>(all: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let fields = all.filter(|(name, _)| name.starts_with("x-"));
    fields.map(|(name, value)| format!(" {name}={}", encoded(value))).collect()
}

fn unanswered(why: http_client::Error) -> String {
    let word = match why {
        http_client::Error::NotAllowed => "not-allowed",
        http_client::Error::NoSuchCluster => "no-such-cluster",
        http_client::Error::NoHealthyEndpoint => "no-healthy-endpoint",
        http_client::Error::Timeout => "timeout",
        http_client::Error::Reset => "reset",
        http_client::Error::TooLarge => "too-large",
        http_client::Error::Protocol => "protocol",
    };
    format!("!{word}")
}

pub fn store(words: &Words) -> String {
    let store = Store::from(words.text(1).to_owned());
    let key = words.text(2);
    let ok = |()| "ok".to_owned();
    match words.text(0) {
        "store.get" => store.get(key).map_or_else(of_store, option),
        "store.set" => store.set(key, words.bytes(3), words.time(4)).map_or_else(of_store, ok),
        "store.compare-and-set" => {
            let expected = words.some(3).map(|_| words.bytes(3));
            let set = store.compare_and_set(key, expected.as_deref(), words.bytes(4), words.time(5));
            set.map_or_else(of_store, |set| set.to_string())
        }
        "store.delete" => store.delete(key).map_or_else(of_store, ok),
        "store.increment" => store.increment(key, words.number(3), words.time(4)).map_or_else(of_store, |sum| sum.to_string()),
        other => panic!("no such step: {other}"),
    }
}

fn of_store(why: store::Error) -> String {
    let word = match why {
        store::Error::NotAllowed => "not-allowed",
        store::Error::Unavailable => "unavailable",
        store::Error::TooLarge => "too-large",
    };
    format!("!{word}")
}

pub fn quota(words: &Words) -> String {
    assert_eq!(words.text(0), "quota.take");
    let store = Store::from(words.text(1).to_owned());
    let asks: Vec<Ask> = (2..words.rest(0).len()).step_by(6).map(|at| ask(words, at)).collect();
    match tamis_sdk::quota::take(&store, &asks) {
        Ok(decisions) => list(decisions.iter().map(decided)),
        Err(why) => of_store(why),
    }
}

fn ask(words: &Words, at: usize) -> Ask {
    let (key, limit) = (words.text(at), words.number(at + 2));
    let window = words.time(at + 3).unwrap_or_default();
    let ask = match words.text(at + 1) {
        "rate" => Ask::rate(key, limit, window),
        "calendar" => Ask::calendar(key, limit, window),
        "concurrency" => Ask::concurrency(key, limit),
        other => panic!("no such kind: {other}"),
    };
    ask.burst(words.number(at + 4)).cost(words.number(at + 5))
}

fn decided(decision: &Decision) -> String {
    let allowed = if decision.allowed { "allowed" } else { "refused" };
    let when = if decision.retry_after == Duration::ZERO { "now" } else { "later" };
    format!("{allowed}/{}/{when}", decision.remaining)
}

pub fn metrics(words: &Words, metrics: &Metrics) -> String {
    match words.text(0) {
        "metrics.count" => metrics.steps.add(&[words.text(1)], words.number(2)),
        "metrics.level" => metrics.level.set(&[], words.number(1)),
        "metrics.size" => metrics.size.observe(&[], words.number(1)),
        other => panic!("no such step: {other}"),
    }
    "ok".to_owned()
}

pub fn system(words: &Words) -> String {
    let severity = || match words.text(1) {
        "trace" => Severity::Trace,
        "debug" => Severity::Debug,
        "info" => Severity::Info,
        "warn" => Severity::Warn,
        "error" => Severity::Error,
        other => panic!("no such severity: {other}"),
    };
    match words.text(0) {
        "log.enabled" => log::enabled(severity()).to_string(),
        "log.write" => {
            log::write(severity(), format_args!("{}", words.text(2)));
            "ok".to_owned()
        }
        "clock.now" => clock::now().as_nanos().to_string(),
        "clock.monotonic" => clock::monotonic().as_nanos().to_string(),
        "clock.sleep" => {
            clock::sleep(words.time(1).expect("a time"));
            "ok".to_owned()
        }
        "entropy.next" => entropy::next().to_string(),
        "entropy.bytes" => value(entropy::bytes(words.number(1))),
        other => panic!("no such step: {other}"),
    }
}
