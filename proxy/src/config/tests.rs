//! Golden pairs: `golden/NAME.toml` in, `golden/NAME.txt` out. `TAMIS_BLESS=1` writes what comes out.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use proptest::prelude::*;

use super::*;

/// Set to write the expected side of every pair anew; the change then shows in the diff.
const BLESS: &str = "TAMIS_BLESS";

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares `actual` with a file, or writes it there.
fn assert_golden(file: &Path, actual: &str) {
    if env::var_os(BLESS).is_some() {
        fs::write(file, actual).expect("the golden file can be written");
        return;
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    assert!(expected == actual, "{} is not what comes out; {BLESS}=1 writes it anew. It comes out:\n{actual}", file.display());
}

/// A test's own words in place of a file.
fn judge(text: &str) -> Result<Loaded, Problems> {
    parse(text, Path::new("etc/tamis.toml"))
}

fn problems(text: &str) -> Problems {
    judge(text).expect_err("a mistake")
}

#[test]
fn golden_pairs() {
    let folder = crate_folder().join("src/config/golden");
    let mut inputs: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder of golden pairs")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 12, "golden pairs are missing");
    for input in inputs {
        let text = fs::read_to_string(&input).expect("a readable pair");
        let name = Path::new(input.file_name().expect("a file name"));
        let said = match parse(&text, name) {
            Ok(_) => "valid\n".to_owned(),
            Err(problems) => format!("{problems}\n"),
        };
        assert_golden(&input.with_extension("txt"), &said);
    }
}

#[test]
fn five_mistakes_in_five_lines() {
    let text = include_str!("golden/five-in-five-lines.toml");
    let found: Vec<_> = problems(text).iter().map(|problem| (problem.line, problem.column)).collect();
    assert_eq!(found, [(1, 11), (2, 20), (3, 1), (4, 55), (5, 33)]);
}

#[test]
fn line_ends_do_not_move_a_position() {
    for ending in ["\n", "\r\n"] {
        let text = ["# é", "[listeners.edge]", "listen = \"x\"", "liste = \"ü\"", ""].join(ending);
        let found: Vec<_> = problems(&text).iter().map(|problem| (problem.line, problem.column)).collect();
        assert_eq!(found, [(3, 10), (4, 1)], "{ending:?}");
        assert!(!problems(&text).to_string().contains('\r'));
    }
}

#[test]
fn a_column_is_a_character() {
    let text = "listeners = { \"é\" = { listen = \"127.0.0.1:1\" }, edge = 'ü' }";
    let found: Vec<_> = problems(text).iter().map(|problem| problem.column).collect();
    assert_eq!(found, [15, 56]);
}

#[test]
fn a_syntax_error_is_told_alone() {
    let found = problems("unknown = 1\nworkers = \"x\nfoo = 1\n");
    assert_eq!(found.len(), 1);
    assert_eq!(found.iter().next().map(|problem| problem.line), Some(2));
}

#[test]
fn everything_has_a_default_but_what_cannot() {
    let loaded = judge("[listeners.edge]\nlisten = \"127.0.0.1:0\"\n").expect("valid");
    let Config {
        workers,
        mark,
        admin,
        state,
        access_log,
        redact,
        tracing,
        limits,
        drain,
        upgrade,
        dns,
        modules,
        spiffe,
        sidecar,
        services,
        listeners,
        clusters,
        filters,
        chains,
        stores,
    } = loaded.config;
    assert_eq!((spiffe, sidecar, upgrade, mark), (None, None, Upgrade::default(), None));
    assert!(services.is_empty());
    assert_eq!((workers, admin, state), (None, None, State::default()));
    assert_eq!((access_log, redact, tracing), (AccessLog::default(), Redact::default(), None));
    assert_eq!((limits, drain, dns), (ProcessLimits::default(), Drain::default(), Dns::default()));
    assert!(clusters.is_empty() && filters.is_empty() && chains.is_empty() && stores.is_empty());
    assert_eq!(modules, Modules::default());
    let edge = &listeners["edge"];
    assert_eq!((&edge.limits, &edge.timeouts), (&ListenerLimits::default(), &ListenerTimeouts::default()));
    assert_eq!((&edge.tls, &edge.cluster, &edge.paths), (&None, &None, &Paths::default()));
    assert!(edge.reject_underscores);
}

#[test]
fn a_mark_is_of_everything_that_is_opened() {
    let text = "mark = 7\nmodules = { cache = 'off' }\ntracing = { endpoint = 'http://127.0.0.1:4318' }\n\
                [listeners.edge]\nlisten = '127.0.0.1:0'\n\
                [clusters.a]\nendpoints = []\n[clusters.b]\nendpoints = []\nmark = 8\n[stores.s]\nbackend = 'redis'\nurl = 'redis://127.0.0.1'\n";
    let config = judge(text).expect("valid").config;
    assert_eq!((config.clusters["a"].mark, config.clusters["b"].mark), (Some(7), Some(8)));
    assert_eq!(config.modules.mark, Some(7));
    assert_eq!(config.tracing.and_then(|tracing| tracing.export.as_ref()?.mark), Some(7));
    let Backend::Redis(redis) = &config.stores["s"].backend else { panic!("it is in Redis") };
    assert_eq!(redis.mark, Some(7));
}

#[test]
fn every_value_reaches_its_field() {
    let loaded = judge(include_str!("golden/valid-everything.toml")).expect("valid");
    let config = loaded.config;
    assert_eq!(config.workers, Some(3));
    assert_eq!(config.admin.and_then(|admin| admin.token_file), Some(PathBuf::from("etc/admin.token")));
    assert_eq!(config.state, State { directory: Some(PathBuf::from("/var/lib/tamis")), versions: 5 });
    assert_eq!(config.access_log.output, AccessLogOutput::File(PathBuf::from("etc/logs/access.log")));
    let named = |name: &str, value| (Arc::from(name), LogField::Value(value));
    let LogFormat::Json(fields) = config.access_log.format else { panic!("expected JSON") };
    let line = LogField::Text(LogTemplate::parse("{method} {path|none}").unwrap());
    let expected = [
        named("time", LogValue::Time),
        named("status", LogValue::Status),
        named("tls_version", LogValue::TlsVersion),
        named("agent", LogValue::Header(http::header::USER_AGENT)),
        (Arc::from("line"), line),
    ];
    assert_eq!((fields, config.access_log.sample), (expected.to_vec(), 0.25));
    let when = LogWhen { failures: false, status_min: Some(500), slower_than: Some(Duration::from_secs(1)), retried: true };
    assert_eq!(config.access_log.when, when);
    let redact = Redact { fields: vec!["x-secret".parse().unwrap()], query: vec!["key".into()], notes: vec!["user".into()] };
    assert_eq!(config.redact, redact);
    assert!(!config.listeners["edge"].access_log);
    assert_eq!(config.dns.servers, ["10.0.0.2:53".parse().unwrap(), "[::1]:5353".parse().unwrap()]);
    assert_eq!(config.drain.timeout, Duration::from_secs(90));
    let edge = &config.listeners["edge"];
    let certificate = &edge.tls.as_ref().expect("tls").certificates[0];
    assert_eq!((&certificate.chain, &certificate.key), (&"etc/edge.pem".into(), &"/keys/edge.key".into()));
    assert_eq!(edge.filters[..], [Arc::from("routes"), Arc::from("own")]);
    assert_eq!(edge.cluster.as_deref(), Some("users.v1"));
    assert_eq!(edge.trusted, ["10.0.0.0/8".parse().unwrap(), "192.0.2.1/32".parse().unwrap()]);
    assert_eq!(edge.paths, Paths { normalize: false, merge_slashes: false, reject_escaped_slashes: false });
    assert!(!edge.reject_underscores);
    assert_eq!((edge.limits.header_bytes, edge.limits.requests_per_connection), (16 * 1024, 0));
    assert_eq!((edge.timeouts.idle, edge.timeouts.connection_age), (Duration::from_secs(90), Duration::ZERO));
    let users = &config.clusters["users.v1"];
    assert!(users.endpoint_metrics && !config.clusters["nowhere"].endpoint_metrics);
    assert_eq!(users.endpoints[1].at, EndpointSpec::Name { host: Arc::from("users.internal"), port: 8080 });
    let standing = |weight, priority, zone: Option<&str>| Standing { weight, priority, zone: zone.map(Arc::from) };
    let standings: Vec<_> = users.endpoints.iter().map(|endpoint| endpoint.standing.clone()).collect();
    assert_eq!(standings, [standing(1, 0, None), standing(1, 0, Some("a")), standing(10, 1, Some("b"))]);
    assert_eq!((users.zone.as_deref(), config.clusters["nowhere"].zone.as_deref()), (Some("a"), Some("a")));
    let balancing = Balancing {
        panic_percent: 0,
        overprovisioning_percent: 200,
        zone_endpoints_min: 2,
        slow_start: Duration::from_secs(30),
        slow_start_percent_min: 5,
        slow_start_aggression_percent: 150,
        ewma_decay: Duration::from_secs(5),
        ewma_seed: Duration::from_secs(1),
        ewma_penalty: Duration::from_secs(2),
        ewma_penalty_max: Duration::from_secs(60),
        ring_entries_min: 2048,
        ring_entries_max: 4096,
        maglev_entries: 251,
        subsets: 10,
    };
    assert_eq!((&users.balancing, &config.clusters["nowhere"].balancing), (&balancing, &Balancing::default()));
    let labels: Vec<_> = users.endpoints.iter().map(|endpoint| endpoint.labels.get("zone").map(String::as_str)).collect();
    assert_eq!(labels, [None, Some("a"), None]);
    assert_eq!(config.clusters["nowhere"].balance, Balance::Hash);
    assert_eq!((users.limits.replay_bytes, config.clusters["nowhere"].limits.replay_bytes), (0, 64 * 1024));
    assert_eq!((users.balance, users.protocol), (Balance::RoundRobin, UpstreamProtocol::Http2));
    assert!(config.clusters["nowhere"].endpoints.is_empty());
    assert_eq!(users.srv.as_deref(), Some("_http._tcp.users.internal"));
    assert_eq!(users.endpoints_file.as_deref(), Some(Path::new("etc/users.list")));
    let health = users.health.as_ref().expect("a check");
    let probe = HttpProbe {
        method: HttpProbeMethod::Head,
        target: "/healthz?deep".to_owned(),
        host: Some("users.internal".to_owned()),
        statuses: vec![204..=204, 200..=202],
        contains: Some("ok".to_owned()),
    };
    assert_eq!(health.probe, Probe::Http(probe));
    assert_eq!((health.interval.as_millis(), health.timeout.as_millis(), health.unhealthy, health.healthy), (1000, 500, 1, 3));
    let probe = |name: &str| config.clusters[name].health.as_ref().map(|health| health.probe.clone());
    assert_eq!(probe("called"), Some(Probe::Grpc { service: "users.v1.Users".to_owned() }));
    assert_eq!(probe("nowhere"), Some(Probe::Tcp));
    let outliers = Outliers {
        local_failures: 1,
        gateway_errors: 2,
        server_errors: 3,
        failure_percent: 40,
        failure_requests: 50,
        success_rate: true,
        success_rate_requests: 60,
        success_rate_endpoints: 7,
        success_rate_deviation_percent: 80,
        interval: Duration::from_secs(9),
        ejection: Duration::from_secs(10),
        ejection_max: Duration::from_secs(11),
        ejection_jitter: Duration::from_millis(12),
        ejected_percent: 13,
    };
    assert_eq!((&users.outliers, &config.clusters["nowhere"].outliers), (&outliers, &Outliers::default()));
    let own = &config.filters["own"];
    let sha256 = Sha256([0xab; 32]);
    assert_eq!(own.module, ModuleSource::Path { path: "etc/filters/own.wasm".into(), sha256: Some(sha256) });
    let far = &config.filters["far"].module;
    let url = "https://modules.example.com:8443/far.wasm?v=2".parse().unwrap();
    assert_eq!(*far, ModuleSource::Https { url, sha256 });
    assert_eq!(far.to_string(), "https://modules.example.com:8443/far.wasm", "a query may be a secret");
    let modules = Modules {
        cache: ModuleCache::Folder("etc/kept".into()),
        cache_bytes: 1 << 28,
        ca: vec!["etc/own-ca.pem".into()],
        fetch_timeout: Duration::from_secs(10),
        mark: None,
        direct: false,
    };
    assert_eq!(config.modules, modules);
    assert_eq!((own.on_failure, own.deadline, own.memory), (OnFailure::Open, Duration::from_millis(20), 1 << 20));
    let expected = serde_json::json!({
        "text": "a", "number": -1, "share": 0.5, "on": true, "since": "2026-11-22T10:00:00Z",
        "rules": [{"key": ["source"]}, {"key": []}],
    });
    assert_eq!(*own.config, expected);
    assert_eq!(*config.filters["routes"].config, serde_json::json!({}));
    let environment = [("REGION".to_owned(), "eu".to_owned()), ("empty".to_owned(), String::new())].into();
    let allow = Allow { clusters: vec![Arc::from("nowhere")], stores: vec![Arc::from("quota")], environment };
    assert_eq!((&own.allow, &config.filters["routes"].allow), (&allow, &Allow::default()));
    let quota = Store { entries: 5000, bytes: 2 << 20, key_bytes: 100, value_bytes: 1024, ..Store::default() };
    assert_eq!((&*config.stores["quota"], &*config.stores["plain"]), (&quota, &Store::default()));
}

const FILTERED: &str = "\
[listeners.edge]
listen = \"127.0.0.1:0\"
filters = [\"router\", \"bare\"]
[filters.bare]
module = \"builtin:headers\"
[filters.router]
module = \"builtin:router\"
[[filters.router.config.routes]]
match = { path = \"/a\" }
[[filters.router.config.routes]]
match = { path = \"b\", host = \"x\" }
[filters.router.config.hosts]
\"api.example.com\" = { to = 5 }
api = 1
";

#[test]
fn what_a_filter_says_is_placed_where_it_points() {
    let source = judge(FILTERED).expect("valid").source;
    let cases = [
        ("routes[1].match.path: expected a path", (11, 18)),
        ("routes[1].match.method.name: unknown", (11, 9)),
        ("routes[1]: `to` is missing", (10, 1)),
        ("routes[7].match: there is no such route", (8, 1)),
        ("hosts.api.example.com.to: expected a string", (13, 28)),
        ("hosts.api: expected a table", (14, 7)),
        ("expected something else", (6, 1)),
        ("", (6, 1)),
        ("..[[: ", (6, 1)),
    ];
    for (message, position) in cases {
        let problem = source.filter_problem("router", message);
        assert_eq!((problem.line, problem.column), position, "{message}");
        assert_eq!(problem.message, format!("filter `router`: {message}"));
    }
    let bare = source.filter_problem("bare", "set: missing");
    assert_eq!((bare.line, bare.column), (4, 1), "without `config`, the filter's own table");
    assert_eq!(source.filter_problem("gone", "x").line, 4, "without the filter, where filters are");
}

#[test]
fn what_is_said_of_tls_reaches_its_fields() {
    let text = r#"
        [spiffe]
        socket = "agent.sock"
        directory = "/run/tamis"
        [listeners.edge]
        listen = "127.0.0.1:0"
        [listeners.edge.tls]
        mode = "permissive"
        certificates = [{ chain = "a.pem", key = "a.key", ocsp = "a.der", default = true }]
        min-version = "1.3"
        alpn = ["http/1.1"]
        client-auth = { mode = "optional", ca = ["ca.pem"], crl = ["crl.pem"], identities = ["*.a.test"], trust-domain = "a.test", strict-sni = false, forward = true }
        [clusters.users]
        endpoints = ["10.0.0.1:443"]
        tls = { ca = ["ca.pem"], crl = ["crl.pem"], server-name = "users", certificate = "b.pem", key = "b.key", min-version = "1.3", identities = ["spiffe://a.test/**"], trust-domain = "a.test" }
    "#;
    let config = judge(text).expect("valid").config;
    let here = |name: &str| PathBuf::from("etc").join(name);
    let spiffe = Spiffe { socket: here("agent.sock"), directory: "/run/tamis".into(), wait: defaults::SPIFFE_WAIT };
    assert_eq!(config.spiffe, Some(spiffe));
    let certificate = Certificate { chain: here("a.pem"), key: here("a.key"), ocsp: Some(here("a.der")), default: true };
    let server = ServerTls {
        mode: TlsMode::Permissive,
        certificates: vec![certificate],
        min_version: TlsVersion::Tls13,
        alpn: vec![Alpn::Http1],
        client_auth: ClientAuth {
            mode: ClientAuthMode::Optional,
            ca: vec![here("ca.pem")],
            crl: vec![here("crl.pem")],
            identities: vec![IdentityPattern::Below(".a.test".into())],
            trust_domain: Some("a.test".into()),
            strict_sni: false,
            forward: true,
        },
    };
    assert_eq!(config.listeners["edge"].tls.as_ref().expect("tls"), &server);
    assert_eq!(server.files().count(), 5);
    let segments = ["spiffe:", "", "a.test"].map(str::to_owned).to_vec();
    let client = ClientTls {
        ca: vec![here("ca.pem")],
        crl: vec![here("crl.pem")],
        server_name: Some("users".into()),
        verify: true,
        certificate: Some((here("b.pem"), here("b.key"))),
        min_version: TlsVersion::Tls13,
        identities: vec![IdentityPattern::Segments { segments, open: true }],
        trust_domain: Some("a.test".into()),
    };
    assert_eq!(config.clusters["users"].tls.as_ref().expect("tls"), &client);
    assert_eq!(client.files().count(), 4);
}

#[test]
fn what_is_found_later_is_placed_too() {
    let source = judge(include_str!("golden/valid-everything.toml")).expect("valid").source;
    let tls = ["listeners", "edge", "tls", "certificates"].map(Step::from);
    let chain = [&tls[..], &[Step::from(0), Step::from("chain")]].concat();
    let problem = source.problem_at(&chain, "no such file");
    assert_eq!(&source.text()[problem.span.expect("a span")], "\"edge.pem\"");
    let problem = source.problem_at(&[&tls[..], &[Step::from(5)]].concat(), "no such certificate");
    assert!(source.text()[problem.span.expect("a span")].starts_with('['));
    assert_eq!(source.problem_at(&[Step::from("nothing")], "x").line, 1);
    assert_eq!(source.problem_at(&[], "out of memory").to_string(), "etc/tamis.toml: out of memory");
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let missing = load(Path::new("no/such/tamis.toml")).expect_err("no file");
    assert_eq!(missing.len(), 1);
    assert!(missing.to_string().contains("no/such/tamis.toml"), "{missing}");
    assert_eq!(load(crate_folder()).expect_err("a folder").len(), 1);
}

#[test]
fn text_that_is_not_utf8_has_a_position() {
    let file = env::temp_dir().join(format!("tamis-config-{}.toml", std::process::id()));
    fs::write(&file, b"workers = 1\n# \xff\n").expect("a temporary file");
    let found = load(&file).expect_err("not UTF-8");
    fs::remove_file(&file).expect("the temporary file");
    let found = found.iter().next().expect("one problem");
    assert_eq!((found.line, found.column), (2, 3));
}

#[test]
fn problems_stay_sorted() {
    let source = judge(FILTERED).expect("valid").source;
    let at = |line| source.filter_problem("router", if line == 6 { "x" } else { "hosts: x" });
    let mut all = Problems::from(vec![at(12), at(6)]);
    all.push(source.filter_problem("bare", "x"));
    all.merge(at(6).into());
    let lines: Vec<_> = all.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [4, 6, 6, 12]);
    assert_eq!(all.to_json()[0]["line"], 4);
}

#[test]
fn the_reference_page_is_what_the_reader_takes() {
    assert_golden(&crate_folder().join("../docs/configuration.md"), &reference::page());
}

#[test]
fn the_example_of_the_reference_is_valid() {
    let page = reference::page();
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    judge(example).expect("valid");
}

/// docs/limits.md is written by hand for its reasons; its figures are not.
#[test]
fn the_page_of_limits_has_every_limit_with_its_default() {
    let page = fs::read_to_string(crate_folder().join("../docs/limits.md")).expect("docs/limits.md");
    let missing: Vec<String> = reference::limit_rows()
        .into_iter()
        .map(|(key, default)| format!("| `{key}` | {default} |"))
        .filter(|start| !page.lines().any(|line| line.starts_with(start.as_str())))
        .collect();
    assert!(missing.is_empty(), "docs/limits.md lacks these rows, each with its reason:\n{}", missing.join("\n"));
}

proptest! {
    #[test]
    fn no_text_is_a_crash(text in "\\PC*|[\\[\\]{}=.,\"'#a-e0-9\\r\\n \u{e9}]{0,80}") {
        if let Err(problems) = judge(&text) {
            prop_assert!(!problems.is_empty());
            prop_assert!(!problems.render(true).is_empty());
        }
    }

    #[test]
    fn no_value_is_a_crash(key in 0usize..64, value in "\"\\PC{0,20}\"|[+-]?[0-9]{1,30}|\\[[0-9, ]{0,10}\\]|nan|1e999|true") {
        let rows = reference::rows();
        let row = &rows[key % rows.len()];
        let section = row.section.replace("NAME", "a").replace("[]", "");
        let key = if row.key.is_empty() { "x" } else { row.key };
        let text = if section.is_empty() { format!("{key} = {value}") } else { format!("[{section}]\n{key} = {value}") };
        if let Err(problems) = judge(&text) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    #[test]
    fn no_message_of_a_filter_is_a_crash(message in "[a-z.:\\[\\]0-9 ]{0,40}") {
        let source = judge(FILTERED).expect("valid").source;
        prop_assert!(source.filter_problem("router", &message).line >= 6);
    }
}
