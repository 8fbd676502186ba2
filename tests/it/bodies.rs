//! Whole bodies in the hands of filters: read, replaced, both, of requests and of responses, and what becomes of their framing.

use serde_json::{Value, json};
use tamis_tests::guests::hash;
use tamis_tests::{Edge, Origin, Proxy, Reply, body, chain, matrix, origin};

const MIB: usize = 1024 * 1024;
/// What a filter can have in one piece, whatever it names.
const READ_BYTES_MAX: usize = 16 * MIB;

fn reading(edge: Edge, origin: &Origin) -> Proxy {
    edge.proxy(chain(origin, &[("body", "memory = '128MiB'\ndeadline = '10s'")]))
}

/// Length and hash, as the guest tells them.
fn told(bytes: &[u8]) -> String {
    format!("{} {:016x}", bytes.len(), hash(bytes))
}

matrix!(a_filter_reads_a_request_whole_and_it_still_goes_on);
async fn a_filter_reads_a_request_whole_and_it_still_goes_on(edge: Edge) {
    let origin = origin().reflect("/").run();
    let proxy = reading(edge, &origin);
    let client = proxy.client().await;
    for length in [0, 1, 1000, 2 * MIB] {
        let sent = body::pattern(length);
        let answer = client.post("/", sent.clone()).header("x-limit", "4000000").await;
        assert_eq!(answer.header("x-request-body"), Some(told(&sent).as_str()), "{length} bytes");
        assert!(answer.body == sent, "{length} bytes: {} came back, or others", answer.body.len());
    }
    let seen = origin.requests();
    assert_eq!(seen[2].header("content-length"), Some("1000"), "the length stays known");
    assert_eq!(seen[2].header("transfer-encoding"), None);
}

matrix!(a_body_in_many_pieces_is_read_whole);
async fn a_body_in_many_pieces_is_read_whole(edge: Edge) {
    const PIECES: usize = 200;
    let origin = origin().echo("/").run();
    let proxy = reading(edge, &origin);
    let client = proxy.client().await;
    let (feed, body) = body::channel();
    let answer = tokio::spawn(client.post("/", "").streaming(body).header("x-limit", "100000").into_future());
    for number in 0..PIECES {
        assert!(feed.send(format!("{number} ")).await);
    }
    drop(feed);
    let whole: String = (0..PIECES).map(|number| format!("{number} ")).collect();
    let answer = answer.await.unwrap();
    assert_eq!(answer.header("x-request-body"), Some(told(whole.as_bytes()).as_str()));
    assert_eq!(answer.json()["body"], whole.as_str());
    assert_eq!(answer.json()["headers"]["content-length"], json!([whole.len().to_string()]), "its length is known now");
}

matrix!(a_body_that_is_too_large_is_an_error_and_still_arrives);
async fn a_body_that_is_too_large_is_an_error_and_still_arrives(edge: Edge) {
    let origin = origin().reflect("/").run();
    let proxy = reading(edge, &origin);
    let client = proxy.client().await;
    for (length, limit) in [(2 * MIB, MIB), (READ_BYTES_MAX + 1, u32::MAX as usize)] {
        let sent = body::pattern(length);
        let answer = client.post("/", sent.clone()).header("x-limit", &limit.to_string()).await;
        assert_eq!(answer.header("x-request-body"), Some("too-large"), "announced, {length} of {limit}");
        assert!(answer.body == sent, "{length} of {limit}: {} came back, or others", answer.body.len());
    }
    let (feed, unannounced) = body::channel();
    let open = tokio::spawn(client.post("/", "").streaming(unannounced).header("x-limit", "1000").open());
    let sent = body::pattern(5000);
    for piece in sent.chunks(500) {
        assert!(feed.send(piece.to_vec()).await);
    }
    drop(feed);
    let answer = open.await.unwrap().unwrap().answer().await.unwrap();
    assert_eq!(answer.header("x-request-body"), Some("too-large"), "it turns out");
    assert!(answer.body == sent, "what was read ahead is not lost: {}", answer.body.len());
}

matrix!(a_filter_answers_with_what_it_has_read);
async fn a_filter_answers_with_what_it_has_read(edge: Edge) {
    let origin = origin().run();
    let proxy = reading(edge, &origin);
    let client = proxy.client().await;
    let answer = client.post("/", "hello").header("x-limit", "10").header("x-echo", "1").await;
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    let answer = client.post("/", "hello").header("x-limit", "4").header("x-echo", "1").await;
    assert_eq!((answer.status, answer.json()), (400, json!({ "error": "too-large" })));
    assert_eq!(origin.requests().len(), 0);
}

matrix!(a_filter_replaces_a_request_framed_anew);
async fn a_filter_replaces_a_request_framed_anew(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = reading(edge, &origin);
    let client = proxy.client().await;
    for (headers, replaced) in [
        (vec![("x-limit", "100"), ("x-repeat", "3")], "hellohellohello"),
        (vec![("x-limit", "100"), ("x-replace", "hi")], "hi"),
        (vec![("x-replace", "unread")], "unread"),
        (vec![("x-replace", "")], ""),
    ] {
        let request = client.post("/", "hello");
        let answer = headers.iter().fold(request, |request, (name, value)| request.header(name, value)).await.json();
        assert_eq!(answer["body"], replaced, "{headers:?}");
        let framing = (&answer["headers"]["content-length"], &answer["headers"]["transfer-encoding"]);
        let known = json!([replaced.len().to_string()]);
        assert!(
            framing == (&known, &Value::Null) || *framing.0 == Value::Null,
            "{headers:?}: {framing:?} is one framing, and the right one"
        );
    }
    let answer = client.get("/").header("x-replace", "now it has one").await.json();
    assert_eq!(answer["body"], "now it has one", "of a request without a body");
}

matrix!(a_request_that_still_arrives_is_replaced);
async fn a_request_that_still_arrives_is_replaced(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = reading(edge, &origin);
    let client = proxy.client().await;
    let (feed, body) = body::channel();
    let answer =
        tokio::spawn(client.post("/", "").streaming(body).header("x-replace", "new").header("trailer", "x-sum").into_future());
    for _ in 0..100 {
        assert!(feed.send(body::pattern(1000)).await, "what is replaced is read away");
    }
    feed.trailers(&[("x-sum", "42")]).await;
    let answer = answer.await.unwrap().json();
    assert_eq!((&answer["body"], &answer["trailers"]["x-sum"]), (&json!("new"), &json!(["42"])), "trailers are kept");
    assert_eq!(client.get("/").await.status, 200, "the connection is still good");
}

matrix!(trailers_of_a_request_that_was_read_are_kept);
async fn trailers_of_a_request_that_was_read_are_kept(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = reading(edge, &origin);
    let request = proxy.client().await.post("/", "").header("x-limit", "100").header("trailer", "x-sum");
    let answer = request.streaming(body::with_trailers("body", &[("x-sum", "42")])).await;
    assert_eq!(answer.header("x-request-body"), Some(told(b"body").as_str()));
    let answer = answer.json();
    assert_eq!((&answer["body"], &answer["trailers"]["x-sum"]), (&json!("body"), &json!(["42"])));
}

matrix!(a_client_that_expects_100_is_told_to_go_on, http1, because "an HTTP/2 client library does not wait for it");
async fn a_client_that_expects_100_is_told_to_go_on(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = reading(edge, &origin);
    let mut raw = proxy.raw().await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\nx-limit: 100\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n").await;
    assert_eq!(raw.head().await.status, 100);
    raw.send("hello").await;
    let (head, body) = raw.answer().await;
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((head.status, &seen["body"], &seen["headers"]["expect"]), (200, &json!("hello"), &Value::Null));
    assert_eq!(head.header("x-request-body"), Some(told(b"hello").as_str()));
}

matrix!(two_filters_read_the_same_body);
async fn two_filters_read_the_same_body(edge: Edge) {
    let origin = origin().echo("/").run();
    let toml = chain(&origin, &[("body", "")]).replace(r#"["body"]"#, r#"["body", "second"]"#);
    let proxy = edge.proxy(format!("{toml}[filters.second]\nmodule = '{}'\ndeadline = '1s'", tamis_tests::guest("body")));
    let request = proxy.client().await.post("/", "ab").header("x-limit", "100").header("x-repeat", "2");
    let answer = request.await;
    assert_eq!(answer.json()["body"], "abababab", "the second reads what the first has set");
    assert_eq!(answer.header("x-request-body"), Some(told(b"abab").as_str()));
}

matrix!(a_body_that_has_gone_on_cannot_be_read);
async fn a_body_that_has_gone_on_cannot_be_read(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = reading(edge, &origin);
    let answer = proxy.client().await.post("/", "hello").header("x-late", "1").await;
    assert_eq!((answer.header("x-late-body"), &answer.json()["body"]), (Some("already-streamed"), &json!("hello")));
}

matrix!(a_client_that_goes_away_while_it_is_read_is_no_failure);
async fn a_client_that_goes_away_while_it_is_read_is_no_failure(edge: Edge) {
    let origin = origin().run();
    let proxy = reading(edge, &origin);
    let client = proxy.client().await;
    let (feed, body) = body::channel();
    let open = tokio::spawn(client.post("/", "").streaming(body).header("x-limit", "100").open());
    feed.send("a part").await;
    feed.cut().await;
    assert!(open.await.unwrap().is_err() || edge.is_http1(), "there is no answer");
    let line = proxy.access_log().line().await;
    assert_eq!(line["reason"], "client-gone", "{line}");
    assert_eq!(proxy.failures("body").await, 0);
    assert_eq!(origin.requests().len(), 0);
}

matrix!(a_filter_reads_a_response_whole_and_it_still_goes_on);
async fn a_filter_reads_a_response_whole_and_it_still_goes_on(edge: Edge) {
    let origin = origin().reflect("/").run();
    let proxy = reading(edge, &origin);
    let client = proxy.client().await;
    for length in [0, 1, 1000, 2 * MIB] {
        let sent = body::pattern(length);
        let answer = client.post("/", sent.clone()).header("x-answer-limit", "4000000").await;
        assert_eq!(answer.header("x-response-body"), Some(told(&sent).as_str()), "{length} bytes");
        assert!(answer.body == sent, "{length} bytes: {} came back, or others", answer.body.len());
    }
    let sent = body::pattern(READ_BYTES_MAX + 1);
    let answer = client.post("/", sent.clone()).header("x-answer-limit", &u32::MAX.to_string()).await;
    assert_eq!(answer.header("x-response-body"), Some("too-large"));
    assert!(answer.body == sent, "{} came back, or others", answer.body.len());
}

matrix!(a_filter_replaces_a_response_framed_anew);
async fn a_filter_replaces_a_response_framed_anew(edge: Edge) {
    let origin = origin().route("/", "the origin's").run();
    let proxy = reading(edge, &origin);
    let client = proxy.client().await;
    for read in [false, true] {
        let request = client.get("/").header("x-answer-replace", "another");
        let answer = if read { request.header("x-answer-limit", "100") } else { request }.await;
        assert_eq!((answer.text(), answer.header("content-length")), ("another", Some("7")), "read first: {read}");
    }
    let answer = client.get("/").header("x-answer-replace", "").await;
    assert_eq!(answer.text(), "");
    assert!(matches!(answer.header("content-length"), None | Some("0")), "{answer:?}");
    let answer = client.request("HEAD", "/").header("x-answer-replace", "another").await;
    assert_eq!(answer.text(), "");
    assert_eq!(client.get("/").await.text(), "the origin's", "the connection is still good");
}

matrix!(answers_without_a_body_stay_without_one);
async fn answers_without_a_body_stay_without_one(edge: Edge) {
    let origin = origin()
        .route_fn("/204", |_| async { Reply::new(204) })
        .route_fn("/304", |_| async { Reply::new(304).header("etag", "\"1\"") })
        .route("/", "here")
        .run();
    let proxy = reading(edge, &origin);
    let client = proxy.client().await;
    for (method, path, status) in [("GET", "/204", 204), ("GET", "/304", 304), ("HEAD", "/", 200)] {
        let answer = client.request(method, path).header("x-answer-limit", "100").await;
        assert_eq!((answer.status, answer.text()), (status, ""), "{method} {path}");
        assert_eq!(answer.header("x-response-body"), Some(told(b"").as_str()), "{method} {path}");
    }
    assert_eq!(client.get("/").await.text(), "here", "the connection is still good");
}

matrix!(a_response_that_breaks_off_while_it_is_read_stays_broken);
async fn a_response_that_breaks_off_while_it_is_read_stays_broken(edge: Edge) {
    let origin = origin()
        .route_fn("/", |_| async {
            let (feed, body) = body::channel();
            tokio::spawn(async move {
                feed.send("a part").await;
                feed.cut().await;
            });
            Reply::new(200).streaming(body)
        })
        .run();
    let proxy = reading(edge, &origin);
    let answer = proxy.client().await.get("/").header("x-answer-limit", "100").whole().await;
    assert!(answer.is_err(), "it never looks complete: {answer:?}");
    assert_eq!(proxy.access_log().line().await["reason"], "upstream-reset");
}

matrix!(a_grpc_answer_that_is_replaced_keeps_its_status, http2, because "gRPC is HTTP/2");
async fn a_grpc_answer_that_is_replaced_keeps_its_status(edge: Edge) {
    let origin = origin()
        .route_fn("/", |_| async {
            let body = body::with_trailers("\0\0\0\0\x01a", &[("grpc-status", "0")]);
            Reply::new(200).header("content-type", "application/grpc").streaming(body)
        })
        .run();
    let toml = chain(&origin, &[("body", "")]).replace("[clusters.origin]", "[clusters.origin]\nprotocol = 'h2'");
    let client = edge.proxy(toml);
    let client = client.client().await;
    for (header, value, expected) in [("x-answer-limit", "100", "\0\0\0\0\x01a"), ("x-answer-replace", "another", "another")] {
        let request = client.post("/", "x").header("content-type", "application/grpc").header("te", "trailers");
        let answer = request.header(header, value).await;
        assert_eq!((answer.text(), &answer.trailers["grpc-status"]), (expected, &"0".parse().unwrap()), "{header}");
    }
}
