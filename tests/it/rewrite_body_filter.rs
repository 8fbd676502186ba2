//! The rewrite-body filter that ships: its examples, with bodies that stream and bodies that do not.

use tamis_tests::{Edge, Reply, body, matrix, origin, scenario, shipped};

matrix!(links_are_rewritten_while_pages_stream);
async fn links_are_rewritten_while_pages_stream(edge: Edge) {
    let (feed, page) = body::channel();
    let page = std::sync::Mutex::new(Some(page));
    let site = origin()
        .route_fn("/", move |request| {
            assert!(request.headers().get("accept-encoding").is_none(), "a page that comes packed would pass unread");
            let page = page.lock().unwrap().take().expect("it is asked once");
            let reply = Reply::new(200).header("content-type", "text/html").header("etag", "\"1\"").streaming(page);
            async move { reply }
        })
        .route_fn("/image", |_| async { Reply::new(200).header("content-type", "image/png").body("//intranet.old.example") })
        .run();
    let proxy = edge.proxy(shipped("rewrite-body", "links", &[("site", &site)]));
    let client = proxy.client().await;
    let mut answer = client.get("/").header("accept-encoding", "gzip").open().await.unwrap();
    assert_eq!(answer.headers.get("etag"), None);
    feed.send("<a href=http://intra").await;
    assert_eq!(answer.piece().await.unwrap().unwrap(), "<a href=", "what may become a link waits, and nothing else");
    feed.send("net.old.example/a> <a href='//intranet.old.").await;
    assert_eq!(answer.piece().await.unwrap().unwrap(), "https://www.example.com/a> <a href='");
    feed.send("example/b'> //intranet.old").await;
    drop(feed);
    assert_eq!(answer.whole().await.unwrap().bytes, "//www.example.com/b'> //intranet.old");
    assert_eq!(client.get("/image").await.text(), "//intranet.old.example");
    let series = r#"rewrite_body_replacements_total{filter="rewrite-body",rule="links"}"#;
    assert_eq!(proxy.metric(series).await, Some(2.0));
    assert_eq!(proxy.failures("rewrite-body").await, 0);
}

matrix!(what_must_not_go_out_does_not);
async fn what_must_not_go_out_does_not(edge: Edge) {
    let card = "card 4111 1111-11111111, not 41111111111111111\n";
    let reports = origin()
        .route_fn("/reports/short", move |_| async move { Reply::new(200).header("content-type", "text/csv").body(card) })
        .route_fn("/reports/long", move |_| async move {
            Reply::new(200).header("content-type", "text/csv").body(card.repeat(100_000))
        })
        .route_fn("/reports/packed", move |_| async move {
            Reply::new(200).header("content-type", "text/csv").header("content-encoding", "gzip").body(card)
        })
        .route_fn("/other", move |_| async move { Reply::new(200).header("content-type", "text/csv").body(card) })
        .run();
    let proxy = edge.proxy(shipped("rewrite-body", "mask", &[("reports", &reports)]));
    let client = proxy.client().await;
    let short = client.get("/reports/short").await;
    assert_eq!(short.text(), "card 4111 **** **** 1111, not 41111111111111111\n");
    assert_eq!(short.header("content-length"), Some("48"), "the length is told anew");
    assert_eq!(client.get("/reports/long").await.status, 502);
    assert_eq!(client.get("/reports/packed").await.status, 502);
    assert_eq!(client.get("/other").await.text(), card);
    let words = ["rewritten", "too-large", "compressed"];
    for word in words {
        let series = format!(r#"rewrite_body_bodies_total{{filter="rewrite-body",rule="cards",result="{word}"}}"#);
        assert_eq!(proxy.metric(&series).await, Some(1.0), "{word}");
    }
}

matrix!(old_clients_are_understood);
async fn old_clients_are_understood(edge: Edge) {
    let api = origin()
        .route_fn("/users", |request| async move {
            assert!(request.headers().get("content-digest").is_none());
            Reply::reflecting(request).header("content-type", "application/json")
        })
        .run();
    let proxy = edge.proxy(shipped("rewrite-body", "rename", &[("api", &api)]));
    let client = proxy.client().await;
    let post = |version: &'static str, body: &'static str| {
        let request = client.post("/users", body).header("content-type", "application/json");
        request.header("x-api-version", version)
    };
    let old = r#"{"userName" :"ann"}"#;
    assert_eq!(post("1", old).header("content-digest", "sha-256=:AA==:").await.text(), old, "there and back again");
    let length = api.request().header("content-length").map(str::to_owned);
    assert_eq!(length.as_deref(), Some("20"), "and the service has seen one byte more");
    assert_eq!(post("2", r#"{"user_name":"ann"}"#).await.text(), r#"{"user_name":"ann"}"#);
    assert_eq!(post("1", old).header("content-encoding", "br").await.status, 415);
}

scenario!(a_request_is_rewritten_while_it_streams);
async fn a_request_is_rewritten_while_it_streams() {
    let app = origin().reflect("/").run();
    let proxy = tamis_tests::proxy(format!(
        "[listeners.edge]\nfilters = ['rewrite-body']\ncluster = 'app'\n[clusters.app]\nendpoints = ['{app}']\n[filters.rewrite-body]\nmodule = 'builtin:rewrite-body'\ndeadline = '1s'\nconfig = {{ rules = [{{ of = 'request', replace = {{ find = 'secret', with = '******' }} }}] }}"
    ));
    let (feed, upload) = body::channel();
    let client = proxy.client().await;
    let sending = client.post("/", "").header("content-type", "text/plain").streaming(upload);
    let mut answer = {
        feed.send("a sec").await;
        sending.open().await.unwrap()
    };
    assert_eq!(answer.piece().await.unwrap().unwrap(), "a ");
    feed.send("ret is se").await;
    assert_eq!(answer.piece().await.unwrap().unwrap(), "****** is ");
    drop(feed);
    assert_eq!(answer.whole().await.unwrap().bytes, "se");
}
