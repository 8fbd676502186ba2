//! Where the request goes.

use std::time::Duration;

use tamis_sdk::Verdict;

use crate::case::Case;
use crate::check::{is, refused, taken};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "destination/cluster",
        on_request: |request| {
            let mut destination = request.destination();
            let cluster = destination.cluster().ok_or("the listener has no cluster")?;
            refused("an unknown cluster", destination.set_cluster("no-such-cluster"), "no-such-cluster")?;
            refused("an empty name", destination.set_cluster(""), "")?;
            is("cluster", destination.cluster().as_deref(), Some(cluster.as_str()))?;
            taken("a known cluster", destination.set_cluster(&cluster))?;
            is("cluster", destination.cluster().as_deref(), Some(cluster.as_str()))?;
            Ok(Verdict::Next)
        },
        on_response: |response| {
            let destination = response.destination();
            destination.cluster().ok_or("no cluster in the response phase")?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "destination/route",
        on_request: |request| {
            let mut destination = request.destination();
            is("no route", destination.route(), None)?;
            destination.set_route("first");
            destination.set_route("users, by id");
            is("route", destination.route().as_deref(), Some("users, by id"))?;
            Ok(Verdict::Next)
        },
        on_response: |response| {
            let destination = response.destination();
            is("route", destination.route().as_deref(), Some("users, by id"))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "destination/timeout",
        on_request: |request| {
            let mut destination = request.destination();
            destination.set_timeout(Some(Duration::from_secs(20)));
            destination.set_timeout(None);
            destination.set_timeout(Some(Duration::from_secs(30)));
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "destination/what-is-not-there",
        on_request: |request| {
            let mut destination = request.destination();
            let cluster = destination.cluster().ok_or("the listener has no cluster")?;
            refused("an unknown fallback", destination.set_fallback("no-such-cluster"), "no-such-cluster")?;
            refused("an unknown endpoint", destination.set_endpoint("192.0.2.99:1"), "192.0.2.99:1")?;
            refused("an unknown chain", destination.set_chain("no-such-chain"), "no-such-chain")?;
            let mirrored = destination.mirror("no-such-cluster", &[], 0).map(drop);
            refused("a copy for an unknown cluster", mirrored, "no-such-cluster")?;
            let mirrored = destination.mirror(&cluster, &[("host", b"a b")], 0).map(drop);
            refused("a copy for a host that is none", mirrored, "a b")?;
            let mirrored = destination.mirror(&cluster, &[("connection", b"close")], 0).map(drop);
            refused("a field of the framing on a copy", mirrored, "connection")?;
            is("cluster", destination.cluster().as_deref(), Some(cluster.as_str()))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "destination/retry",
        on_request: |request| {
            let mut destination = request.destination();
            let second = Some(Duration::from_secs(1));
            taken("occasions", destination.set_retry(3, &["connect", "reset", "timeout", "5xx", "429"], second))?;
            refused("an unknown occasion", destination.set_retry(3, &["connect", "bad-luck"], None), "bad-luck")?;
            taken("no retry", destination.set_retry(1, &[], None))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "destination/hints",
        on_request: |request| {
            let mut destination = request.destination();
            let cluster = destination.cluster().ok_or("the listener has no cluster")?;
            taken("a fallback", destination.set_fallback(&cluster))?;
            destination.set_hash_key("user-7");
            destination.set_hash_key(b"\xff\x00");
            destination.set_subset(&[]);
            destination.set_response_rate(Some(1 << 30));
            destination.set_response_rate(None);
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
];
