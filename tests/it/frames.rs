//! HTTP/2 written frame by frame: what breaks its rules ends the stream or the connection, and a flood ends the connection.

use tamis_tests::{Edge, Origin, Proxy, Raw, matrix, origin};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames, and the one flag that is needed of each.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Codes of errors.
const PROTOCOL_ERROR: u32 = 1;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// `:method: GET`, `:scheme: http`, `:path: /`, `:authority: a`, as HPACK writes them.
const GET: &[u8] = b"\x82\x86\x84\x41\x01a";

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("the payload is small").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field that is not indexed, with a name of its own.
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("the text is short");
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// A connection on which both sides have said hello.
async fn connected(proxy: &Proxy) -> Raw {
    let mut raw = proxy.raw().await;
    raw.send([PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat()).await;
    raw
}

async fn next(raw: &mut Raw) -> Frame {
    let head = raw.read(9).await;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Frame { kind: head[3], flags: head[4], stream, payload: raw.read(length).await }
}

/// The next frame of one of these kinds.
async fn next_of(raw: &mut Raw, kinds: &[u8]) -> Frame {
    loop {
        let frame = next(raw).await;
        if kinds.contains(&frame.kind) {
            return frame;
        }
    }
}

/// The code of the error in a RST_STREAM or a GOAWAY.
fn code(frame: &Frame) -> u32 {
    let at = if frame.kind == GOAWAY { 4 } else { 0 };
    u32::from_be_bytes(frame.payload[at..at + 4].try_into().expect("four bytes"))
}

/// Sends what may find the connection closed already, and waits for the reason.
async fn flooded(raw: &mut Raw, flood: &[u8]) -> u32 {
    raw.try_send(flood).await;
    code(&next_of(raw, &[GOAWAY]).await)
}

fn origin_and_proxy(edge: Edge) -> (Origin, Proxy) {
    let origin = origin().route("/", "here").run();
    let proxy = edge.forward_to(&origin);
    (origin, proxy)
}

matrix!(frames_written_by_hand_are_served, http2, because "the frames are those of HTTP/2");
async fn frames_written_by_hand_are_served(edge: Edge) {
    let (_origin, proxy) = origin_and_proxy(edge);
    let mut raw = connected(&proxy).await;
    raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, GET)).await;
    loop {
        let frame = next(&mut raw).await;
        if frame.kind == HEADERS {
            assert_eq!((frame.stream, frame.flags & END_HEADERS), (1, END_HEADERS));
            assert_eq!(frame.payload.first(), Some(&0x88), "`:status: 200` comes first");
            return;
        }
    }
}

matrix!(a_request_that_breaks_the_rules_is_not_answered, http2, because "the frames are those of HTTP/2");
async fn a_request_that_breaks_the_rules_is_not_answered(edge: Edge) {
    let (origin, proxy) = origin_and_proxy(edge);
    let rows: [(&str, Vec<u8>); 8] = [
        ("a name in upper case", [GET, &field("X-Upper", "1")].concat()),
        ("connection", [GET, &field("connection", "close")].concat()),
        ("transfer-encoding", [GET, &field("transfer-encoding", "chunked")].concat()),
        ("keep-alive", [GET, &field("keep-alive", "1")].concat()),
        ("te", [GET, &field("te", "gzip")].concat()),
        ("a pseudo-field after a field", [&field("x-a", "1"), GET].concat()),
        ("an unknown pseudo-field", [GET, &field(":unknown", "1")].concat()),
        ("no path", b"\x82\x86\x41\x01a".to_vec()),
    ];
    for (what, block) in rows {
        let mut raw = connected(&proxy).await;
        raw.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await;
        let refused = next_of(&mut raw, &[HEADERS, RST_STREAM, GOAWAY]).await;
        assert_ne!(refused.kind, HEADERS, "{what} was answered");
        assert_eq!(code(&refused), PROTOCOL_ERROR, "{what}");
    }
    assert_eq!(origin.requests().len(), 0);
}

matrix!(streams_that_are_reset_at_once_end_the_connection, http2, because "the frames are those of HTTP/2");
async fn streams_that_are_reset_at_once_end_the_connection(edge: Edge) {
    let (_origin, proxy) = origin_and_proxy(edge);
    let mut raw = connected(&proxy).await;
    let flood: Vec<u8> = (0..2000)
        .map(|number| number * 2 + 1)
        .flat_map(|stream| {
            [frame(HEADERS, END_STREAM | END_HEADERS, stream, GET), frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())].concat()
        })
        .collect();
    assert_eq!(flooded(&mut raw, &flood).await, ENHANCE_YOUR_CALM);
    assert_eq!(proxy.client().await.get("/").await.text(), "here", "others are served");
}

matrix!(a_head_that_never_ends_ends_the_connection, http2, because "the frames are those of HTTP/2");
async fn a_head_that_never_ends_ends_the_connection(edge: Edge) {
    let (origin, proxy) = origin_and_proxy(edge);
    let mut raw = connected(&proxy).await;
    let piece = field("x-more", &"v".repeat(100)).repeat(10);
    let flood = [frame(HEADERS, END_STREAM, 1, GET), frame(CONTINUATION, 0, 1, &piece).repeat(1000)].concat();
    assert_eq!(flooded(&mut raw, &flood).await, ENHANCE_YOUR_CALM);
    assert_eq!(origin.requests().len(), 0);
}

matrix!(a_small_head_that_unpacks_large_is_refused, http2, because "the frames are those of HTTP/2");
async fn a_small_head_that_unpacks_large_is_refused(edge: Edge) {
    const REPEATED: usize = 4000;
    let (origin, proxy) = origin_and_proxy(edge);
    let mut raw = connected(&proxy).await;
    // A field that goes into the table, and then a byte for each time that it is repeated.
    let stored = [&[0x40], &field("x-bomb", &"v".repeat(100))[1..]].concat();
    let block = [GET, &stored, &[0xbe; REPEATED]].concat();
    raw.try_send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await;
    let refused = next_of(&mut raw, &[HEADERS, RST_STREAM, GOAWAY]).await;
    assert!(refused.kind != HEADERS || !refused.payload.starts_with(&[0x88]), "the request was served");
    assert_eq!(origin.requests().len(), 0);
}
