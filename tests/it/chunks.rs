//! Bodies piece by piece in the hands of filters: in order, none before the last is dealt with, and cut off when a filter says so.

use serde_json::{Value, json};
use tamis_tests::{Edge, Origin, Proxy, Reply, body, chain, matrix, origin};

fn passing(edge: Edge, origin: &Origin) -> Proxy {
    edge.proxy(chain(origin, &[("chunks", "")]))
}

/// What the filter noted about the body of the answer, once the log is written.
async fn noted(proxy: &Proxy) -> String {
    let line = proxy.access_log().line().await;
    line["notes"]["chunks.response"].as_str().unwrap_or_else(|| panic!("the filter saw no piece: {line}")).to_owned()
}

matrix!(pieces_of_a_request_are_replaced_and_framed_anew);
async fn pieces_of_a_request_are_replaced_and_framed_anew(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = passing(edge, &origin);
    let client = proxy.client().await;
    for (how, expected) in [
        ("keep", "hello!"),
        ("upper", "HELLO!"),
        ("double", "hello!hello!"),
        ("half", "hel"),
        ("drop", ""),
        ("sign", "hello!-- signed"),
    ] {
        let answer = client.post("/", "hello!").header("x-request-chunks", how).await;
        let seen = answer.json();
        assert_eq!(seen["body"], expected, "{how}");
        assert_eq!(seen["headers"]["content-length"], Value::Null, "{how}: nobody knows the length before");
        let told = answer.header("x-request-chunks-seen").unwrap();
        assert!(told.starts_with("6 bytes in ") && told.ends_with(", ended"), "{how}: {told}");
    }
}

matrix!(pieces_of_a_response_are_replaced_and_framed_anew);
async fn pieces_of_a_response_are_replaced_and_framed_anew(edge: Edge) {
    let origin = origin().route("/", "hello!").run();
    let proxy = passing(edge, &origin);
    let client = proxy.client().await;
    for (how, expected) in [
        ("keep", "hello!"),
        ("upper", "HELLO!"),
        ("double", "hello!hello!"),
        ("half", "hel"),
        ("drop", ""),
        ("sign", "hello!-- signed"),
    ] {
        let answer = client.get("/").header("x-response-chunks", how).await;
        assert_eq!((answer.text(), answer.header("content-length")), (expected, None), "{how}");
    }
}

matrix!(a_filter_sees_a_piece_before_the_next_is_read);
async fn a_filter_sees_a_piece_before_the_next_is_read(edge: Edge) {
    let origin = origin().reflect("/").run();
    let proxy = passing(edge, &origin);
    let (feed, body) = body::channel();
    feed.send("first").await;
    let request = proxy.client().await.post("/", "").streaming(body);
    let request = request.header("x-request-chunks", "upper").header("x-response-chunks", "double");
    let mut answer = request.open().await.unwrap();
    assert_eq!(answer.piece().await.unwrap().unwrap(), "FIRSTFIRST");
    for (piece, back) in [("one", "ONEONE"), ("two", "TWOTWO"), ("three", "THREETHREE")] {
        feed.send(piece).await;
        assert_eq!(answer.piece().await.unwrap().unwrap(), back);
    }
    drop(feed);
    assert_eq!(answer.piece().await.unwrap(), None);
    drop(answer);
    assert_eq!(noted(&proxy).await, "16 bytes in 5 pieces, ended", "the end comes with an empty piece of its own");
}

matrix!(the_end_is_told_once);
async fn the_end_is_told_once(edge: Edge) {
    let origin = origin()
        .route("/known", "hello")
        .route_fn("/unknown", |_| async {
            let (feed, body) = body::channel();
            tokio::spawn(async move { feed.send("hello").await });
            Reply::new(200).streaming(body)
        })
        .route_fn("/trailers", |_| async {
            Reply::new(200).header("trailer", "x-sum").streaming(body::with_trailers("hello", &[("x-sum", "1")]))
        })
        .run();
    for path in ["/known", "/unknown", "/trailers"] {
        let proxy = passing(edge, &origin);
        let answer = proxy.client().await.get(path).header("te", "trailers").header("x-response-chunks", "sign").await;
        assert_eq!(answer.text(), "hello-- signed", "{path}");
        assert!(noted(&proxy).await.ends_with(", ended"), "{path}");
        assert_eq!(answer.trailers.len(), usize::from(path == "/trailers"), "{path}");
    }
}

matrix!(messages_without_a_body_have_no_pieces);
async fn messages_without_a_body_have_no_pieces(edge: Edge) {
    let origin = origin()
        .route_fn("/204", |_| async { Reply::new(204) })
        .route_fn("/304", |_| async { Reply::new(304) })
        .route_fn("/empty", |_| async { Reply::new(200) })
        .route("/", "here")
        .run();
    let proxy = passing(edge, &origin);
    let client = proxy.client().await;
    for (method, path, status) in [("GET", "/204", 204), ("GET", "/304", 304), ("GET", "/empty", 200), ("HEAD", "/", 200)] {
        let answer = client.request(method, path).header("x-response-chunks", "sign").await;
        assert_eq!((answer.status, answer.text()), (status, ""), "{method} {path}");
        assert_eq!(answer.header("x-request-chunks-seen"), None, "{method} {path}");
    }
    assert_eq!(client.get("/").await.text(), "here", "the connection is still good");
    let lines = proxy.access_log().lines(5).await;
    let noted: Vec<_> = lines.iter().filter(|line| line["notes"]["chunks.response"].is_string()).collect();
    assert_eq!(noted.len(), 1, "{noted:#?}");
}

matrix!(a_filter_cuts_a_request_in_its_middle);
async fn a_filter_cuts_a_request_in_its_middle(edge: Edge) {
    let (looked_complete, mut complete) = tokio::sync::mpsc::unbounded_channel();
    let origin = origin()
        .route_fn("/", move |request| {
            let looked_complete = looked_complete.clone();
            async move {
                use http_body_util::BodyExt;
                if request.into_body().collect().await.is_ok() {
                    looked_complete.send(()).ok();
                }
                Reply::new(200)
            }
        })
        .run();
    let proxy = passing(edge, &origin);
    let client = proxy.client().await;
    let (feed, body) = body::channel();
    let answer = tokio::spawn(client.post("/", "").streaming(body).whole());
    feed.send("a part").await;
    feed.send("RESET").await;
    assert!(answer.await.unwrap().is_err(), "there is no answer");
    let line = proxy.access_log().line().await;
    assert_eq!((&line["reason"], &line["status"]), (&json!("filter-reset"), &json!(0)), "{line}");
    drop(proxy);
    origin.stop();
    assert_eq!(complete.recv().await, None, "the upstream saw a message that was cut off");
}

matrix!(a_filter_cuts_a_request_at_its_last_piece);
async fn a_filter_cuts_a_request_at_its_last_piece(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = passing(edge, &origin);
    let answer = proxy.client().await.post("/", "all at once RESET").whole().await;
    assert!(answer.is_err(), "there is no answer: {answer:?}");
    let line = proxy.access_log().line().await;
    assert_eq!(line["reason"], "filter-reset", "{line}");
}

matrix!(a_filter_cuts_a_response_in_its_middle);
async fn a_filter_cuts_a_response_in_its_middle(edge: Edge) {
    let (gone, mut noticed) = tokio::sync::mpsc::unbounded_channel();
    let origin = origin()
        .route_fn("/", move |_| {
            let (feed, body) = body::channel();
            let gone = gone.clone();
            tokio::spawn(async move {
                feed.send("a part").await;
                feed.send("RESET").await;
                feed.gone().await;
                gone.send(()).ok();
            });
            async move { Reply::new(200).streaming(body) }
        })
        .run();
    let proxy = passing(edge, &origin);
    let mut answer = proxy.client().await.get("/").open().await.unwrap();
    assert_eq!(answer.piece().await.unwrap().unwrap(), "a part");
    assert!(answer.whole().await.is_err(), "it never looks complete");
    let line = proxy.access_log().line().await;
    assert_eq!((&line["reason"], &line["status"]), (&json!("filter-reset"), &json!(200)), "{line}");
    noticed.recv().await.expect("the origin notices that nobody reads");
}

matrix!(a_trap_in_the_middle_cuts_or_passes);
async fn a_trap_in_the_middle_cuts_or_passes(edge: Edge) {
    let origin = origin().reflect("/").run();
    for (policy, whole) in [("closed", false), ("open", true)] {
        let proxy = edge.proxy(chain(&origin, &[("trap-late", &format!("on-failure = '{policy}'"))]));
        let (feed, body) = body::channel();
        feed.send("one").await;
        let request = proxy.client().await.post("/", "").streaming(body);
        let mut answer = request.header("x-trap-in", "response-chunk").header("x-trap-after", "1").open().await.unwrap();
        assert_eq!(answer.piece().await.unwrap().unwrap(), "one", "{policy}: what came before the trap");
        feed.send("two").await;
        drop(feed);
        match answer.whole().await {
            Ok(answer) => assert_eq!((answer.bytes, whole), ("two".into(), true), "{policy}"),
            Err(_) => assert!(!whole, "{policy}"),
        }
        let line = proxy.access_log().line().await;
        assert_eq!(line["reason"], if whole { "upstream" } else { "filter-failed" }, "{line}");
        assert!(proxy.failures("trap-late").await > 0);
    }
}

matrix!(a_trap_in_a_request_is_500);
async fn a_trap_in_a_request_is_500(edge: Edge) {
    let origin = origin().echo("/").run();
    for (policy, status) in [("closed", 500), ("open", 200)] {
        let proxy = edge.proxy(chain(&origin, &[("trap-late", &format!("on-failure = '{policy}'"))]));
        let answer = proxy.client().await.post("/", "hello").header("x-trap-in", "request-chunk").await;
        assert_eq!(answer.status, status, "{policy}: {:?}", answer.body);
        if policy == "open" {
            assert_eq!(answer.json()["body"], "hello");
        } else {
            assert_eq!(answer.reason(), Some("filter-failed"));
        }
    }
}

matrix!(a_reply_passes_the_filters_before_it_only);
async fn a_reply_passes_the_filters_before_it_only(edge: Edge) {
    let origin = origin().run();
    for (filters, seen) in [([("chunks", ""), ("reply", "")], true), ([("reply", ""), ("chunks", "")], false)] {
        let proxy = edge.proxy(chain(&origin, &filters));
        let answer = proxy.client().await.get("/").header("x-reply", "hi").header("x-response-chunks", "upper").await;
        assert_eq!(answer.status, 418);
        assert_eq!(answer.text(), if seen { "SHORT AND STOUT: HI\n" } else { "short and stout: hi\n" }, "{filters:?}");
    }
}

matrix!(pieces_pass_the_filters_in_their_order);
async fn pieces_pass_the_filters_in_their_order(edge: Edge) {
    let origin = origin().reflect("/").run();
    let guests = chain(&origin, &[("chunks", "")]);
    let second = format!("[filters.second]\nmodule = '{}'\ndeadline = '1s'\n", tamis_tests::guest("chunks"));
    let proxy = edge.proxy(format!("{}{second}", guests.replace(r#"["chunks"]"#, r#"["chunks", "second"]"#)));
    let request =
        proxy.client().await.post("/", "abcdefgh").header("x-request-chunks", "half").header("x-response-chunks", "sign");
    assert_eq!(request.await.text(), "ab-- signed-- signed", "each has what the one before has left");
    assert_eq!(noted(&proxy).await.split(' ').next(), Some("13"), "2 bytes, and those that the first has made of them");
}

matrix!(what_was_read_ahead_is_cut_for_every_filter);
async fn what_was_read_ahead_is_cut_for_every_filter(edge: Edge) {
    /// Three pieces of 256 KiB, and what is left.
    const BYTES: usize = 800_000;
    let origin = origin().reflect("/").run();
    let guests = chain(&origin, &[("body", "memory = '64MiB'"), ("chunks", "")]);
    let second = format!("[filters.second]\nmodule = '{}'\ndeadline = '1s'\n", tamis_tests::guest("chunks"));
    let filters = guests.replace(r#"["body", "chunks"]"#, r#"["body", "chunks", "second"]"#);
    let proxy = edge.proxy(format!("{filters}{second}"));
    let client = proxy.client().await;
    let sent = body::pattern(BYTES);
    for (how, seen) in [
        ("keep", "1600000 bytes in 8 pieces, ended"),
        // Each piece of the first is two for the second, but the last, which is shorter.
        ("double", "2400000 bytes in 11 pieces, ended"),
    ] {
        let request = client.post("/", sent.clone()).header("x-limit", "1000000").header("x-request-chunks", how);
        let answer = request.await;
        assert_eq!(answer.header("x-request-chunks-seen"), Some(seen), "{how}");
        let expected = if how == "keep" { sent.to_vec() } else { doubled(&sent) };
        assert!(answer.body == expected, "{how}: {} bytes came back, or others", answer.body.len());
    }
}

/// What two filters make of it that double each piece they are given.
fn doubled(sent: &[u8]) -> Vec<u8> {
    const PIECE: usize = 256 << 10;
    let twice = |bytes: &[u8]| bytes.chunks(PIECE).map(|piece| piece.repeat(2)).collect::<Vec<_>>();
    twice(sent).iter().flat_map(|piece| twice(piece)).flatten().collect()
}

matrix!(an_upgraded_connection_has_no_pieces, http1, because "HTTP/2 upgrades otherwise");
async fn an_upgraded_connection_has_no_pieces(edge: Edge) {
    let origin = tamis_tests::raw_origin(|mut connection| async move {
        connection.head().await;
        connection
            .write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello RESET")
            .await;
        use tokio::io::AsyncReadExt;
        connection.0.read_to_end(&mut Vec::new()).await.ok();
    })
    .await;
    let proxy = edge.proxy(chain(&origin, &[("chunks", "")]));
    let mut raw = proxy.raw().await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
    assert_eq!(raw.head().await.status, 101);
    assert_eq!(raw.read(11).await, b"hello RESET");
    drop(raw);
    let line = proxy.access_log().line().await;
    assert_eq!(line["notes"]["chunks.response"], Value::Null, "{line}");
}

matrix!(both_directions_pass_a_filter_that_keeps_state_at_the_same_time);
async fn both_directions_pass_a_filter_that_keeps_state_at_the_same_time(edge: Edge) {
    const BYTES: usize = 2 * 1024 * 1024;
    let origin = origin().reflect("/").run();
    let proxy = edge.proxy(format!("workers = 1\n{}", chain(&origin, &[("keeper", "instances-max = 1"), ("chunks", "")])));
    let sent = body::pattern(BYTES);
    let answer = proxy.client().await.post("/", sent.clone()).await;
    assert!(answer.body == sent, "{} of {BYTES} bytes came back, or others", answer.body.len());
    assert_eq!(proxy.failures("keeper").await, 0);
}
