//! A changed file takes effect while requests flow; a bad one changes nothing.

use std::net::SocketAddr;

use tamis_tests::{Client, Edge, Gate, Origin, Proxy, client, matrix, origin, scenario};

fn to(origin: &Origin) -> String {
    format!("[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{origin}']")
}

/// Asks until the answer is this one; all others must be `before`.
async fn becomes(client: &Client, before: &str, after: &str) {
    loop {
        let answer = client.get("/").await;
        assert_eq!(answer.status, 200);
        if answer.text() == after {
            return;
        }
        assert_eq!(answer.text(), before);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

matrix!(a_replaced_file_takes_effect);
async fn a_replaced_file_takes_effect(edge: Edge) {
    let (one, two) = (origin().route("/", "one").run(), origin().route("/", "two").run());
    let proxy = edge.proxy(to(&one));
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.text(), "one");
    proxy.rewrite(to(&two));
    becomes(&client, "one", "two").await;
    assert!(client.is_open(), "the client's connection goes on");
}

matrix!(a_file_written_in_place_takes_effect);
async fn a_file_written_in_place_takes_effect(edge: Edge) {
    let (one, two) = (origin().route("/", "one").run(), origin().route("/", "two").run());
    let proxy = edge.proxy(to(&one));
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.text(), "one");
    let text = std::fs::read_to_string(proxy.file()).unwrap();
    std::fs::write(proxy.file(), text.replace(&one.to_string(), &two.to_string())).unwrap();
    becomes(&client, "one", "two").await;
}

matrix!(a_bad_file_changes_nothing);
async fn a_bad_file_changes_nothing(edge: Edge) {
    let (one, two) = (origin().route("/", "one").run(), origin().route("/", "two").run());
    let proxy = edge.proxy(to(&one));
    let client = proxy.client().await;
    let good = std::fs::read_to_string(proxy.file()).unwrap();
    let bad = [
        "this is no TOML".to_owned(),
        good.replace("cluster = \"origin\"", "cluster = \"missing\""),
        good.replace(&one.to_string(), "nonsense"),
        format!("{good}\n[filters.missing]\nmodule = \"missing.wasm\"\n"),
    ];
    for bad in bad {
        assert_ne!(bad, good);
        std::fs::write(proxy.file(), bad).unwrap();
        proxy.handle().reload();
        for _ in 0..5 {
            assert_eq!(client.get("/").await.text(), "one");
        }
    }
    proxy.rewrite(to(&two));
    becomes(&client, "one", "two").await;
}

matrix!(a_file_that_goes_away_changes_nothing);
async fn a_file_that_goes_away_changes_nothing(edge: Edge) {
    let (one, two) = (origin().route("/", "one").run(), origin().route("/", "two").run());
    let proxy = edge.proxy(to(&one));
    let client = proxy.client().await;
    std::fs::remove_file(proxy.file()).unwrap();
    proxy.handle().reload();
    assert_eq!(client.get("/").await.text(), "one");
    proxy.rewrite(to(&two));
    becomes(&client, "one", "two").await;
}

matrix!(an_exchange_sees_one_configuration);
async fn an_exchange_sees_one_configuration(edge: Edge) {
    let gate = Gate::new();
    let (one, two) = (origin().route("/", "one").gated("/late", &gate, "from one").run(), origin().route("/", "two").run());
    let proxy = edge.proxy(to(&one));
    let late = tokio::spawn(proxy.client().await.get("/late").into_future());
    gate.arrived().await;
    proxy.rewrite(to(&two));
    becomes(&proxy.client().await, "one", "two").await;
    gate.open();
    assert_eq!(late.await.unwrap().text(), "from one");
}

matrix!(a_reload_without_a_change_changes_nothing);
async fn a_reload_without_a_change_changes_nothing(edge: Edge) {
    let origin = origin().route("/", "one").run();
    let proxy = edge.proxy(format!("workers = 1\n{}", to(&origin)));
    let client = proxy.client().await;
    for _ in 0..5 {
        assert_eq!(client.get("/").await.text(), "one");
        proxy.handle().reload();
    }
    assert!(client.is_open());
    assert_eq!(origin.connections(), 1, "the upstream connection is carried over");
}

/// The port is taken by the first listener, but only on 127.0.0.1: nobody is given this address by chance.
fn another_address(proxy: &Proxy) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 2], proxy.address().port()))
}

/// Waits until somebody listens there.
async fn opened(address: SocketAddr) -> Client {
    loop {
        match client::connect(address).try_open().await {
            Ok(client) => return client,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    }
}

matrix!(listeners_come_and_go);
async fn listeners_come_and_go(edge: Edge) {
    let origin = origin().route("/", "one").run();
    let proxy = edge.proxy(to(&origin));
    let client = proxy.client().await;
    let address = another_address(&proxy);
    proxy.rewrite(format!("{}\n[listeners.second]\nlisten = '{address}'\ncluster = 'origin'", to(&origin)));
    let second = opened(address).await;
    assert_eq!(second.get("/").await.text(), "one");
    assert_eq!(proxy.access_log().line_where("listener", "second").await["status"], 200);
    proxy.rewrite(to(&origin));
    second.closed().await.expect("the connection ends in order");
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(client.get("/").await.text(), "one", "the other listener goes on");
}

/// Of however many requests on one connection.
fn unlimited(origin: &Origin) -> String {
    format!("{}\n[listeners.edge.limits]\nrequests-per-connection = 0", to(origin))
}

scenario!(no_request_fails_while_reloads_follow_each_other);
async fn no_request_fails_while_reloads_follow_each_other() {
    const RELOADS: usize = 10;
    let (one, two) = (origin().route("/", "one").run(), origin().route("/", "two").run());
    let proxy = Edge::HTTP1_PLAIN.proxy(unlimited(&one));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut asking = Vec::new();
    for _ in 0..4 {
        let (client, stop) = (proxy.client().await, stop.clone());
        asking.push(tokio::spawn(async move {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(client.get("/").await.status, 200);
            }
        }));
    }
    let client = proxy.client().await;
    for round in 0..RELOADS {
        let (before, after, origin) = if round % 2 == 0 { ("one", "two", &two) } else { ("two", "one", &one) };
        proxy.rewrite(unlimited(origin));
        becomes(&client, before, after).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for asking in asking {
        asking.await.unwrap();
    }
}

matrix!(a_listener_is_renamed_and_queues_more, plain, because "the edge's certificate belongs to a listener of its name");
async fn a_listener_is_renamed_and_queues_more(edge: Edge) {
    let origin = origin().route("/", "here").run();
    let proxy = edge.proxy(to(&origin));
    let address = another_address(&proxy);
    let with = |name: &str, backlog: u32| {
        format!(
            "{}\n[listeners.{name}]\nlisten = '{address}'\ncluster = 'origin'\nlimits = {{ backlog = {backlog} }}",
            to(&origin)
        )
    };
    proxy.rewrite(with("old", 16));
    opened(address).await;
    for (name, backlog) in [("new", 16), ("new", 64)] {
        proxy.rewrite(with(name, backlog));
        loop {
            // The address never goes away: every attempt is answered.
            let client = client::connect(address).edge(edge).open().await;
            assert_eq!(client.get("/").await.text(), "here");
            let lines = proxy.access_log().present();
            if lines.iter().any(|line| line["listener"] == name) {
                break;
            }
        }
    }
}

scenario!(a_change_of_dns_is_not_needed_for_a_new_name);
async fn a_change_of_dns_is_not_needed_for_a_new_name() {
    let origin = origin().route("/", "here").run();
    let port = origin.to_string().rsplit(':').next().unwrap().to_owned();
    let proxy = Edge::HTTP1_PLAIN.proxy("[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = []");
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.reason(), Some("no-endpoint"));
    proxy.rewrite(format!("[listeners.edge]\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['localhost:{port}']"));
    loop {
        let answer = client.get("/").await;
        if answer.status == 200 {
            assert_eq!(answer.text(), "here");
            return;
        }
        assert_eq!(answer.status, 503);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
