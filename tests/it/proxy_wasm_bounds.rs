//! What a filter made for proxy-wasm may take of the host, and is told when there is no more.

use tamis_tests::{Edge, Proxy, Reply, chain, origin, scenario};

fn hoarding(service: impl std::fmt::Display, more: &str) -> Proxy {
    let filter = format!(
        "memory = '16MiB'\nallow = {{ clusters = ['service'] }}\n{more}\n[clusters.service]\nendpoints = ['{service}']\nprotocol = 'h2'"
    );
    Edge::HTTP1_PLAIN.proxy(format!(
        "workers = 1\n{}",
        chain(&service, &[("pw-hoard", &filter)]).replace("[clusters.origin]\n", "[clusters.origin]\nprotocol = 'h2'\n",)
    ))
}

/// How many pieces of a megabyte it got, and why no more.
fn hoarded(answer: &tamis_tests::Answer) -> (usize, String) {
    let told = answer.header("x-hoarded").unwrap_or_else(|| panic!("it tells nothing: {answer:?}"));
    let (count, why) = told.split_once(' ').unwrap();
    (count.parse().unwrap(), why.to_owned())
}

scenario!(what_the_host_holds_for_an_instance_is_bounded_by_its_memory);
async fn what_the_host_holds_for_an_instance_is_bounded_by_its_memory() {
    let hanging = origin().hang("/").hang("/test.Echo/Stream").route("/bytes", "origin").run();
    let proxy = hoarding(&hanging, "");
    let client = proxy.client().await;
    // A piece has a few bytes more than a megabyte, with its head.
    assert_eq!(hoarded(&client.get("/calls").await), (15, "Some(InternalFailure)".to_owned()));
    assert_eq!(hoarded(&client.get("/messages").await), (0, "Some(BadArgument)".to_owned()), "the calls are still there");

    let proxy = hoarding(&hanging, "");
    let client = proxy.client().await;
    let (messages, why) = hoarded(&client.get("/messages").await);
    assert!((14..=15).contains(&messages), "{messages}");
    assert_eq!(why, "Some(BadArgument)");
    // What was cancelled is there again, soon.
    while hoarded(&client.get("/messages").await).0 < 14 {}

    let proxy = hoarding(&hanging, "");
    let answer = proxy.client().await.get("/bytes").await;
    assert_eq!(hoarded(&answer), (16, "Some(InternalFailure)".to_owned()));
    assert_eq!(answer.body.len(), (16 << 20) + "origin".len());
    let answer = proxy.client().await.get("/bytes").await;
    assert_eq!(hoarded(&answer).0, 16, "what has gone is there again");
    assert_eq!(proxy.failures("pw-hoard").await, 0);
}

scenario!(an_answer_for_which_there_is_no_room_is_none);
async fn an_answer_for_which_there_is_no_room_is_none() {
    let service = origin().route_fn("/check", |_| async { Reply::new(401).body(vec![b'x'; 1_500_000]) }).run();
    let origin = origin().echo("/").run();
    for (memory, is_there) in [("1280KiB", false), ("16MiB", true)] {
        let filter =
            format!("memory = '{memory}'\nallow = {{ clusters = ['auth'] }}\n[clusters.auth]\nendpoints = ['{service}']");
        let proxy = Edge::HTTP1_PLAIN.proxy(chain(&origin, &[("pw-auth", &filter)]));
        assert_eq!(proxy.client().await.get("/").await.header("x-auth"), (!is_there).then_some("timeout"), "{memory}");
    }
}

scenario!(instances_that_only_finish_their_exchanges_are_bounded);
async fn instances_that_only_finish_their_exchanges_are_bounded() {
    const EXCHANGES: usize = 8;
    let origin = origin().echo("*").run();
    let more = "hook-timeout = '0s'\nproxy-wasm = { old-instances = 2 }";
    let proxy = Edge::HTTP1_PLAIN.proxy(format!("workers = 1\n{}", chain(&origin, &[("pw-hoard", more)])));
    let instances = "tamis_filter_instances{filter=\"pw-hoard\"}";
    let mut waiting = Vec::new();
    for count in 1..=EXCHANGES {
        let client = proxy.client().await;
        waiting.push(tokio::spawn(async move { client.get("/rebuild").whole().await.map(drop) }));
        proxy.metric_becomes("wasmcustom_arrived{filter=\"pw-hoard\"}", |arrived| arrived == count as f64).await;
        proxy.metric_becomes(instances, |instances| instances == count.min(3) as f64).await;
    }
    // Whoever asks for one more does so in vain.
    assert_eq!(proxy.metric(instances).await, Some(3.0));
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    // They end with their exchanges, and then another one may take the place of the newest.
    while proxy.metric(instances).await != Some(1.0) {
        assert_eq!(proxy.client().await.get("/").await.status, 200);
    }
    assert_eq!(proxy.failures("pw-hoard").await, 0);
}

scenario!(calls_end_with_their_instance);
async fn calls_end_with_their_instance() {
    let origin = origin().echo("*").run();
    let hanging = tamis_tests::origin().hang("/").run();
    let filter =
        format!("allow = {{ clusters = ['service'] }}\n[clusters.service]\nendpoints = ['{hanging}']\nendpoint-metrics = true");
    let proxy = Edge::HTTP1_PLAIN.proxy(format!("workers = 1\n{}", chain(&origin, &[("pw-hoard", &filter)])));
    let client = proxy.client().await;
    let under_way = format!("tamis_endpoint_requests{{cluster=\"service\",endpoint=\"{hanging}\"}}");
    for _ in 0..3 {
        // It ends when somebody asks for another instance.
        assert_eq!(client.get("/leave").await.status, 200);
        proxy.metric_becomes(&under_way, |calls| calls == 1.0).await;
    }
    assert_eq!(client.get("/").await.status, 200);
    proxy.metric_becomes(&under_way, |calls| calls == 0.0).await;
    proxy.metric_becomes("tamis_filter_instances{filter=\"pw-hoard\"}", |instances| instances == 1.0).await;
    assert_eq!(proxy.failures("pw-hoard").await, 0);
}

scenario!(a_body_grows_no_further_than_there_is_memory_for);
async fn a_body_grows_no_further_than_there_is_memory_for() {
    let origin = origin().route("*", "a body").run();
    let proxy = Edge::HTTP1_PLAIN.proxy(format!("workers = 1\n{}", chain(&origin, &[("pw-hoard", "")])));
    assert!(proxy.client().await.get("/grow").whole().await.is_err(), "what it has is not the answer");
    assert_eq!(proxy.failures("pw-hoard").await, 1);
    assert_eq!(proxy.client().await.get("/").await.text(), "a body", "the others go on");
    assert_eq!(proxy.metric("tamis_filter_instances{filter=\"pw-hoard\"}").await, Some(1.0));
}

scenario!(a_period_takes_the_place_of_the_one_before);
async fn a_period_takes_the_place_of_the_one_before() {
    let origin = origin().echo("*").run();
    let proxy = Edge::HTTP1_PLAIN.proxy(chain(&origin, &[("pw-hoard", "")]));
    assert_eq!(hoarded(&proxy.client().await.get("/ticks").await), (1000, "None".to_owned()));
}
