//! What the admin tells an operator.

use std::os::unix::fs::PermissionsExt;

use tamis_tests::command::{output, stderr};
use tamis_tests::{Edge, guest, proxy, refused, scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

scenario!(a_running_proxy_is_ready);
async fn a_running_proxy_is_ready() {
    let proxy = proxy("[listeners.edge]");
    assert_eq!(proxy.admin("/ready").await.status, 200);
}

scenario!(an_unknown_path_is_404);
async fn an_unknown_path_is_404() {
    let proxy = proxy("[listeners.edge]");
    assert_eq!(proxy.admin("/nonsense").await.status, 404);
}

scenario!(filters_are_listed);
async fn filters_are_listed() {
    let module = guest("stamp-a");
    let proxy = proxy(format!(
        r#"
        [listeners.edge]
        filters = ["stamp", "routes"]
        [filters.stamp]
        module = "{module}"
        [filters.routes]
        module = "builtin:router"
        [filters.routes.config]
        routes = []
        "#
    ));
    let answer = proxy.admin("/filters").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let stamp = proxy.filter("stamp").await;
    assert_eq!(
        (&stamp["module"], &stamp["swaps"], &stamp["failed"]),
        (&module.to_string().into(), &0.into(), &serde_json::Value::Null)
    );
    assert!(stamp["hash"].as_str().is_some_and(|hash| hash.len() >= 32), "{stamp}");
    assert!(stamp["since"].as_str().is_some_and(|since| since.starts_with("20") && since.contains('T')), "{stamp}");
    assert_eq!(proxy.filter("routes").await["module"], "builtin:router");
}

scenario!(metrics_are_text_for_a_scraper);
async fn metrics_are_text_for_a_scraper() {
    let proxy = proxy("[listeners.edge]\n[stores.sessions]\n[stores.quota]");
    let answer = proxy.admin("/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; version=0.0.4; charset=utf-8")));
    let page = answer.text();
    let expected = "# TYPE tamis_store_evictions_total counter\n\
        tamis_store_evictions_total{store=\"quota\"} 0\n\
        tamis_store_evictions_total{store=\"sessions\"} 0\n";
    assert!(page.contains(expected), "{page}");
}

scenario!(the_admin_is_not_for_proxying);
async fn the_admin_is_not_for_proxying() {
    let origin = tamis_tests::origin().route("/ready", "the origin's").run();
    let proxy = Edge::HTTP1_PLAIN.forward_to(&origin);
    assert_eq!(proxy.client().await.get("/ready").await.text(), "the origin's");
    assert_ne!(proxy.admin("/ready").await.text(), "the origin's");
}

scenario!(an_address_that_others_reach_asks_for_a_token);
async fn an_address_that_others_reach_asks_for_a_token() {
    for open in ["0.0.0.0:0", "[::]:0"] {
        let why = refused(format!("[listeners.edge]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '{open}'"));
        assert!(why.contains("there is no `token-file`") && why.contains("tamis.toml:4:"), "{why}");
    }
    let token = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(token.path(), "0123456789abcdef0123").expect("written");
    let toml = format!("[listeners.edge]\n[admin]\nlisten = '0.0.0.0:0'\ntoken-file = '{}'", token.path().display());
    let proxy = proxy(toml);
    let port = proxy.admin_address().port();
    let client = tamis_tests::client::connect(([127, 0, 0, 1], port).into()).open().await;
    assert_eq!(client.get("/ready").await.status, 200);
    assert_eq!(client.request("DELETE", "/filters/none").await.status, 401);
}

/// The fields that the dashboard's page is sent with by a browser.
fn own_page(host: &str) -> [(&'static str, String); 3] {
    [("x-tamis-dashboard", "1".to_owned()), ("origin", format!("http://{host}")), ("sec-fetch-site", "same-origin".to_owned())]
}

scenario!(only_the_admins_own_page_makes_changes);
async fn only_the_admins_own_page_makes_changes() {
    let proxy = proxy("[listeners.edge]");
    let host = proxy.admin_address().to_string();
    let status = async |fields: &[(&str, String)]| {
        let mut request = proxy.operator().await.request("DELETE", "/filters/none");
        for (name, value) in fields {
            request = request.header(name, value.as_str());
        }
        request.await.status
    };
    let own = own_page(&host);
    // It may: there is only nothing of this name.
    assert_eq!(status(&own).await, 404);
    // A page from elsewhere cannot send the field, says where it is from, or both.
    assert_eq!(status(&own[1..]).await, 403);
    assert_eq!(status(&[own[0].clone(), ("origin", "http://evil.example".to_owned())]).await, 403);
    assert_eq!(status(&[own[0].clone(), own[1].clone(), ("sec-fetch-site", "cross-site".to_owned())]).await, 403);
    // Nor does it get leave to.
    let asked = proxy.operator().await.request("OPTIONS", "/filters/none").header("origin", "http://evil.example").await;
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (405, None));
}

scenario!(a_socket_of_the_file_system_is_for_this_user_alone);
async fn a_socket_of_the_file_system_is_for_this_user_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.sock");
    // What a process left behind that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
    let toml = format!("[listeners.edge]\n[admin]\nlisten = 'unix:{}'", path.display());
    let proxy = proxy(&toml);
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut stream = tokio::net::UnixStream::connect(&path).await.expect("it is served");
    stream.write_all(b"DELETE /filters/none HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let listed =
        output(env!("CARGO_BIN_EXE_tamis-cli"), &["filter", "list", "--admin", &format!("unix:{}", path.display())]).await;
    assert!(listed.status.success(), "{}", stderr(&listed));
    let why = refused(toml.replace("[admin]", "listen = '127.0.0.1:0'\n[admin]"));
    assert!(why.contains("the admin cannot listen on unix:"), "{why}");
    drop(proxy);
    assert!(!path.exists());
}

scenario!(a_head_that_does_not_come_is_not_waited_for);
async fn a_head_that_does_not_come_is_not_waited_for() {
    let proxy = proxy("[listeners.edge]\n[admin]\nconnections = 1\nrequest-headers = '50ms'");
    let mut slow = tokio::net::TcpStream::connect(proxy.admin_address()).await.expect("connected");
    slow.write_all(b"GET /ready HTTP/1.1\r\nhost: ").await.expect("sent");
    // It has the only place, until it is closed.
    assert_eq!(proxy.admin("/ready").await.status, 200);
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest).await;
}
