//! The router that ships: which route wins, what it does to the request, and what it says about a bad one.

use serde_json::json;
use tamis_tests::{Edge, Origin, Proxy, matrix, origin, refused, scenario};

/// Two origins that tell themselves apart, as clusters `one` and `two`, and a router with these routes.
struct Routed {
    _origins: [Origin; 2],
    proxy: Proxy,
}

fn routed(edge: Edge, routes: &str) -> Routed {
    let origins = ["one", "two"].map(|name| {
        origin().route_fn("*", move |request| async move {
            let target = request.uri().path_and_query().unwrap().to_string();
            tamis_tests::Reply::new(200).header("x-target", &target).body(name)
        })
    });
    let origins = origins.map(|origin| origin.run());
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        filters = ["router"]
        [filters.router]
        module = "builtin:router"
        {routes}
        [clusters.one]
        endpoints = ["{}"]
        [clusters.two]
        endpoints = ["{}"]
        "#,
        origins[0], origins[1]
    ));
    Routed { _origins: origins, proxy }
}

matrix!(routes_choose_by_host_and_path);
async fn routes_choose_by_host_and_path(edge: Edge) {
    let routed = routed(
        edge,
        r#"
        [[filters.router.config.routes]]
        match = { host = "edge.test", path-prefix = "/users" }
        to = "one"
        [[filters.router.config.routes]]
        match = { host = "*.test", path = "/users/exact" }
        to = "two"
        [[filters.router.config.routes]]
        match = { path = "/exact" }
        to = "two"
        [[filters.router.config.routes]]
        match = { host = "other.test" }
        to = "one"
        "#,
    );
    let client = routed.proxy.client().await;
    for (path, expected) in [("/users", "one"), ("/users/7", "one"), ("/exact", "two")] {
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.text()), (200, expected), "{path}");
    }
    for path in ["/usersx", "/exact/more", "/"] {
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.reason()), (404, Some("no-route")), "{path}");
    }
}

matrix!(routes_choose_by_method_and_field);
async fn routes_choose_by_method_and_field(edge: Edge) {
    let routed = routed(
        edge,
        r#"
        [[filters.router.config.routes]]
        match = { path-prefix = "/", headers = { x-version = "beta" } }
        to = "two"
        [[filters.router.config.routes]]
        match = { path-prefix = "/", method = ["POST", "PUT"] }
        to = "two"
        [[filters.router.config.routes]]
        match = { path-prefix = "/" }
        to = "one"
        "#,
    );
    let client = routed.proxy.client().await;
    assert_eq!(client.get("/").await.text(), "one");
    assert_eq!(client.get("/").header("x-version", "beta").await.text(), "two");
    assert_eq!(client.get("/").header("x-version", "alpha").header("x-version", "beta").await.text(), "two");
    assert_eq!(client.get("/").header("x-version", "alpha, beta").await.text(), "one", "several values are never taken for one");
    assert_eq!(client.post("/", "").await.text(), "two");
}

matrix!(a_template_gives_its_values_to_notes);
async fn a_template_gives_its_values_to_notes(edge: Edge) {
    let routed = routed(
        edge,
        r#"
        [[filters.router.config.routes]]
        name = "user"
        match = { path-template = "/users/{id}/posts/{post}" }
        to = "one"
        "#,
    );
    let client = routed.proxy.client().await;
    assert_eq!(client.get("/users/7/posts/first").await.text(), "one");
    let line = routed.proxy.access_log().line().await;
    assert_eq!(line["notes"], json!({ "path.id": "7", "path.post": "first" }));
    assert_eq!(line["route"], "user");
    assert_eq!(client.get("/users/7/posts").await.status, 404);
}

matrix!(a_prefix_is_rewritten);
async fn a_prefix_is_rewritten(edge: Edge) {
    let routed = routed(
        edge,
        r#"
        [[filters.router.config.routes]]
        match = { path-prefix = "/api/v1" }
        to = "one"
        rewrite-prefix = "/"
        "#,
    );
    let client = routed.proxy.client().await;
    for (sent, seen) in [("/api/v1/users?a=b", "/users?a=b"), ("/api/v1", "/"), ("/api/v1/", "/")] {
        assert_eq!(client.get(sent).await.header("x-target"), Some(seen), "{sent}");
    }
}

matrix!(a_redirect_is_answered_by_the_router);
async fn a_redirect_is_answered_by_the_router(edge: Edge) {
    let routed = routed(
        edge,
        r#"
        [[filters.router.config.routes]]
        match = { path-prefix = "/old" }
        redirect = { status = 308, path-prefix = "/new" }
        [[filters.router.config.routes]]
        match = { path = "/away" }
        redirect = { location = "https://elsewhere.test/" }
        "#,
    );
    let client = routed.proxy.client().await;
    let moved = client.get("/old/page?a=b").await;
    assert_eq!((moved.status, moved.header("location")), (308, Some(&*format!("{}://edge.test/new/page?a=b", edge.scheme()))));
    let away = client.get("/away").await;
    assert_eq!((away.status, away.header("location")), (302, Some("https://elsewhere.test/")));
}

matrix!(a_routes_timeout_is_kept);
async fn a_routes_timeout_is_kept(edge: Edge) {
    let origin = origin().hang("*").run();
    let proxy = edge.proxy(format!(
        r#"
        [listeners.edge]
        filters = ["router"]
        [filters.router]
        module = "builtin:router"
        [[filters.router.config.routes]]
        to = "slow"
        timeout = "100ms"
        [clusters.slow]
        endpoints = ["{origin}"]
        "#
    ));
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status, answer.reason()), (504, Some("timeout")));
}

scenario!(weights_split_the_traffic);
async fn weights_split_the_traffic() {
    const REQUESTS: usize = 900;
    let routed = routed(
        Edge::HTTP1_PLAIN,
        r#"
        [[filters.router.config.routes]]
        to = [{ cluster = "one", weight = 90 }, { cluster = "two", weight = 10 }]
        "#,
    );
    let client = routed.proxy.client().await;
    let mut two = 0;
    for _ in 0..REQUESTS {
        two += usize::from(client.get("/").await.text() == "two");
    }
    assert!((36..=144).contains(&two), "of {REQUESTS} requests {two} reached the second; six standard deviations were allowed");
}

scenario!(a_bad_route_is_told_with_its_position);
async fn a_bad_route_is_told_with_its_position() {
    let said = refused(
        r#"[listeners.edge]
listen = "127.0.0.1:0"
filters = ["router"]
[filters.router]
module = "builtin:router"
[[filters.router.config.routes]]
match = { path-prefix = "/a" }
to = "one"
[[filters.router.config.routes]]
match = { path-prefix = "users" }
to = "one"
[clusters.one]
endpoints = []
"#,
    );
    assert!(said.contains("tamis.toml:10:25"), "the position of the value: {said}");
    assert!(said.contains("expected a path that begins with \"/\", found \"users\""), "what the router says: {said}");
}

scenario!(an_unknown_key_of_a_route_is_told_with_its_position);
async fn an_unknown_key_of_a_route_is_told_with_its_position() {
    let said = refused(
        r#"[listeners.edge]
listen = "127.0.0.1:0"
filters = ["router"]
[filters.router]
module = "builtin:router"
[[filters.router.config.routes]]
mach = { path-prefix = "/a" }
to = "one"
[clusters.one]
endpoints = []
"#,
    );
    assert!(said.contains("tamis.toml:7:1") && said.contains("mach"), "{said}");
}
