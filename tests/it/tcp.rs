//! Raw connections: bytes pass as they are, both ways, to a cluster that names, weights or filters say.

use std::collections::HashMap;
use std::net::SocketAddr;

use tamis_tests::origin::RawOrigin;
use tamis_tests::{Edge, Proxy, Raw, certificates, client, origin, proxy, raw_origin, refused, scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Reads until the client ends, then says its own name and what it has read.
pub async fn named(name: &'static str) -> RawOrigin {
    raw_origin(move |mut connection| async move {
        let mut read = Vec::new();
        if connection.0.read_to_end(&mut read).await.is_ok() {
            connection.write(&format!("{name}:{}", String::from_utf8_lossy(&read))).await;
        }
    })
    .await
}

/// Sends back what it is sent.
pub async fn echo() -> RawOrigin {
    raw_origin(|mut connection| async move {
        let (mut from, mut to) = connection.0.split();
        tokio::io::copy(&mut from, &mut to).await.ok();
    })
    .await
}

pub fn to(origin: impl std::fmt::Display, more: &str) -> Proxy {
    proxy(text(origin, more))
}

/// `more` is of the listener.
fn text(origin: impl std::fmt::Display, more: &str) -> String {
    format!("[listeners.edge]\nprotocol = 'tcp'\ncluster = 'origin'\n{more}\n[clusters.origin]\nendpoints = ['{origin}']\n")
}

/// Says this, ends, and reads what comes back.
pub async fn say(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    try_say(address, bytes).await.expect("the proxy ends in order")
}

/// The same where the proxy may refuse it.
pub async fn try_say(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// An address on which nobody listens.
fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    listener.local_addr().expect("a bound socket has an address")
}

scenario!(an_end_of_the_client_reaches_the_origin_which_goes_on_speaking);
async fn an_end_of_the_client_reaches_the_origin_which_goes_on_speaking() {
    let origin = named("one").await;
    let proxy = to(&origin, "");
    assert_eq!(say(proxy.address(), b"hello").await, b"one:hello");
    let line = proxy.access_log().line().await;
    assert_eq!((&line["protocol"], &line["reason"]), (&"tcp".into(), &"upstream".into()), "{line}");
    assert_eq!((&line["request_bytes"], &line["response_bytes"]), (&5.into(), &9.into()), "{line}");
    assert_eq!((&line["cluster"], &line["endpoint"]), (&"origin".into(), &origin.to_string().into()), "{line}");
    assert!(line.get("method").is_none() && line.get("path").is_none(), "{line}");
    let series = |name: &str, more: &str| format!("tamis_tcp_{name}{{listener=\"edge\",cluster=\"origin\"{more}}}");
    let expected = [
        (series("connections_total", ",reason=\"upstream\""), 1.0),
        (series("connections_active", ""), 0.0),
        (series("received_bytes_total", ""), 5.0),
        (series("sent_bytes_total", ""), 9.0),
        (series("connection_duration_seconds_count", ""), 1.0),
    ];
    for (series, value) in expected {
        proxy.metric_becomes(&series, |found| found == value).await;
    }
}

scenario!(an_end_of_the_origin_reaches_the_client_which_goes_on_speaking);
async fn an_end_of_the_origin_reaches_the_client_which_goes_on_speaking() {
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let origin = raw_origin(move |mut connection| {
        let heard = heard.clone();
        async move {
            connection.write("done").await;
            connection.0.shutdown().await.expect("one side can end");
            let mut rest = String::new();
            connection.0.read_to_string(&mut rest).await.expect("the proxy ends in order");
            heard.send(rest).expect("the scenario waits");
        }
    })
    .await;
    let proxy = to(&origin, "");
    let mut stream = TcpStream::connect(proxy.address()).await.expect("the proxy accepts");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the origin has ended");
    assert_eq!(answer, "done");
    stream.write_all(b"more").await.expect("the proxy still reads");
    drop(stream);
    assert_eq!(hears.recv().await.as_deref(), Some("more"));
}

scenario!(much_passes_both_ways_at_once);
async fn much_passes_both_ways_at_once() {
    const BYTES: usize = 8 << 20;
    let origin = echo().await;
    let proxy = to(&origin, "limits = { tcp-buffer-bytes = '8KiB' }");
    let (mut from, mut to) = TcpStream::connect(proxy.address()).await.expect("the proxy accepts").into_split();
    let sent: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
    let (_, read) = tokio::join!(
        async {
            to.write_all(&sent).await.expect("the proxy reads");
            to.shutdown().await.expect("one side can end");
        },
        async {
            let mut read = Vec::new();
            from.read_to_end(&mut read).await.expect("the proxy ends in order");
            read
        }
    );
    assert!(read == sent, "{} bytes came back", read.len());
}

scenario!(what_breaks_upstream_breaks_downstream);
async fn what_breaks_upstream_breaks_downstream() {
    let origin = raw_origin(|mut connection| async move {
        connection.write("part").await;
        connection.0.read_u8().await.ok();
        connection.0.set_zero_linger().expect("it can be set");
    })
    .await;
    let proxy = to(&origin, "");
    let mut stream = TcpStream::connect(proxy.address()).await.expect("the proxy accepts");
    let mut part = [0; 4];
    stream.read_exact(&mut part).await.expect("it comes");
    stream.write_all(b"x").await.expect("the proxy reads");
    let error = stream.read_to_end(&mut Vec::new()).await.expect_err("what was cut off does not look whole");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(proxy.access_log().line().await["reason"], "upstream-reset");
}

scenario!(another_endpoint_is_asked_where_one_does_not_answer);
async fn another_endpoint_is_asked_where_one_does_not_answer() {
    let origin = named("live").await;
    let proxy = proxy(format!(
        "[listeners.edge]\nprotocol = 'tcp'\ncluster = 'origin'\n[clusters.origin]\nendpoints = ['{}', '{origin}']\n\
         balance = 'round-robin'\noutliers = {{ local-failures = 2 }}\n",
        nobody()
    ));
    let mut attempts = Vec::new();
    for _ in 0..4 {
        assert_eq!(say(proxy.address(), b"x").await, b"live:x");
    }
    for line in proxy.access_log().lines(4).await {
        attempts.push(line["attempts"].as_u64().expect("a number"));
    }
    assert!(attempts.contains(&2), "{attempts:?}");
    let chosen = proxy.admin("/clusters/origin").await;
    assert!(chosen.text().contains("\"connected\""), "{}", chosen.text());
}

scenario!(where_nobody_answers_the_connection_is_closed_and_the_log_says_why);
async fn where_nobody_answers_the_connection_is_closed_and_the_log_says_why() {
    let proxy = to(nobody(), "");
    let mut raw = Raw::plain(proxy.address()).await;
    raw.closed().await;
    let line = proxy.access_log().line().await;
    assert_eq!(line["reason"], "connect-failed", "{line}");
    let unrouted = self::proxy("[listeners.edge]\nprotocol = 'tcp'");
    Raw::is_refused(unrouted.address()).await;
    assert_eq!(unrouted.access_log().line().await["reason"], "no-route");
}

scenario!(a_connection_on_which_nothing_moves_is_ended);
async fn a_connection_on_which_nothing_moves_is_ended() {
    let origin = echo().await;
    let proxy = to(&origin, "timeouts = { tcp-idle = '100ms' }");
    let mut raw = Raw::plain(proxy.address()).await;
    raw.send("x").await;
    assert_eq!(raw.read(1).await, b"x");
    raw.closed().await;
    assert_eq!(proxy.access_log().line().await["reason"], "idle");
}

scenario!(connections_are_limited_on_both_sides);
async fn connections_are_limited_on_both_sides() {
    let origin = echo().await;
    let proxy = proxy(format!(
        "workers = 1\n[listeners.edge]\nprotocol = 'tcp'\ncluster = 'origin'\nlimits = {{ connections = 2 }}\n\
         [clusters.origin]\nendpoints = ['{origin}']\nlimits = {{ connections = 1 }}\ntimeouts = {{ connect = '100ms' }}\n"
    ));
    let mut first = Raw::plain(proxy.address()).await;
    first.send("x").await;
    assert_eq!(first.read(1).await, b"x");
    let mut second = Raw::plain(proxy.address()).await;
    second.closed().await;
    assert_eq!(proxy.access_log().line().await["reason"], "cluster-overloaded");
    let third = Raw::plain(proxy.address()).await;
    // The second one's place is free only when its end is known; the fourth is one too many in any case.
    let mut fourth = Raw::plain(proxy.address()).await;
    fourth.closed().await;
    drop(third);
    first.send("y").await;
    assert_eq!(first.read(1).await, b"y", "the first goes on");
}

scenario!(each_cluster_has_its_share);
async fn each_cluster_has_its_share() {
    let (a, b) = (named("a").await, named("b").await);
    let proxy = proxy(format!(
        "[listeners.edge]\nprotocol = 'tcp'\n[listeners.edge.tcp]\nweighted = {{ a = 1, b = 1, none = 0 }}\n\
         [clusters.a]\nendpoints = ['{a}']\n[clusters.b]\nendpoints = ['{b}']\n[clusters.none]\nendpoints = ['{}']\n",
        nobody()
    ));
    let mut counts = HashMap::<Vec<u8>, u32>::new();
    for _ in 0..40 {
        *counts.entry(say(proxy.address(), b"").await).or_default() += 1;
    }
    // That one of two has none of 40 happens once in 10^12.
    assert_eq!(counts.len(), 2, "{counts:?}");
    assert_eq!(counts.values().sum::<u32>(), 40);
}

scenario!(tls_passes_through_to_whom_the_client_asks_for);
async fn tls_passes_through_to_whom_the_client_asks_for() {
    let names = ["db.example", "a.b.wild.example", "other.example"];
    let origins =
        names.map(|name| origin().route("/", name).tls_config(certificates::certificate(&[name]).server_config_with(ALPN)).run());
    let proxy = proxy(format!(
        "[access-log]\nonly = ['protocol', 'server_name', 'tls_version']\n\
         [listeners.edge]\nprotocol = 'tcp'\ncluster = 'rest'\ntcp = {{ sni = {{ 'db.example' = 'db', '*.wild.example' = 'wild' }} }}\n\
         [clusters.db]\nendpoints = ['{}']\n[clusters.wild]\nendpoints = ['{}']\n[clusters.rest]\nendpoints = ['{}']\n",
        origins[0], origins[1], origins[2]
    ));
    for name in names {
        for edge in [Edge::HTTP1_TLS, Edge::HTTP2_TLS] {
            let client = client::connect(proxy.address()).edge(edge).name(name).open().await;
            assert_eq!(client.get("/").await.text(), name);
        }
        let line = proxy.access_log().line_where("server_name", name).await;
        assert_eq!((&line["protocol"], line.get("tls_version")), (&"tcp".into(), None), "{line}");
    }
    proxy.metric_becomes("tamis_connections_mode_total{listener=\"edge\",mode=\"passthrough\"}", |count| count == 6.0).await;
    assert!(origins.iter().all(|origin| origin.connections() == 2));
}

scenario!(tls_ends_at_the_proxy_and_begins_anew);
async fn tls_ends_at_the_proxy_and_begins_anew() {
    let certificate = certificates::certificate(&["users.internal"]);
    let shown = certificates::certificate(&[certificates::EDGE_NAME, "plain.test"]);
    let (origin, plain) = (origin().route("/", "here").tls(&certificate).run(), named("plain").await);
    let proxy = proxy(format!(
        "[listeners.edge]\nprotocol = 'tcp'\ncluster = 'origin'\ntls = {{ certificates = [{}] }}\ntcp = {{ sni = {{ 'plain.test' = 'plain' }} }}\n\
         [clusters.plain]\nendpoints = ['{plain}']\n\
         [clusters.origin]\nendpoints = ['{origin}']\ntls = {{ ca = ['{}'], server-name = 'users.internal' }}\n",
        shown.entry(),
        certificates::authority_file().display()
    ));
    let mut raw = Raw::tls(proxy.address(), b"something").await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(raw.answer().await.1, "here", "whatever the client offered by ALPN");
    drop(raw);
    let line = proxy.access_log().line().await;
    assert_eq!((&line["reason"], &line["cluster"]), (&"upstream".into(), &"origin".into()), "{line}");
    // By the name of the handshake that ended here.
    let stream = TcpStream::connect(proxy.address()).await.expect("the proxy accepts");
    let mut stream = client::tls(stream, "plain.test", &[]).await.expect("the proxy speaks TLS");
    stream.write_all(b"secret").await.expect("the proxy reads");
    stream.shutdown().await.expect("one side can end");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the proxy ends in order");
    assert_eq!(answer, "plain:secret");
}

scenario!(who_begins_tls_wrongly_is_closed);
async fn who_begins_tls_wrongly_is_closed() {
    let origin = named("rest").await;
    let proxy = to(
        &origin,
        "tcp = { sni = { 'a.example' = 'origin' } }\ntimeouts = { protocol-detect = '200ms' }\nlimits = { client-hello-bytes = '2KiB' }",
    );
    // A record and a message that never end.
    let hostile: [(&[u8], &str); 2] = [
        (b"\x16\x03\x01\x02\x00\x01\x00", "client-timeout"),
        (&[&b"\x16\x03\x01\x3f\xff\x01\x00\x3f\xfb\x03\x03"[..], &[0; 4096]].concat(), "malformed-request"),
    ];
    for (at, (bytes, reason)) in hostile.into_iter().enumerate() {
        let mut raw = Raw::plain(proxy.address()).await;
        raw.try_send(bytes).await;
        raw.closed().await;
        let line = &proxy.access_log().lines(at + 1).await[at];
        assert_eq!((&line["reason"], &line["protocol"]), (&reason.into(), &"tls".into()), "{line}");
    }
    let unreadable = b"\x16\x03\x01\x00\x05hello";
    assert_eq!(say(proxy.address(), unreadable).await, [b"rest:", &unreadable[..]].concat(), "whoever ends TLS judges it");
    assert_eq!(say(proxy.address(), b"no TLS at all").await, b"rest:no TLS at all", "it goes where everything else goes");
    let mut silent = Raw::plain(proxy.address()).await;
    silent.send("").await;
    proxy.metric_becomes("tamis_tcp_connections_active{listener=\"edge\",cluster=\"origin\"}", |count| count == 1.0).await;
}

scenario!(reloads_leave_streams_alone);
async fn reloads_leave_streams_alone() {
    let origin = echo().await;
    let proxy = to(&origin, "");
    let mut raw = Raw::plain(proxy.address()).await;
    raw.send("one").await;
    assert_eq!(raw.read(3).await, b"one");
    let other = named("other").await;
    proxy.rewrite(text(&other, "timeouts = { tcp-idle = '9s' }"));
    while say(proxy.address(), b"").await != b"other:" {}
    raw.send("two").await;
    assert_eq!(raw.read(3).await, b"two", "its cluster has other endpoints now");
    proxy.rewrite("[listeners.other]\nprotocol = 'tcp'");
    while TcpStream::connect(proxy.address()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    raw.send("three").await;
    assert_eq!(raw.read(5).await, b"three", "even its listener is gone");
}

scenario!(a_stream_lives_until_the_deadline_of_the_drain);
async fn a_stream_lives_until_the_deadline_of_the_drain() {
    let origin = echo().await;
    let mut proxy = proxy(format!("[drain]\ntimeout = '300ms'\n{}", text(&origin, "")));
    let mut raw = Raw::plain(proxy.address()).await;
    raw.send("one").await;
    assert_eq!(raw.read(3).await, b"one");
    proxy.handle().drain();
    while TcpStream::connect(proxy.address()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    raw.send("two").await;
    assert_eq!(raw.read(3).await, b"two", "the proxy has only begun to leave");
    raw.closed().await;
    proxy.ended().await;
    assert_eq!(proxy.access_log().line_where("reason", "cut").await["request_bytes"], 6);
}

scenario!(a_drain_ends_when_the_last_stream_has_ended);
async fn a_drain_ends_when_the_last_stream_has_ended() {
    let origin = echo().await;
    let mut proxy = to(&origin, "");
    let mut raw = Raw::plain(proxy.address()).await;
    raw.send("one").await;
    assert_eq!(raw.read(3).await, b"one");
    proxy.handle().drain();
    drop(raw);
    proxy.ended().await;
    assert_eq!(proxy.access_log().line().await["reason"], "upstream");
}

scenario!(what_makes_no_sense_is_refused);
async fn what_makes_no_sense_is_refused() {
    for (text, expected) in [
        ("listen = '127.0.0.1:0'\nprotocol = 'tpc'", "did you mean \"tcp\""),
        ("listen = '127.0.0.1:0'\ntcp = { weighted = { a = 1 } }", "HTTP goes where filters"),
        ("listen = '127.0.0.1:0'\nprotocol = 'tcp'\ntcp = { weighted = { a = 1, nobody = 1 } }", "no cluster named \"nobody\""),
        ("listen = '127.0.0.1:0'\nprotocol = 'tcp'\ntcp = { weighted = { a = 0 } }", "at least one weight above zero"),
        ("listen = '127.0.0.1:0'\nprotocol = 'tcp'\ntcp = { sni = { 'a*.example' = 'a' } }", "expected a host name"),
        ("listen = '127.0.0.1:0'\nprotocol = 'tcp'\ntcp = { cluster = 'a', weighted = { a = 1 } }", "found both"),
        ("listen = '127.0.0.1:0'\nprotocol = 'tcp'\nfilters = ['headers']", "filter `headers` has no connection hook"),
    ] {
        let said = refused(format!(
            "[listeners.edge]\n{text}\n[clusters.a]\nendpoints = ['127.0.0.1:1']\n[filters.headers]\nmodule = 'builtin:headers'\n"
        ));
        assert!(said.contains(expected), "{text}: {said}");
    }
}
