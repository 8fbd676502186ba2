//! Endpoints that fail are left out and come back, as checks and traffic show.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use tamis_tests::command::{Running, python, python_script};
use tamis_tests::{Client, Edge, Origin, Proxy, Reply, origin, scenario};

/// How often what nobody announces is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A proxy in front of these, with what is said of their health.
fn before(endpoints: &[&dyn std::fmt::Display], more: &str) -> Proxy {
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| format!("'{endpoint}'")).collect();
    let endpoints = endpoints.join(", ");
    Edge::HTTP1_PLAIN.proxy(format!(
        "[listeners.edge]\ncluster = 'users'\n[listeners.edge.limits]\nrequests-per-connection = 0\n\
         [clusters.users]\nendpoints = [{endpoints}]\nbalance = 'round-robin'\n{more}"
    ))
}

/// What came of a few requests, each as often as it takes to reach every endpoint.
async fn answers(client: &Client) -> Vec<String> {
    let mut answers = Vec::new();
    for _ in 0..4 {
        let answer = client.get("/").await;
        answers.push(if answer.status == 200 { answer.text().to_owned() } else { answer.status.to_string() });
    }
    answers.sort();
    answers.dedup();
    answers
}

async fn become_(client: &Client, wished: &[&str]) {
    while answers(client).await != wished {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// An origin whose health says what it is told to.
fn checked(name: &'static str, status: &Arc<AtomicU16>, words: &Arc<AtomicBool>) -> Origin {
    let (status, words) = (Arc::clone(status), Arc::clone(words));
    let health = move |_| {
        let text = if words.load(Ordering::SeqCst) { "all is well" } else { "hm" };
        let reply = Reply::new(status.load(Ordering::SeqCst)).body(text);
        async { reply }
    };
    origin().route("/", name).route_fn("/healthz", health).run()
}

scenario!(an_endpoint_whose_checks_fail_is_left_out);
async fn an_endpoint_whose_checks_fail_is_left_out() {
    for protocol in ["http/1.1", "h2"] {
        let (status, words) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicBool::new(true)));
        let (one, two) = (checked("one", &status, &words), checked("two", &Arc::new(AtomicU16::new(203)), &words));
        let more = format!(
            "protocol = '{protocol}'\nhealth = {{ http = '/healthz?deep', host = 'users.internal', contains = 'well', \
             statuses = [200, '202-206'], interval = '100ms', unhealthy = 2, healthy = 2 }}"
        );
        words.store(true, Ordering::SeqCst);
        let proxy = before(&[&one, &two], &more);
        let client = proxy.client().await;
        become_(&client, &["one", "two"]).await;
        status.store(500, Ordering::SeqCst);
        become_(&client, &["two"]).await;
        status.store(200, Ordering::SeqCst);
        become_(&client, &["one", "two"]).await;
        let check = one.requests().into_iter().find(|request| request.target == "/healthz?deep").expect("a check");
        let host = if protocol == "h2" { None } else { Some("users.internal") };
        assert_eq!(check.header("host").filter(|_| host.is_some()), host);
        assert!(check.header("user-agent").expect("it says who asks").starts_with("tamis/"));
        status.store(201, Ordering::SeqCst);
        become_(&client, &["two"]).await;
        words.store(false, Ordering::SeqCst);
        status.store(200, Ordering::SeqCst);
        // All fail now: somebody may still answer.
        become_(&client, &["one", "two"]).await;
        let shown = proxy.admin("/clusters/users").await.json();
        let errors: Vec<_> = shown["endpoints"].as_array().unwrap().iter().map(|e| e["checks"]["error"].to_string()).collect();
        assert!(errors.iter().any(|error| error.contains("contain")), "{errors:?}");
    }
}

scenario!(tcp_checks_notice_who_is_gone_and_who_is_back);
async fn tcp_checks_notice_who_is_gone_and_who_is_back() {
    let (one, two) = (origin().route("/", "one").run(), origin().route("/", "two").run());
    let proxy = before(&[&one, &two], "health = { tcp = true, interval = '100ms' }\noutliers = { local-failures = 0 }");
    let client = proxy.client().await;
    become_(&client, &["one", "two"]).await;
    let address = one.stop();
    endpoint_becomes(&proxy, address, |endpoint| endpoint["state"] == "out" && endpoint["why"][0] == "checks").await;
    for _ in 0..10 {
        assert_eq!(answers(&client).await, ["two"]);
    }
    let back = tamis_tests::raw_origin_at(address, async |mut connection| {
        while !connection.head().await.is_empty() {
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nback").await;
        }
    })
    .await;
    become_(&client, &["back", "two"]).await;
    drop(back);
}

async fn endpoint_becomes(
    proxy: &Proxy,
    address: std::net::SocketAddr,
    wished: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    loop {
        let shown = proxy.admin("/clusters/users").await.json();
        let endpoints = shown["endpoints"].as_array().expect("endpoints").clone();
        let found = endpoints.into_iter().find(|endpoint| endpoint["address"] == address.to_string()).expect("it is one");
        if wished(&found) {
            return found;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

scenario!(an_endpoint_nobody_answers_at_is_ejected_and_comes_back);
async fn an_endpoint_nobody_answers_at_is_ejected_and_comes_back() {
    let one = origin().route("/", "one").run();
    let nobody = origin().run().stop();
    let proxy = before(&[&one, &nobody], "outliers = { ejection = '1s', ejection-jitter = '0s' }");
    let client = proxy.client().await;
    // Each of them is offered to the other one as well, so nobody notices.
    for _ in 0..10 {
        assert_eq!(answers(&client).await, ["one"]);
    }
    let out = endpoint_becomes(&proxy, nobody, |endpoint| endpoint["state"] == "out").await;
    assert_eq!((&out["why"][0], &out["ejection"]["why"]), (&"ejected".into(), &"local-failures".into()));
    assert!(out["ejection"]["left_ms"].as_u64().is_some_and(|left| left <= 1000), "{out}");
    let back = endpoint_becomes(&proxy, nobody, |endpoint| endpoint["state"] == "in").await;
    assert_eq!(back["ejection"]["count"], 1);
    assert_eq!(proxy.metric("tamis_cluster_ejections_total{cluster=\"users\"}").await, Some(1.0));
}

scenario!(answers_of_an_overloaded_endpoint_eject_it_and_those_of_all_do_not);
async fn answers_of_an_overloaded_endpoint_eject_it_and_those_of_all_do_not() {
    let busy = || origin().route_fn("*", |_| async { Reply::new(503).body("busy") }).run();
    let (one, two) = (busy(), origin().route("/", "two").run());
    let proxy = before(&[&one, &two], "");
    become_(&proxy.client().await, &["two"]).await;
    let (one, two) = (busy(), busy());
    let proxy = before(&[&one, &two], "");
    let client = proxy.client().await;
    for _ in 0..20 {
        assert_eq!(answers(&client).await, ["503"]);
    }
    let shown = proxy.admin("/clusters/users").await.json();
    let states: Vec<_> = shown["endpoints"].as_array().unwrap().iter().filter(|endpoint| endpoint["state"] == "in").collect();
    assert_eq!(states.len(), 1, "{shown}");
    assert_eq!(shown["choices"][0]["ended"], 503, "{shown}");
}

scenario!(grpc_checks_ask_for_the_service);
async fn grpc_checks_ask_for_the_service() {
    let mut server = Running::start(python(), &[python_script("grpc_health_server.py").to_str().unwrap()]);
    let line = server.prints("port ").await;
    let address: std::net::SocketAddr = format!("127.0.0.1:{}", line.trim_start_matches("port ")).parse().unwrap();
    for (service, state, error) in [
        ("", "in", ""),
        ("tests.Well", "in", ""),
        ("tests.Ill", "out", "serving status is 2"),
        ("tests.Unknown", "out", "gRPC status 5"),
    ] {
        let health = format!("protocol = 'h2'\nhealth = {{ grpc = '{service}', interval = '100ms' }}");
        let proxy = before(&[&address], &health);
        let found = endpoint_becomes(&proxy, address, |endpoint| !endpoint["checks"].is_null()).await;
        assert_eq!(found["state"], state, "{service}: {found}");
        assert!(found["checks"]["error"].as_str().unwrap_or_default().contains(error), "{service}: {found}");
    }
    // An origin that is no gRPC server, and one that is not there.
    let plain = origin().route("*", "hello").run();
    for (address, error) in [(plain.address, "without a gRPC status"), (origin().run().stop(), "no connection")] {
        let proxy = before(&[&address], "health = { grpc = '', interval = '100ms' }");
        let found = endpoint_becomes(&proxy, address, |endpoint| !endpoint["checks"].is_null()).await;
        assert!(found["checks"]["error"].as_str().unwrap_or_default().contains(error), "{found}");
    }
}

scenario!(what_contradicts_itself_is_told);
async fn what_contradicts_itself_is_told() {
    let refused = |health: &str| {
        tamis_tests::refused(format!(
            "[listeners.edge]\nlisten = '127.0.0.1:0'\n[clusters.users]\nendpoints = []\nhealth = {{ {health} }}"
        ))
    };
    for (health, said) in [
        ("interval = '1s'", "one of `http`, `grpc` and `tcp` is missing"),
        ("http = '/', tcp = true", "found `http` and `tcp`"),
        ("tcp = true, contains = 'x'", "only a check by `http` has this"),
        ("http = 'healthz'", "expected a path such as \"/healthz\", found \"healthz\""),
        ("http = '/', statuses = [199]", "expected a status from 200 to 599"),
        ("http = '/', statuses = ['299-200']", "or a range such as \"200-299\""),
        ("http = '/', interval = '1ms'", "expected a duration from \"100ms\""),
    ] {
        let message = refused(health);
        assert!(message.contains(said), "{health}: {message}");
    }
}
