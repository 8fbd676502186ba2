//! The fault filter that ships: delays, aborts and slow bodies, by rule and asked for.

use std::time::{Duration, Instant};

use tamis_tests::{Edge, Gate, Proxy, matrix, origin, scenario, shipped};

/// The chain with the filter, and its configuration.
fn faulty(edge: Edge, app: impl std::fmt::Display, config: &str) -> Proxy {
    edge.proxy(format!(
        "[listeners.edge]\nfilters = ['fault']\ncluster = 'app'\n[clusters.app]\nendpoints = ['{app}']\n[stores.faults]\n[filters.fault]\nmodule = 'builtin:fault'\ndeadline = '1s'\nallow = {{ stores = ['faults'] }}\n[filters.fault.config]\n{config}\n"
    ))
}

async fn note(proxy: &Proxy, id: &str) -> String {
    let line = proxy.access_log().line_where("request_id", id).await;
    line["notes"]["fault"].as_str().unwrap_or_default().to_owned()
}

matrix!(game_day);
async fn game_day(edge: Edge) {
    let shop = origin().route("*", "here").run();
    let proxy = edge.proxy(shipped("fault", "game-day", &[("shop", &shop)]));
    let client = proxy.client().await;
    for round in 0..40 {
        let answer = client.get("/users/1").header("x-request-id", &format!("users-{round}")).await;
        let told = note(&proxy, &format!("users-{round}")).await;
        assert!(told.is_empty() || told.starts_with("slow-users: "), "{told}");
        assert_eq!(answer.status, if told.contains("abort") { 503 } else { 200 }, "{told}");
        let page = client.get("/").header("x-request-id", &format!("page-{round}")).await;
        let told = note(&proxy, &format!("page-{round}")).await;
        assert!(page.text() == "here" && (told.is_empty() || told == "slow-pages: rate 20000"), "{told}");
    }
}

matrix!(asked_for);
async fn asked_for(edge: Edge) {
    let shop = origin().echo("*").run();
    let proxy = edge.proxy(shipped("fault", "asked-for", &[("shop", &shop)]));
    let client = proxy.client().await;
    let asking = |name: &str, value: &str| client.get("/").header(&format!("x-tamis-fault-{name}"), value);
    let began = Instant::now();
    let delayed = asking("delay", "150").header("x-request-id", "one").await;
    assert!(delayed.status == 200 && began.elapsed() >= Duration::from_millis(150));
    assert_eq!(delayed.json()["headers"]["x-tamis-fault-delay"], serde_json::json!(null), "the fields go no further");
    assert_eq!(note(&proxy, "one").await, "by-header: delay 150ms");
    let aborted = asking("abort", "503").await;
    assert_eq!((aborted.status, aborted.text()), (503, "a fault was injected\n"));
    let wrong = asking("delay", "soon").await;
    assert_eq!((wrong.status, wrong.text()), (400, "x-tamis-fault-delay: expected milliseconds, found \"soon\"\n"));
    asking("abort", "reset").whole().await.unwrap_err();
    let plain = proxy.client().await.get("/").await;
    assert_eq!(plain.status, 200, "who asks for nothing gets nothing");
    assert_eq!(proxy.metric(r#"fault_injected_total{filter="fault",rule="by-header",fault="abort"}"#).await, Some(2.0));
}

matrix!(reproducible);
async fn reproducible(edge: Edge) {
    let app = origin().route("*", "here").run();
    let mut runs = Vec::new();
    for _ in 0..2 {
        let proxy = edge.proxy(shipped("fault", "reproducible", &[("app", &app)]));
        let mut run = Vec::new();
        for round in 0..30 {
            let id = format!("id-{round}");
            let client = proxy.client().await;
            let answer = client.post("/", "x").header("x-request-id", &id).whole().await;
            run.push((answer.map(|answer| answer.status).ok(), note(&proxy, &id).await));
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    let has = |word: &str| runs[0].iter().filter(|(_, note)| note.contains(word)).count();
    assert!((5..25).contains(&has("delay")) && (1..15).contains(&has("abort reset")), "{:?}", runs[0]);
    assert!(runs[0].iter().all(|(status, note)| status.is_none() == note.contains("abort")), "{:?}", runs[0]);
}

matrix!(a_body_flows_slowly);
async fn a_body_flows_slowly(edge: Edge) {
    let app = origin().route("*", vec![b'x'; 30_000]).run();
    let rule = "rules = [{ name = 'slow', response-rate = { bytes-per-second = 50_000 } }]";
    let proxy = faulty(edge, &app, rule);
    let began = Instant::now();
    assert_eq!(proxy.client().await.get("/").await.body.len(), 30_000);
    // What may flow at once at the beginning is not waited for.
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
}

matrix!(a_grpc_call_is_refused);
async fn a_grpc_call_is_refused(edge: Edge) {
    let app = origin().route("*", "here").run();
    let proxy = faulty(edge, &app, "rules = [{ name = 'no', abort = { grpc-status = 14, message = 'away' } }]");
    let call = proxy.client().await.post("/a.Service/Do", "").header("content-type", "application/grpc");
    let answer = call.await;
    let field = |name: &str| answer.trailers.get(name).or(answer.headers.get(name)).unwrap().to_str().unwrap();
    assert_eq!((answer.status, field("grpc-status"), field("grpc-message")), (200, "14", "away"));
    assert!(app.requests().is_empty());
}

matrix!(only_so_many_are_delayed_at_once);
async fn only_so_many_are_delayed_at_once(edge: Edge) {
    let gate = Gate::new();
    let app = origin().gated("/held", &gate, "late").route("/", "here").run();
    let config = "delayed-max = 1\nstore = 'faults'\nrules = [{ name = 'slow', delay = { fixed = '20ms' } }]";
    let proxy = faulty(edge, &app, config);
    let first = tokio::spawn(proxy.client().await.get("/held").header("x-request-id", "first").whole());
    gate.arrived().await;
    let client = proxy.client().await;
    assert_eq!(client.get("/").header("x-request-id", "second").await.text(), "here");
    assert_eq!(note(&proxy, "second").await, "", "the first, which was delayed, is still under way");
    gate.open();
    first.await.unwrap().unwrap();
    assert_eq!(note(&proxy, "first").await, "slow: delay 20ms");
    assert_eq!(client.get("/").header("x-request-id", "third").await.text(), "here");
    assert_eq!(note(&proxy, "third").await, "slow: delay 20ms", "there is room again");
    assert_eq!(proxy.metric(r#"fault_capped_total{filter="fault",rule="slow"}"#).await, Some(1.0));
}

scenario!(a_client_that_leaves_ends_its_delay);
async fn a_client_that_leaves_ends_its_delay() {
    let app = origin().route("*", "here").run();
    let config =
        "delayed-max = 1\nstore = 'faults'\nrules = [{ name = 'slow', match = { path = '/slow' }, delay = { fixed = '25s' } }]";
    let proxy = faulty(Edge::HTTP1_PLAIN, &app, config);
    let client = proxy.client().await;
    let asking = tokio::spawn(client.get("/slow").header("x-request-id", "one").whole());
    proxy.metric_becomes(r#"fault_injected_total{filter="fault",rule="slow",fault="delay"}"#, |delayed| delayed > 0.0).await;
    asking.abort();
    drop(client);
    let line = proxy.access_log().line_where("request_id", "one").await;
    assert_eq!((&line["status"], &line["reason"]), (&serde_json::json!(0), &serde_json::json!("client-gone")), "{line}");
    assert_eq!(proxy.failures("fault").await, 0);
}
