//! Filters made for proxy-wasm on raw connections: bytes that they see, change, keep back and end.

use std::time::Duration;

use tamis_tests::origin::RawOrigin;
use tamis_tests::{Gate, Proxy, Raw, guest, origin, proxy, scenario};

use crate::tcp::{echo, named, say, try_say};

/// A listener with the filter in this mode, and more of either.
fn network(origin: &RawOrigin, mode: &str, listener: &str, filter: &str) -> Proxy {
    proxy(text(origin, mode, listener, filter))
}

fn text(origin: &RawOrigin, mode: &str, listener: &str, filter: &str) -> String {
    format!(
        "workers = 1\n[listeners.edge]\nprotocol = 'tcp'\ncluster = 'origin'\nfilters = ['network']\n{listener}\n\
         [filters.network]\nmodule = '{}'\nconfig = '{mode}'\ndeadline = '1s'\n{filter}\n[clusters.origin]\nendpoints = ['{origin}']\n",
        guest("pw-network")
    )
}

async fn counts(proxy: &Proxy, name: &str, wished: f64) {
    proxy.metric_becomes(&format!("wasmcustom_{name}{{filter=\"network\"}}"), |count| count == wished).await;
}

scenario!(bytes_are_seen_and_changed_in_both_directions);
async fn bytes_are_seen_and_changed_in_both_directions() {
    let origin = named("one").await;
    let proxy = network(&origin, "change", "", "");
    assert_eq!(say(proxy.address(), b"hello").await, b"<one:HELLO!>");
    let line = proxy.access_log().line().await;
    assert_eq!((&line["reason"], &line["notes"]["wasm.seen"]), (&"upstream".into(), &"connection".into()), "{line}");
    assert_eq!((&line["request_bytes"], &line["response_bytes"]), (&5.into(), &12.into()), "{line}");
    // The origin ends last.
    for name in ["downstream_local", "upstream_unknown", "done", "logged"] {
        counts(&proxy, name, 1.0).await;
    }
    let calls =
        |hook: &str, result: &str| format!("tamis_filter_calls_total{{filter=\"network\",hook=\"{hook}\",result=\"{result}\"}}");
    assert_eq!(proxy.metric(&calls("connection", "next")).await, Some(1.0));
    assert_eq!(proxy.failures("network").await, 0);
}

scenario!(two_filters_see_bytes_in_order_and_in_reverse);
async fn two_filters_see_bytes_in_order_and_in_reverse() {
    let origin = named("one").await;
    let second = format!("[filters.second]\nmodule = '{}'\nconfig = 'line'\ndeadline = '1s'", guest("pw-network"));
    let both = text(&origin, "change", "", &second).replace("filters = ['network']", "filters = ['network', 'second']");
    let both = proxy(both);
    assert_eq!(say(both.address(), b"hello").await, b"<one:HELLO!>");
}

scenario!(much_passes_whole);
async fn much_passes_whole() {
    let origin = echo().await;
    let proxy = network(&origin, "pass", "limits = { tcp-buffer-bytes = '4KiB' }", "");
    let sent = tamis_tests::body::pattern(3 << 20);
    let sending = sent.clone();
    let answer = {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(proxy.address()).await.unwrap();
        let (mut from, mut to) = stream.split();
        let mut answer = Vec::new();
        let (sent, read) = tokio::join!(
            async {
                to.write_all(&sending).await?;
                to.shutdown().await
            },
            from.read_to_end(&mut answer)
        );
        sent.and(read).unwrap();
        answer
    };
    assert!(answer == sent, "{} of {} bytes came back", answer.len(), sent.len());
}

scenario!(a_line_waits_until_it_is_whole);
async fn a_line_waits_until_it_is_whole() {
    let origin = echo().await;
    let proxy = network(&origin, "line", "", "");
    let mut client = Raw::plain(proxy.address()).await;
    client.send("one, ").await;
    client.send("two\n").await;
    assert_eq!(client.read(9).await, b"one, two\n");
    // Half close: what waits goes with the end, and the other side goes on.
    assert_eq!(say(proxy.address(), b"no end of line").await, b"no end of line");
}

scenario!(a_connection_waits_for_its_first_bytes_before_it_goes_anywhere);
async fn a_connection_waits_for_its_first_bytes_before_it_goes_anywhere() {
    let origin = echo().await;
    let proxy = network(&origin, "sniff", "", "hook-timeout = '10s'");
    let mut client = Raw::plain(proxy.address()).await;
    client.send("hel").await;
    client.send("lo, you").await;
    assert_eq!(client.read(10).await, b"hello, you");
    client.send(" again").await;
    assert_eq!(client.read(6).await, b" again");
    assert_eq!(say(proxy.address(), b"").await, b"", "an end of the client lets it go on, too");
    let late = network(&origin, "sniff", "", "hook-timeout = '50ms'");
    let mut client = Raw::plain(late.address()).await;
    client.send("something else").await;
    client.closed().await;
    let line = late.access_log().line().await;
    assert_eq!((&line["reason"], line.get("endpoint")), (&"filter-failed".into(), None), "{line}");
}

scenario!(a_service_is_asked_before_a_connection_goes_on);
async fn a_service_is_asked_before_a_connection_goes_on() {
    let origin = echo().await;
    for (mode, path, passes) in
        [("judge", "/check", true), ("ask", "/check", true), ("judge", "/other", false), ("ask", "/other", false)]
    {
        let gate = Gate::new();
        let auth = tamis_tests::origin().gated(path, &gate, "yes").run();
        let filter = format!("allow = {{ clusters = ['auth'] }}\n[clusters.auth]\nendpoints = ['{auth}']");
        let proxy = network(&origin, mode, "", &filter);
        let mut client = Raw::plain(proxy.address()).await;
        client.send("bytes").await;
        if passes {
            gate.arrived().await;
            client.send(" and more").await;
            gate.open();
            assert_eq!(client.read(14).await, b"bytes and more", "{mode}");
            let asked = auth.request();
            assert!(asked.header("x-source").unwrap().starts_with("127.0.0.1:"), "{asked:?}");
        } else {
            client.closed().await;
            assert_eq!(proxy.access_log().line().await["reason"], "filter-reset", "{mode}");
        }
    }
}

scenario!(a_filter_closes_a_connection_in_order);
async fn a_filter_closes_a_connection_in_order() {
    let origin = echo().await;
    let proxy = network(&origin, "pass", "", "");
    let mut client = Raw::plain(proxy.address()).await;
    client.send("before").await;
    assert_eq!(client.read(6).await, b"before");
    client.send("now close").await;
    client.closed().await;
    let line = proxy.access_log().line().await;
    assert_eq!((&line["reason"], &line["response_bytes"]), (&"filter-reset".into(), &6.into()), "{line}");
    counts(&proxy, "downstream_local", 1.0).await;
    // Seen on the way back.
    assert_eq!(try_say(proxy.address(), b"goodbye").await.expect("it ends in order"), b"");
}

scenario!(who_leaves_is_told_to_the_filter);
async fn who_leaves_is_told_to_the_filter() {
    let origin = echo().await;
    let proxy = network(&origin, "pass", "", "");
    let mut client = Raw::plain(proxy.address()).await;
    client.send("x").await;
    client.read(1).await;
    drop(client);
    for name in ["upstream_unknown", "done"] {
        counts(&proxy, name, 1.0).await;
    }
}

scenario!(what_a_filter_keeps_back_is_bounded);
async fn what_a_filter_keeps_back_is_bounded() {
    let origin = echo().await;
    let proxy = network(&origin, "hoard", "", "proxy-wasm = { body-bytes = '10KiB' }");
    let mut client = Raw::plain(proxy.address()).await;
    client.try_send(vec![b'x'; 20_000]).await;
    client.closed().await;
    assert_eq!(proxy.access_log().line().await["reason"], "filter-reset");
    let idle = network(&origin, "hoard", "timeouts = { tcp-idle = '50ms' }", "");
    let mut client = Raw::plain(idle.address()).await;
    client.send("a little").await;
    client.closed().await;
    assert_eq!(idle.access_log().line().await["reason"], "idle");
    let ending = network(&origin, "hoard", "", "hook-timeout = '50ms'");
    try_say(ending.address(), b"a little").await.expect_err("what was kept back does not look whole");
    assert_eq!(ending.access_log().line().await["reason"], "filter-failed");
}

scenario!(a_trap_costs_the_connections_of_the_instance);
async fn a_trap_costs_the_connections_of_the_instance() {
    let origin = echo().await;
    for (on_failure, goes_on) in [("closed", false), ("open", true)] {
        let proxy = network(&origin, "pass", "", &format!("on-failure = '{on_failure}'"));
        let (mut one, mut other) = (Raw::plain(proxy.address()).await, Raw::plain(proxy.address()).await);
        for client in [&mut one, &mut other] {
            client.send("x").await;
            assert_eq!(client.read(1).await, b"x");
        }
        one.try_send("panic").await;
        if goes_on {
            assert_eq!(one.read(5).await, b"panic");
            other.send("y").await;
            assert_eq!(other.read(1).await, b"y");
        } else {
            one.closed().await;
            other.closed().await;
            assert!(proxy.access_log().lines(2).await.iter().all(|line| line["reason"] == "filter-failed"));
        }
        assert_eq!(say(proxy.address(), b"again").await, b"again", "{on_failure}: there is another instance");
    }
}

scenario!(on_a_port_of_both_it_is_for_http_unless_it_says_otherwise);
async fn on_a_port_of_both_it_is_for_http_unless_it_says_otherwise() {
    let (http, raw) = (origin().route("/", "http").run(), named("raw").await);
    let both = |more: &str, filter: &str, unfiltered: &str| {
        proxy(format!(
            "workers = 1\n[listeners.edge]\nprotocol = 'auto'\ncluster = 'http'\ntcp = {{ cluster = 'raw', unfiltered = ['{unfiltered}'] }}\nfilters = ['{filter}']\n\
             [clusters.http]\nendpoints = ['{http}']\n[clusters.raw]\nendpoints = ['{raw}']\n\
             [filters.network]\nmodule = '{}'\nconfig = 'change'\n{more}\n[filters.headers]\nmodule = '{}'\n",
            guest("pw-network"),
            guest("pw-headers")
        ))
    };
    let refusing = both("", "network", "headers");
    let mut client = Raw::plain(refusing.address()).await;
    client.try_send(b"\0raw").await;
    client.closed().await;
    assert_eq!(refusing.access_log().line().await["reason"], "no-connection-hook");
    let http_only = both("", "headers", "headers");
    assert_eq!(http_only.client().await.get("/").await.header("x-status-was"), Some("200"));
    assert_eq!(say(http_only.address(), b"\0raw").await, b"raw:\0raw", "it has nothing to do with it");
    assert_eq!(say(both("", "network", "network").address(), b"\0raw").await, b"raw:\0raw", "the module may be for both");
    assert_eq!(say(both("proxy-wasm = { connections = true }", "network", "headers").address(), b"\0raw").await, b"<raw:\0RAW!>");
}

scenario!(it_outlives_a_reload);
async fn it_outlives_a_reload() {
    let origin = echo().await;
    let proxy = network(&origin, "line", "", "");
    let mut client = Raw::plain(proxy.address()).await;
    client.send("half ").await;
    proxy.rewrite(text(&origin, "change", "", ""));
    // The new one is for new connections.
    while say(proxy.address(), b"new").await != b"<NEW!>" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.send("line\n").await;
    assert_eq!(client.read(10).await, b"half line\n", "by the one that it began with");
}
