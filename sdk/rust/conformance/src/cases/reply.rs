//! Answers of a filter's own.

use tamis_sdk::{Reply, StatusCode, Verdict};

use super::request::FRAMING;
use crate::case::{Case, Client};
use crate::check::{refused, taken};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "reply/whole",
        upstream: None,
        client: Client {
            status: 418,
            headers: &[("content-type", &[b"text/plain; charset=utf-8"]), ("x-many", &[b"a", b"b"])],
            absent: &[],
            body: "short and stout",
        },
        on_request: |_| {
            let reply = Reply::new(StatusCode::IM_A_TEAPOT).text("short and stout");
            Ok(reply.header("X-Many", "a").header("x-many", "b").into())
        },
        ..Case::PLAIN
    },
    Case {
        name: "reply/empty",
        upstream: None,
        client: Client { status: 403, body: "", ..Client::PLAIN },
        on_request: |_| Ok(Reply::new(StatusCode::FORBIDDEN).into()),
        ..Case::PLAIN
    },
    Case {
        name: "reply/the-lowest-and-the-highest-status",
        upstream: None,
        client: Client { status: 599, body: "", ..Client::PLAIN },
        on_request: |_| {
            let status = |status| StatusCode::from_u16(status).map(Reply::new).map_err(|error| error.to_string());
            taken("200", status(200)?.check())?;
            taken("599", status(599)?.check())?;
            refused("199", status(199)?.check(), "199")?;
            refused("101", status(101)?.check(), "101")?;
            refused("600", status(600)?.check(), "600")?;
            Ok(status(599)?.into())
        },
        ..Case::PLAIN
    },
    Case {
        name: "reply/headers-that-are-refused",
        upstream: None,
        client: Client { status: 204, body: "", ..Client::PLAIN },
        on_request: |_| {
            let reply = |name: &str, value: &str| Reply::new(StatusCode::OK).header(name, value);
            for name in FRAMING {
                refused(name, reply(name, "1").check(), name)?;
            }
            refused("a space in a name", reply("x y", "1").check(), "")?;
            refused("a line break", reply("x-a", "2\r\nx-more: 3").check(), "")?;
            Ok(Reply::new(StatusCode::NO_CONTENT).into())
        },
        ..Case::PLAIN
    },
    Case {
        name: "reply/forgotten-without-the-verdict",
        on_request: |_| {
            taken("a reply", Reply::new(StatusCode::IM_A_TEAPOT).check())?;
            Ok(Verdict::Next)
        },
        on_response: |_| {
            taken("a reply", Reply::new(StatusCode::IM_A_TEAPOT).check())?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "reply/the-last-one-counts",
        upstream: None,
        client: Client { status: 401, body: "second", absent: &["x-first"], ..Client::PLAIN },
        on_request: |_| {
            taken("the first", Reply::new(StatusCode::FORBIDDEN).header("x-first", "1").body("first").check())?;
            Ok(Reply::new(StatusCode::UNAUTHORIZED).body("second").into())
        },
        ..Case::PLAIN
    },
];
