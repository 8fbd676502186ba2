//! Stores in a real Redis: what filters see, what a fleet shares, and what becomes of it when Redis hangs, dies or refuses.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tamis_tests::command::Running;
use tamis_tests::{Client, Edge, Gate, Origin, Proxy, Redis, certificates, chain, matrix, origin, proxy, scenario};

/// Long enough for a busy machine; the scenarios about time set their own.
const PATIENT: &str = "timeout = '5s'";

fn store(redis: &Redis, more: &str) -> String {
    format!("[stores.kept]\nbackend = 'redis'\nurl = '{}'\n{more}\n", redis.url())
}

const GRANTED: &str = "allow = { stores = ['kept'] }";

fn storing(store: &str) -> Proxy {
    proxy(format!("{}{store}", chain("127.0.0.1:1", &[("stores", GRANTED)])))
}

async fn done(client: &Client, what: &str) -> Value {
    client.get(&format!("/stores/{what}")).await.json()
}

fn limited(edge: Edge, origin: &Origin, ask: &str, store: &str) -> Proxy {
    let quotas = format!("{GRANTED}\nconfig = {{ store = 'kept', asks = [{ask}] }}");
    edge.proxy(format!("{}{store}", chain(origin, &[("quotas", &quotas)])))
}

async fn metric(proxy: &Proxy, name: &str) -> f64 {
    proxy.metric(&format!("tamis_store_{name}{{store=\"kept\"}}")).await.unwrap_or_else(|| panic!("no {name}"))
}

async fn connected(proxy: &Proxy, wished: f64) {
    while metric(proxy, "connected").await != wished {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn every_function(store: &str) {
    let proxy = storing(&format!("{store}key-bytes = '32B'\nvalue-bytes = '1KiB'\n"));
    for (what, expected) in [
        ("get/a", json!({ "ok": null })),
        ("set/a/1", json!({ "ok": null })),
        ("get/a", json!({ "ok": "1" })),
        ("cas/a/2/3", json!({ "ok": false })),
        ("cas/a/1/3", json!({ "ok": true })),
        ("cas/a/-/4", json!({ "ok": false })),
        ("get/a", json!({ "ok": "3" })),
        ("delete/a", json!({ "ok": null })),
        ("delete/a", json!({ "ok": null })),
        ("get/a", json!({ "ok": null })),
        ("cas/a/x/4", json!({ "ok": false })),
        ("cas/a/-/4", json!({ "ok": true })),
        ("increment/n/5", json!({ "ok": 5 })),
        ("increment/n/-7", json!({ "ok": -2 })),
        ("increment/n/9223372036854775807", json!({ "ok": 9_223_372_036_854_775_805_i64 })),
        ("increment/n/9223372036854775807", json!({ "ok": i64::MAX })),
        ("get/n", json!({ "ok": i64::MAX.to_string() })),
        ("set/word/five", json!({ "ok": null })),
        ("increment/word/1", json!({ "error": "unavailable" })),
        ("get/word", json!({ "ok": "five" })),
        ("set/gone/1?ttl=0", json!({ "ok": null })),
        ("get/gone", json!({ "ok": null })),
        ("set/b/v?size=1024", json!({ "error": "too-large" })),
        ("get/b", json!({ "ok": null })),
        ("set/a-key-that-is-longer-than-thirty-two-bytes/v", json!({ "error": "too-large" })),
    ] {
        assert_eq!(done(&proxy.client().await, &format!("kept/{what}")).await, expected, "{what}");
    }
    let client = proxy.client().await;
    for what in ["kept/set/long/1?ttl=60000", "kept/set/short/1?ttl=20", "kept/increment/count/1?ttl=20"] {
        done(&client, what).await;
    }
    while done(&client, "kept/get/short").await["ok"] != json!(null) {}
    while done(&client, "kept/get/count").await["ok"] != json!(null) {}
    assert_eq!(done(&client, "kept/get/long").await["ok"], "1");
    assert_eq!(metric(&proxy, "connected").await, 1.0);
}

scenario!(a_store_in_redis_does_what_one_in_memory_does);
async fn a_store_in_redis_does_what_one_in_memory_does() {
    let redis = Redis::start().await;
    every_function(&store(&redis, PATIENT)).await;
}

scenario!(over_tls);
async fn over_tls() {
    let redis = Redis::tls().await;
    let ca = format!("ca = '{}'\n{PATIENT}", certificates::authority_file().display());
    every_function(&store(&redis, &ca)).await;
    let untrusting = storing(&store(&redis, PATIENT));
    assert_eq!(done(&untrusting.client().await, "kept/get/a").await, json!({ "error": "unavailable" }));
}

scenario!(in_a_cluster);
async fn in_a_cluster() {
    let redis = Redis::cluster().await;
    let store = format!("[stores.kept]\nbackend = 'redis'\ncluster = ['{}']\n{PATIENT}\n", redis.url());
    every_function(&store).await;
    let origin = origin().route("/", "here").run();
    let proxy = limited(Edge::HTTP1_PLAIN, &origin, &[TEN_A_MINUTE, TWO_AN_HOUR].join(", "), &store);
    let statuses = [200, 200, 429];
    for status in statuses {
        assert_eq!(proxy.client().await.get("/").await.status, status, "several keys are decided by one script");
    }
}

const TEN_A_MINUTE: &str = "{ key = 'wide', kind = 'rate', limit = 10, window-ms = 60000, burst = 5 }";
const TWO_AN_HOUR: &str = "{ key = 'narrow', kind = 'calendar', limit = 2, window-ms = 3600000 }";
const ONE_AT_ONCE: &str = "{ key = 'all', kind = 'concurrency', limit = 1 }";

/// What is decided, without the times.
fn told(json: &Value) -> Vec<(bool, u64)> {
    let each = json.as_array().expect("a decision for each ask").iter();
    each.map(|one| (one["allowed"].as_bool().unwrap(), one["remaining"].as_u64().unwrap())).collect()
}

scenario!(quotas_are_decided_as_in_memory);
async fn quotas_are_decided_as_in_memory() {
    let redis = Redis::start().await;
    let origin = origin().route("/", "here").run();
    let twice = "{ key = 'twice', kind = 'rate', limit = 10, window-ms = 60000, burst = 3 }";
    let costly = "{ key = 'costly', kind = 'rate', limit = 60, window-ms = 60000, burst = 7, cost = 3 }";
    let never = "{ key = 'never', kind = 'rate', limit = 10, window-ms = 60000, burst = 3, cost = 4 }";
    for asks in [
        TEN_A_MINUTE.to_owned(),
        TWO_AN_HOUR.to_owned(),
        [TEN_A_MINUTE, TWO_AN_HOUR].join(", "),
        [TWO_AN_HOUR, ONE_AT_ONCE].join(", "),
        [twice, twice].join(", "),
        costly.to_owned(),
        never.to_owned(),
        [TEN_A_MINUTE, never].join(", "),
    ] {
        redis.cli(&["flushall"]).await;
        let (mut all, mut waits) = (Vec::new(), Vec::new());
        let began = Instant::now();
        for store in [store(&redis, PATIENT), "[stores.kept]\n".to_owned()] {
            let proxy = limited(Edge::HTTP1_PLAIN, &origin, &asks, &store);
            let client = proxy.client().await;
            let mut one = Vec::new();
            for _ in 0..7 {
                let answer = client.get("/").await;
                let json = answer.header("x-quota").map_or_else(|| answer.json(), |json| serde_json::from_str(json).unwrap());
                waits.extend(json.as_array().unwrap().iter().map(|one| one["retry-after-ms"].as_u64().unwrap()));
                one.push((answer.status, told(&json)));
            }
            all.push(one);
        }
        assert_eq!(all[0], all[1], "{asks}");
        // They end at the same time, and one was asked after the other.
        let (took, (first, then)) = (began.elapsed().as_millis() as u64, waits.split_at(waits.len() / 2));
        for (first, then) in first.iter().zip(then) {
            assert!(first.abs_diff(*then) <= took + 10, "{asks}: {first} ms, {then} ms, in {took} ms");
        }
    }
}

matrix!(processes_share_what_they_name_the_same);
async fn processes_share_what_they_name_the_same(edge: Edge) {
    let redis = Redis::start().await;
    let origin = origin().route("/", "here").run();
    let ask = "{ key = 'all', kind = 'rate', limit = 4, window-ms = 60000, burst = 4 }";
    let fleet = [(), (), ()].map(|()| limited(edge, &origin, ask, &store(&redis, PATIENT)));
    let mut statuses = Vec::new();
    for number in 0..6 {
        statuses.push(fleet[number % 3].client().await.get("/").await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
    while metric(&fleet[0], "processes").await < 3.0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = fleet[0].client().await.get("/").header("x-key", "another").await;
    assert_eq!(answer.status, 200, "another key is another quota");
}

matrix!(what_runs_at_once_is_given_back_however_it_ends);
async fn what_runs_at_once_is_given_back_however_it_ends(edge: Edge) {
    let redis = Redis::start().await;
    let gate = Gate::new();
    let origin = origin().gated("/slow", &gate, "slow").route("/", "here").run();
    let fleet = [(), ()].map(|()| limited(edge, &origin, ONE_AT_ONCE, &store(&redis, PATIENT)));
    let (client, other) = (fleet[0].client().await, fleet[1].client().await);
    let slow = tokio::spawn(client.get("/slow").into_future());
    gate.arrived().await;
    assert_eq!(other.get("/").await.status, 429, "one is under way, elsewhere");
    gate.open();
    assert_eq!(slow.await.unwrap().text(), "slow");
    while other.get("/").await.status == 429 {}
    let leaving = fleet[1].client().await;
    let slow = tokio::spawn(leaving.get("/slow").whole());
    gate.arrived().await;
    slow.abort();
    drop(leaving);
    while client.get("/").await.status == 429 {}
    gate.open();
}

scenario!(a_killed_process_gives_back);
async fn a_killed_process_gives_back() {
    let redis = Redis::start().await;
    let gate = Gate::new();
    let origin = origin().gated("/slow", &gate, "slow").route("/", "here").run();
    let store = store(&redis, &format!("hold-time = '1s'\n{PATIENT}"));
    let survivor = limited(Edge::HTTP1_PLAIN, &origin, ONE_AT_ONCE, &store);
    let quotas = format!("{GRANTED}\nconfig = {{ store = 'kept', asks = [{ONE_AT_ONCE}] }}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tamis.toml");
    let text = format!("{}{store}", chain(&origin, &[("quotas", &quotas)]));
    std::fs::write(&file, text.replace("[listeners.edge]", "[listeners.edge]\nlisten = '127.0.0.1:0'")).unwrap();
    let mut killed = Running::start(env!("CARGO_BIN_EXE_tamis-cli"), &["run", "-c", file.to_str().unwrap()]);
    let line = killed.logs("listener=edge").await;
    let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap();
    let client = tamis_tests::client::connect(address).open().await;
    let slow = tokio::spawn(client.get("/slow").whole());
    gate.arrived().await;
    let client = survivor.client().await;
    let until = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < until {
        assert_eq!(client.get("/").await.status, 429, "it is renewed while its holder lives");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    killed.signal("KILL").await;
    while client.get("/").await.status == 429 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    slow.abort();
    gate.open();
}

const MANY_AT_ONCE: &str = "{ key = 'hot', kind = 'rate', limit = 2000, window-ms = 60000, burst = 500 }";

scenario!(a_busy_quota_costs_few_round_trips);
async fn a_busy_quota_costs_few_round_trips() {
    let redis = Redis::start().await;
    let origin = origin().forgetting().route("/", "here").run();
    let more = format!("lease-time = '1s'\n{PATIENT}");
    let proxy = limited(Edge::HTTP1_PLAIN, &origin, MANY_AT_ONCE, &store(&redis, &more));
    let (began, client) = (Instant::now(), proxy.client().await);
    let mut allowed = 0;
    for _ in 0..900 {
        allowed += u64::from(client.get("/").await.status == 200);
    }
    let dripped = began.elapsed().as_millis() as u64 * 2000 / 60_000;
    assert!((500..=501 + dripped).contains(&allowed), "{allowed}, with {dripped} that came in meanwhile");
    let (leases, leased) = (metric(&proxy, "leases_total").await, metric(&proxy, "leased_decisions_total").await);
    assert!(leases >= 1.0 && leased > 450.0, "{leased} of 900 needed no round trip, in {leases} batches");
    assert!(metric(&proxy, "round_trips_total").await < 500.0);
}

scenario!(tokens_that_were_not_used_go_back);
async fn tokens_that_were_not_used_go_back() {
    let redis = Redis::start().await;
    let origin = origin().forgetting().route("/", "here").run();
    let ask = "{ key = 'hot', kind = 'calendar', limit = 1000000, window-ms = 86400000 }, { key = 'rate', kind = 'rate', limit = 100000, window-ms = 1000, burst = 100000 }";
    let more = format!("lease-time = '1s'\n{PATIENT}");
    let proxy = limited(Edge::HTTP1_PLAIN, &origin, ask, &store(&redis, &more));
    let client = proxy.client().await;
    for _ in 0..200 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert!(metric(&proxy, "leases_total").await >= 1.0, "some were taken in advance");
    let key = "tamis:{kept}:q:c:1000000:86400000:0::hot:";
    loop {
        let used = redis.cli(&["get", key]).await;
        match used.split(' ').next().unwrap().parse::<u64>().unwrap() {
            200 => break,
            other => assert!(other > 200, "{other} of 200 were counted"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

scenario!(a_redis_that_hangs_costs_a_few_exchanges_their_wait);
async fn a_redis_that_hangs_costs_a_few_exchanges_their_wait() {
    let redis = Redis::start().await;
    let origin = origin().forgetting().route("/", "here").run();
    let proxy = limited(Edge::HTTP1_PLAIN, &origin, MANY_AT_ONCE, &store(&redis, "timeout = '300ms'\nlease-time = '0s'"));
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.status, 200);
    redis.hang().await;
    let mut late = 0;
    for _ in 0..200 {
        let began = Instant::now();
        assert_eq!(client.get("/").await.status, 200, "this process decides");
        late += u32::from(began.elapsed() >= Duration::from_millis(300));
    }
    assert!((1..=4).contains(&late), "{late} exchanges waited; three misses are allowed");
    assert_eq!((metric(&proxy, "connected").await, metric(&proxy, "losses_total").await), (0.0, 1.0));
    assert!(metric(&proxy, "local_decisions_total").await >= 200.0);
    let timeouts = proxy.metric("tamis_store_errors_total{store=\"kept\",kind=\"timeout\"}").await;
    assert!(timeouts >= Some(3.0), "{timeouts:?}");
    redis.go_on().await;
    connected(&proxy, 1.0).await;
    let before = metric(&proxy, "local_decisions_total").await;
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(metric(&proxy, "local_decisions_total").await, before, "Redis decides again");
}

scenario!(a_redis_that_dies_and_comes_back_knows_no_script);
async fn a_redis_that_dies_and_comes_back_knows_no_script() {
    let mut redis = Redis::start().await;
    let origin = origin().forgetting().route("/", "here").run();
    let ask = "{ key = 'all', kind = 'calendar', limit = 4, window-ms = 3600000 }";
    let proxy = |on_loss: &str| {
        limited(Edge::HTTP1_PLAIN, &origin, ask, &store(&redis, &format!("on-loss = '{on_loss}'\nlease-time = '0s'\n{PATIENT}")))
    };
    let (local, open, closed) = (proxy("local"), proxy("open"), proxy("closed"));
    let fleet = [&local, &open, &closed];
    for proxy in fleet {
        assert_eq!(proxy.client().await.get("/").await.status, 200);
        while metric(proxy, "processes").await < 3.0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    redis.kill().await;
    for proxy in fleet {
        connected(proxy, 0.0).await;
    }
    let statuses = async |proxy: &Proxy| {
        let client = proxy.client().await;
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(client.get("/").await.status);
        }
        statuses
    };
    assert_eq!(statuses(&local).await, [200, 429, 429], "a third of four, rounded down");
    assert_eq!(statuses(&open).await, [200, 200, 200]);
    assert_eq!(statuses(&closed).await, [503, 503, 503], "the filter hears of it");
    redis.restart().await;
    for proxy in fleet {
        connected(proxy, 1.0).await;
    }
    let mut all = Vec::new();
    for proxy in fleet {
        all.extend(statuses(proxy).await);
    }
    assert_eq!(all, [200, 200, 200, 200, 429, 429, 429, 429, 429], "it has forgotten what was used, and the scripts");
}

scenario!(a_wrong_password_is_told_and_costs_no_exchange_anything);
async fn a_wrong_password_is_told_and_costs_no_exchange_anything() {
    let redis = Redis::with(&["--requirepass", "secret"]).await;
    let with = |password: &str| store(&redis, PATIENT).replace("redis://", &format!("redis://:{password}@"));
    let (right, wrong) = (storing(&with("secret")), storing(&with("wrong")));
    assert_eq!(done(&right.client().await, "kept/set/a/1").await, json!({ "ok": null }));
    assert_eq!(done(&right.client().await, "kept/get/a").await, json!({ "ok": "1" }));
    assert_eq!(metric(&wrong, "connected").await, 0.0);
    let began = Instant::now();
    assert_eq!(done(&wrong.client().await, "kept/get/a").await, json!({ "error": "unavailable" }));
    assert!(began.elapsed() < Duration::from_secs(4), "it does not wait for what refuses it");
}

scenario!(a_proxy_starts_without_redis_and_finds_it_later);
async fn a_proxy_starts_without_redis_and_finds_it_later() {
    let mut redis = Redis::start().await;
    redis.kill().await;
    let proxy = storing(&store(&redis, PATIENT));
    assert_eq!(done(&proxy.client().await, "kept/set/a/1").await, json!({ "error": "unavailable" }));
    redis.restart().await;
    connected(&proxy, 1.0).await;
    assert_eq!(done(&proxy.client().await, "kept/set/a/1").await, json!({ "ok": null }));
}

scenario!(a_reload_from_memory_to_redis_goes_live);
async fn a_reload_from_memory_to_redis_goes_live() {
    let redis = Redis::start().await;
    let text = |store: &str| format!("{}{store}", chain("127.0.0.1:1", &[("stores", GRANTED)]));
    let proxy = proxy(text("[stores.kept]\n"));
    let client = proxy.client().await;
    assert_eq!(done(&client, "kept/set/a/memory").await, json!({ "ok": null }));
    proxy.rewrite(text(&store(&redis, PATIENT)));
    while proxy.metric("tamis_store_connected{store=\"kept\"}").await != Some(1.0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(done(&client, "kept/get/a").await, json!({ "ok": null }));
    assert_eq!(done(&client, "kept/set/a/redis").await, json!({ "ok": null }));
    assert_eq!(redis.cli(&["get", "tamis:kept:v:0::a"]).await, "redis");
}
