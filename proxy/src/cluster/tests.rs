//! What an exchange wishes, who gets it, and how often it is sent.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::*;
use crate::config::{Balance, ClusterLimits, EndpointSpec, Labels, Standing, UpstreamProtocol};
use crate::exchange::{Attempt, Destination, Failure, Kind, Retry};

mod limits;
mod policy;
mod trail;

fn labels(pairs: &[(&str, &str)]) -> Arc<Labels> {
    Arc::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>())
}

fn config(balance: Balance, endpoints: &[(SocketAddr, &[(&str, &str)])]) -> Arc<config::Cluster> {
    let endpoints = endpoints
        .iter()
        .map(|(address, pairs)| config::Endpoint {
            at: EndpointSpec::Address(*address),
            labels: labels(pairs),
            standing: Standing::default(),
        })
        .collect();
    Arc::new(config::Cluster {
        balance,
        limits: ClusterLimits { replay_bytes: 1000, ..ClusterLimits::default() },
        ..config::Cluster::of(endpoints)
    })
}

fn cluster(name: &str, balance: Balance, endpoints: &[(SocketAddr, &[(&str, &str)])]) -> Arc<Cluster> {
    Cluster::build(&name.into(), &config(balance, endpoints), &Resolved::default(), None)
}

fn address(number: u8) -> SocketAddr {
    ([10, 0, 0, number], 80).into()
}

fn plain(count: u8) -> Vec<(SocketAddr, &'static [(&'static str, &'static str)])> {
    (0..count).map(|number| (address(number), &[][..])).collect()
}

fn subset(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// All that are ever picked.
fn picks(cluster: &Cluster, wishes: &Wishes, tried: &[u64]) -> BTreeSet<SocketAddr> {
    (0..200).filter_map(|_| cluster.pick(wishes, tried)).map(|endpoint| endpoint.address).collect()
}

const ZONED: [(SocketAddr, &[(&str, &str)]); 4] = [
    (SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 0)), 80), &[("zone", "a"), ("version", "1")]),
    (SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 80), &[("zone", "a"), ("version", "2")]),
    (SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 80), &[("zone", "b"), ("version", "2")]),
    (SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3)), 80), &[]),
];

#[test]
fn only_endpoints_with_all_the_labels_are_eligible() {
    type Case = (&'static [(&'static str, &'static str)], &'static [u8]);
    let cases: [Case; 5] = [
        (&[], &[0, 1, 2, 3]),
        (&[("zone", "a")], &[0, 1]),
        (&[("version", "2"), ("zone", "a")], &[1]),
        (&[("zone", "c")], &[]),
        (&[("zone", "a"), ("zone", "b")], &[]),
    ];
    for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::Hash] {
        let cluster = cluster("users", balance, &ZONED);
        for (pairs, expected) in cases {
            let wishes = Wishes { subset: subset(pairs), ..Wishes::default() };
            let expected: BTreeSet<_> = expected.iter().map(|number| address(*number)).collect();
            assert_eq!(picks(&cluster, &wishes, &[]), expected, "{balance:?} {pairs:?}");
            assert_eq!(cluster.suits(&wishes), !expected.is_empty());
        }
    }
}

#[test]
fn a_named_endpoint_is_the_only_one() {
    let cluster = cluster("users", Balance::RoundRobin, &plain(3));
    let wishes = Wishes { endpoint: Some(address(1)), ..Wishes::default() };
    let id = cluster.endpoints[1].id;
    assert_eq!(picks(&cluster, &wishes, &[]), [address(1)].into());
    assert_eq!(picks(&cluster, &wishes, &[id]), [address(1)].into(), "a retry has nowhere else to go");
    assert!(!cluster.has_another(&wishes, &[id]));
    assert!(cluster.pick(&Wishes { endpoint: Some(address(9)), ..Wishes::default() }, &[]).is_none());
}

#[test]
fn a_further_attempt_avoids_what_was_tried_as_long_as_it_can() {
    let cluster = cluster("users", Balance::LeastRequest, &plain(3));
    let ids: Vec<_> = cluster.endpoints.iter().map(|endpoint| endpoint.id).collect();
    let wishes = Wishes::default();
    assert_eq!(picks(&cluster, &wishes, &ids[..1]), [address(1), address(2)].into());
    assert_eq!(picks(&cluster, &wishes, &ids[..2]), [address(2)].into());
    assert_eq!(picks(&cluster, &wishes, &ids), [address(0), address(1)].into(), "all were tried, the last one is avoided");
}

#[test]
fn a_key_has_one_endpoint_and_its_next_best_for_a_retry() {
    let all = cluster("users", Balance::Hash, &plain(5));
    for key in 0..20_u8 {
        let wishes = Wishes { key: Some(hash::of_key(&[key])), ..Wishes::default() };
        let first = all.pick(&wishes, &[]).expect("some");
        let second = all.pick(&wishes, &[first.id]).expect("some").address;
        let rest: Vec<_> = plain(5).into_iter().filter(|(address, _)| *address != first.address).collect();
        let without = cluster("users", Balance::Hash, &rest);
        assert_eq!(picks(&all, &wishes, &[first.id]), [second].into());
        assert_eq!(picks(&without, &wishes, &[]), [second].into(), "where it goes when the first one leaves");
    }
}

#[test]
fn other_labels_keep_the_endpoints() {
    let before = cluster("users", Balance::LeastRequest, &plain(1));
    let labelled: [(SocketAddr, &[(&str, &str)]); 1] = [(address(0), &[("zone", "a")])];
    let changed = config(Balance::LeastRequest, &labelled);
    let after = Cluster::build(&"users".into(), &changed, &Resolved::default(), Some(&before));
    assert!(Arc::ptr_eq(&before.endpoints[0], &after.endpoints[0]), "load and connections stay");
    let wishes = Wishes { subset: subset(&[("zone", "a")]), ..Wishes::default() };
    assert!(!before.suits(&wishes) && after.suits(&wishes));
}

#[test]
fn who_stays_keeps_what_is_known_of_it_whoever_comes_and_goes() {
    let list = |numbers: std::ops::Range<u16>| -> Vec<(SocketAddr, &[(&str, &str)])> {
        numbers.map(|number| (([10, 0, (number >> 8) as u8, number as u8], 80).into(), &[][..])).collect()
    };
    let before = cluster("users", Balance::LeastRequest, &list(0..10_000));
    before.endpoints[7_000].health.set(health::Out::Ejected, true);
    let _busy = before.endpoints[7_001].begin(None);
    let other = config(Balance::LeastRequest, &list(5_000..15_000));
    let after = Cluster::build(&"users".into(), &other, &Resolved::default(), Some(&before));
    assert!(after.endpoints[..5_000].iter().zip(&before.endpoints[5_000..]).all(|(after, before)| Arc::ptr_eq(after, before)));
    assert!(after.endpoints[5_000..].iter().all(|new| new.id > before.endpoints[9_999].id));
    assert!(!after.endpoints[2_000].health.is_in());
    assert_eq!(after.endpoints[2_001].active(), 1);
    assert!(Arc::ptr_eq(&before.kept.alarm, &after.kept.alarm) && Arc::ptr_eq(&before.kept.choices, &after.kept.choices));
}

fn clusters() -> HashMap<Arc<str>, Arc<Cluster>> {
    let all = [
        cluster("zoned", Balance::Hash, &ZONED),
        cluster("empty", Balance::Hash, &[]),
        cluster("spare", Balance::Hash, &plain(1)),
    ];
    all.into_iter().map(|cluster| (Arc::clone(&cluster.name), cluster)).collect()
}

#[test]
fn the_fallback_takes_over_where_there_is_no_endpoint() {
    let clusters = clusters();
    let wish =
        |cluster: &str| Destination { cluster: Some(cluster.into()), fallback: Some("spare".into()), ..Destination::default() };
    let cases = [
        (wish("zoned"), "zoned"),
        (wish("empty"), "spare"),
        (Destination { subset: subset(&[("zone", "a")]), ..wish("zoned") }, "zoned"),
        (Destination { subset: subset(&[("zone", "c")]), ..wish("zoned") }, "spare"),
        (Destination { endpoint: Some(address(1)), ..wish("zoned") }, "zoned"),
        (Destination { endpoint: Some(address(9)), ..wish("zoned") }, "spare"),
    ];
    for (mut destination, expected) in cases {
        let said = format!("{destination:?}");
        destination.hash_key = Some(hash::of_key(b"user-7"));
        let (chosen, wishes) = choose(&clusters, &mut destination).expect("a cluster");
        assert_eq!(&*chosen.name, expected, "{said}");
        assert_eq!(destination.cluster.as_deref(), Some(expected), "the log tells where it went");
        assert!(chosen.pick(&wishes, &[]).is_some(), "wishes for the one cluster are none for the other");
        assert_eq!(wishes.key, Some(hash::of_key(b"user-7")));
    }
}

#[test]
fn without_a_fallback_there_is_no_endpoint() {
    let clusters = clusters();
    let kind = |destination: Destination| choose(&clusters, &mut { destination }).expect_err("nowhere").kind;
    assert_eq!(kind(Destination::default()), Kind::NoRoute);
    assert_eq!(kind(Destination { cluster: Some("gone".into()), ..Destination::default() }), Kind::NoCluster);
    let mut named = Destination { cluster: Some("zoned".into()), endpoint: Some(address(9)), ..Destination::default() };
    let (cluster, wishes) = choose(&clusters, &mut named).expect("a cluster");
    assert!(cluster.pick(&wishes, &[]).is_none());
}

/// What an upstream does with a request.
#[derive(Debug, Clone, Copy)]
enum Does {
    Answer(&'static str),
    /// Takes the request and closes.
    Close,
    Nothing,
    /// Answers after a while.
    Late(Duration),
}

const OK: Does = Does::Answer("200 OK");
const BUSY: Does = Does::Answer("503 Service Unavailable");

/// An upstream that does one thing a request, and the last one for all that follow. It tells the requests it got.
async fn upstream(script: &'static [Does]) -> (SocketAddr, Rc<RefCell<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let seen = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&seen);
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(serve(stream, script, Rc::clone(&told)));
        }
    });
    (address, seen)
}

async fn serve(mut stream: TcpStream, script: &'static [Does], told: Rc<RefCell<Vec<String>>>) {
    while let Some(request) = read_request(&mut stream).await {
        let number = told.borrow().len();
        told.borrow_mut().push(request);
        match script[number.min(script.len() - 1)] {
            Does::Answer(status) => {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.expect("a reader");
            }
            Does::Close => return,
            Does::Nothing => std::future::pending().await,
            Does::Late(after) => {
                tokio::time::sleep(after).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("a reader");
            }
        }
    }
}

/// A head and as much body as it announces.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= announced.map_or(0, |length| length.parse().expect("a length")) {
                return Some(body.to_owned());
            }
        }
        let mut piece = [0; 1024];
        match stream.read(&mut piece).await {
            Ok(count) if count > 0 => text.push_str(std::str::from_utf8(&piece[..count]).expect("text")),
            _ => return None,
        }
    }
}

fn body(text: &'static str) -> Outgoing {
    Outgoing::Whole { body: Bytes::from_static(text.as_bytes()), trailers: None }
}

fn retry(attempts: u32, on: &[&str], per_try_ms: Option<u32>) -> Option<Retry> {
    let on: Vec<_> = on.iter().map(|word| (*word).to_owned()).collect();
    Some(Retry::parse(attempts, &on, per_try_ms).expect("valid"))
}

/// What comes of a POST with a body, and what was done for it.
async fn post(endpoints: &[SocketAddr], retry: Option<Retry>, body: Outgoing) -> (Result<u16, Failure>, Attempt) {
    let endpoints: Vec<(SocketAddr, &[(&str, &str)])> = endpoints.iter().map(|address| (*address, &[][..])).collect();
    let cluster = cluster("users", Balance::RoundRobin, &endpoints);
    let request = Request::builder().method(Method::POST).uri("/").header("host", "x").body(body).expect("valid");
    let mut attempt = Attempt::default();
    let answer = send(&cluster, request, &Wishes { retry, ..Wishes::default() }, &mut attempt).await;
    (answer.map(|answer| answer.response.status().as_u16()), attempt)
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("bound")
}

async fn local(test: impl Future<Output = ()>) {
    let set = LocalSet::new();
    tokio::time::timeout(Duration::from_secs(20), set.run_until(test)).await.expect("it ends");
}

#[tokio::test]
async fn a_retry_goes_on_until_an_answer_is_no_occasion() {
    local(async {
        let (address, seen) = upstream(&[BUSY, Does::Close, OK]).await;
        let (status, attempt) = post(&[address], retry(5, &["503", "reset"], None), body("hello")).await;
        assert_eq!((status.expect("an answer"), attempt.count), (200, 3));
        assert_eq!(seen.borrow()[..], ["hello", "hello", "hello"], "each time the whole body");
    })
    .await;
}

#[tokio::test]
async fn the_last_attempt_is_what_the_client_sees() {
    local(async {
        let (address, seen) = upstream(&[BUSY]).await;
        let (status, attempt) = post(&[address], retry(3, &["5xx"], None), body("")).await;
        assert_eq!((status.expect("an answer"), attempt.count, seen.borrow().len()), (503, 3, 3));
        let (address, seen) = upstream(&[Does::Close]).await;
        let (status, attempt) = post(&[address], retry(2, &["reset"], None), body("")).await;
        assert_eq!((status.expect_err("no answer").kind, attempt.count), (Kind::UpstreamReset, 2));
        assert_eq!(seen.borrow().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_was_not_named_is_sent_once() {
    local(async {
        let cases: [(&'static [Does], Option<Retry>); 5] = [
            (&[BUSY, OK], None),
            (&[BUSY, OK], retry(3, &["reset", "connect", "timeout", "429"], None)),
            (&[Does::Close, OK], None),
            (&[Does::Close, OK], retry(3, &["5xx", "connect", "timeout"], None)),
            (&[BUSY, OK], retry(1, &["5xx"], None)),
        ];
        for (script, retry) in cases {
            let (address, seen) = upstream(script).await;
            let (_, attempt) = post(&[address], retry, body("hello")).await;
            assert_eq!((attempt.count, seen.borrow().len()), (1, 1), "{script:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_retry_goes_to_another_endpoint() {
    local(async {
        let (bad, seen) = upstream(&[BUSY]).await;
        let (good, _) = upstream(&[OK]).await;
        // Round robin begins anywhere: of two exchanges one meets the bad one first.
        for _ in 0..4 {
            let (status, attempt) = post(&[bad, good], retry(2, &["503"], None), body("x")).await;
            assert_eq!(status.expect("an answer"), 200);
            assert_eq!(attempt.endpoint, Some(good));
        }
        assert!(seen.borrow().len() <= 4);
    })
    .await;
}

#[tokio::test]
async fn what_was_not_sent_goes_to_another_endpoint_at_once() {
    local(async {
        let (dead, (good, _)) = (nobody().await, upstream(&[OK]).await);
        for retry in [None, retry(2, &["503"], None)] {
            for _ in 0..4 {
                let (status, _) = post(&[dead, good], retry.clone(), body("x")).await;
                assert_eq!(status.expect("an answer"), 200);
            }
        }
        let (status, attempt) = post(&[dead], None, body("x")).await;
        assert_eq!((status.expect_err("nobody is there").kind, attempt.count), (Kind::ConnectFailed, 1));
        let (status, attempt) = post(&[dead], retry(3, &["connect"], None), body("x")).await;
        assert_eq!((status.expect_err("nobody is there").kind, attempt.count), (Kind::ConnectFailed, 3));
    })
    .await;
}

#[tokio::test]
async fn a_body_that_was_not_kept_is_sent_once() {
    const BODY: &str = "0123456789";
    local(async {
        for (limit, expected) in [(10, 2), (9, 1)] {
            let (address, seen) = upstream(&[Does::Close, OK]).await;
            let body = Outgoing::Replay(replay::Replay::new(replay::tests::whole(BODY, None), limit));
            let (status, attempt) = post(&[address], retry(5, &["reset"], None), body).await;
            assert_eq!((status.is_ok(), attempt.count), (expected == 2, expected));
            assert_eq!(seen.borrow()[..], vec![BODY; expected as usize]);
        }
    })
    .await;
}

#[tokio::test]
async fn an_attempt_has_its_own_timeout() {
    local(async {
        let (address, _) = upstream(&[Does::Nothing, OK]).await;
        let (status, attempt) = post(&[address], retry(2, &["timeout"], Some(300)), body("x")).await;
        assert_eq!((status.expect("an answer"), attempt.count), (200, 2));
        let (address, _) = upstream(&[Does::Nothing]).await;
        let (status, attempt) = post(&[address], retry(2, &["reset"], Some(100)), body("x")).await;
        assert_eq!((status.expect_err("no answer").kind, attempt.count), (Kind::Timeout, 1));
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_was_refused_is_opened_again() {
    local(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::task::spawn_local(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut connection = h2::server::handshake(stream).await.expect("a client");
            let mut refused = 0;
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                if refused < 2 {
                    refused += 1;
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                    continue;
                }
                tokio::task::spawn_local(async move {
                    let mut body = request.into_body();
                    let mut received = Vec::new();
                    while let Some(piece) = body.data().await {
                        received.extend_from_slice(&piece.expect("a piece"));
                    }
                    let status = if received == b"hello" { 200 } else { 400 };
                    let head = http::Response::builder().status(status).body(()).expect("valid");
                    respond.send_response(head, true).expect("a client");
                });
            }
        });
        let mut config = (*config(Balance::RoundRobin, &[(address, &[])])).clone();
        config.protocol = UpstreamProtocol::Http2;
        let cluster = Cluster::build(&"users".into(), &Arc::new(config), &Resolved::default(), None);
        let send_with = async |on: &[&str]| {
            let body = Outgoing::Replay(replay::Replay::new(replay::tests::whole("hello", None), 100));
            let request = Request::builder().method(Method::POST).uri("http://x/").body(body).expect("valid");
            let wishes = Wishes { retry: retry(3, on, None), ..Wishes::default() };
            let answer = send(&cluster, request, &wishes, &mut Attempt::default()).await;
            answer.map(|answer| answer.response.status().as_u16())
        };
        assert_eq!(send_with(&["5xx", "timeout"]).await.expect_err("refused, and nothing for that").kind, Kind::UpstreamReset);
        assert_eq!(send_with(&["refused-stream"]).await.expect("an answer"), 200);
    })
    .await;
}
