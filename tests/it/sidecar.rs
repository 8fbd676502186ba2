//! Proxies beside services: a plain call becomes mutual TLS between two of them, and neither service knows.

use std::path::Path;

use tamis_tests::certificates::{self, Authority, Certificate};
use tamis_tests::command::{output, repository, stderr, stdout};
use tamis_tests::{Edge, Origin, Proxy, Raw, client, origin, scenario};

const TAMIS: &str = env!("CARGO_BIN_EXE_tamis-cli");

fn who(certificate: &Certificate, authority: &Authority) -> String {
    format!(
        "certificate = '{}'\nkey = '{}'\nca = ['{}']\n",
        certificate.chain.display(),
        certificate.key.display(),
        authority.file().display()
    )
}

/// Beside the service `users`, before this origin.
fn users(authority: &Authority, id: &str, origin: &Origin, more: &str) -> Proxy {
    let certificate = authority.certificate(&[id]).make();
    Edge::HTTP1_PLAIN.proxy(format!(
        "{more}\n[listeners.inbound]\n[listeners.outbound]\n[sidecar]\nservice = 'users'\nport = 8080\napplication = '{origin}'\nipv6 = false\n\
         trust-domain = 'shop.example'\nallow = ['spiffe://shop.example/ns/*/sa/web']\n{}",
        who(&certificate, authority)
    )
    )
}

fn permissive(authority: &Authority, origin: &Origin) -> Proxy {
    let certificate = authority.certificate(&["spiffe://shop.example/ns/shop/sa/users"]).make();
    Edge::HTTP1_PLAIN.proxy(format!(
        "[listeners.inbound]\n[sidecar]\nservice = 'users'\nport = 8080\nmode = 'permissive'\napplication = '{origin}'\nipv6 = false\n\
         outbound = '127.0.0.1:0'\ntrust-domain = 'shop.example'\n{}",
        who(&certificate, authority)
    ))
}

/// Beside the service `web`, which calls `users`.
fn web(authority: &Authority, users: &Proxy, more: &str) -> Proxy {
    let certificate = authority.certificate(&["spiffe://shop.example/ns/shop/sa/web"]).make();
    Edge::HTTP1_PLAIN.proxy(format!(
        "[listeners.inbound]\n[listeners.outbound]\n[sidecar]\nservice = 'web'\nport = 8081\nipv6 = false\ntrust-domain = 'shop.example'\n{}{more}\n\
         [services.users]\nendpoints = ['{}']\nhosts = ['users', 'users.shop']\nidentities = ['spiffe://shop.example/ns/*/sa/users']\n",
        who(&certificate, authority),
        users.listener("inbound")
    ))
}

async fn call(proxy: &Proxy, host: &str) -> tamis_tests::Answer {
    client::connect(proxy.listener("outbound")).open().await.get("/a//b").header("host", host).await
}

scenario!(a_plain_call_becomes_mutual_tls_with_http2);
async fn a_plain_call_becomes_mutual_tls_with_http2() {
    let origin = origin().route("*", "users are here").run();
    let authority = certificates::authority();
    let users = users(&authority, "spiffe://shop.example/ns/shop/sa/users", &origin, "");
    let web = web(&authority, &users, "");
    for host in ["users", "users.shop:8080"] {
        let answer = call(&web, host).await;
        assert_eq!((answer.status, answer.text()), (200, "users are here"), "{host}");
    }
    let line = users.access_log().lines(2).await.remove(0);
    assert_eq!((&line["protocol"], &line["identity"]), (&"h2".into(), &"spiffe://shop.example/ns/shop/sa/web".into()), "{line}");
    let told =
        origin.requests()[0].headers.get("x-forwarded-client-cert").expect("the service may know").to_str().unwrap().to_owned();
    assert!(told.contains("URI=spiffe://shop.example/ns/shop/sa/web"), "{told}");
    users.metric_becomes("tamis_connections_mode_total{listener=\"inbound\",mode=\"mtls\"}", |count| count > 0.0).await;
    web.metric_becomes("tamis_connections_mode_total{listener=\"outbound\",mode=\"plain\"}", |count| count >= 2.0).await;
}

scenario!(strict_takes_no_plain_call_and_permissive_counts_them);
async fn strict_takes_no_plain_call_and_permissive_counts_them() {
    let origin = origin().route("*", "users are here").run();
    let authority = certificates::authority();
    let strict = users(&authority, "spiffe://shop.example/ns/shop/sa/users", &origin, "");
    let mut raw = Raw::plain(strict.listener("inbound")).await;
    raw.try_send("GET / HTTP/1.1\r\nhost: users\r\n\r\n").await;
    assert!(raw.try_head().await.is_none_or(|head| head.status != 200), "no plain call gets through");
    let permissive = permissive(&authority, &origin);
    let plain = client::connect(permissive.listener("inbound")).open().await.get("/").await;
    assert_eq!(plain.text(), "users are here");
    assert_eq!(call(&web(&authority, &permissive, ""), "users").await.status, 200);
    for mode in ["plain", "mtls"] {
        let series = format!("tamis_connections_mode_total{{listener=\"inbound\",mode=\"{mode}\"}}");
        permissive.metric_becomes(&series, |count| count >= 1.0).await;
    }
}

scenario!(who_is_of_another_trust_domain_is_refused_with_the_reason);
async fn who_is_of_another_trust_domain_is_refused_with_the_reason() {
    let origin = origin().route("*", "users are here").run();
    let authority = certificates::authority();
    for id in ["spiffe://evil.example/ns/shop/sa/users", "spiffe://shop.example/ns/shop/sa/somebody"] {
        let users = users(&authority, id, &origin, "");
        let web = web(&authority, &users, "");
        let answer = call(&web, "users").await;
        assert_eq!((answer.status, answer.reason()), (502, Some("upstream-tls")), "{id}");
        let line = web.access_log().line().await.to_string();
        assert!(line.contains(id), "the log tells who it was: {line}");
        web.metric_becomes("tamis_cluster_tls_failures_total{cluster=\"users\",why=\"identity\"}", |count| count >= 1.0).await;
    }
    assert!(origin.requests().is_empty());
}

scenario!(unknown_destinations_are_refused_by_policy_and_loops_are_recognised);
async fn unknown_destinations_are_refused_by_policy_and_loops_are_recognised() {
    let origin = origin().run();
    let authority = certificates::authority();
    let users = users(&authority, "spiffe://shop.example/ns/shop/sa/users", &origin, "");
    let refusing = web(&authority, &users, "unknown = 'refuse'\n");
    let answer = call(&refusing, "nobody").await;
    assert!(answer.status == 403 && answer.text().contains("no service is known"), "{}", answer.text());
    // Nobody has redirected this connection: where it was going is the proxy itself.
    let passing = web(&authority, &users, "");
    let answer = call(&passing, "nobody").await;
    assert_eq!((answer.status, answer.reason()), (508, Some("loop")));
}

fn written(folder: &Path, more: &str) -> String {
    let file = folder.join("sidecar.toml");
    let text = format!(
        "[sidecar]\nservice = 'web'\nport = 8080\ntrust-domain = 'shop.example'\nworkload-api = '/run/spire/agent.sock'\ndirectory = '.'\nmark = 1337\n\
         [services.users]\nendpoints = ['10.0.0.2:8080']\n{more}"
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

scenario!(what_a_short_file_stands_for_can_be_read_and_changed);
async fn what_a_short_file_stands_for_can_be_read_and_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), "[listeners.inbound.limits]\nconnections = 77\n");
    let printed = output(TAMIS, &["sidecar", "-c", &file, "--print"]).await;
    assert!(printed.status.success(), "{}", stderr(&printed));
    let table: toml::Table = stdout(&printed).parse().expect("it is TOML");
    let names = |part: &str| table[part].as_table().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names("listeners"), ["inbound", "outbound", "outbound-v6"]);
    assert_eq!(names("clusters"), ["application", "passthrough", "users"]);
    assert_eq!(table["listeners"]["inbound"]["limits"]["connections"].as_integer(), Some(77), "what the file says holds");
    assert_eq!(table["mark"].as_integer(), Some(1337));
    assert!(!table.contains_key("sidecar") && !table.contains_key("services"));
    // It stands for what it prints.
    std::fs::write(folder.path().join("whole.toml"), stdout(&printed)).unwrap();
    let whole = folder.path().join("whole.toml");
    let again = output(TAMIS, &["sidecar", "-c", whole.to_str().unwrap(), "--print"]).await;
    assert!(stderr(&again).contains("there is no [sidecar]"), "{}", stderr(&again));
    let wrong = written(folder.path(), "nonsense = 1\n");
    let ran = output(TAMIS, &["sidecar", "-c", &wrong, "--print"]).await;
    assert!(!ran.status.success() && stderr(&ran).contains("sidecar.toml:10:1"), "{}", stderr(&ran));
}

scenario!(what_is_no_http_passes_by_filters_of_the_service_only_where_they_keep_it_from_nothing);
async fn what_is_no_http_passes_by_filters_of_the_service_only_where_they_keep_it_from_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let written = async |more: &str| {
        let file = folder.path().join("sidecar.toml");
        let text = format!(
            "[sidecar]\nservice = 'web'\nport = 8080\ntrust-domain = 'shop.example'\nworkload-api = '/run/spire/agent.sock'\ndirectory = '.'\nipv6 = false\n\
             inbound-filters = ['tokens']\noutbound-filters = ['egress']\n{more}\n[services.users]\nendpoints = ['10.0.0.2:8080']\n\
             [filters.tokens]\nmodule = 'builtin:headers'\n[filters.egress]\nmodule = 'builtin:headers'\n"
        );
        std::fs::write(&file, text).unwrap();
        let printed = output(TAMIS, &["sidecar", "-c", file.to_str().unwrap(), "--print"]).await;
        let table: toml::Table = stdout(&printed).parse().expect("it is TOML");
        let unfiltered = |listener: &str| {
            let tcp = table["listeners"][listener].get("tcp")?.get("unfiltered")?.as_array()?;
            Some(tcp.iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" "))
        };
        (unfiltered("inbound"), unfiltered("outbound").unwrap())
    };
    assert_eq!(written("").await, (None, "egress services".to_owned()));
    assert_eq!(written("unknown = 'refuse'").await, (None, "services".to_owned()));
    let named = "unknown = 'refuse'\nunfiltered = ['tokens', 'egress']";
    assert_eq!(written(named).await, (Some("tokens".to_owned()), "egress services".to_owned()));
}

scenario!(rules_are_printed_for_both_tools);
async fn rules_are_printed_for_both_tools() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), "");
    let rules = async |more: &[&str]| {
        let ran = output(TAMIS, &[&["sidecar", "rules", "-c", &file][..], more].concat()).await;
        assert!(ran.status.success(), "{more:?}: {}", stderr(&ran));
        stdout(&ran).to_owned()
    };
    let nft = rules(&["--tool", "nft", "--uid", "1337", "--exclude-port", "22"]).await;
    for part in
        ["meta skuid 1337 return", "tcp dport 8080", "redirect to :15006", "tcp dport { 22 } return", "redirect to :15001"]
    {
        assert!(nft.contains(part), "{part}: {nft}");
    }
    let iptables = rules(&["--tool", "iptables"]).await;
    assert!(iptables.contains("--mark 0x539 -j RETURN") && iptables.contains("ip6tables-restore"), "{iptables}");
}

/// In network namespaces, which takes root and programs that CI has. It starts six programs and waits for them, so that the time of a
/// scenario may not do on a busy machine.
#[test]
fn two_services_in_namespaces_of_their_own() {
    let probe = "ip netns add tamis-probe && ip netns del tamis-probe && command -v nft && command -v python3";
    let may = std::process::Command::new("sh").args(["-c", probe]).output().unwrap();
    if !may.status.success() {
        eprintln!("SKIPPED: this needs root, network namespaces, nft and python3: {}", stderr(&may));
        return;
    }
    let ran = std::process::Command::new(repository().join("scripts/must-show/sidecar.sh"))
        .env("TAMIS", TAMIS)
        .env("TAMIS_ORIGIN", env!("CARGO_BIN_EXE_tamis-origin"))
        .env("TAMIS_DEBUG", "1")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}{}", stdout(&ran), stderr(&ran));
}
