//! A head that a filter made for Higress holds while its body comes: trailers, and a message that breaks off, are the filter's
//! to see before anything of it goes on.

use tamis_tests::{Edge, Proxy, Raw, Reply, body, matrix, origin, scenario};

use crate::proxy_wasm_abi::{FIELDS, HOLDS, configuration, module};

/// Goes on at trailers, or waits for ever.
fn trailers(way: &str, action: u32) -> String {
    format!(
        r#"(func (export "proxy_on_{way}_trailers") (param i32 i32) (result i32) (call $tell (i32.const 5)) (i32.const {action}))"#
    )
}

fn holding(edge: Edge, file: &std::path::Path, origin: &tamis_tests::Origin, timeout: &str) -> Proxy {
    let more = format!("deadline = '1s'\nhook-timeout = '{timeout}'");
    edge.proxy(
        configuration(file, origin)
            .replace("deadline = '1s'", &more)
            .replace("[clusters.origin]\n", "[clusters.origin]\nprotocol = 'h2'\n"),
    )
}

/// Lets a request go on in all its parts, or nothing of it.
const WAITS: &str = r#"
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.eqz (local.get 2)))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 1))"#;

matrix!(trailers_are_seen_while_the_head_waits, http2, because "HTTP/1 trailers have to be announced");
async fn trailers_are_seen_while_the_head_waits(edge: Edge) {
    let origin = origin().echo("/").run();
    let ask = async |proxy: &Proxy| {
        let sent = body::with_trailers("body", &[("x-sum", "1")]);
        proxy.client().await.request("POST", "/").streaming(sent).await
    };
    let (_folder, file) = module("0_2_100", &format!("{FIELDS}{WAITS}{}", trailers("request", 0)));
    let answer = ask(&holding(edge, &file, &origin, "30s")).await.json();
    assert_eq!((&answer["body"], &answer["trailers"]["x-sum"][0]), (&"body".into(), &"1".into()), "{answer}");
    assert_eq!(&answer["headers"]["x-status"][0], "5", "the head has waited for them: {answer}");
    let before = origin.requests().len();
    let (_folder, file) = module("0_2_100", &format!("{FIELDS}{WAITS}{}", trailers("request", 1)));
    let answer = ask(&holding(edge, &file, &origin, "50ms")).await;
    assert_eq!((answer.status, answer.reason()), (500, Some("filter-failed")), "nobody says that it goes on");
    assert_eq!(origin.requests().len(), before);
}

scenario!(a_request_that_breaks_off_while_its_head_waits_goes_nowhere);
async fn a_request_that_breaks_off_while_its_head_waits_goes_nowhere() {
    let origin = origin().echo("/").run();
    let (_folder, file) = module("0_2_100", &format!("{FIELDS}{HOLDS}"));
    let proxy = holding(Edge::HTTP1_PLAIN, &file, &origin, "30s");
    let mut client = Raw::plain(proxy.address()).await;
    client.send("POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\nno chunk").await;
    let head = client.head().await;
    assert_eq!((head.status, head.header("x-tamis-reason")), (400, Some("malformed-request")), "{}", head.text);
    let mut client = Raw::plain(proxy.address()).await;
    client.send("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 9\r\n\r\nbody").await;
    drop(client);
    assert_eq!(proxy.access_log().lines(2).await[1]["reason"], "client-gone");
    assert!(origin.requests().is_empty());
}

scenario!(an_answer_that_breaks_off_while_its_head_waits_is_none);
async fn an_answer_that_breaks_off_while_its_head_waits_is_none() {
    let halved = |_| async {
        let (feed, body) = body::channel();
        tokio::spawn(async move {
            feed.send("half").await;
            feed.cut().await;
        });
        Reply::new(200).streaming(body)
    };
    let origin = origin().route_fn("/", halved).run();
    let waits = WAITS.replace("request", "response");
    let (_folder, file) = module("0_2_100", &format!("{FIELDS}{waits}"));
    let proxy = holding(Edge::HTTP1_PLAIN, &file, &origin, "30s");
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.reason()), (502, Some("upstream-reset")));
}

scenario!(what_was_seen_goes_on_whole_without_a_filter_that_fails_open);
async fn what_was_seen_goes_on_whole_without_a_filter_that_fails_open() {
    let origin = origin().echo("/").run();
    let (_folder, file) = module("0_2_100", &format!("{FIELDS}{WAITS}"));
    let proxy = holding(Edge::HTTP2_PLAIN, &file, &origin, "100ms'\non-failure = 'open");
    let (feed, sent) = body::channel();
    let answer = tokio::spawn(proxy.client().await.request("POST", "/").streaming(sent).whole());
    assert!(feed.send("one").await);
    while origin.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(feed.send("two").await);
    drop(feed);
    assert_eq!(answer.await.unwrap().expect("an answer").json()["body"], "onetwo");
}
