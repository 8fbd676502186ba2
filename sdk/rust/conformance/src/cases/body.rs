//! Bodies, as a whole and in pieces, and trailers where there are none.

use tamis_sdk::{BodyError, ChunkVerdict, Verdict};

use crate::case::{Case, Client};
use crate::check::{is, refused};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "body/an-empty-request",
        on_request: |request| {
            is("read", request.read_body(0), Ok(Vec::new()))?;
            is("again", request.read_body(10), Ok(Vec::new()))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "body/a-response-is-read-and-goes-on",
        on_response: |response| {
            is("too large", response.read_body(7), Err(BodyError::TooLarge))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "body/a-response-is-read-within-the-limit",
        on_response: |response| {
            is("exactly", response.read_body(8), Ok(b"upstream".to_vec()))?;
            is("again", response.read_body(100), Ok(b"upstream".to_vec()))?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "body/a-response-is-replaced",
        client: Client { body: "something longer than what came", ..Client::PLAIN },
        on_response: |response| {
            response.set_body("something else");
            response.set_body("something longer than what came");
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "body/a-response-is-emptied",
        client: Client { body: "", ..Client::PLAIN },
        on_response: |response| {
            response.set_body("");
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case {
        name: "body/there-are-no-trailers-outside-of-their-hook",
        on_request: |request| {
            is("request trailer", request.trailer("x-trailer"), None)?;
            refused("request trailer", request.set_trailer("x-trailer", "1"), "")?;
            Ok(Verdict::Next)
        },
        on_response: |response| {
            is("response trailer", response.trailer("grpc-status"), None)?;
            refused("response trailer", response.set_trailer("grpc-status", "1"), "")?;
            Ok(Verdict::Next)
        },
        ..Case::PLAIN
    },
    Case { name: "chunk/kept", on_response_chunk: |_, _| ChunkVerdict::Keep, ..Case::PLAIN },
    Case {
        name: "chunk/replaced",
        client: Client { body: "UPSTREAM", ..Client::PLAIN },
        on_response_chunk: |_, chunk| ChunkVerdict::Replace(chunk.bytes.to_ascii_uppercase()),
        ..Case::PLAIN
    },
    Case {
        name: "chunk/dropped",
        client: Client { body: "", ..Client::PLAIN },
        on_response_chunk: |_, _| ChunkVerdict::Replace(Vec::new()),
        ..Case::PLAIN
    },
    Case {
        name: "chunk/longer",
        client: Client { body: "<u><p><s><t><r><e><a><m>", ..Client::PLAIN },
        on_response_chunk: |_, chunk| ChunkVerdict::Replace(chunk.bytes.iter().flat_map(|byte| [b'<', *byte, b'>']).collect()),
        ..Case::PLAIN
    },
    Case {
        name: "chunk/the-end-is-told-once",
        client: Client { body: "upstream, and no more", ..Client::PLAIN },
        on_response_chunk: |_, chunk| match chunk.end {
            true => ChunkVerdict::Replace([chunk.bytes.as_slice(), b", and no more"].concat()),
            false => ChunkVerdict::Keep,
        },
        ..Case::PLAIN
    },
    Case {
        name: "chunk/sees-a-body-that-was-set",
        client: Client { body: "SET", ..Client::PLAIN },
        on_response: |response| {
            response.set_body("set");
            Ok(Verdict::Next)
        },
        on_response_chunk: |response, chunk| match response.read_body(1) {
            Err(BodyError::AlreadyStreamed) => ChunkVerdict::Replace(chunk.bytes.to_ascii_uppercase()),
            _ => ChunkVerdict::Reset,
        },
        ..Case::PLAIN
    },
];
