//! Traces: whose go on, which are sampled, what is told of an exchange, and what becomes of it where nobody listens.

use std::time::Duration;

use serde_json::Value;
use tamis_tests::collector::{Span, secure_collector};
use tamis_tests::command::{Running, output, python, python_script, stderr, stdout};
use tamis_tests::{
    Collector, Edge, Origin, Proxy, Reply, certificates, chain, client, collector, matrix, origin, raw_origin, scenario,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// A proxy in front of this address, which traces.
fn to(edge: Edge, address: impl std::fmt::Display, tracing: &str, more: &str) -> Proxy {
    edge.proxy(format!(
        "[listeners.edge]\ncluster = 'next'\n{more}\n[tracing]\n{tracing}\n[clusters.next]\nendpoints = ['{address}']\n"
    ))
}

/// Sends all spans of each exchange to the collector, under this name.
fn all(collector: &Collector, protocol: &str, service: &str) -> String {
    format!("sample = 1.0\nservice = '{service}'\n{}", collector.keys(protocol))
}

fn one<'a>(spans: &'a [Span], what: &str, wanted: impl Fn(&Span) -> bool) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| wanted(span)).collect();
    assert_eq!(found.len(), 1, "{what} in {spans:#?}");
    found[0]
}

fn field(headers: &Value, name: &str) -> String {
    headers["headers"][name][0].as_str().unwrap_or_default().to_owned()
}

matrix!(a_call_through_three_proxies_is_one_trace);
async fn a_call_through_three_proxies_is_one_trace(edge: Edge) {
    for protocol in ["otlp-http", "otlp-grpc", "zipkin"] {
        let collector = collector();
        let origin = failing_once();
        let last = Edge::HTTP1_PLAIN.proxy(format!(
            "{}retry = {{ on = ['5xx'], backoff = '0s' }}\n[tracing]\n{}",
            chain(&origin, &[("meter", "")]),
            all(&collector, protocol, "last")
        ));
        let middle = Edge::HTTP1_PLAIN.proxy(format!(
            "{}[tracing]\n{}",
            chain(last.address(), &[("meter", "")]),
            all(&collector, protocol, "middle")
        ));
        let first = to(edge, middle.address(), &all(&collector, protocol, "first"), "");
        assert_eq!(first.client().await.get("/a/path?token=hidden-1").await.status, 200);

        // Three servers, four attempts, and the hooks of two filters.
        let hooks = first_hooks(&collector, 7).await;
        let spans = collector.spans(7 + hooks).await;
        let trace = &spans[0].trace;
        assert!(spans.iter().all(|span| span.trace == *trace && span.protocol == protocol), "{spans:#?}");
        let server = |service| one(&spans, service, |span| span.service == service && span.kind == "server");
        let attempts = |service| {
            let mut found: Vec<_> = spans.iter().filter(|span| span.service == service && span.kind == "client").collect();
            found.sort_by_key(|span| span.attribute("http.request.resend_count"));
            found
        };
        assert_eq!(server("first").parent, "", "a trace begins here");
        for (service, next) in [("first", "middle"), ("middle", "last")] {
            let [attempt] = attempts(service)[..] else { panic!("one attempt of {service}: {spans:#?}") };
            assert_eq!(attempt.parent, server(service).id);
            assert_eq!(server(next).parent, attempt.id, "{next} hangs under the attempt of {service}");
            assert!(attempt.began >= server(service).began && attempt.ended <= server(service).ended);
        }
        let [failed, good] = attempts("last")[..] else { panic!("two attempts: {spans:#?}") };
        assert_eq!((failed.attribute("http.response.status_code"), failed.failed), (Some("503"), true));
        assert_eq!((good.attribute("http.response.status_code"), good.failed), (Some("200"), false));
        assert_eq!(good.attribute("http.request.resend_count"), Some("1"));
        // Each attempt told the upstream of itself.
        let seen: Vec<_> = origin.requests().iter().map(|seen| seen.header("traceparent").expect("a trace").to_owned()).collect();
        assert_eq!(seen, [failed, good].map(|attempt| format!("00-{trace}-{}-01", attempt.id)));
        for span in spans.iter().filter(|span| span.kind == "internal") {
            assert_eq!(span.parent, server(&span.service).id);
            assert_eq!((span.attribute("tamis.filter"), span.attribute("tamis.verdict")), (Some("meter"), Some("next")));
        }
        // What is told of an exchange.
        let told = server("last");
        for (name, value) in [
            ("http.request.method", "GET"),
            ("url.path", "/a/path"),
            ("url.scheme", "http"),
            ("http.response.status_code", "200"),
            ("client.address", "127.0.0.1"),
            ("network.protocol.version", "1.1"),
            ("tamis.listener", "edge"),
            ("tamis.cluster", "origin"),
            ("tamis.reason", "upstream"),
        ] {
            assert_eq!(told.attribute(name), Some(value), "{name}");
        }
        assert!(!spans.iter().any(|span| format!("{span:?}").contains("hidden-1")), "queries may hold secrets");
        assert_eq!(attempts("middle")[0].attribute("url.full"), Some("http://edge.test/a/path?token=[redacted]"));
        let line = last.access_log().line().await;
        assert_eq!((&line["trace_id"], &line["span_id"]), (&Value::from(trace.as_str()), &Value::from(told.id.as_str())));
        assert_eq!(last.metric("tamis_trace_spans_dropped_total{reason=\"export\"}").await, Some(0.0));
        let told = spans.iter().filter(|span| span.service == "last").count() as f64;
        last.metric_becomes("tamis_trace_spans_exported_total", |spans| spans == told).await;
    }
}

scenario!(a_call_through_three_processes_is_one_trace);
async fn a_call_through_three_processes_is_one_trace() {
    for protocol in ["otlp-http", "zipkin"] {
        let collector = collector();
        let origin = origin().route("/", "here").run();
        let folder = tempfile::tempdir().expect("a folder");
        let mut processes = Vec::new();
        let mut next = origin.to_string();
        for service in ["last", "middle", "first"] {
            let file = folder.path().join(format!("{service}.toml"));
            let config = format!(
                "workers = 1\n[listeners.edge]\nlisten = '127.0.0.1:0'\ncluster = 'next'\n[tracing]\n{}\n[clusters.next]\nendpoints = ['{next}']\n",
                all(&collector, protocol, service)
            );
            std::fs::write(&file, config).expect("a file");
            let mut running = Running::start(env!("CARGO_BIN_EXE_tamis-cli"), &["run", "-c", file.to_str().expect("UTF-8")]);
            let line = running.logs("listen").await;
            next = line.split([' ', '=', '"']).find(|word| word.starts_with("127.0.0.1:")).expect("its address").to_owned();
            processes.push(running);
        }
        let client = client::connect(next.parse().expect("an address")).open().await;
        assert_eq!(client.get("/").await.text(), "here");

        let spans = collector.spans(6).await;
        let of = |service, kind| one(&spans, service, |span| span.service == service && span.kind == kind);
        assert!(spans.iter().all(|span| span.trace == spans[0].trace), "{spans:#?}");
        assert_eq!(of("first", "server").parent, "");
        for service in ["first", "middle", "last"] {
            assert_eq!(of(service, "client").parent, of(service, "server").id);
        }
        for (service, next) in [("first", "middle"), ("middle", "last")] {
            assert_eq!(of(next, "server").parent, of(service, "client").id, "{next} hangs under {service}");
        }
    }
}

/// How many hooks the two filters of the chain have.
async fn first_hooks(collector: &Collector, others: usize) -> usize {
    loop {
        let spans = collector.present();
        if spans.iter().filter(|span| span.kind != "internal").count() == others {
            return spans.iter().filter(|span| span.kind == "internal").count();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Answers the first request with 503.
fn failing_once() -> Origin {
    let failed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    origin()
        .route_fn("/a/path", move |_| {
            let first = !failed.swap(true, std::sync::atomic::Ordering::SeqCst);
            async move { Reply::new(if first { 503 } else { 200 }) }
        })
        .run()
}

matrix!(who_samples_decides_for_all_that_follow);
async fn who_samples_decides_for_all_that_follow(edge: Edge) {
    for (sample, parent) in [("0.0", SAMPLED), ("1.0", UNSAMPLED)] {
        let (collector, origin) = (collector(), origin().echo("/").run());
        let tracing = format!("sample = {sample}\n{}", collector.keys("otlp-http"));
        let proxy = to(edge, &origin, &tracing, "");
        let client = proxy.client().await;
        let seen = client.get("/").header("traceparent", parent).header("tracestate", "vendor=1").await.json();
        assert_eq!(field(&seen, "tracestate"), "vendor=1");
        let onwards = field(&seen, "traceparent");
        if parent == SAMPLED {
            let spans = collector.spans(2).await;
            let server = one(&spans, "the exchange", |span| span.kind == "server");
            assert_eq!((&*server.trace, &*server.parent, &*server.state), (TRACE, "00f067aa0ba902b7", "vendor=1"));
            let attempt = one(&spans, "the attempt", |span| span.kind == "client");
            assert_eq!(onwards, format!("00-{TRACE}-{}-01", attempt.id));
        } else {
            assert_eq!(onwards, UNSAMPLED, "nothing is told of this proxy, so its parent is the parent of what follows");
        }
        // A trace that begins here is said to go on, sampled or not.
        let onwards = field(&client.get("/").header("traceparent", "00-nonsense").await.json(), "traceparent");
        assert!(onwards.len() == 55 && !onwards.contains(TRACE), "{onwards}");
        assert!(onwards.ends_with(if sample == "0.0" { "-00" } else { "-01" }), "{onwards}");
        let lines = proxy.access_log().lines(2).await;
        assert_eq!(lines[1]["trace_id"], onwards[3..35]);
        if sample == "0.0" {
            assert_eq!(collector.present().len(), 2, "of the first exchange");
        } else {
            collector.spans(2).await;
        }
    }
}

matrix!(only_trusted_peers_force_a_trace);
async fn only_trusted_peers_force_a_trace(edge: Edge) {
    for (trusted, is_trusted) in [("['127.0.0.0/8']", true), ("['10.0.0.0/8']", false)] {
        let (collector, origin) = (collector(), origin().echo("/").run());
        let tracing = format!("sample = 0.0\nforce-header = 'x-trace-me'\n{}", collector.keys("otlp-grpc"));
        let proxy = to(edge, &origin, &tracing, &format!("trusted = {trusted}"));
        let seen = proxy.client().await.get("/").header("x-trace-me", "1").await.json();
        assert_eq!(seen["headers"].get("x-trace-me").is_some(), is_trusted);
        assert_eq!(field(&seen, "traceparent").ends_with("-01"), is_trusted);
        if is_trusted {
            collector.spans(2).await;
        } else {
            assert!(collector.present().is_empty());
        }
    }
}

matrix!(a_trace_changes_its_words);
async fn a_trace_changes_its_words(edge: Edge) {
    let (collector, origin) = (collector(), origin().echo("/").run());
    let tracing = format!("accept = ['b3', 'b3-single']\n{}", collector.keys("otlp-http"));
    let proxy = to(edge, &origin, &tracing, "");
    let client = proxy.client().await;
    let request = client.get("/").header("x-b3-traceid", TRACE).header("x-b3-spanid", "00f067aa0ba902b7");
    let seen = request.header("x-b3-sampled", "1").await.json();
    let spans = collector.spans(2).await;
    let attempt = one(&spans, "the attempt", |span| span.kind == "client");
    assert_eq!(one(&spans, "the exchange", |span| span.kind == "server").parent, "00f067aa0ba902b7");
    assert_eq!(field(&seen, "traceparent"), format!("00-{TRACE}-{}-01", attempt.id));
    assert!(!seen["headers"].as_object().unwrap().keys().any(|name| name.contains("b3")), "{seen}");
    let seen = client.get("/").header("b3", &format!("{TRACE}-00f067aa0ba902b7-0")).await.json();
    assert_eq!(field(&seen, "traceparent"), UNSAMPLED);

    let proxy = to(edge, &origin, "sample = 0.0\nemit = ['b3', 'b3-single']", "");
    let seen = proxy.client().await.get("/").header("traceparent", SAMPLED).header("tracestate", "a=b").await.json();
    assert_eq!((field(&seen, "x-b3-traceid"), field(&seen, "x-b3-sampled")), (TRACE.to_owned(), "1".to_owned()));
    assert_eq!(field(&seen, "b3"), format!("{TRACE}-{}-1-{}", field(&seen, "x-b3-spanid"), field(&seen, "x-b3-parentspanid")));
    assert!(seen["headers"].get("traceparent").is_none() && seen["headers"].get("tracestate").is_none());
}

matrix!(without_tracing_the_fields_pass);
async fn without_tracing_the_fields_pass(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.forward_to(&origin);
    let client = proxy.client().await;
    let seen = client.get("/").header("traceparent", "00-nonsense").header("b3", "x").header("tracestate", "a=b").await.json();
    for (name, value) in [("traceparent", "00-nonsense"), ("b3", "x"), ("tracestate", "a=b")] {
        assert_eq!(field(&seen, name), value);
    }
    assert!(client.get("/").await.json()["headers"].get("traceparent").is_none());
    assert!(proxy.access_log().lines(2).await.iter().all(|line| line.get("trace_id").is_none()));
}

matrix!(what_a_filter_asks_hangs_under_its_hook);
async fn what_a_filter_asks_hangs_under_its_hook(edge: Edge) {
    let (collector, service) = (collector(), origin().echo("/ask").run());
    let toml = format!(
        "{}[clusters.idp]\nendpoints = ['{service}']\n[tracing]\n{}",
        chain("127.0.0.1:1", &[("caller", "allow = { clusters = ['idp'] }")]),
        all(&collector, "otlp-http", "edge")
    );
    let proxy = edge.proxy(toml);
    let answer = proxy.client().await.get("/").header("x-call", "idp GET /ask").await.json();
    assert_eq!(answer["status"], 200, "{answer}");
    let spans = collector.spans(3).await;
    let server = one(&spans, "the exchange", |span| span.kind == "server");
    let hook = one(&spans, "the hook", |span| span.kind == "internal");
    let asked = one(&spans, "what it asked", |span| span.kind == "client");
    assert_eq!((&hook.parent, &asked.parent), (&server.id, &hook.id));
    assert_eq!((hook.attribute("tamis.verdict"), asked.attribute("tamis.cluster")), (Some("replied"), Some("idp")));
    let seen: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(field(&seen, "traceparent"), format!("00-{}-{}-01", asked.trace, asked.id));
    assert_eq!(server.attribute("tamis.reason"), Some("filter"));
}

matrix!(an_attempt_beside_another_has_a_span_of_its_own);
async fn an_attempt_beside_another_has_a_span_of_its_own(edge: Edge) {
    let (collector, silent, quick) = (collector(), origin().hang("/").run(), origin().route("/", "quick").run());
    let proxy = edge.proxy(format!(
        "[listeners.edge]\ncluster = 'users'\n[clusters.users]\nendpoints = ['{silent}', '{quick}']\nbalance = 'round-robin'\n\
         retry = {{ hedge-after = '20ms' }}\n[tracing]\n{}",
        all(&collector, "otlp-http", "edge")
    ));
    let client = proxy.client().await;
    // In turns, the silent one is asked first at least once.
    while silent.requests().is_empty() {
        assert_eq!(client.get("/").await.text(), "quick");
    }
    let exchanges = proxy.access_log().present().len().max(quick.requests().len());
    let spans = collector.spans(exchanges * 2 + silent.requests().len()).await;
    let hedged = one(&spans, "the second attempt", |span| span.attribute("tamis.hedged") == Some("true"));
    let given_up = one(&spans, "the first attempt", |span| span.attribute("tamis.given_up") == Some("true"));
    assert_eq!((&hedged.parent, &hedged.trace), (&given_up.parent, &given_up.trace));
    let told = |origin: &Origin| origin.requests().last().and_then(|seen| Some(seen.header("traceparent")?.to_owned()));
    assert_eq!(told(&silent), Some(format!("00-{}-{}-01", given_up.trace, given_up.id)));
    assert_eq!(told(&quick), Some(format!("00-{}-{}-01", hedged.trace, hedged.id)));
}

matrix!(a_failing_filter_and_an_answer_of_the_proxys_own_say_why);
async fn a_failing_filter_and_an_answer_of_the_proxys_own_say_why(edge: Edge) {
    let collector = collector();
    let toml = format!("{}[tracing]\n{}", chain("127.0.0.1:1", &[("trap", "")]), all(&collector, "zipkin", "edge"));
    let proxy = edge.proxy(toml);
    let answer = proxy.client().await.get("/").header("x-trap", "here").await;
    assert_eq!((answer.status, answer.reason()), (500, Some("filter-failed")));
    let spans = collector.spans(2).await;
    let server = one(&spans, "the exchange", |span| span.kind == "server");
    assert_eq!((server.attribute("error.type"), server.failed), (Some("filter-failed"), true));
    let hook = one(&spans, "the hook", |span| span.kind == "internal");
    assert_eq!((hook.attribute("error.type"), hook.attribute("tamis.verdict"), hook.failed), (Some("trap"), Some("trap"), true));
}

matrix!(a_collector_that_stalls_or_refuses_costs_no_request);
async fn a_collector_that_stalls_or_refuses_costs_no_request(edge: Edge) {
    let stalled = raw_origin(|mut connection| async move {
        connection.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let nobody = origin().run().stop();
    for (collector, attempts) in [(stalled.to_string(), 1), (nobody.to_string(), 2)] {
        let origin = origin().route("/", "hello").run();
        let tracing = format!(
            "sample = 1.0\nendpoint = 'http://{collector}'\nqueue = 5\nbatch = 1\nbatch-wait = '0s'\ntimeout = '60s'\nattempts = {attempts}"
        );
        let proxy = to(edge, &origin, &tracing, "");
        let client = proxy.client().await;
        for _ in 0..50 {
            assert_eq!(client.get("/").await.text(), "hello");
        }
        // Of an exchange there are two spans. A few exchanges wait, and no others.
        let kept = if attempts == 1 { 2.0 * 6.0 } else { f64::INFINITY };
        let lost = proxy.metric_becomes("tamis_trace_spans_dropped_total{reason=\"queue\"}", |lost| lost >= 100.0 - kept).await;
        assert!(lost <= 100.0 - 2.0 * 5.0 || attempts == 2, "{lost}");
        if attempts == 2 {
            proxy.metric_becomes("tamis_trace_spans_dropped_total{reason=\"export\"}", |lost| lost >= 2.0).await;
        }
        assert_eq!(proxy.metric("tamis_trace_spans_exported_total").await, Some(0.0));
    }
}

matrix!(a_collector_is_asked_again_and_a_reload_takes_another);
async fn a_collector_is_asked_again_and_a_reload_takes_another(edge: Edge) {
    let busy = origin().route_fn("/v1/traces", |_| async { Reply::new(503) }).run();
    let (good, origin) = (collector(), origin().route("/", "hello").run());
    let toml = |tracing: &str| {
        format!("[listeners.edge]\ncluster = 'next'\n[tracing]\n{tracing}\n[clusters.next]\nendpoints = ['{origin}']\n")
    };
    let proxy = edge.proxy(toml(&format!("sample = 1.0\nendpoint = 'http://{busy}'\nbatch-wait = '0s'\nattempts = 3")));
    let client = proxy.client().await;
    client.get("/").await;
    proxy.metric_becomes("tamis_trace_spans_dropped_total{reason=\"export\"}", |lost| lost == 2.0).await;
    assert_eq!(busy.requests().len(), 3);
    assert_eq!(busy.connections(), 1, "a connection is kept");
    let more = "fields = { authorization = 'Bearer abc' }\nattributes = { region = 'eu' }\n";
    proxy.rewrite(toml(&format!("{}{more}", all(&good, "otlp-http", "renamed"))));
    while good.present().is_empty() {
        client.get("/").await;
    }
    let span = good.present().remove(0);
    assert_eq!((&*span.service, span.resource.get("region").map(String::as_str)), ("renamed", Some("eu")));
}

matrix!(what_is_queued_is_sent_before_the_proxy_leaves);
async fn what_is_queued_is_sent_before_the_proxy_leaves(edge: Edge) {
    let (collector, origin) = (collector(), origin().route("/", "hello").run());
    let tracing = format!("{}\nbatch = 4000", all(&collector, "otlp-grpc", "edge").replace("10ms", "60s"));
    let proxy = to(edge, &origin, &tracing, "");
    assert_eq!(proxy.client().await.get("/").await.status, 200);
    proxy.access_log().line().await;
    drop(proxy);
    collector.spans(2).await;
}

matrix!(spans_go_over_tls_to_who_can_be_trusted, http1, because "spans go the same way");
async fn spans_go_over_tls_to_who_can_be_trusted(edge: Edge) {
    let certificate = certificates::certificate(&["localhost"]);
    for protocol in ["otlp-http", "otlp-grpc", "zipkin"] {
        let (collector, origin) = (secure_collector(&certificate), origin().route("/", "hello").run());
        let keys = all(&collector, protocol, "edge");
        let trusting = to(edge, &origin, &format!("{keys}ca = '{}'", certificates::authority_file().display()), "");
        assert_eq!(trusting.client().await.get("/").await.status, 200);
        collector.spans(2).await;
        let wary = to(edge, &origin, &format!("{keys}attempts = 1"), "");
        assert_eq!(wary.client().await.get("/").await.status, 200);
        wary.metric_becomes("tamis_trace_spans_dropped_total{reason=\"export\"}", |lost| lost == 2.0).await;
        assert_eq!(collector.present().len(), 2);
    }
}

matrix!(the_official_classes_read_it, http1, because "what is told is the same");
async fn the_official_classes_read_it(edge: Edge) {
    let (collector, origin) = (collector(), origin().route("/", "hello").run());
    let proxy = to(edge, &origin, &all(&collector, "otlp-http", "edge"), "");
    proxy.client().await.get("/").header("traceparent", SAMPLED).header("tracestate", "vendor=1").await;
    let spans = collector.spans(2).await;
    let file = proxy.folder().join("traces.bin");
    std::fs::write(&file, collector.raw().concat()).expect("a file can be written");
    let ran = output(python(), &[python_script("otlp_read.py").to_str().unwrap(), file.to_str().unwrap()]).await;
    assert!(ran.status.success(), "{}", stderr(&ran));
    let read: Vec<Value> = serde_json::from_str(stdout(&ran)).expect("a list of spans");
    assert_eq!(read.len(), 2);
    for (read, span) in read.iter().zip(&spans) {
        let told = [&read["trace"], &read["id"], &read["parent"], &read["name"], &read["state"], &read["kind"], &read["service"]];
        let kind = format!("SPAN_KIND_{}", span.kind.to_uppercase());
        assert_eq!(
            told.map(|text| text.as_str().unwrap()),
            [&*span.trace, &*span.id, &*span.parent, &*span.name, &*span.state, &*kind, &*span.service]
        );
        assert_eq!(read["attributes"]["http.request.method"], "GET");
        assert_eq!(read["attributes"].as_object().unwrap().len(), span.attributes.len());
        assert!(read["nanos"].as_u64().unwrap() > 0);
    }
}

matrix!(a_copy_for_another_cluster_is_not_in_the_trace);
async fn a_copy_for_another_cluster_is_not_in_the_trace(edge: Edge) {
    let (collector, real, shadow) = (collector(), origin().route("/", "real").run(), origin().route("/", "shadow").run());
    let proxy = edge.proxy(format!(
        "[listeners.edge]\ncluster = 'real'\nfilters = ['shadow']\n[filters.shadow]\nmodule = 'builtin:shadow'\ndeadline = '1s'\n\
         config = {{ rules = [{{ cluster = 'copy' }}] }}\n\
         [clusters.real]\nendpoints = ['{real}']\n[clusters.copy]\nendpoints = ['{shadow}']\n[tracing]\n{}",
        all(&collector, "otlp-http", "edge")
    ));
    assert_eq!(proxy.client().await.get("/").header("traceparent", SAMPLED).await.text(), "real");
    while shadow.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let told = shadow.request().header("traceparent").expect("a trace").to_owned();
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"), "{told}");
}
