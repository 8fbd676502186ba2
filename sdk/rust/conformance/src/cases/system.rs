//! What is not the exchange itself: who speaks, notes, logs, time, randomness, and the maps that are seeded by it.

use std::net::IpAddr;
use std::time::Duration;

use tamis_sdk::collections::{HashMap, HashSet};
use tamis_sdk::log::{self, Severity};
use tamis_sdk::{Verdict, clock, entropy};

use crate::case::Case;
use crate::check::{holds, is};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "connection/who-speaks",
        on_request: |request| {
            let connection = request.connection();
            let source: IpAddr = connection.source_ip().ok_or("the source is no address")?;
            is("source", connection.source(), source.to_string())?;
            let peer = connection.peer_address().ok_or("the peer is no address with a port")?;
            holds("the peer has a port", peer.port() > 0)?;
            is("peer", connection.peer(), peer.to_string())?;
            holds("this end has a port", connection.local().rsplit_once(':').is_some())?;
            holds("the listener has a name", !connection.listener().is_empty())?;
            holds("the protocol is known", ["http/1.1", "h2"].contains(&connection.protocol().as_str()))?;
            is("tls and scheme", connection.tls_version().is_some(), request.scheme() == "https")?;
            is("original destination", connection.original_destination(), None)?;
            is("client identities", connection.client_identities().len(), 0)?;
            is("client fingerprint", connection.client_fingerprint(), None)?;
            Ok(Verdict::Next)
        },
        on_response: |response| {
            holds("the source is still there", response.connection().source_ip().is_some())?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "notes/travel-from-request-to-response",
        on_request: |request| {
            let mut notes = request.notes();
            is("none", notes.get("conformance"), None)?;
            notes.set("conformance", "first");
            notes.set("conformance", "second, \u{e4}");
            notes.set("conformance-empty", "");
            is("note", notes.get("conformance").as_deref(), Some("second, \u{e4}"))?;
            Ok(Verdict::Next)
        },
        on_response: |response| {
            let notes = response.notes();
            is("note", notes.get("conformance").as_deref(), Some("second, \u{e4}"))?;
            is("empty", notes.get("conformance-empty").as_deref(), Some(""))?;
            is("none", notes.get("Conformance"), None)?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "log/lines",
        on_request: |_| {
            for severity in [Severity::Trace, Severity::Debug, Severity::Info, Severity::Warn, Severity::Error] {
                log::write(severity, format_args!("a line at {severity:?}"));
            }
            holds("errors are always written", log::enabled(Severity::Error))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "clock/goes-forward",
        on_request: |_| {
            const THE_YEAR_2024: u64 = 1_704_067_200;
            holds("it is later than 2024", clock::now().as_secs() > THE_YEAR_2024)?;
            let (one, two) = (clock::monotonic(), clock::monotonic());
            holds("monotonic", two >= one)?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "clock/sleeps",
        on_request: |_| {
            let before = clock::monotonic();
            clock::sleep(Duration::from_millis(3));
            holds("time has passed", clock::monotonic() - before >= Duration::from_millis(3))?;
            clock::sleep(Duration::ZERO);
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "entropy/draws",
        on_request: |_| {
            let draws: Vec<u64> = (0..8).map(|_| entropy::next()).collect();
            holds("draws differ", draws.windows(2).all(|pair| pair[0] != pair[1]))?;
            is("no bytes", entropy::bytes(0).len(), 0)?;
            is("bytes", entropy::bytes(33).len(), 33)?;
            is("many bytes", entropy::bytes(65_536).len(), 65_536)?;
            holds("bytes differ", entropy::bytes(32) != entropy::bytes(32))?;
            is("below zero", entropy::below(0), 0)?;
            is("below one", entropy::below(1), 0)?;
            holds("below ten", (0..100).all(|_| entropy::below(10) < 10))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "entropy/seeds-maps",
        on_request: |_| {
            let map: HashMap<String, usize> = (0..100).map(|i| (format!("key-{i}"), i)).collect();
            holds("all are found", (0..100).all(|i| map.get(&format!("key-{i}")) == Some(&i)))?;
            let set: HashSet<&str> = ["a", "b", "a"].into_iter().collect();
            is("a set", set.len(), 2)?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
];
