//! Modules that are fetched, and what is kept of modules: what is wrong is said, and what was there is enough to start.

use std::path::Path;
use std::time::{Duration, Instant};

use tamis_tests::body::channel;
use tamis_tests::certificates::{authority_file, certificate};
use tamis_tests::command::Running;
use tamis_tests::origin::{Builder, unending};
use tamis_tests::{Gate, Origin, Proxy, Reply, guest, origin, proxy, refused, scenario};
use tempfile::TempDir;

fn server() -> Builder {
    origin().tls(&certificate(&["localhost"]))
}

fn serving(name: &str) -> Origin {
    server().route("/m.wasm", guest(name).bytes()).run()
}

fn url(server: &Origin, path: &str) -> String {
    format!("https://localhost:{}{path}", server.address.port())
}

/// As `sha256sum` prints it.
async fn sha256(name: &str) -> String {
    let summed = tamis_tests::command::output("sha256sum", &[&guest(name).to_string()]).await;
    tamis_tests::command::stdout(&summed)[..64].to_owned()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A proxy that answers by itself, with one filter, whose table this is.
fn with(cache: &Path, modules: &str, filter: &str) -> String {
    format!(
        "[listeners.edge]\nlisten = '127.0.0.1:0'\nfilters = ['f']\n[filters.f]\n{filter}\n[modules]\ncache = '{}'\nca = ['{}']\n{modules}\n",
        cache.display(),
        authority_file().display()
    )
}

fn fetched(url: &str, sha256: &str) -> String {
    format!("module = '{url}'\nsha256 = '{sha256}'")
}

async fn stamp(proxy: &Proxy) -> Option<String> {
    proxy.client().await.get("/").await.header("x-stamp").map(str::to_owned)
}

scenario!(a_fetched_module_goes_live_and_is_kept);
async fn a_fetched_module_goes_live_and_is_kept() {
    let (cache, server) = (folder(), serving("stamp-a"));
    let hash = sha256("stamp-a").await;
    let toml = with(cache.path(), "", &fetched(&url(&server, "/m.wasm?token=secret"), &hash));
    let first = proxy(&toml);
    assert_eq!(stamp(&first).await.as_deref(), Some("a"));
    let shown = first.filter("f").await;
    assert_eq!(shown["hash"], format!("sha256:{hash}"));
    assert_eq!((&shown["module"], &shown["compiled"]), (&url(&server, "/m.wasm").into(), &"now".into()));
    assert_eq!(server.request().target, "/m.wasm?token=secret");
    // With nobody there to ask, a copy that verifies is enough, and so is its code.
    server.stop();
    let second = proxy(&toml);
    assert_eq!(stamp(&second).await.as_deref(), Some("a"));
    assert_eq!(second.filter("f").await["compiled"], "cache");
}

scenario!(a_module_with_another_hash_is_refused);
async fn a_module_with_another_hash_is_refused() {
    let (cache, server) = (folder(), serving("stamp-a"));
    let (found, expected) = (sha256("stamp-a").await, sha256("stamp-b").await);
    let said = refused(with(cache.path(), "", &fetched(&url(&server, "/m.wasm"), &expected)));
    assert!(said.contains(&found) && said.contains(&expected) && said.contains("module = 'https://localhost"), "{said}");
    assert_eq!(server.requests().len(), 1, "what is wrong is not asked for again");
    assert!(!cache.path().exists() || std::fs::read_dir(cache.path()).unwrap().next().is_none(), "and not kept");
}

scenario!(a_file_with_another_hash_is_refused);
async fn a_file_with_another_hash_is_refused() {
    let (cache, module) = (folder(), guest("stamp-a").watched());
    let (right, wrong) = (sha256("stamp-a").await, sha256("stamp-b").await);
    let said = refused(with(cache.path(), "", &fetched(&module.to_string(), &wrong)));
    assert!(said.contains(&right) && said.contains(&wrong), "{said}");
    // Nor is one swapped in.
    let proxy = proxy(with(cache.path(), "", &fetched(&module.to_string(), &right)));
    module.becomes(&guest("stamp-b"));
    let after = proxy.filter_becomes("f", |filter| !filter["failed"].is_null()).await;
    assert!(after["failed"]["error"].as_str().unwrap().contains(&wrong), "{after}");
    assert_eq!(stamp(&proxy).await.as_deref(), Some("a"));
}

scenario!(a_server_that_is_down_is_waited_for_and_no_longer);
async fn a_server_that_is_down_is_waited_for_and_no_longer() {
    let (cache, server) = (folder(), serving("stamp-a"));
    let filter = fetched(&url(&server, "/m.wasm"), &sha256("stamp-a").await);
    server.stop();
    let began = Instant::now();
    let said = refused(with(cache.path(), "fetch-timeout = '600ms'", &filter));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(said.contains("did not come within 600ms") && said.contains("cannot connect to"), "{said}");
}

scenario!(a_server_in_trouble_is_asked_again);
async fn a_server_in_trouble_is_asked_again() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = server().route_fn("/m.wasm", move |_| {
        let time = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move { if time < 2 { Reply::new(503) } else { Reply::new(200).body(guest("stamp-a").bytes()) } }
    });
    let (cache, server) = (folder(), server.run());
    let proxy = proxy(with(cache.path(), "", &fetched(&url(&server, "/m.wasm"), &sha256("stamp-a").await)));
    assert_eq!(stamp(&proxy).await.as_deref(), Some("a"));
    assert_eq!(server.requests().len(), 3);
}

scenario!(what_a_server_says_is_told);
async fn what_a_server_says_is_told() {
    let (cache, hash) = (folder(), sha256("stamp-a").await);
    let other = serving("stamp-a");
    let to = |location: String| {
        move |_| {
            let location = location.clone();
            async move { Reply::new(302).header("location", &location) }
        }
    };
    let server = server()
        .route_fn("/zip", |_| async { Reply::new(200).header("content-encoding", "gzip").body("x") })
        .route_fn("/plain", to("http://localhost/m.wasm".into()))
        .route_fn("/circle", to("circle".into()))
        .route_fn("/gone", to(url(&other, "/gone.wasm?token=secret")))
        .run();
    let cases = [
        ("/missing", "404"),
        ("/zip", "content-encoding \"gzip\""),
        ("/plain", "redirected to `http://localhost/m.wasm`, expected an https:// address"),
        ("/circle", "redirected more than 5 times"),
        ("/gone", "/gone.wasm`, where it is redirected to, expected the status 200, found 404"),
    ];
    for (path, part) in cases {
        let said = refused(with(cache.path(), "", &fetched(&url(&server, path), &hash)));
        assert!(said.contains(part) && !said.contains("secret"), "{path}: {said}");
    }
    let circles = server.requests().iter().filter(|request| request.target == "/circle").count();
    assert_eq!(circles, 6);
}

scenario!(a_redirect_is_followed);
async fn a_redirect_is_followed() {
    let (cache, target) = (folder(), serving("stamp-a"));
    let location = url(&target, "/m.wasm");
    let server = server().route_fn("/latest", move |_| {
        let location = location.clone();
        async move { Reply::new(307).header("location", &location) }
    });
    let server = server.run();
    let proxy = proxy(with(cache.path(), "", &fetched(&url(&server, "/latest"), &sha256("stamp-a").await)));
    assert_eq!(stamp(&proxy).await.as_deref(), Some("a"));
}

scenario!(a_server_that_nobody_vouches_for_is_not_trusted);
async fn a_server_that_nobody_vouches_for_is_not_trusted() {
    let (cache, hash) = (folder(), sha256("stamp-a").await);
    let began = Instant::now();
    let server = origin().tls(&certificate(&["elsewhere.test"])).route("/m.wasm", guest("stamp-a").bytes()).run();
    let said = refused(with(cache.path(), "", &fetched(&url(&server, "/m.wasm"), &hash)));
    assert!(said.contains("TLS handshake with `localhost` failed"), "{said}");
    let server = serving("stamp-a");
    let toml = with(cache.path(), "", &fetched(&url(&server, "/m.wasm"), &hash));
    let said = refused(toml.replace("ca = [", "ca = []\n# ["));
    assert!(said.contains("TLS handshake with `localhost` failed") || said.contains("no authority is known"), "{said}");
    assert!(server.requests().is_empty());
    assert!(began.elapsed() < Duration::from_secs(20), "it is not tried again");
}

scenario!(an_authority_that_cannot_be_read_is_placed);
async fn an_authority_that_cannot_be_read_is_placed() {
    let cache = folder();
    let said = refused(format!(
        "[modules]\ncache = '{}'\nca = ['missing.pem']\n[listeners.edge]\nlisten = '127.0.0.1:0'",
        cache.path().display()
    ));
    assert!(said.contains("missing.pem") && said.contains("tamis.toml:3:7"), "{said}");
}

scenario!(a_server_that_dribbles_meets_the_deadline);
async fn a_server_that_dribbles_meets_the_deadline() {
    let server = server()
        .route_fn("/m.wasm", |_| async { Reply::new(200).streaming(unending("a few")) })
        .route_fn("/silent", |_| std::future::pending());
    let (cache, server) = (folder(), server.run());
    let hash = sha256("stamp-a").await;
    for (path, part) in [("/m.wasm", "5 bytes had come"), ("/silent", "`localhost` had not answered")] {
        let began = Instant::now();
        let said = refused(with(cache.path(), "fetch-timeout = '500ms'", &fetched(&url(&server, path), &hash)));
        assert!(said.contains("did not come within 500ms") && said.contains(part), "{said}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

scenario!(a_server_that_says_nothing_meets_the_deadline);
async fn a_server_that_says_nothing_meets_the_deadline() {
    let (cache, hash) = (folder(), sha256("stamp-a").await);
    // It accepts, and never greets.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://localhost:{}/m.wasm", mute.local_addr().unwrap().port());
    let said = refused(with(cache.path(), "fetch-timeout = '500ms'", &fetched(&address, &hash)));
    assert!(said.contains("TLS handshake with `localhost` was under way"), "{said}");
}

scenario!(a_module_that_is_too_large_is_not_read_to_its_end);
async fn a_module_that_is_too_large_is_not_read_to_its_end() {
    let announcing = |_| async { Reply::new(200).header("content-length", "67108865").streaming(unending("")) };
    let mebibyte = vec![0; 1 << 20];
    let endless = move |_| {
        let chunk = bytes::Bytes::from(mebibyte.clone());
        async move {
            let (feed, body) = channel();
            tokio::spawn(async move { while feed.send(chunk.clone()).await {} });
            Reply::new(200).streaming(body)
        }
    };
    let (cache, server) = (folder(), server().route_fn("/announced", announcing).route_fn("/endless", endless).run());
    let hash = sha256("stamp-a").await;
    for (path, found) in [("/announced", "67108865 bytes"), ("/endless", "more bytes")] {
        let said = refused(with(cache.path(), "", &fetched(&url(&server, path), &hash)));
        assert!(said.contains(found) && said.contains("at most 67108864"), "{path}: {said}");
    }
}

scenario!(modules_are_fetched_side_by_side);
async fn modules_are_fetched_side_by_side() {
    let (one, two) = (Gate::new(), Gate::new());
    let gated = |gate: &Gate, name: &'static str| {
        let gate = gate.clone();
        move |_| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                Reply::new(200).body(guest(name).bytes())
            }
        }
    };
    let server = server().route_fn("/a.wasm", gated(&one, "stamp-a")).route_fn("/b.wasm", gated(&two, "stamp-b")).run();
    let cache = folder();
    let toml = format!(
        "{}\n[filters.g]\n{}\n",
        with(cache.path(), "", &fetched(&url(&server, "/a.wasm"), &sha256("stamp-a").await)),
        fetched(&url(&server, "/b.wasm"), &sha256("stamp-b").await)
    );
    let starting = tokio::task::spawn_blocking(move || proxy(toml));
    // Neither has answered before both were asked.
    one.arrived().await;
    two.arrived().await;
    one.open();
    two.open();
    assert_eq!(stamp(&starting.await.unwrap()).await.as_deref(), Some("a"));
}

scenario!(a_start_that_waits_for_a_server_can_be_ended);
async fn a_start_that_waits_for_a_server_can_be_ended() {
    let (cache, gate) = (folder(), Gate::new());
    let server = server().gated("/m.wasm", &gate, "").run();
    let file = cache.path().join("tamis.toml");
    std::fs::write(&file, with(cache.path(), "", &fetched(&url(&server, "/m.wasm"), &sha256("stamp-a").await))).unwrap();
    let mut running = Running::start(env!("CARGO_BIN_EXE_tamis-cli"), &["run", "-c", file.to_str().unwrap()]);
    gate.arrived().await;
    let began = Instant::now();
    running.signal("TERM").await;
    assert_eq!(running.exit_code().await, Some(1));
    assert!(running.said.contains("told to leave"), "{}", running.said);
    assert!(began.elapsed() < Duration::from_secs(10), "it is not waited for");
}

scenario!(a_reload_that_cannot_fetch_changes_nothing);
async fn a_reload_that_cannot_fetch_changes_nothing() {
    let cache = folder();
    let proxy = proxy(with(cache.path(), "", &format!("module = '{}'", guest("stamp-a"))));
    let hash = sha256("stamp-b").await;
    let bad = serving("stamp-a");
    proxy.rewrite(with(cache.path(), "", &fetched(&url(&bad, "/m.wasm"), &hash)));
    while bad.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(stamp(&proxy).await.as_deref(), Some("a"));
    let good = serving("stamp-b");
    proxy.rewrite(with(cache.path(), "", &fetched(&url(&good, "/m.wasm"), &hash)));
    let after = proxy.filter_becomes("f", |filter| filter["swaps"] == 1).await;
    assert_eq!(after["failed"], serde_json::Value::Null);
    assert_eq!(stamp(&proxy).await.as_deref(), Some("b"));
}

scenario!(a_reload_asks_nobody_for_what_is_there);
async fn a_reload_asks_nobody_for_what_is_there() {
    let server = serving("stamp-a");
    let filter = fetched(&url(&server, "/m.wasm"), &sha256("stamp-a").await);
    let text = format!("{}\n[clusters.one]\nendpoints = []", with(Path::new("off"), "", &filter));
    let proxy = proxy(text.replace("listen = '127.0.0.1:0'", "cluster = 'one'"));
    server.stop();
    proxy.rewrite(text.replace("one", "two").replace("listen = '127.0.0.1:0'", "cluster = 'two'"));
    while proxy.access_log().present().iter().all(|line| line["cluster"] != "two") {
        assert_eq!(stamp(&proxy).await.as_deref(), Some("a"));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

scenario!(the_second_start_compiles_nothing);
async fn the_second_start_compiles_nothing() {
    let cache = folder();
    let toml = with(cache.path(), "", &format!("module = '{}'", guest("stamp-a")));
    let mut compiled = Vec::new();
    for _ in 0..2 {
        let proxy = proxy(&toml);
        assert_eq!(stamp(&proxy).await.as_deref(), Some("a"));
        compiled.push(proxy.filter("f").await["compiled"].as_str().unwrap().to_owned());
    }
    assert_eq!(compiled, ["now", "cache"]);
    // What was half written, or has rotted, is made anew.
    for entry in std::fs::read_dir(cache.path()).unwrap() {
        let file = entry.unwrap().path();
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    }
    for expected in ["now", "cache"] {
        let proxy = proxy(&toml);
        assert_eq!(stamp(&proxy).await.as_deref(), Some("a"));
        assert_eq!(proxy.filter("f").await["compiled"], expected);
    }
    let without = proxy(toml.replace(&format!("'{}'", cache.path().display()), "'off'"));
    assert_eq!(without.filter("f").await["compiled"], "now");
}
