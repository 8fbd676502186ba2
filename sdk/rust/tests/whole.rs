//! The rest of the interface, as a filter's author would test it: bodies, pieces, trailers, the end of an exchange, ticks, raw
//! connections, and what lies outside.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tamis_sdk::http_client::{self, Outgoing};
use tamis_sdk::metrics::{Counter, Gauge, Histogram};
use tamis_sdk::prelude::*;
use tamis_sdk::quota::{self, Ask, Decision};
use tamis_sdk::store::{self, Store};
use tamis_sdk::testing::{Answer, Configured, Exchange, Host, configure};
use tamis_sdk::{Mirror, Mirrored};

const STORE: Store = Store::named("store");

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Config {
    keep: bool,
    tick_ms: u64,
    metric: Option<String>,
}

/// Does what the request's field `x-do` says.
#[derive(Debug)]
struct Doer {
    input: Option<Vec<u8>>,
    count: Counter,
    level: Gauge,
    sizes: Histogram,
    calls: Cell<u32>,
}

impl Filter for Doer {
    type Config = Config;

    fn configure(config: Config, setup: &mut Setup) -> Result<Self, ConfigError> {
        if config.keep {
            setup.keep_state();
        }
        setup.tick_every(Duration::from_millis(config.tick_ms));
        let at = |why| ConfigError::at("metric", why);
        Ok(Doer {
            input: setup.take_input("list"),
            count: setup.counter(config.metric.as_deref().unwrap_or("count"), "how often", &["what"]).map_err(at)?,
            level: setup.gauge("level", "how high", &[]).map_err(at)?,
            sizes: setup.histogram("sizes", "how large", &[]).map_err(at)?,
            calls: Cell::new(0),
        })
    }
}

impl RequestHook for Doer {
    fn on_request(&self, request: &mut Request) -> Verdict {
        self.calls.set(self.calls.get() + 1);
        let mut destination = request.destination();
        let mut notes = request.notes();
        match told(request).as_deref() {
            Some("read") => notes.set("body", &format!("{:?}", request.read_body(4).map(|body| body.len()))),
            Some("set") => request.set_body("set"),
            Some("reply") => return Reply::new(StatusCode::OK).text("mine").into(),
            Some("steer") => {
                destination.set_cluster("a").unwrap();
                destination.set_fallback("b").unwrap();
                destination.set_endpoint("10.0.0.1:80").unwrap();
                destination.set_chain("inner").unwrap();
                destination.set_subset(&[("zone", "a")]);
                destination.set_hash_key("user");
                destination.set_retry(2, &["5xx"], Some(Duration::from_millis(1))).unwrap();
                destination.set_response_rate(Some(100));
            }
            Some("mirror") => {
                let mirror = destination.mirror("b", &[("x-shadow", b"1")], 1000).unwrap();
                notes.set("mirror", &mirror.id().to_string());
            }
            Some("call") => {
                let call = Outgoing::post("a", "/x").authority("b").header("x-a", "1").body("hi").trailer("x-t", "2");
                let answer = call.timeout(Duration::from_micros(1)).send().unwrap();
                notes.set("answer", &format!("{} {:?} {:?}", answer.status(), answer.headers("x-b"), answer.trailer("x-t")));
                let all = http_client::send_all([Outgoing::get("c", "/"), Outgoing::get("a", "no slash")]);
                notes.set("errors", &format!("{:?}", all.iter().map(|answer| answer.as_ref().err()).collect::<Vec<_>>()));
            }
            Some("take") => {
                let asks = [Ask::rate("r", 2, Duration::from_secs(1)), Ask::concurrency("c", 1).cost(1)];
                let decisions = quota::take(&STORE, &asks).unwrap();
                notes.set("allowed", &format!("{:?}", decisions.iter().map(|one| one.allowed).collect::<Vec<_>>()));
                notes.set("retry", &decisions[0].retry_after.as_millis().to_string());
            }
            Some("sleep") => {
                let before = (clock::now(), clock::monotonic());
                clock::sleep(Duration::from_secs(5));
                notes.set("slept", &format!("{:?} {:?}", clock::now() - before.0, clock::monotonic() - before.1));
            }
            Some("measure") => {
                self.count.increment(&["a"]);
                self.count.add(&["a"], 2.5);
                self.level.set(&[], 1.0);
                self.level.set(&[], 7.0);
                self.sizes.observe(&[], 3.0);
                self.sizes.observe(&[], 4.0);
            }
            _ => {}
        }
        Verdict::Next
    }
}

impl RequestChunkHook for Doer {
    fn on_request_chunk(&self, request: &mut Request, chunk: Chunk) -> ChunkVerdict {
        self.calls.set(self.calls.get() + 1);
        request.set_header("x-too-late", "1").unwrap();
        assert_eq!(request.read_body(100), Err(BodyError::AlreadyStreamed));
        match chunk.bytes.as_slice() {
            b"stop" => ChunkVerdict::Reset,
            bytes if chunk.end => [bytes, b"."].concat().into(),
            _ => ChunkVerdict::Keep,
        }
    }
}

impl ResponseHook for Doer {
    fn on_response(&self, response: &mut Response) -> Verdict {
        self.calls.set(self.calls.get() + 1);
        if told(&response.request()).as_deref() == Some("read-response") {
            let body = response.read_body(100).unwrap();
            response.set_body(body.repeat(2));
            response.set_header("x-mirror", format!("{:?}", response.destination().mirror("b", &[], 0).is_ok())).unwrap();
        }
        response.set_header("x-calls", self.calls.get().to_string()).unwrap();
        Verdict::Next
    }
}

impl ResponseChunkHook for Doer {
    fn on_response_chunk(&self, response: &mut Response, chunk: Chunk) -> ChunkVerdict {
        response.set_status(StatusCode::IM_A_TEAPOT).unwrap();
        match chunk.bytes.as_slice() {
            b"stop" => ChunkVerdict::Reset,
            b"drop" => ChunkVerdict::Replace(Vec::new()),
            _ => ChunkVerdict::Keep,
        }
    }
}

impl TrailersHook for Doer {
    fn on_request_trailers(&self, request: &mut Request) {
        let sum = request.trailer("X-Sum").unwrap();
        request.set_trailer("x-seen", sum).unwrap();
        assert!(request.set_trailer("content-length", "1").is_err());
    }

    fn on_response_trailers(&self, response: &mut Response) {
        response.set_trailer("grpc-status", "0").unwrap();
        assert_eq!(response.request().trailer("x-sum"), None);
    }
}

impl CompleteHook for Doer {
    fn on_complete(&self, outcome: &Outcome) {
        if outcome.connection().protocol() == "tcp" {
            return log::info!("closed {:?}", outcome.failure());
        }
        let mirror = outcome.notes().get("mirror").and_then(|id| id.parse().ok()).map(Mirror::with_id);
        let mirrored = mirror.and_then(|mirror| outcome.mirrored(mirror));
        log::info!(
            "{:?} {} {} {:?} {:?} {} {:?} {} {:?} {:?}",
            outcome.status().map(|status| status.as_u16()),
            outcome.request_bytes(),
            outcome.response_bytes(),
            outcome.duration(),
            outcome.upstream(),
            outcome.attempts(),
            outcome.failure(),
            outcome.request().method(),
            outcome.response().map(|response| response.origin()),
            mirrored.map(|mirrored| mirrored.body_hash),
        );
    }
}

impl TickHook for Doer {
    fn on_tick(&self) {
        let ticks = STORE.increment("ticks", 1, Some(Duration::from_secs(60))).unwrap();
        log::info!("tick {ticks}");
    }
}

impl ConnectionHook for Doer {
    fn on_connection(&self, connection: &mut Connection) -> ConnectionVerdict {
        match connection.destination().set_cluster("a") {
            Ok(()) => ConnectionVerdict::Next,
            Err(_) => ConnectionVerdict::Reset,
        }
    }
}

tamis_sdk::export!(Doer: request, request_chunk, response, response_chunk, trailers, complete, tick, connection);

fn told(request: &Request) -> Option<String> {
    request.header("x-do").map(|what| what.to_str().unwrap().to_owned())
}

fn doer() -> Configured<Doer> {
    configure::<Doer>("{}").unwrap()
}

fn post(what: &str) -> Exchange {
    Exchange::post("/").header("x-do", what)
}

#[test]
fn a_body_is_read_up_to_the_limit_and_goes_on() {
    let read = |exchange: Exchange| exchange.through(&doer()).note("body").unwrap().to_owned();
    assert_eq!(read(post("read").body("four")), "Ok(4)");
    assert_eq!(read(post("read").body_chunks(["fi", "ve!"])), "Err(TooLarge)");
    assert_eq!(read(post("read").body("two").client_goes_away()), "Err(PeerGone)");
    let whole = post("read").body_chunks(["a", "b"]).through(&doer());
    assert_eq!(whole.upstream().unwrap().text(), "ab.", "what was read goes on");
    assert_eq!(post("set").body("old").through(&doer()).upstream().unwrap().text(), "set.");
    let doubled = post("read-response").answer_chunks(["a", "b"]).through(&doer());
    assert_eq!(doubled.response().unwrap().text(), "abab");
    assert_eq!(doubled.response().unwrap().header("x-mirror").unwrap(), "false", "the request has gone by then");
}

#[test]
fn pieces_are_kept_replaced_dropped_and_end_the_exchange() {
    let outcome = post("").body_chunks(["a", "b", ""]).answer_chunks(["c", "drop", "d"]).through(&doer());
    assert_eq!((outcome.upstream().unwrap().text(), outcome.response().unwrap().text()), ("ab.".to_owned(), "cd".to_owned()));
    assert_eq!(outcome.upstream().unwrap().header("x-too-late"), None);
    assert_eq!(outcome.response().unwrap().status(), StatusCode::OK, "the head has gone on by then");

    let cut = post("").body_chunks(["a", "stop", "b"]).through(&doer());
    let upstream = cut.upstream().unwrap();
    assert_eq!((upstream.text().as_str(), upstream.is_whole(), cut.response().is_none()), ("a", false, true));
    assert_eq!((cut.failure(), cut.is_whole()), (Some("filter-reset"), false));

    let cut = post("").answer_chunks(["a", "stop", "b"]).through(&doer());
    let response = cut.response().unwrap();
    assert_eq!((response.text().as_str(), response.is_whole()), ("a", false));
    let cut = post("").answer_body("a").upstream_goes_away().through(&doer());
    assert_eq!((cut.response().unwrap().is_whole(), cut.failure()), (false, Some("upstream-reset")));
}

#[test]
fn the_end_of_a_body_is_told_once_and_no_body_has_none() {
    assert_eq!(post("").through(&doer()).upstream().unwrap().text(), "");
    assert_eq!(post("").body("a").trailer("x-sum", "7").through(&doer()).upstream().unwrap().text(), "a.");
    assert_eq!(post("").body("a").client_goes_away().through(&doer()).upstream().unwrap().text(), "a");
}

#[test]
fn trailers_are_read_and_set_both_ways() {
    let outcome = post("").trailer("x-sum", "7").answer_trailer("grpc-status", "5").through(&doer());
    assert_eq!(outcome.upstream().unwrap().trailer("x-seen").unwrap(), "7");
    assert_eq!(outcome.response().unwrap().trailer("grpc-status").unwrap(), "0");
}

#[test]
fn the_end_is_told_once_whatever_it_is() {
    let end = |exchange: Exchange| exchange.duration(Duration::from_millis(5)).through(&doer()).logs()[0].message.clone();
    let upstream = r#"5ms Some("192.0.2.10:80") 1 None POST Some("upstream") None"#;
    assert_eq!(end(post("").body("12345").answer_body("123")), format!("Some(200) 5 3 {upstream}"));
    assert_eq!(end(post("reply")), r#"Some(200) 0 4 5ms None 0 None POST Some("filter") None"#);
    assert_eq!(end(post("").failed(504, "timeout")), r#"Some(504) 0 0 5ms None 1 Some("timeout") POST Some("timeout") None"#);
    assert_eq!(end(post("").body("stop")), r#"None 4 0 5ms None 1 Some("filter-reset") POST None None"#);
    let result = Mirrored { status: Some(StatusCode::OK), body_hash: 9, duration: Duration::ZERO };
    assert!(end(post("mirror").clusters(["b"]).mirrored("b", result)).ends_with("Some(9)"));
    assert!(end(post("mirror").clusters(["b"])).ends_with("None"));
}

#[test]
fn whatever_is_chosen_can_be_seen() {
    let exchange = post("steer").endpoint("a", "10.0.0.1:80").clusters(["b"]).chain("inner");
    let outcome = exchange.through(&doer());
    assert_eq!((outcome.cluster(), outcome.fallback(), outcome.endpoint()), (Some("a"), Some("b"), Some("10.0.0.1:80")));
    assert_eq!((outcome.chain(), outcome.hash_key()), (Some("inner"), Some(b"user".as_slice())));
    assert_eq!(outcome.subset(), [("zone".to_owned(), "a".to_owned())]);
    let retry = outcome.retry().unwrap();
    assert_eq!((retry.attempts, retry.on, retry.per_try), (2, ["5xx".to_owned()].as_slice(), Some(Duration::from_millis(1))));
    assert_eq!(outcome.response_rate(), Some(100));
    let outcome = post("mirror").clusters(["b"]).through(&doer());
    let mirrors = outcome.mirrors();
    assert_eq!((mirrors[0].cluster, mirrors[0].body_limit, &mirrors[0].headers["x-shadow"] == "1"), ("b", 1000, true));
}

#[test]
fn other_services_answer_what_the_test_says() {
    let host = Host::new().answering("a", |call| {
        assert_eq!((call.method(), call.target(), call.authority()), (&Method::POST, "/x", "b"));
        assert_eq!((call.body(), call.timeout()), (b"hi".as_slice(), Some(Duration::from_millis(1))));
        assert!(call.header("x-a").unwrap() == "1" && call.trailer("x-t").unwrap() == "2");
        Ok(Answer::new(201).header("x-b", "1").header("X-B", "2").trailer("x-t", "3"))
    });
    let filter = host.configure::<Doer>("{}").unwrap();
    let outcome = post("call").through(&filter);
    assert_eq!(outcome.note("answer"), Some(r#"201 Created ["1", "2"] Some("3")"#));
    assert_eq!(outcome.note("errors"), Some("[Some(NotAllowed), Some(Protocol)]"));
    assert_eq!(filter.calls().len(), 1);
}

#[test]
fn quotas_are_taken_all_or_none_and_come_back() {
    let filter = Host::new().store("store").now(Duration::from_secs(1000)).configure::<Doer>("{}").unwrap();
    let take = || {
        let outcome = post("take").through(&filter);
        (outcome.note("allowed").unwrap().to_owned(), outcome.note("retry").unwrap().to_owned())
    };
    let told = |allowed: &str, retry: &str| (allowed.to_owned(), retry.to_owned());
    assert_eq!([take(), take()], [told("[true, true]", "0"), told("[true, true]", "0")], "at once comes back");
    assert_eq!([take(), take()], [told("[false, true]", "500"), told("[false, true]", "500")], "a refusal takes nothing");
    filter.advance(Duration::from_millis(500));
    assert_eq!([take(), take()], [told("[true, true]", "0"), told("[false, true]", "500")]);
}

#[test]
fn stores_keep_what_is_put_into_them_for_as_long_as_they_are_told() {
    let host = Host::new().store("store").unavailable_store("gone").now(Duration::ZERO);
    let filter = host.configure::<Doer>(r#"{ "tick-ms": 100 }"#).unwrap();
    assert_eq!(filter.ticks_every(), Some(Duration::from_millis(100)));
    assert_eq!(filter.tick()[0].message, "tick 1");
    assert_eq!(filter.tick()[0].message, "tick 2");
    assert_eq!(filter.stored("store", "ticks").unwrap(), b"2");
    filter.advance(Duration::from_secs(60));
    assert_eq!(filter.stored("store", "ticks"), None);
    assert_eq!(filter.tick()[0].message, "tick 1");
    filter.store("store", "ticks", "41");
    assert_eq!(filter.tick()[0].message, "tick 42");
    assert!(catch_unwind(AssertUnwindSafe(|| doer().tick())).is_err(), "no time between two ticks was asked for");
}

#[test]
fn each_way_to_use_a_store_has_its_errors() {
    struct Keeper;
    impl Filter for Keeper {
        type Config = NoConfig;
        fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> {
            Ok(Keeper)
        }
    }
    impl RequestHook for Keeper {
        fn on_request(&self, _: &mut Request) -> Verdict {
            assert_eq!(STORE.get("a"), Ok(None));
            assert_eq!(STORE.compare_and_set("a", Some(b"0"), "1", None), Ok(false));
            assert_eq!(STORE.compare_and_set("a", None, "1", None), Ok(true));
            assert_eq!(STORE.compare_and_set("a", Some(b"1"), "2", None), Ok(true));
            assert_eq!(STORE.increment("a", -5, None), Ok(-3));
            assert_eq!(STORE.set("word", "five", None), Ok(()));
            assert_eq!(STORE.increment("word", 1, None), Err(store::Error::Unavailable));
            assert_eq!(quota::take(&STORE, &[Ask::calendar("c", 2, Duration::ZERO)]).unwrap()[0].retry_after, Decision::NEVER);
            let window = Duration::from_secs(60);
            let calendar = |cost| quota::take(&STORE, &[Ask::calendar("c", 5, window).cost(cost)]).unwrap()[0];
            assert_eq!((calendar(3).remaining, calendar(3).allowed, calendar(2).remaining), (2, false, 0));
            assert_eq!(calendar(9).retry_after, Decision::NEVER);
            assert!(calendar(1).retry_after <= window && calendar(0).allowed);
            assert_eq!(STORE.delete("a"), Ok(()));
            assert_eq!(STORE.get("a"), Ok(None));
            assert_eq!(STORE.set(&"k".repeat(5000), "", None), Err(store::Error::TooLarge));
            assert_eq!(Store::named("gone").get("a"), Err(store::Error::Unavailable));
            assert_eq!(Store::from("other".to_owned()).get("a"), Err(store::Error::NotAllowed));
            Verdict::Next
        }
    }
    tamis_sdk::export!(Keeper: request);
    let filter = Host::new().store("store").unavailable_store("gone").configure::<Keeper>("{}").unwrap();
    assert!(Exchange::get("/").through(&filter).is_whole());
}

#[test]
fn what_is_counted_can_be_seen() {
    let filter = doer();
    post("measure").through(&filter);
    assert_eq!((filter.counted("count", &["a"]), filter.counted("count", &["b"])), (3.5, 0.0));
    assert_eq!(filter.gauge("level", &[]), Some(7.0));
    assert_eq!(filter.observed("sizes", &[]), [3.0, 4.0]);
    let refused = |name: &str| configure::<Doer>(format!(r#"{{ "metric": "{name}" }}"#)).unwrap_err().to_string();
    assert!(refused("a b").starts_with("metric: `a b` is no valid name of a metric"));
    assert!(refused("level").contains("`level` is taken"));
    assert!(refused("tamis_x").contains("begins those of the proxy"));
}

#[test]
fn nobody_sleeps_in_a_test() {
    let filter = Host::new().now(Duration::from_secs(7)).configure::<Doer>("{}").unwrap();
    assert_eq!(post("sleep").through(&filter).note("slept"), Some("5s 5s"));
    assert_eq!(post("sleep").now(Duration::from_secs(1)).through(&filter).note("slept"), Some("5s 5s"));
}

#[test]
fn inputs_reach_the_filter() {
    let host = Host::new().input("list", "a\nb").input("other", "");
    assert_eq!(host.configure::<Doer>("{}").unwrap().input.as_deref(), Some(b"a\nb".as_slice()));
    assert_eq!(doer().input, None);
}

#[test]
fn memory_lasts_from_hook_to_hook_only_if_it_is_kept() {
    let calls = |config: &str| {
        let outcome = post("").body("a").through(&configure::<Doer>(config).unwrap());
        outcome.response().unwrap().header("x-calls").unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(calls(r#"{ "keep": true }"#), "3");
    assert_eq!(calls("{}"), "2", "another instance may serve every other hook");
}

#[test]
fn a_raw_connection_meets_its_own_hook() {
    let outcome = Exchange::raw().clusters(["a"]).through(&doer());
    assert_eq!((outcome.cluster(), outcome.is_whole()), (Some("a"), true));
    assert_eq!(outcome.logs()[0].message, "closed None");
    let refused = Exchange::raw().through(&doer());
    assert_eq!((refused.verdict(), refused.logs()[0].message.as_str()), (&Verdict::Reset, r#"closed Some("filter-reset")"#));
}

#[test]
fn what_belongs_into_another_phase_traps() {
    struct Early;
    impl Filter for Early {
        type Config = NoConfig;
        fn configure(_: NoConfig, setup: &mut Setup) -> Result<Self, ConfigError> {
            setup.tick_every(Duration::from_secs(1));
            Ok(Early)
        }
    }
    impl ConnectionHook for Early {
        fn on_connection(&self, connection: &mut Connection) -> ConnectionVerdict {
            connection.notes().set("here", "yes");
            ConnectionVerdict::Next
        }
    }
    impl TickHook for Early {
        fn on_tick(&self) {
            let _ = quota::take(&STORE, &[Ask::concurrency("a", 1)]);
        }
    }
    tamis_sdk::export!(Early: connection, tick);
    let filter = Host::new().store("store").configure::<Early>("{}").unwrap();
    assert_eq!(Exchange::raw().through(&filter).note("here"), Some("yes"));
    let trap = catch_unwind(AssertUnwindSafe(|| filter.tick())).unwrap_err();
    assert!(trap.downcast_ref::<&str>().unwrap().contains("no exchange in the tick hook"));
}
