//! The router's examples do what its page says.

use tamis_tests::{Edge, Origin, matrix, origin, scenario, shipped};

/// Tells its name, and what it was asked.
fn service(name: &'static str) -> Origin {
    origin()
        .route_fn("*", move |request| async move {
            let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
            tamis_tests::Reply::new(200).body(format!("{name} {target}"))
        })
        .run()
}

scenario!(shop);
async fn shop() {
    let [one, two, orders] = ["users-v1", "users-v2", "orders"].map(service);
    let proxy = tamis_tests::proxy(shipped("router", "shop", &[("users-v1", &one), ("users-v2", &two), ("orders", &orders)]));
    let client = proxy.client().await;
    let get = |host: &'static str, path: &'static str| client.get(path).header("host", host);
    assert_eq!(get("api.example.com", "/users/7").header("x-canary", "yes").await.text(), "users-v2 /users/7");
    assert!(get("api.example.com", "/users/7").await.text().ends_with("/users/7"));
    assert_eq!(get("api.example.com", "/users/7/orders/9").await.text(), "orders /users/7/orders/9");
    assert_eq!(get("www.example.com", "/api/v1/x?q").await.text(), "users-v1 /x?q");
    let moved = get("a.example", "/people/7").await;
    assert_eq!((moved.status, moved.header("location")), (308, Some("http://a.example/users/7")));
}

matrix!(split);
async fn split(edge: Edge) {
    let [stable, next] = ["stable", "next"].map(service);
    let proxy = edge.proxy(shipped("router", "split", &[("stable", &stable), ("next", &next)]));
    let client = proxy.client().await;
    assert_eq!(client.get("/a").header("cookie", "a=b; tester=YES").await.text(), "next /a");
    let first = client.get("/a").await;
    let release = first.header("x-release").unwrap().to_owned();
    let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    for _ in 0..5 {
        let again = client.get("/a").header("cookie", &cookie).await;
        assert_eq!((again.header("x-release"), again.header("set-cookie")), (Some(release.as_str()), None));
    }
    assert_eq!(client.get("/robots.txt").await.text(), "User-agent: *\nDisallow: /\n");
    assert_eq!(client.post("/a", "x").header("cookie", &cookie).await.status, 200);
}

matrix!(names);
async fn names(edge: Edge) {
    let [users, staged, orders] = ["users-v4", "users-staged", "orders"].map(service);
    let clusters: [(&str, &dyn std::fmt::Display); 3] = [("users-v4", &users), ("users-staged", &staged), ("orders", &orders)];
    let proxy = edge.proxy(shipped("router", "names", &clusters));
    let client = proxy.client().await;
    for (path, dtab, said) in [
        ("/users/7", "", "users-v4 /7"),
        ("/orders/9", "", "orders /9"),
        ("/orders", "", "orders /"),
        ("/users/7", "/svc/users => /cluster/users-staged", "users-staged /7"),
    ] {
        let request = client.get(path);
        let request = if dtab.is_empty() { request } else { request.header("l5d-dtab", dtab) };
        assert_eq!(request.await.text(), said, "{dtab}");
    }
    assert_eq!(client.get("/nobody/7").await.status, 503);
}

matrix!(an_override_reaches_a_service_two_hops_down);
async fn an_override_reaches_a_service_two_hops_down(edge: Edge) {
    let hop = |more: &str, clusters: &str| {
        format!(
            "[listeners.edge]\nfilters = ['router']\n{more}\n[filters.router]\nmodule = 'builtin:router'\ndeadline = '1s'\n\
             [filters.router.config]\nnames = '/svc => /cluster'\n[[filters.router.config.routes]]\nto = '/svc/{{segment:1}}'\n{clusters}"
        )
    };
    let trusted = "trusted = ['127.0.0.0/8']";
    let [users, staged] = ["users", "users-staged"].map(service);
    let clusters = format!("[clusters.users]\nendpoints = ['{users}']\n[clusters.users-staged]\nendpoints = ['{staged}']\n");
    // The second hop: what the first service's calls go through.
    let second = Edge::HTTP1_PLAIN.proxy(hop(trusted, &clusters));
    let second_hop = second.listener("edge");
    // The service in the middle is a tamis that asks for `/users` whatever it is asked, with the fields that came.
    let middle = Edge::HTTP1_PLAIN.proxy(format!(
        "[listeners.edge]\nfilters = ['router']\n[filters.router]\nmodule = 'builtin:router'\ndeadline = '1s'\n\
         [[filters.router.config.routes]]\nto = 'second'\nrewrite-path = '/users'\n[clusters.second]\nendpoints = ['{second_hop}']\n"
    ));
    let front = format!("[clusters.front]\nendpoints = ['{}']\n", middle.listener("edge"));
    let staging = "/svc/users => /cluster/users-staged";
    for (more, said) in [(trusted, "users-staged /users"), ("", "users /users")] {
        let first = edge.proxy(hop(more, &front));
        let client = first.client().await;
        assert_eq!(client.get("/front").header("l5d-dtab", staging).await.text(), said, "trusted: {}", !more.is_empty());
        assert_eq!(client.get("/front").await.text(), "users /users");
    }
}
