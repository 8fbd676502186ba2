//! What filters ask other services: answers, every way to fail, side by side, and no longer than somebody waits for it.

use serde_json::{Value, json};
use tamis_tests::{Edge, Gate, Proxy, Reply, body, chain, matrix, origin, raw_origin};

/// A proxy whose filter may call the clusters of `more` that are listed.
fn calling(edge: Edge, allowed: &[&str], more: &str) -> Proxy {
    let allow = format!("allow = {{ clusters = {allowed:?} }}");
    edge.proxy(format!("{}{more}", chain("127.0.0.1:1", &[("caller", &allow)])))
}

fn cluster(name: &str, endpoint: impl std::fmt::Display) -> String {
    format!("[clusters.{name}]\nendpoints = ['{endpoint}']\n")
}

matrix!(a_filter_asks_a_service_and_gets_its_answer);
async fn a_filter_asks_a_service_and_gets_its_answer(edge: Edge) {
    for protocol in ["http/1.1", "h2"] {
        let service = origin().echo("/ask").run();
        let proxy = calling(edge, &["idp"], &format!("{}protocol = '{protocol}'", cluster("idp", &service)));
        let request = proxy.client().await.get("/").header("x-call", "idp POST /ask?a=b").header("x-call-field", "x-token: 42");
        let request = request.header("x-call-body", "the body").header("x-call-trailer", "x-sum: 7");
        let answer = request.header("x-call-authority", "idp.test").await.json();
        assert_eq!(answer["status"], 200, "{protocol}: {answer}");
        let seen: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!((&seen["method"], &seen["target"]), (&json!("POST"), &json!("/ask?a=b")), "{protocol}");
        assert_eq!((&seen["body"], &seen["headers"]["x-token"]), (&json!("the body"), &json!(["42"])), "{protocol}");
        let host = if protocol == "h2" { &seen["authority"] } else { &seen["headers"]["host"][0] };
        assert_eq!(host, "idp.test", "{protocol}");
        assert_eq!(seen["trailers"]["x-sum"], json!(["7"]), "{protocol}: {seen}");
    }
}

matrix!(an_answers_trailers_are_seen);
async fn an_answers_trailers_are_seen(edge: Edge) {
    let service = origin()
        .route_fn("/", |_| async {
            Reply::new(418).header("trailer", "x-trailer").streaming(body::with_trailers("body", &[("x-trailer", "late")]))
        })
        .run();
    let proxy = calling(edge, &["idp"], &format!("{}protocol = 'h2'", cluster("idp", &service)));
    let answer = proxy.client().await.get("/").header("x-call", "idp GET /").await.json();
    assert_eq!((&answer["status"], &answer["body"], &answer["trailer"]), (&json!(418), &json!("body"), &json!("late")));
}

matrix!(each_way_to_fail_has_its_word);
async fn each_way_to_fail_has_its_word(edge: Edge) {
    let hanging = origin().hang("/").run();
    let large = origin().route("/", body::pattern((4 << 20) + 1)).run();
    let closing = raw_origin(|mut connection| async move {
        connection.head().await;
    })
    .await;
    let cutting = raw_origin(|mut connection| async move {
        connection.head().await;
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    })
    .await;
    let babbling = raw_origin(|mut connection| async move {
        connection.head().await;
        connection.write("this is no HTTP\r\n\r\n").await;
    })
    .await;
    let nobody = origin().run().stop();
    let more = [
        cluster("secret", &hanging),
        cluster("hanging", &hanging),
        cluster("large", &large),
        cluster("closing", &closing),
        cluster("cutting", &cutting),
        cluster("babbling", &babbling),
        cluster("nobody", nobody),
        "[clusters.empty]\nendpoints = []\n".to_owned(),
    ];
    let allowed = ["hanging", "large", "closing", "cutting", "babbling", "nobody", "empty"];
    let proxy = calling(edge, &allowed, &more.concat());
    let client = proxy.client().await;
    for (call, error) in [
        ("secret GET /", "not-allowed"),
        ("unknown GET /", "not-allowed"),
        ("empty GET /", "no-healthy-endpoint"),
        ("nobody GET /", "no-healthy-endpoint"),
        ("hanging GET /", "timeout"),
        ("closing GET /", "reset"),
        ("cutting GET /", "reset"),
        ("large GET /", "too-large"),
        ("babbling GET /", "protocol"),
        ("large CONNECT /", "protocol"),
        ("large GET nowhere", "protocol"),
    ] {
        let answer = client.get("/").header("x-call", call).header("x-call-timeout", "300").await;
        assert_eq!(answer.json(), json!({ "error": error }), "{call}");
    }
    assert_eq!(proxy.failures("caller").await, 0, "none of it is a failure of the filter");
}

matrix!(calls_of_one_hook_run_side_by_side_and_answer_in_order);
async fn calls_of_one_hook_run_side_by_side_and_answer_in_order(edge: Edge) {
    let gate = Gate::new();
    let service = origin().gated("/a", &gate, "a").gated("/b", &gate, "b").gated("/c", &gate, "c").run();
    let proxy = calling(edge, &["idp"], &cluster("idp", &service));
    let request = proxy.client().await.get("/");
    let request = ["a", "b", "c"].iter().fold(request, |request, path| request.header("x-call", &format!("idp GET /{path}")));
    let answer = tokio::spawn(request.into_future());
    for _ in 0..3 {
        gate.arrived().await;
    }
    (0..3).for_each(|_| gate.open());
    let answers = answer.await.unwrap().json();
    let bodies: Vec<_> = answers.as_array().unwrap().iter().map(|answer| answer["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["a", "b", "c"]);
}

matrix!(calls_past_the_limit_are_refused);
async fn calls_past_the_limit_are_refused(edge: Edge) {
    let service = origin().route("/", "here").run();
    let proxy = calling(edge, &["idp"], &cluster("idp", &service));
    let answer = proxy.client().await.get("/").header("x-call", "idp GET /").header("x-call-times", "66").await.json();
    let answers = answer.as_array().unwrap();
    assert!(answers[..64].iter().all(|answer| answer["status"] == 200));
    assert!(answers[64..].iter().all(|answer| answer["error"] == "too-large"), "{:?}", &answers[64..]);
}

matrix!(connections_are_used_again);
async fn connections_are_used_again(edge: Edge) {
    let service = origin().route("/", "here").run();
    let allow = "allow = { clusters = ['idp'] }";
    let proxy = edge.proxy(format!("workers = 1\n{}{}", chain("127.0.0.1:1", &[("caller", allow)]), cluster("idp", &service)));
    let client = proxy.client().await;
    for _ in 0..10 {
        assert_eq!(client.get("/").header("x-call", "idp GET /").await.json()["body"], "here");
    }
    assert_eq!(service.connections(), 1);
}

matrix!(a_call_ends_with_the_client);
async fn a_call_ends_with_the_client(edge: Edge) {
    let (gone, mut noticed) = tokio::sync::mpsc::unbounded_channel();
    let service = raw_origin(move |mut connection| {
        let gone = gone.clone();
        async move {
            connection.head().await;
            gone.send("asked").ok();
            use tokio::io::AsyncReadExt;
            connection.0.read_to_end(&mut Vec::new()).await.ok();
            gone.send("gone").ok();
        }
    })
    .await;
    let proxy = calling(edge, &["idp"], &cluster("idp", &service));
    let client = proxy.client().await;
    let asking = tokio::spawn(client.get("/").header("x-call", "idp GET /").whole());
    assert_eq!(noticed.recv().await, Some("asked"));
    asking.abort();
    drop(client);
    assert_eq!(noticed.recv().await, Some("gone"));
    assert_eq!(proxy.access_log().line().await["reason"], "client-gone");
    assert_eq!(proxy.failures("caller").await, 0, "no failure of the filter's");
}

matrix!(a_call_does_not_outlast_the_deadline_of_the_client, http2, because "gRPC is HTTP/2");
async fn a_call_does_not_outlast_the_deadline_of_the_client(edge: Edge) {
    let service = origin().hang("/").run();
    let proxy = calling(edge, &["idp"], &cluster("idp", &service));
    let request = proxy.client().await.post("/", "x").header("content-type", "application/grpc").header("te", "trailers");
    let answer = request.header("grpc-timeout", "200m").header("x-call", "idp GET /").await;
    assert_eq!(answer.json(), json!({ "error": "timeout" }), "without a timeout of its own");
}

matrix!(a_filter_asks_in_later_hooks);
async fn a_filter_asks_in_later_hooks(edge: Edge) {
    let service = origin().route("/", "asked").run();
    let origin = origin().route("/", "here").run();
    let allow = "allow = { clusters = ['idp'] }";
    let proxy = edge.proxy(format!("{}{}", chain(&origin, &[("caller", allow)]), cluster("idp", &service)));
    let client = proxy.client().await;
    let answer = client.get("/").header("x-call", "idp GET /").header("x-call-in", "response").await;
    assert!(answer.header("x-called").unwrap().contains("\"body\":\"asked\""), "{answer:?}");
    assert_eq!(answer.text(), "here");
    client.get("/").header("x-call", "idp GET /").header("x-call-in", "complete").await;
    while service.requests().len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

matrix!(a_filter_that_waits_does_not_hold_its_worker);
async fn a_filter_that_waits_does_not_hold_its_worker(edge: Edge) {
    let gate = Gate::new();
    let service = origin().gated("/", &gate, "late").run();
    let origin = origin().route("/", "here").run();
    let allow = "allow = { clusters = ['idp'] }";
    let proxy = edge.proxy(format!("workers = 1\n{}{}", chain(&origin, &[("caller", allow)]), cluster("idp", &service)));
    let waiting = tokio::spawn(proxy.client().await.get("/").header("x-call", "idp GET /").into_future());
    gate.arrived().await;
    let client = proxy.client().await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.text(), "here");
    }
    gate.open();
    assert_eq!(waiting.await.unwrap().json()["body"], "late");
}

matrix!(a_filter_that_sleeps_does_not_hold_its_worker);
async fn a_filter_that_sleeps_does_not_hold_its_worker(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let proxy = edge.proxy(format!("workers = 1\n{}", chain(&origin, &[("sleeper", "")])));
    let sleeping = proxy.client().await;
    let sleeping = tokio::spawn(async move { sleeping.get("/").header("x-sleep", "1000").await });
    let client = proxy.client().await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.text(), "here");
    }
    assert!(!sleeping.is_finished(), "twenty others went by");
    let answer = sleeping.await.unwrap();
    assert!(answer.header("x-slept-ms").unwrap().parse::<u64>().unwrap() >= 1000);
    let answer = client.get("/").header("x-sleep-response", "20").header("x-sleep-chunk", "20").await;
    assert_eq!(answer.text(), "here");
    assert!(answer.header("x-slept-response-ms").unwrap().parse::<u64>().unwrap() >= 20);
}
