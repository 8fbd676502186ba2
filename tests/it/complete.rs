//! `complete`: how an exchange went, told to the filters that took part, after the client has its answer.

use serde_json::{Value, json};
use tamis_tests::guests::hash;
use tamis_tests::{Client, Edge, Gate, Proxy, Reply, body, chain, matrix, origin};

const STORE: &str = "[stores.outcomes]\n";
const GRANTED: &str = "allow = { stores = ['outcomes'] }";

fn telling(edge: Edge, origin: impl std::fmt::Display, more: &str) -> Proxy {
    edge.proxy(format!("{}{STORE}{more}", chain(origin, &[("complete", GRANTED)])))
}

/// Waits for what the hook wrote about a request.
async fn outcome(client: &Client, id: &str) -> Value {
    loop {
        let answer = client.get(&format!("/outcomes/{id}")).await;
        match answer.status {
            200 => return answer.json(),
            404 => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            status => panic!("{status}: {}", answer.text()),
        }
    }
}

matrix!(an_exchange_that_goes_well_is_told);
async fn an_exchange_that_goes_well_is_told(edge: Edge) {
    let origin = origin().reflect("/a").run();
    let proxy = telling(edge, &origin, "");
    let client = proxy.client().await;
    assert_eq!(client.post("/a", "hello").header("x-request-id", "one").await.text(), "hello");
    let told = outcome(&client, "one").await;
    for (key, expected) in [
        ("status", json!(200)),
        ("request-bytes", json!(5)),
        ("response-bytes", json!(5)),
        ("upstream", json!(origin.to_string())),
        ("attempts", json!(1)),
        ("failure", json!(null)),
        ("mirrored", json!(null)),
        ("path", json!("/a")),
        ("origin", json!("upstream")),
        ("cluster", json!("origin")),
        ("protocol", json!(if edge.is_http2() { "h2" } else { "http/1.1" })),
    ] {
        assert_eq!(told[key], expected, "{key}: {told}");
    }
    assert!(told["duration-us"].as_u64().unwrap() > 0);
}

matrix!(an_upstream_that_is_not_there_is_told);
async fn an_upstream_that_is_not_there_is_told(edge: Edge) {
    let nobody = origin().run().stop();
    let proxy = telling(edge, nobody, "");
    let client = proxy.client().await;
    assert_eq!(client.get("/").header("x-request-id", "one").await.status, 502);
    let told = outcome(&client, "one").await;
    let seen = (&told["status"], &told["failure"], &told["upstream"], &told["origin"]);
    assert_eq!(seen, (&json!(502), &json!("connect-failed"), &json!(null), &json!("connect-failed")), "{told}");
}

matrix!(an_answer_that_is_cut_is_told);
async fn an_answer_that_is_cut_is_told(edge: Edge) {
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
    let proxy = telling(edge, &origin, "");
    let client = proxy.client().await;
    client.get("/").header("x-request-id", "one").whole().await.unwrap_err();
    let told = outcome(&proxy.client().await, "one").await;
    assert_eq!(told["failure"], "upstream-reset", "{told}");
}

matrix!(an_exchange_that_a_filter_resets_is_told);
async fn an_exchange_that_a_filter_resets_is_told(edge: Edge) {
    let origin = origin().route("/", "here").run();
    for when in ["request", "response"] {
        let proxy = edge.proxy(format!("{}{STORE}", chain(&origin, &[("complete", GRANTED), ("reset", "")])));
        let client = proxy.client().await;
        client.get("/").header("x-request-id", "one").header("x-reset", when).whole().await.unwrap_err();
        let told = outcome(&proxy.client().await, "one").await;
        assert_eq!((&told["status"], &told["failure"]), (&json!(null), &json!("filter-reset")), "{when}: {told}");
    }
}

matrix!(a_client_that_goes_away_is_told);
async fn a_client_that_goes_away_is_told(edge: Edge) {
    let gate = Gate::new();
    let origin = origin().gated("/", &gate, "late").run();
    let proxy = telling(edge, &origin, "");
    let client = proxy.client().await;
    let asking = tokio::spawn(client.get("/").header("x-request-id", "one").whole());
    gate.arrived().await;
    asking.abort();
    drop(client);
    let told = outcome(&proxy.client().await, "one").await;
    assert_eq!((&told["status"], &told["failure"]), (&json!(null), &json!("client-gone")), "{told}");
}

matrix!(a_client_that_goes_away_during_a_response_hook_got_nothing);
async fn a_client_that_goes_away_during_a_response_hook_got_nothing(edge: Edge) {
    let gate = Gate::new();
    let slow = origin().gated("/", &gate, "slow").run();
    let origin = origin().route("/", "here").run();
    let filters = [("complete", GRANTED), ("caller", "allow = { clusters = ['slow'] }")];
    let slow_cluster = format!("[clusters.slow]\nendpoints = ['{slow}']\n");
    let proxy = edge.proxy(format!("{}{STORE}{slow_cluster}", chain(&origin, &filters)));
    let client = proxy.client().await;
    let request = client.get("/").header("x-request-id", "one").header("x-call", "slow GET /").header("x-call-in", "response");
    let asking = tokio::spawn(request.whole());
    gate.arrived().await;
    asking.abort();
    drop(client);
    let told = outcome(&proxy.client().await, "one").await;
    assert_eq!((&told["status"], &told["failure"]), (&json!(null), &json!("client-gone")), "{told}");
    assert_eq!(proxy.access_log().line_where("request_id", "one").await["status"], 0);
}

matrix!(the_client_has_its_answer_before);
async fn the_client_has_its_answer_before(edge: Edge) {
    let gate = Gate::new();
    let slow = origin().gated("/", &gate, "slow").run();
    let origin = origin().route("/", "here").run();
    let allow = "allow = { clusters = ['slow'] }";
    let slow_cluster = format!("[clusters.slow]\nendpoints = ['{slow}']\n");
    let proxy = edge.proxy(format!("{}{slow_cluster}", chain(&origin, &[("caller", allow)])));
    let request = proxy.client().await.get("/").header("x-call", "slow GET /").header("x-call-in", "complete");
    assert_eq!(request.await.text(), "here", "nobody waits for the hook");
    gate.arrived().await;
    gate.open();
}

matrix!(no_more_complete_hooks_are_pending_than_may_be);
async fn no_more_complete_hooks_are_pending_than_may_be(edge: Edge) {
    let gate = Gate::new();
    let slow = origin().gated("*", &gate, "slow").run();
    let origin = origin().route("/", "here").run();
    let limit = "limits = { complete-hooks = 1 }\n";
    let slow_cluster = format!("[clusters.slow]\nendpoints = ['{slow}']\n");
    let filters = chain(&origin, &[("caller", "allow = { clusters = ['slow'] }")]);
    let proxy = edge.proxy(format!("{limit}{filters}{slow_cluster}"));
    let client = proxy.client().await;
    let get = async |path: &str| {
        let call = client.get("/").header("x-call", &format!("slow GET {path}")).header("x-call-in", "complete");
        assert_eq!(call.await.text(), "here");
    };
    get("/first").await;
    gate.arrived().await;
    get("/left-out").await;
    gate.open();
    while slow.requests().len() < 2 {
        get("/later").await;
    }
    let paths: Vec<_> = slow.requests().into_iter().map(|seen| seen.target).collect();
    assert_eq!(paths[..2], ["/first", "/later"]);
}

matrix!(only_the_filters_that_took_part_are_told);
async fn only_the_filters_that_took_part_are_told(edge: Edge) {
    let origin = origin().run();
    for (filters, told) in [([("complete", GRANTED), ("reply", "")], true), ([("reply", ""), ("complete", GRANTED)], false)] {
        let proxy = edge.proxy(format!("{}{STORE}", chain(&origin, &filters)));
        let client = proxy.client().await;
        assert_eq!(client.get("/").header("x-request-id", "one").header("x-reply", "1").await.status, 418);
        // An exchange that is told for sure, and is so after the first.
        client.get("/").header("x-request-id", "two").await;
        outcome(&client, "two").await;
        let first = client.get("/outcomes/one").await;
        assert_eq!(first.status, if told { 200 } else { 404 }, "{filters:?}");
        if told {
            assert_eq!((&first.json()["status"], &first.json()["origin"]), (&json!(418), &json!("filter")));
            assert_eq!(first.json()["attempts"], 0);
        }
    }
}

matrix!(the_result_of_a_copy_is_told);
async fn the_result_of_a_copy_is_told(edge: Edge) {
    let copies = origin()
        .route_fn("*", |_| async { Reply::new(203).header("x-copy", "a").header("x-copy", "b").body("the copy's") })
        .run();
    // A copy goes out when the request has gone out whole: the origin reads it.
    let origin = origin().reflect("/").run();
    let proxy = telling(edge, &origin, &format!("[clusters.copies]\nendpoints = ['{copies}']\n"));
    let client = proxy.client().await;
    let request = client.post("/", "hello").header("x-request-id", "one").header("x-mirror", "copies");
    assert_eq!(request.await.text(), "hello");
    let told = outcome(&client, "one").await;
    let mirrored = &told["mirrored"];
    assert_eq!((&mirrored["status"], &mirrored["body-hash"]), (&json!(203), &json!(hash(b"the copy's"))), "{told}");
    assert_eq!(mirrored["x-copy"], json!(["a", "b"]), "{told}");
    assert_eq!(copies.request().header("x-mirrored"), Some("1"));
    assert_eq!(origin.request().header("x-mirrored"), None, "the field is the copy's alone");
}

matrix!(a_trap_in_it_costs_nobody_anything);
async fn a_trap_in_it_costs_nobody_anything(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let proxy = edge.proxy(chain(&origin, &[("trap-late", "")]));
    let client = proxy.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").header("x-trap-in", "complete").await.text(), "here");
    }
    while proxy.failures("trap-late").await < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

matrix!(an_answer_that_the_client_does_not_wait_for_is_told);
async fn an_answer_that_the_client_does_not_wait_for_is_told(edge: Edge) {
    let origin = origin().route_fn("/", |_| async { Reply::new(200).streaming(tamis_tests::origin::unending("a part")) }).run();
    let proxy = telling(edge, &origin, "");
    let client = proxy.client().await;
    let mut answer = client.get("/").header("x-request-id", "one").open().await.unwrap();
    assert_eq!(answer.piece().await.unwrap().unwrap(), "a part");
    drop((answer, client));
    let told = outcome(&proxy.client().await, "one").await;
    let seen = (&told["status"], &told["failure"], &told["response-bytes"], &told["upstream"]);
    assert_eq!(seen, (&json!(200), &json!("client-gone"), &json!(6), &json!(origin.to_string())), "{told}");
}

matrix!(attempts_are_told);
async fn attempts_are_told(edge: Edge) {
    let origin = origin().route_fn("/", |_| async { Reply::new(503) }).run();
    let proxy = edge.proxy(format!("{}{STORE}", chain(&origin, &[("complete", GRANTED), ("steer", "")])));
    let client = proxy.client().await;
    client.get("/").header("x-request-id", "one").header("x-retry", "3 5xx").await;
    let told = outcome(&client, "one").await;
    assert_eq!((&told["attempts"], &told["status"], &told["failure"]), (&json!(3), &json!(503), &json!(null)), "{told}");
}

matrix!(a_filter_of_another_chain_is_told_as_well);
async fn a_filter_of_another_chain_is_told_as_well(edge: Edge) {
    let nobody = origin().run().stop();
    let toml = chain(nobody, &[("steer", ""), ("complete", GRANTED)]);
    let later = toml.replace(r#"["steer", "complete"]"#, r#"["steer"]"#);
    // The listener of its own answers what was told.
    let teller = "[listeners.teller]\nfilters = ['complete']\n";
    let proxy = edge.proxy(format!("{later}{STORE}[chains.later]\nfilters = ['complete']\n{teller}"));
    let answer = proxy.client().await.get("/").header("x-request-id", "one").header("x-chain", "later").await;
    assert_eq!(answer.status, 502);
    let client = tamis_tests::client::connect(proxy.listener("teller")).open().await;
    assert_eq!(outcome(&client, "one").await["failure"], "connect-failed");
}
