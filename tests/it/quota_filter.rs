//! The quota filter that ships: what clients are told, what operators see, and that its examples do what they say.

use std::time::Duration;

use serde_json::json;
use tamis_tests::{Edge, Gate, Origin, Redis, matrix, origin, refused, scenario, shipped};

fn limited(edge: Edge, origin: &Origin, config: &str) -> tamis_tests::Proxy {
    edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        filters = ["quota"]
        [stores.quota]
        [filters.quota]
        module = "builtin:quota"
        deadline = "1s"
        allow = {{ stores = ["quota"] }}
        {config}
        [clusters.origin]
        endpoints = ["{origin}"]
        "#
    ))
}

matrix!(who_asks_too_often_is_told_when_to_come_back);
async fn who_asks_too_often_is_told_when_to_come_back(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let rules = "[[filters.quota.config.rules]]\nname = 'users'\nkey = 'header:x-user'\nlimit = ['3/h', '2/d']";
    let proxy = limited(edge, &origin, rules);
    let client = proxy.client().await;
    let get = |user: &str| client.get("/").header("x-user", user);
    let first = get("ann").await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"users.h\";q=3;w=3600, \"users.d\";q=2;w=86400"));
    assert!(first.header("ratelimit").unwrap().starts_with("\"users.h\";r=2;t=1200, \"users.d\";r=1;t="), "{first:?}");
    assert_eq!(get("ann").await.status, 200);
    let refused = get("ann").await;
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert_eq!((refused.status, refused.text()), (429, "the quota `users` is used up\n"));
    assert!((1..=86_400).contains(&wait) && refused.header("ratelimit").unwrap().contains("\"users.d\";r=0;t="), "{refused:?}");
    assert_eq!(get("eve").await.status, 200);
    assert_eq!(origin.requests().len(), 3, "the origin never sees what is refused");
    let line = proxy.access_log().lines(4).await.remove(2);
    assert_eq!((&line["notes"]["quota.decision"], &line["notes"]["quota.rule"]), (&json!("refused"), &json!("users")));
    for (decision, count) in [("allowed", 3.0), ("refused", 1.0)] {
        let series = format!("quota_decisions_total{{filter=\"quota\",rule=\"users\",decision=\"{decision}\"}}");
        assert_eq!(proxy.metric(&series).await, Some(count), "{decision}");
    }
}

scenario!(without_its_store_it_says_so);
async fn without_its_store_it_says_so() {
    let origin = origin().route("/", "here").run();
    for (word, status) in [("open", 200), ("closed", 503)] {
        let config =
            format!("[filters.quota.config]\nstore = 'other'\non-store-failure = '{word}'\nrules = [{{ limit = '1/h' }}]");
        let proxy = limited(Edge::HTTP1_PLAIN, &origin, &config);
        assert_eq!(proxy.client().await.get("/").await.status, status);
    }
}

scenario!(a_bad_limit_is_told_with_its_position);
async fn a_bad_limit_is_told_with_its_position() {
    let said = refused(
        r#"[listeners.edge]
listen = "127.0.0.1:0"
filters = ["quota"]
[filters.quota]
module = "builtin:quota"
[[filters.quota.config.rules]]
limit = ["10/s", "100/week"]
"#,
    );
    assert!(said.contains("tamis.toml:7:18") && said.contains("100/week") && said.contains("month"), "{said}");
}

matrix!(its_example_of_clients_does_what_it_says);
async fn its_example_of_clients_does_what_it_says(edge: Edge) {
    let gate = Gate::new();
    let app = origin().gated("/api/slow", &gate, "slow").route("*", "here").run();
    let proxy = edge.proxy(shipped("quota", "clients", &[("app", &app)]));
    let client = proxy.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("/api/a").await.status, 200);
    }
    // On a slow machine a little more has come in since.
    let mut more = 0;
    while client.get("/api/a").await.status == 200 {
        more += 1;
        assert!(more < 20, "it is never refused");
    }
    for _ in 0..10 {
        assert_eq!(client.get("/other").await.status, 200, "no rule is for it");
    }
    tokio::time::sleep(Duration::from_millis(350)).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        slow.push(tokio::spawn(proxy.client().await.get("/api/slow").into_future()));
        gate.arrived().await;
    }
    let refused = client.get("/api/a").await;
    assert!(refused.status == 429 && refused.header("ratelimit").unwrap().contains("\"clients.concurrency\";r=0"), "{refused:?}");
    for slow in slow {
        gate.open();
        assert_eq!(slow.await.unwrap().status, 200);
    }
}

matrix!(its_example_of_plans_does_what_it_says);
async fn its_example_of_plans_does_what_it_says(edge: Edge) {
    let app = origin().route("*", "here").run();
    let proxy = edge.proxy(shipped("quota", "plans", &[("app", &app)]));
    let client = proxy.client().await;
    let trial = "x-plan";
    assert_eq!(client.post("/tenants/acme/x", "a").header(trial, "trial").await.status, 200);
    for expected in [200, 200, 200, 429] {
        let answer = client.get("/tenants/acme/x").header(trial, "trial").await;
        assert_eq!(answer.status, expected, "one POST costs five of eight");
        assert_eq!(answer.text(), if expected == 200 { "here" } else { "your plan is used up\n" });
    }
    assert_eq!(client.get("/tenants/other/x").header(trial, "trial").await.status, 200);
    assert_eq!(client.get("/tenants/acme/x").await.status, 200, "without a plan of that kind");
    let lines = proxy.access_log().lines(7).await;
    assert_eq!(lines[2]["notes"]["quota.dry-run"], json!("stricter"), "{lines:?}");
    assert_eq!(lines[1]["notes"]["quota.dry-run"], json!(null));
}

matrix!(its_example_of_a_fleet_does_what_it_says);
async fn its_example_of_a_fleet_does_what_it_says(edge: Edge) {
    let redis = Redis::start().await;
    let app = origin().route("*", "here").run();
    let text = shipped("quota", "fleet", &[("app", &app)]).replace("redis://127.0.0.1:6379", &redis.url());
    let text = text.replace("on-loss = \"local\"", "on-loss = \"local\"\ntimeout = \"5s\"");
    let fleet = [(), ()].map(|()| edge.proxy(&text));
    let mut statuses = Vec::new();
    for number in 0..6 {
        statuses.push(fleet[number % 2].client().await.post("/login", "me").await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429], "five a minute, wherever they come in");
    assert_eq!(fleet[0].client().await.get("/").await.status, 200);
}
