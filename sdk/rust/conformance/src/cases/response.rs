//! The response: reading it, writing it, and what cannot be written.

use tamis_sdk::{Reply, StatusCode, Verdict};

use super::request::FRAMING;
use crate::case::{Answer, Case, Client};
use crate::check::{holds, is, refused, taken};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "response/head",
        answer: Answer {
            status: 404,
            headers: &[("x-many", b"a"), ("x-many", b"b"), ("set-cookie", b"a=1"), ("set-cookie", b"b=2"), ("x-bytes", b"\xe4")],
        },
        client: Client {
            status: 404,
            headers: &[("x-many", &[b"a", b"b"]), ("set-cookie", &[b"a=1", b"b=2"]), ("x-bytes", &[b"\xe4"])],
            ..Client::PLAIN
        },
        on_response: |response| {
            is("status", response.status(), StatusCode::NOT_FOUND)?;
            is("origin", response.origin(), "upstream")?;
            is("joined", response.header("X-Many").as_ref().map(|v| v.as_bytes()), Some(b"a, b".as_slice()))?;
            let cookies = response.headers("set-cookie");
            is("each", cookies.iter().map(|v| v.as_bytes()).collect::<Vec<_>>(), ["a=1", "b=2"].map(str::as_bytes))?;
            is("bytes", response.header("x-bytes").as_ref().map(|v| v.as_bytes()), Some(b"\xe4".as_slice()))?;
            is("none", response.header("x-none"), None)?;
            is("no values", response.headers("x-none").len(), 0)?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "response/all-headers",
        answer: Answer { status: 200, headers: &[("X-Mixed", b"Case"), ("x-many", b"a"), ("x-many", b"b"), ("x-empty", b"")] },
        on_response: |response| {
            let all = response.all_headers();
            let values = |name: &str| all.iter().filter(|(n, _)| *n == name).map(|(_, v)| v.to_vec()).collect::<Vec<_>>();
            is("mixed", values("x-mixed"), [b"Case".to_vec()])?;
            is("many", values("x-many"), [b"a".to_vec(), b"b".to_vec()])?;
            is("empty", values("x-empty"), [b"".to_vec()])?;
            is("count", all.iter().count(), all.len())?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "response/set-status",
        client: Client { status: 202, ..Client::PLAIN },
        on_response: |response| {
            taken("set-status", response.set_status(StatusCode::ACCEPTED))?;
            is("status", response.status(), StatusCode::ACCEPTED)?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "response/statuses-that-are-refused",
        on_response: |response| {
            for status in [100, 101, 103, 199, 600, 999] {
                let made = StatusCode::from_u16(status).map_err(|error| error.to_string())?;
                refused(&status.to_string(), response.set_status(made), &status.to_string())?;
            }
            is("status", response.status(), StatusCode::OK)?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "response/set-add-and-remove-headers",
        answer: Answer {
            status: 200,
            headers: &[("x-replaced", b"1"), ("x-replaced", b"2"), ("x-more", b"a"), ("x-gone", b"1"), ("x-gone", b"2")],
        },
        client: Client {
            headers: &[("x-replaced", &[b"3"]), ("x-more", &[b"a", b"b"]), ("x-new", &[b"\xe4"]), ("x-mixed", &[b"Case"])],
            absent: &["x-gone"],
            ..Client::PLAIN
        },
        on_response: |response| {
            taken("set", response.set_header("x-replaced", "3"))?;
            taken("add", response.add_header("x-more", "b"))?;
            taken("add new", response.add_header("x-new", b"\xe4"))?;
            taken("mixed case", response.set_header("X-Mixed", "Case"))?;
            response.remove_header("X-Gone");
            response.remove_header("x-never-there");
            response.remove_header("not a name");
            is("set", response.headers("x-replaced").len(), 1)?;
            is("add", response.headers("x-more").len(), 2)?;
            is("removed", response.header("x-gone"), None)?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "response/headers-that-are-refused",
        answer: Answer { status: 200, headers: &[("x-kept", b"1")] },
        client: Client { headers: &[("x-kept", &[b"1"])], ..Client::PLAIN },
        on_response: |response| {
            for name in FRAMING {
                refused(name, response.set_header(name, "1"), name)?;
                refused(name, response.add_header(name, "1"), name)?;
                response.remove_header(name);
            }
            refused("an empty name", response.set_header("", "1"), "")?;
            refused("a space in a name", response.set_header("x y", "1"), "")?;
            refused("a line break", response.set_header("x-kept", "2\r\nx-more: 3"), "")?;
            is("kept", response.headers("x-kept").len(), 1)?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "response/replaced-by-a-reply",
        answer: Answer { status: 200, headers: &[("x-secret", b"1")] },
        client: Client { status: 451, headers: &[("x-why", &[b"law"])], absent: &["x-secret"], body: "no" },
        on_response: |_| {
            let reply = Reply::new(StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS);
            Ok(reply.header("x-why", "law").body("no").into())
        },
        ..Case::PLAIN
    },
    Case {
        name: "response/an-error-of-the-upstream-is-an-answer",
        answer: Answer { status: 503, headers: &[] },
        client: Client { status: 503, ..Client::PLAIN },
        on_response: |response| {
            is("origin", response.origin(), "upstream")?;
            holds("status", response.status().is_server_error())?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
];
