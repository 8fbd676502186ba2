//! What scrapers make of `/metrics`: Prometheus' own tools, docs/metrics.md, and how many series there are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tamis_tests::command::{Running, repository};
use tamis_tests::{Client, Edge, Proxy, Reply, client, guest, origin, proxy, scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// How often something that nobody announces is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Everything that has metrics: filters with a second version and metrics of their own, stores of both kinds, endpoints.
async fn rich() -> (Proxy, tamis_tests::Origin) {
    let origin = origin().route("*", "here").run();
    let proxy = proxy(format!(
        r#"
        [tracing]
        sample = 1.0
        endpoint = "http://127.0.0.1:1"
        [listeners.edge]
        cluster = "origin"
        filters = ["copies", "stamp", "trap"]
        [clusters.origin]
        endpoints = ["{origin}"]
        endpoint-metrics = true
        [clusters.plain]
        endpoints = ["{origin}"]
        [filters.copies]
        module = "builtin:shadow"
        config = {{ rules = [{{ cluster = "plain" }}] }}
        [filters.stamp]
        module = "{}"
        observe = {{ module = "{}" }}
        [filters.trap]
        module = "{}"
        [stores.near]
        [stores.far]
        backend = "redis"
        url = "redis://127.0.0.1:1"
        "#,
        guest("stamp-a"),
        guest("stamp-b"),
        guest("trap"),
    ));
    let client = proxy.client().await;
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(client.get("/").header("x-trap", "here").await.status, 500);
    proxy.metric_becomes("tamis_copies_total{cluster=\"plain\",result=\"answered\"}", |count| count >= 1.0).await;
    proxy.metric_becomes("tamis_requests_active{listener=\"edge\"}", |active| active == 0.0).await;
    (proxy, origin)
}

/// A metric as docs/metrics.md has it, or as the page does: its type and its labels.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

fn documented() -> Metrics {
    let page = std::fs::read_to_string(repository().join("docs/metrics.md")).expect("docs/metrics.md");
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        let [name, kind, labels, ..] = cells[..] else { panic!("a row of a metric has four cells: {line}") };
        Some((name.trim_end_matches('`').to_owned(), (kind.to_owned(), names(labels).into_iter().collect())))
    });
    rows.collect()
}

/// Those of the page whose names begin like the proxy's own. A metric without a sample has all labels for all we know.
fn shown(page: &str) -> (Metrics, BTreeSet<String>) {
    let own = |name: &str| name.starts_with("tamis_") || name.starts_with("process_");
    let mut metrics = Metrics::new();
    let mut sampled = BTreeSet::new();
    for line in page.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').expect("a name and a type");
            if own(name) {
                metrics.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
            }
            continue;
        }
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix))
            .find(|family| metrics.contains_key(*family));
        let family = family.unwrap_or(name).to_owned();
        let Some((_, labels)) = metrics.get_mut(&family) else { continue };
        let inside = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').expect("a brace").0);
        let names = inside.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned());
        labels.extend(names.filter(|name| name != "le"));
        sampled.insert(family);
    }
    (metrics, sampled)
}

scenario!(the_page_of_the_guide_has_every_metric);
async fn the_page_of_the_guide_has_every_metric() {
    let (proxy, _origin) = rich().await;
    let (documented, (shown, sampled)) = (documented(), shown(proxy.admin("/metrics").await.text()));
    let names = |metrics: &Metrics| metrics.keys().cloned().collect::<BTreeSet<_>>();
    let missing: Vec<_> = names(&shown).difference(&names(&documented)).cloned().collect();
    assert!(missing.is_empty(), "docs/metrics.md lacks {missing:?}");
    let gone: Vec<_> = names(&documented).difference(&names(&shown)).cloned().collect();
    assert!(gone.is_empty(), "docs/metrics.md has what nobody shows: {gone:?}");
    for (name, (kind, labels)) in &shown {
        assert_eq!(*kind, documented[name].0, "the type of {name}");
        assert!(!sampled.contains(name) || *labels == documented[name].1, "the labels of {name}: {labels:?}");
    }
    for name in ["tamis_filter_failures_total", "tamis_filter_observed_total", "tamis_endpoint_attempts_total"] {
        assert!(sampled.contains(name), "{name} has no series");
    }
}

/// What `promtool check metrics` says of a page.
async fn promtool(page: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: run scripts/test-deps");
    let mut stdin = promtool.stdin.take().expect("it was piped");
    stdin.write_all(page.as_bytes()).await.expect("promtool reads");
    drop(stdin);
    let output = promtool.wait_with_output().await.expect("promtool ends");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

scenario!(promtool_finds_nothing_to_say);
async fn promtool_finds_nothing_to_say() {
    let (proxy, _origin) = rich().await;
    let page = proxy.admin("/metrics").await;
    // Filters choose names of their own; what they do wrong is theirs.
    assert_eq!(promtool(page.text()).await, "");
    assert!(promtool("# TYPE tamis_requests counter\ntamis_requests 1\n").await.contains("_total"), "it can find something");
}

scenario!(who_asks_for_open_metrics_gets_it);
async fn who_asks_for_open_metrics_gets_it() {
    let (proxy, _origin) = rich().await;
    let answer = proxy.operator().await.get("/metrics").header("accept", "application/openmetrics-text; version=1.0.0").await;
    assert_eq!(answer.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let page = answer.text();
    assert!(page.ends_with("\n# EOF\n") && page.contains("# TYPE tamis_requests counter\n"), "{page}");
    assert!(page.contains("tamis_requests_total{listener=\"edge\",cluster=\"origin\",class=\"2xx\"} 1\n"), "{page}");
}

/// A Prometheus that scrapes one proxy.
struct Prometheus {
    _running: Running,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    async fn of(admin: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("prometheus.yml");
        let config = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\nscrape_configs: [{{ job_name: tamis, static_configs: [{{ targets: ['{admin}'] }}] }}]\n"
        );
        std::fs::write(&file, config).expect("the configuration can be written");
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={free}"),
        ];
        let mut running = Running::start("prometheus", &arguments.each_ref().map(String::as_str));
        running.logs("Server is ready to receive web requests").await;
        let client = client::connect(free).name(&free.to_string()).open().await;
        Self { _running: running, client, _folder: folder }
    }

    /// The values of a query, by their labels.
    async fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.client.get(&format!("/api/v1/query?query={encoded}")).await.json();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let results = answer["data"]["result"].as_array().expect("a vector").clone();
        let value = |result: &Value| result["value"][1].as_str().and_then(|value| value.parse().ok()).expect("a number");
        results.iter().map(|result| (result["metric"].clone(), value(result))).collect()
    }

    /// Waits until a query has one value, and it is this one.
    async fn becomes(&self, query: &str, expected: f64) {
        loop {
            let values = self.query(query).await;
            if matches!(values[..], [(_, value)] if value == expected) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Those of docs/metrics.md, in its order.
fn golden_queries() -> [String; 3] {
    let page = std::fs::read_to_string(repository().join("docs/metrics.md")).expect("docs/metrics.md");
    let queries: Vec<String> =
        page.split("```promql\n").skip(1).filter_map(|rest| rest.split("\n```").next()).map(str::to_owned).collect();
    queries.try_into().expect("three golden queries")
}

scenario!(the_golden_queries_answer_in_a_prometheus);
async fn the_golden_queries_answer_in_a_prometheus() {
    let origin = origin().route("/", "well").route_fn("/bad", |_| async { Reply::new(503) }).run();
    let proxy = Edge::HTTP1_PLAIN.forward_to(&origin);
    let client = proxy.client().await;
    let ask = async |well: usize, badly: usize| {
        for number in 0..well + badly {
            client.get(if number < well { "/" } else { "/bad" }).await;
        }
    };
    // A rate is about what comes after the first look at a series.
    ask(1, 1).await;
    let prometheus = Prometheus::of(proxy.admin_address()).await;
    prometheus.becomes("sum(tamis_requests_total)", 2.0).await;
    ask(60, 20).await;
    prometheus.becomes("sum(tamis_requests_total)", 82.0).await;
    prometheus.becomes("up", 1.0).await;
    let one = async |query: &str| {
        let values = prometheus.query(query).await;
        let [(labels, value)] = &values[..] else { panic!("one listener, one cluster: {values:?}") };
        assert_eq!((&labels["listener"], &labels["cluster"]), (&"edge".into(), &"origin".into()));
        *value
    };
    let [success, rate, slowest] = golden_queries();
    let success = one(&success).await;
    // Prometheus reckons with what it has not seen at the ends, for each series by itself.
    assert!((0.7..0.8).contains(&success), "60 of 80 went well: {success}");
    // Over five minutes, of which there were a few seconds.
    let rate = one(&rate).await * 300.0;
    assert!((80.0..160.0).contains(&rate), "{rate} in five minutes");
    let slowest = one(&slowest).await;
    assert!(slowest > 0.0 && slowest <= 60.0, "{slowest} seconds");
}

scenario!(no_path_and_no_client_makes_a_series);
async fn no_path_and_no_client_makes_a_series() {
    const PATHS: u32 = 100_000;
    const CLIENTS: u32 = 10_000;
    const CONNECTIONS: u32 = 4;
    let proxy = proxy(
        "[listeners.edge]\ntrusted = ['127.0.0.0/8']\nlimits = { requests-per-connection = 0 }\n[access-log]\nwhen = { failures = false }\n",
    );
    let series = async || proxy.admin("/metrics").await.text().lines().filter(|line| !line.starts_with('#')).count();
    let not_found = "tamis_own_answers_total{listener=\"edge\",reason=\"no-route\"}";
    assert_eq!(proxy.client().await.get("/first").await.status, 404);
    proxy.metric_becomes(not_found, |count| count == 1.0).await;
    let before = series().await;
    let address = proxy.address();
    let connections = (0..CONNECTIONS).map(|connection| tokio::spawn(flood(address, connection, PATHS / CONNECTIONS, CLIENTS)));
    for connection in connections.collect::<Vec<_>>() {
        connection.await.expect("no panic");
    }
    proxy.metric_becomes(not_found, |count| count == f64::from(PATHS + 1)).await;
    proxy.metric_becomes("tamis_requests_active{listener=\"edge\"}", |active| active == 0.0).await;
    assert_eq!(series().await, before);
}

/// Asks for so many paths, each another one, for clients of so many addresses, one request after the other without waiting.
async fn flood(proxy: SocketAddr, connection: u32, paths: u32, clients: u32) {
    let stream = tokio::net::TcpStream::connect(proxy).await.expect("the proxy listens");
    let (mut from, mut to) = stream.into_split();
    let ask = async move {
        for number in 0..paths {
            let client = IpAddr::from(Ipv4Addr::from_bits(u32::from_be_bytes([203, 0, 0, 0]) + number % clients));
            let last = if number + 1 == paths { "connection: close\r\n" } else { "" };
            let request = format!("GET /{connection}/{number} HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {client}\r\n{last}\r\n");
            to.write_all(request.as_bytes()).await.expect("the proxy reads");
        }
        to
    };
    let hear = async {
        let mut bytes = vec![0; 64 * 1024];
        while from.read(&mut bytes).await.expect("the proxy answers") > 0 {}
    };
    tokio::join!(ask, hear);
}
