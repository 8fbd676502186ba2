//! Filters of raw connections: who may connect, where to, how often, and what is known when it is over.

use std::time::Duration;

use tamis_tests::command::{output, stderr, stdout};
use tamis_tests::{Proxy, Raw, guest, proxy, scenario};

use crate::tcp::{echo, named, say, try_say};

/// A listener with this chain, and clusters `one` and `two` of which it names the first.
async fn chain(filters: &str, more: &str) -> (Proxy, [tamis_tests::origin::RawOrigin; 2]) {
    let origins = [named("one").await, named("two").await];
    let proxy = proxy(format!(
        "workers = 1\n[listeners.edge]\nprotocol = 'tcp'\ncluster = 'one'\nfilters = [{filters}]\n[clusters.one]\nendpoints = ['{}']\n\
         [clusters.two]\nendpoints = ['{}']\n[stores.quota]\n{more}\n",
        origins[0], origins[1]
    ));
    (proxy, origins)
}

scenario!(a_filter_refuses_and_routes_connections_and_hears_how_they_ended);
async fn a_filter_refuses_and_routes_connections_and_hears_how_they_ended() {
    let module = format!("[filters.raw]\nmodule = '{}'", guest("raw-tcp"));
    let (routed, _origins) = chain("'raw'", &format!("{module}\nconfig = {{ cluster = 'two' }}")).await;
    assert_eq!(say(routed.address(), b"hello").await, b"two:hello");
    let line = routed.access_log().line().await;
    assert_eq!((&line["cluster"], &line["notes"]["raw"]), (&"two".into(), &"passed".into()), "{line}");
    let calls =
        |hook: &str, verdict: &str| format!("tamis_filter_calls_total{{filter=\"raw\",hook=\"{hook}\",result=\"{verdict}\"}}");
    routed.metric_becomes(&calls("connection", "next"), |count| count == 1.0).await;
    routed.metric_becomes(&calls("complete", "next"), |count| count == 1.0).await;

    let (refusing, _origins) = chain("'raw'", &format!("{module}\nconfig = {{ refuse = ['127.0.0.1'] }}")).await;
    Raw::is_refused(refusing.address()).await;
    assert_eq!(refusing.access_log().line().await["reason"], "filter-reset");

    let (failing, _origins) = chain("'raw'", &format!("{module}\nconfig = {{ trap = ['127.0.0.1'] }}")).await;
    Raw::is_refused(failing.address()).await;
    assert_eq!(failing.access_log().line().await["reason"], "filter-failed");
    let open = format!("{module}\non-failure = 'open'\nconfig = {{ trap = ['127.0.0.1'] }}");
    let (open, _origins) = chain("'raw'", &open).await;
    assert_eq!(say(open.address(), b"x").await, b"one:x", "it fails open");
}

scenario!(acl_judges_connections);
async fn acl_judges_connections() {
    let rules = "[[filters.acl.config.rules]]\nname = 'here'\naction = 'allow'\nmatch = { source = '127.0.0.1' }";
    let (proxy, _origins) = chain("'acl'", &format!("[filters.acl]\nmodule = 'builtin:acl'\n{rules}")).await;
    assert_eq!(say(proxy.address(), b"x").await, b"one:x");
    assert_eq!(proxy.access_log().line().await["notes"]["acl.rule"], "here");
    let elsewhere = rules.replace("127.0.0.1", "10.0.0.0/8");
    let (proxy, _origins) = chain("'acl'", &format!("[filters.acl]\nmodule = 'builtin:acl'\n{elsewhere}")).await;
    Raw::is_refused(proxy.address()).await;
    let line = proxy.access_log().line().await;
    assert_eq!((&line["reason"], &line["notes"]["acl.decision"]), (&"filter-reset".into(), &"denied".into()), "{line}");
}

scenario!(quota_counts_connections_and_those_that_are_open);
async fn quota_counts_connections_and_those_that_are_open() {
    let quota = |rule: &str| {
        format!(
            "[filters.quota]\nmodule = 'builtin:quota'\nallow = {{ stores = ['quota'] }}\nconfig = {{ rules = [{{ key = 'source', {rule} }}] }}"
        )
    };
    let (rate, _origins) = chain("'quota'", &quota("limit = '2/h'")).await;
    for _ in 0..2 {
        assert_eq!(say(rate.address(), b"").await, b"one:");
    }
    Raw::is_refused(rate.address()).await;
    assert_eq!(rate.access_log().lines(3).await[2]["notes"]["quota.decision"], "refused");

    let origin = echo().await;
    let proxy = proxy(format!(
        "[listeners.edge]\nprotocol = 'tcp'\ncluster = 'echo'\nfilters = ['quota']\n[clusters.echo]\nendpoints = ['{origin}']\n\
         [stores.quota]\n{}\n",
        quota("concurrency = 1")
    ));
    let mut held = Raw::plain(proxy.address()).await;
    held.send("x").await;
    assert_eq!(held.read(1).await, b"x");
    Raw::is_refused(proxy.address()).await;
    held.send("y").await;
    assert_eq!(held.read(1).await, b"y", "the one that is open goes on");
    drop(held);
    // What it held is given back when its end is known.
    while !try_say(proxy.address(), b"z").await.is_ok_and(|answer| answer == b"z") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One port for all, with this chain in front of both.
async fn one_port(filters: &str, tcp: &str, more: &str) -> (Proxy, tamis_tests::Origin, tamis_tests::origin::RawOrigin) {
    let (http, raw) = (tamis_tests::origin().route("/", "http").run(), named("raw").await);
    let proxy = proxy(format!(
        "[listeners.edge]\nprotocol = 'auto'\ncluster = 'http'\ntcp = {{ cluster = 'raw'{tcp} }}\nfilters = [{filters}]\n\
         [clusters.http]\nendpoints = ['{http}']\n[clusters.raw]\nendpoints = ['{raw}']\n\
         [filters.headers]\nmodule = 'builtin:headers'\n\
         [filters.acl]\nmodule = 'builtin:acl'\n[[filters.acl.config.rules]]\nname = 'get'\naction = 'allow'\nmatch = {{ method = 'GET' }}\n{more}"
    ));
    (proxy, http, raw)
}

scenario!(on_one_port_a_filter_of_both_judges_both);
async fn on_one_port_a_filter_of_both_judges_both() {
    let (proxy, _http, _raw) = one_port("'acl', 'headers'", ", unfiltered = ['headers']", "").await;
    assert_eq!(proxy.client().await.get("/").await.text(), "http");
    assert_eq!(proxy.client().await.post("/", "").await.status, 403);
    Raw::plain(proxy.address()).await.try_send(b"\0").await;
    let line = proxy.access_log().line_where("protocol", "tcp").await;
    assert_eq!((&line["reason"], &line["notes"]["acl.rule"]), (&"filter-reset".into(), &"default".into()), "{line}");
}

scenario!(what_is_no_http_passes_by_no_filter_that_judges_http);
async fn what_is_no_http_passes_by_no_filter_that_judges_http() {
    let (proxy, _http, _raw) = one_port("'acl', 'headers'", "", "").await;
    assert_eq!(proxy.client().await.get("/").await.text(), "http");
    for bytes in [&b"\0"[..], b"GET / HTTP/3.0\r\n\r\n", b" GET / HTTP/1.1\r\n\r\n"] {
        let mut client = Raw::plain(proxy.address()).await;
        client.try_send(bytes).await;
        client.closed().await;
    }
    let line = proxy.access_log().line_where("reason", "no-connection-hook").await;
    assert!(line["error"].as_str().unwrap().contains("`headers`") && line["notes"]["acl.rule"].is_null(), "{line}");
    assert!(line["endpoint"].is_null(), "nobody hears of it: {line}");
    proxy
        .metric_becomes("tamis_tcp_connections_total{listener=\"edge\",cluster=\"raw\",reason=\"no-connection-hook\"}", |count| {
            count == 3.0
        })
        .await;

    let watched = "[filters.watched]\nmodule = 'builtin:headers'\nmode = 'observe'\n";
    let (proxy, _http, _raw) = one_port("'watched', 'headers'", ", unfiltered = ['headers']", watched).await;
    assert_eq!(say(proxy.address(), b"\0").await, b"raw:\0", "who is named, or only watched, may be passed by");
}

scenario!(a_chain_that_a_filter_names_is_passed_by_as_little);
async fn a_chain_that_a_filter_names_is_passed_by_as_little() {
    let module = format!("[filters.raw]\nmodule = '{}'\nconfig = {{ chain = 'more' }}", guest("raw-tcp"));
    let further = "[filters.headers]\nmodule = 'builtin:headers'\n[chains.more]\nfilters = ['headers']";
    let (refusing, _origins) = chain("'raw'", &format!("{module}\n{further}")).await;
    Raw::is_refused(refusing.address()).await;
    assert_eq!(refusing.access_log().line().await["reason"], "no-connection-hook");
    let excused = "[listeners.edge.tcp]\nunfiltered = ['headers']";
    let (passing, _origins) = chain("'raw'", &format!("{module}\n{further}\n{excused}")).await;
    assert_eq!(say(passing.address(), b"x").await, b"one:x");
}

scenario!(check_tells_where_raw_connections_are_refused);
async fn check_tells_where_raw_connections_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tamis.toml");
    let check = async |unfiltered: &str, more: &[&str]| {
        let text = format!(
            "[listeners.edge]\nlisten = '127.0.0.1:0'\nprotocol = 'auto'\nfilters = ['headers']\n{unfiltered}\n[filters.headers]\nmodule = 'builtin:headers'\n"
        );
        std::fs::write(&file, text).unwrap();
        let ran = output(env!("CARGO_BIN_EXE_tamis-cli"), &[&["check", "-c", file.to_str().unwrap()][..], more].concat()).await;
        assert!(ran.status.success(), "it is no mistake: {}", stderr(&ran));
        ran
    };
    let told = check("", &[]).await;
    assert!(stderr(&told).contains("note: what is no HTTP is refused on listener `edge`: filter `headers`"), "{}", stderr(&told));
    assert!(stderr(&told).contains("tamis.toml:4:11") && stdout(&told).contains("no mistakes found"), "{}", stderr(&told));
    let told: serde_json::Value = serde_json::from_str(stdout(&check("", &["--json"]).await)).unwrap();
    assert_eq!((&told["ok"], &told["notes"][0]["line"]), (&true.into(), &4.into()), "{told}");
    assert_eq!(stderr(&check("tcp = { unfiltered = ['headers'] }", &[]).await), "");
}
