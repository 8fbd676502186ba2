//! One JSON line an exchange, with everything one asks for afterwards.

use serde_json::{Value, json};
use tamis_tests::{Edge, guest, matrix, origin};

matrix!(a_line_tells_the_whole_exchange);
async fn a_line_tells_the_whole_exchange(edge: Edge) {
    let origin = origin().reflect("/users/7").run();
    let proxy = edge.forward_to(&origin);
    let answer = proxy.client().await.post("/users/7?token=secret", "12345").header("x-request-id", "id-1").await;
    assert_eq!(answer.text(), "12345");
    let line = proxy.access_log().line().await;
    let expected = json!({
        "listener": "edge",
        "method": "POST",
        "host": "edge.test",
        "path": "/users/7",
        "status": 200,
        "reason": "upstream",
        "cluster": "origin",
        "endpoint": origin.to_string(),
        "attempts": 1,
        "request_bytes": 5,
        "response_bytes": 5,
        "request_id": "id-1",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name} in {line}");
    }
    let time = line["time"].as_str().unwrap();
    assert!(time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{time}");
    assert!(line["duration_us"].as_u64().is_some_and(|duration| duration < 30_000_000), "{line}");
    assert!(!line.to_string().contains("secret"), "a query may hold secrets, so it is not logged: {line}");
}

matrix!(a_line_comes_when_the_exchange_ends);
async fn a_line_comes_when_the_exchange_ends(edge: Edge) {
    let (feed, answer) = tamis_tests::body::channel();
    let answer = std::sync::Mutex::new(Some(answer));
    let origin = origin().route_fn("/", move |_| {
        let answer = answer.lock().unwrap().take().expect("it is asked once");
        async move { tamis_tests::Reply::new(200).streaming(answer) }
    });
    let origin = origin.run();
    let proxy = edge.forward_to(&origin);
    let mut answer = proxy.client().await.get("/").open().await.unwrap();
    feed.send("123").await;
    answer.piece().await.unwrap();
    assert_eq!(proxy.access_log().present(), Vec::<Value>::new(), "the body still streams");
    feed.send("45").await;
    drop(feed);
    assert_eq!(answer.whole().await.unwrap().bytes, "45");
    assert_eq!(proxy.access_log().line().await["response_bytes"], 5);
}

matrix!(every_exchange_has_its_line);
async fn every_exchange_has_its_line(edge: Edge) {
    let origin = origin().route("*", "").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    for number in 0..20 {
        client.get(&format!("/{number}")).await;
    }
    let paths: Vec<String> =
        proxy.access_log().lines(20).await.iter().map(|line| line["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(paths, (0..20).map(|number| format!("/{number}")).collect::<Vec<_>>());
}

matrix!(an_answer_of_a_filter_is_told_apart);
async fn an_answer_of_a_filter_is_told_apart(edge: Edge) {
    let proxy = edge.proxy(format!("[listeners.edge]\nfilters = ['reply']\n[filters.reply]\nmodule = '{}'", guest("reply")));
    assert_eq!(proxy.client().await.get("/").header("x-reply", "x").await.status, 418);
    let line = proxy.access_log().line().await;
    assert_eq!((&line["status"], &line["reason"], &line["attempts"]), (&418.into(), &"filter".into(), &0.into()));
}

matrix!(what_a_client_sends_cannot_forge_a_line);
async fn what_a_client_sends_cannot_forge_a_line(edge: Edge) {
    let origin = origin().route("*", "").run();
    let proxy = edge.forward_to(&origin);
    let id = "a\" , \"status\":\"forged";
    proxy.client().await.get("/%22%0A%7B").header("x-request-id", id).await;
    let line = proxy.access_log().line().await;
    assert_eq!((&line["path"], &line["status"], &line["request_id"]), (&"/%22%0A%7B".into(), &200.into(), &id.into()));
}
