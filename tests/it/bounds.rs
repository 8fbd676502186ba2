//! What a filter may use, and that going past it, trapping or leaking costs nobody else anything.

use std::time::Duration;

use tamis_tests::{Answer, Edge, Gate, Origin, Proxy, body, chain, matrix, origin, proxy, scenario};

async fn asked(proxy: &Proxy, field: &str, value: &str) -> Answer {
    proxy.client().await.get("/").header(field, value).await
}

fn here() -> Origin {
    origin().route("/", "here").run()
}

matrix!(a_hook_that_waits_too_long_fails);
async fn a_hook_that_waits_too_long_fails(edge: Edge) {
    let origin = here();
    for (policy, status) in [("closed", 500), ("open", 200)] {
        let more = format!("hook-timeout = '100ms'\non-failure = '{policy}'");
        let proxy = edge.proxy(chain(&origin, &[("sleeper", &more)]));
        assert_eq!(asked(&proxy, "x-sleep", "20000").await.status, status, "{policy}");
        assert_eq!(asked(&proxy, "x-sleep", "1").await.status, 200, "{policy}");
        assert_eq!(proxy.failures("sleeper").await, 1, "{policy}");
    }
}

matrix!(exchanges_wait_for_an_instance);
async fn exchanges_wait_for_an_instance(edge: Edge) {
    let gate = Gate::new();
    let service = origin().gated("/", &gate, "late").run();
    let origin = here();
    let cluster = format!("[clusters.idp]\nendpoints = ['{service}']\n");
    for (wait, status) in [("20s", 200), ("50ms", 500)] {
        let more = format!("instances-max = 1\ninstances-wait = '{wait}'\nallow = {{ clusters = ['idp'] }}");
        let proxy = edge.proxy(format!("workers = 1\n{}{cluster}", chain(&origin, &[("caller", &more)])));
        let first = tokio::spawn(proxy.client().await.get("/").header("x-call", "idp GET /").into_future());
        gate.arrived().await;
        let second = proxy.client().await;
        let second = tokio::spawn(second.get("/").into_future());
        if status == 500 {
            let refused = second.await.unwrap();
            assert_eq!((refused.status, refused.reason()), (500, Some("filter-failed")));
            gate.open();
        } else {
            gate.open();
            assert_eq!(second.await.unwrap().text(), "here", "once the first is done");
        }
        assert_eq!(first.await.unwrap().json()["body"], "late");
        assert_eq!(asked(&proxy, "x-nothing", "1").await.status, 200);
    }
}

matrix!(others_are_served_while_a_filter_computes);
async fn others_are_served_while_a_filter_computes(edge: Edge) {
    let origin = here();
    let proxy = edge.proxy(format!("workers = 1\n{}", chain(&origin, &[("spin", "deadline = '500ms'")])));
    let spinning = proxy.client().await;
    let began = std::time::Instant::now();
    let spinning = tokio::spawn(async move { (spinning.get("/").header("x-spin", "1").await, began.elapsed()) });
    let client = proxy.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.text(), "here");
    }
    let (answer, took) = spinning.await.unwrap();
    assert_eq!((answer.status, answer.reason()), (500, Some("filter-failed")));
    assert!(took < Duration::from_secs(10), "it was stopped: {took:?}");
}

scenario!(a_filter_that_keeps_failing_is_left_alone_and_tried_again);
async fn a_filter_that_keeps_failing_is_left_alone_and_tried_again() {
    let origin = here();
    let proxy = proxy(chain(&origin, &[("trap", "trip = { calls = 10, percent = 50, backoff = '300ms' }")]));
    let client = proxy.client().await;
    for _ in 0..10 {
        assert_eq!(client.get("/").header("x-trap", "1").await.reason(), Some("filter-failed"));
    }
    let answer = client.get("/").await;
    assert_eq!((answer.status, answer.reason()), (503, Some("filter-tripped")), "also for those that it would let pass");
    assert_eq!(proxy.failures("trap").await, 10, "it was not called");
    while client.get("/").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..5 {
        assert_eq!(client.get("/").await.text(), "here", "it works again");
    }
}

scenario!(a_filter_that_fails_open_is_left_alone_only_if_asked);
async fn a_filter_that_fails_open_is_left_alone_only_if_asked() {
    let origin = here();
    let others = [("", 30), ("trip = { enabled = true, calls = 10, backoff = '60s' }", 10)];
    for (trip, failures) in others {
        let proxy = proxy(chain(&origin, &[("trap", &format!("on-failure = 'open'\n{trip}"))]));
        let client = proxy.client().await;
        for _ in 0..30 {
            assert_eq!(client.get("/").header("x-trap", "1").await.text(), "here", "{trip}");
        }
        assert_eq!(proxy.failures("trap").await, failures, "{trip}");
    }
}

scenario!(an_instance_that_trapped_is_used_no_more);
async fn an_instance_that_trapped_is_used_no_more() {
    let origin = here();
    let proxy = proxy(format!("workers = 1\n{}", chain(&origin, &[("trap", "trip = { enabled = false }"), ("keeper", "")])));
    let client = proxy.client().await;
    for round in 0..30 {
        let trap = round % 3 == 0;
        let request = client.get("/");
        let answer = if trap { request.header("x-trap", "1") } else { request }.await;
        assert_eq!(answer.status, if trap { 500 } else { 200 }, "round {round}");
    }
}

/// How many exchanges the instance had served, this one included.
async fn served(proxy: &Proxy) -> u64 {
    asked(proxy, "x-nothing", "1").await.header("x-exchanges").unwrap().parse().unwrap()
}

scenario!(a_fresh_filter_has_no_memory_of_others);
async fn a_fresh_filter_has_no_memory_of_others() {
    let origin = here();
    for (isolation, last) in [("reuse", 5), ("fresh", 1)] {
        let more = format!("isolation = '{isolation}'");
        let proxy = proxy(format!("workers = 1\n{}", chain(&origin, &[("keeper", &more)])));
        let mut counts = Vec::new();
        for _ in 0..5 {
            counts.push(served(&proxy).await);
        }
        assert_eq!(counts.last(), Some(&last), "{isolation}: {counts:?}");
    }
}

scenario!(a_filter_that_keeps_state_has_one_instance_for_an_exchange);
async fn a_filter_that_keeps_state_has_one_instance_for_an_exchange() {
    let origin = origin().reflect("/").run();
    let proxy = proxy(format!("workers = 1\n{}", chain(&origin, &[("keeper", "isolation = 'fresh'")])));
    let answer = proxy.client().await.post("/", "hello").await;
    assert_eq!(answer.header("x-hooks"), Some("request request-chunk response"));
    let proxy = tamis_tests::proxy(format!(
        "workers = 1\n{}",
        chain(&origin, &[("keeper", "isolation = 'fresh'\nconfig = { keep = false }")])
    ));
    let answer = proxy.client().await.post("/", "hello").await;
    assert_eq!(answer.header("x-hooks"), Some("response"), "without it each hook may meet another");
}

matrix!(open_streams_hold_no_instance_unless_state_is_kept);
async fn open_streams_hold_no_instance_unless_state_is_kept(edge: Edge) {
    const STREAMS: usize = 10;
    for keep in [false, true] {
        let origin = origin().reflect("/").run();
        let more = format!("instances-max = 1\ninstances-wait = '50ms'\nconfig = {{ keep = {keep} }}");
        let proxy = edge.proxy(format!("workers = 1\n{}", chain(&origin, &[("keeper", &more)])));
        let mut open = Vec::new();
        for number in 0..STREAMS {
            let (feed, body) = body::channel();
            feed.send("first").await;
            let mut answer = proxy.client().await.post("/", "").streaming(body).open().await.unwrap();
            if keep && number > 0 {
                assert_eq!(answer.status, 500, "the first holds the only one");
                continue;
            }
            assert_eq!((answer.status, answer.piece().await.unwrap().unwrap()), (200, "first".into()));
            open.push((feed, answer));
        }
        assert_eq!(open.len(), if keep { 1 } else { STREAMS });
        for (feed, mut answer) in open {
            feed.send("second").await;
            assert_eq!(answer.piece().await.unwrap().unwrap(), "second");
            drop(feed);
            assert_eq!(answer.piece().await.unwrap(), None);
        }
        let free = async || proxy.client().await.get("/").await.status == 200;
        while !free().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

scenario!(an_instance_retires_after_so_many_hooks);
async fn an_instance_retires_after_so_many_hooks() {
    let origin = here();
    // Three hooks an exchange: request, response, response-chunk; and complete, which comes after the answer.
    let proxy = proxy(format!("workers = 1\n{}", chain(&origin, &[("keeper", "retire-after = 20")])));
    let mut counts = Vec::new();
    for _ in 0..20 {
        counts.push(served(&proxy).await);
    }
    assert!(counts.iter().all(|count| *count <= 20) && counts.iter().filter(|count| **count == 1).count() >= 2, "{counts:?}");
}

scenario!(a_filter_that_leaks_heals);
async fn a_filter_that_leaks_heals() {
    let origin = here();
    let leak = "config = { kib = 512 }\nmemory = '8MiB'\ndeadline = '1s'";
    let proxy = proxy(chain(&origin, &[("leak", leak)]));
    let client = proxy.client().await;
    for _ in 0..100 {
        assert_eq!(client.get("/").await.text(), "here", "fifty times its memory in all");
    }
    assert_eq!(proxy.failures("leak").await, 0);
}
