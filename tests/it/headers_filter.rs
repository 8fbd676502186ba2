//! The headers filter that ships: what it does to requests and responses, and what it says about a bad rule.

use serde_json::json;
use tamis_tests::{Edge, Reply, matrix, origin, refused, scenario, shipped};

matrix!(fields_are_removed_set_and_added);
async fn fields_are_removed_set_and_added(edge: Edge) {
    let origin = origin().echo("/").run();
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        filters = ["headers"]
        [filters.headers]
        module = "builtin:headers"
        [filters.headers.config.request]
        remove = "x-secret"
        set = {{ x-client = "{{source}}", x-where = "{{host}}{{path}}", x-id = "{{request-id}}", x-copy = "{{header:x-many}}" }}
        add = {{ x-many = ["three", "four"] }}
        [clusters.origin]
        endpoints = ["{origin}"]
        "#
    ));
    let request =
        proxy.client().await.get("/").header("x-secret", "1").header("x-client", "forged").header("x-request-id", "id-1");
    let seen = request.header("x-many", "one").header("x-many", "two").await.json();
    let field = |name: &str| &seen["headers"][name];
    assert_eq!(field("x-secret"), &json!(null));
    assert_eq!(
        (field("x-client"), field("x-where"), field("x-id")),
        (&json!(["127.0.0.1"]), &json!(["edge.test/"]), &json!(["id-1"]))
    );
    assert_eq!(field("x-many"), &json!(["one", "two", "three", "four"]));
    assert_eq!(field("x-copy"), &json!(["one, two"]));
}

matrix!(fields_of_an_answer_are_removed_set_and_added);
async fn fields_of_an_answer_are_removed_set_and_added(edge: Edge) {
    let origin =
        origin().route_fn("*", |_| async { Reply::new(200).header("server", "secret/1.0").header("x-by", "origin") }).run();
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        cluster = "origin"
        filters = ["headers"]
        [filters.headers]
        module = "builtin:headers"
        [filters.headers.config.response]
        remove = ["server"]
        set = {{ x-path = "{{path}}" }}
        add = {{ x-by = "tamis" }}
        [clusters.origin]
        endpoints = ["{origin}"]
        "#
    ));
    let answer = proxy.client().await.get("/a?b").await;
    assert_eq!((answer.header("server"), answer.header("x-path")), (None, Some("/a")));
    assert_eq!(answer.headers.get_all("x-by").iter().collect::<Vec<_>>(), ["origin", "tamis"]);
}

matrix!(what_the_router_notes_is_there_for_the_next);
async fn what_the_router_notes_is_there_for_the_next(edge: Edge) {
    let origin = origin().echo("*").run();
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        filters = ["router", "headers"]
        [filters.router]
        module = "builtin:router"
        [[filters.router.config.routes]]
        match = {{ path-template = "/users/{{id}}" }}
        to = "origin"
        [filters.headers]
        module = "builtin:headers"
        [filters.headers.config.request]
        set = {{ x-user = "{{note:path.id}}" }}
        [filters.headers.config.response]
        set = {{ x-user = "{{note:path.id}}" }}
        [clusters.origin]
        endpoints = ["{origin}"]
        "#
    ));
    let answer = proxy.client().await.get("/users/7").await;
    assert_eq!(answer.header("x-user"), Some("7"));
    assert_eq!(answer.json()["headers"]["x-user"], json!(["7"]));
}

scenario!(a_bad_template_is_told_with_its_position);
async fn a_bad_template_is_told_with_its_position() {
    let said = refused(
        r#"[listeners.edge]
listen = "127.0.0.1:0"
filters = ["headers"]
[filters.headers]
module = "builtin:headers"
[filters.headers.config.request]
set = { x-client = "{sorce}" }
"#,
    );
    assert!(said.contains("tamis.toml:7:20") && said.contains("{sorce}"), "{said}");
}

matrix!(its_examples_do_what_they_say);
async fn its_examples_do_what_they_say(edge: Edge) {
    let app = origin().route_fn("/a", |_| async { Reply::new(200).header("server", "secret").header("x-powered-by", "x") }).run();
    let run = |file: &str| edge.proxy(shipped("headers", file, &[("app", &app)]));

    let proxy = run("edge");
    let answer = proxy.client().await.get("/a").header("x-internal-user", "root").await;
    assert_eq!((answer.header("server"), answer.header("strict-transport-security")), (None, Some("max-age=31536000")));
    assert!(answer.header("x-answered-for").unwrap().ends_with("/a"));
    assert_eq!(app.requests()[0].header("x-internal-user"), None);
    assert_eq!(app.requests()[0].header("x-original-path"), Some("/a"));

    let answer = run("security").client().await.get("/a").await;
    assert_eq!((answer.header("x-powered-by"), answer.header("x-frame-options")), (None, Some("DENY")));

    let proxy = run("identity");
    proxy.client().await.get("/a").header("x-internal-role", "root").header("x-caller", "root").await;
    let seen = app.requests().pop().unwrap();
    assert_eq!((seen.header("x-caller"), seen.header("x-internal-role")), (Some("anonymous"), None));
    assert_eq!((seen.header("x-caller-address"), seen.header("x-tenant")), (Some("127.0.0.1"), Some("none")));
    assert!(seen.header("x-came-by").unwrap().ends_with(edge.scheme()));
}
