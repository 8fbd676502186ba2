//! What the cluster itself says of retries: the policy, the budget, deadlines, and asking two at once.

use super::*;

use std::time::Instant;

use crate::cluster::Ended;
use crate::config::{Occasions, RetryBudget};
use crate::exchange::{Deadline, Inflow};

/// A cluster of these endpoints with other rules than the usual ones.
pub fn cluster_with(endpoints: &[SocketAddr], change: impl FnOnce(&mut config::Cluster)) -> Arc<Cluster> {
    let endpoints: Vec<(SocketAddr, &[(&str, &str)])> = endpoints.iter().map(|address| (*address, &[][..])).collect();
    let mut config = (*config(Balance::RoundRobin, &endpoints)).clone();
    change(&mut config);
    Cluster::build(&"users".into(), &Arc::new(config), &Resolved::default(), None)
}

pub fn occasions(words: &[&str]) -> Occasions {
    Occasions::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).expect("valid")
}

/// What comes of a request without a word of a filter, and how often it was sent.
pub async fn ask(cluster: &Arc<Cluster>, method: Method, wishes: Wishes) -> (Result<u16, Failure>, u32) {
    let request = Request::builder().method(method).uri("/").header("host", "x").body(body("x")).expect("valid");
    let (mut attempt, wishes) = (Attempt::default(), Wishes { by_policy: true, ..wishes });
    let answer = send(cluster, request, &wishes, &mut attempt).await;
    (answer.map(|answer| answer.response.status().as_u16()), attempt.count)
}

#[tokio::test]
async fn the_policy_of_the_cluster_holds_where_no_filter_speaks() {
    local(async {
        for (method, any, expected) in [(Method::GET, false, 200), (Method::POST, false, 503), (Method::POST, true, 200)] {
            let (address, _) = upstream(&[BUSY, OK]).await;
            let cluster = cluster_with(&[address], |config| {
                config.retry.on = occasions(&["5xx"]);
                config.retry.any_method = any;
            });
            let (status, _) = ask(&cluster, method.clone(), Wishes::default()).await;
            assert_eq!(status.expect("an answer"), expected, "{method} {any}");
            // A filter is taken at its word.
            let (address, _) = upstream(&[BUSY, OK]).await;
            let cluster = cluster_with(&[address], |config| config.retry.on = occasions(&["5xx"]));
            let wishes = Wishes { retry: retry(2, &["reset"], None), ..Wishes::default() };
            assert_eq!(ask(&cluster, method, wishes).await.0.expect("an answer"), 503);
        }
    })
    .await;
}

#[tokio::test]
async fn a_spent_budget_ends_it_with_the_last_answer() {
    local(async {
        let (address, seen) = upstream(&[BUSY]).await;
        let rules = RetryBudget { percent: 20, minimum: 0, window: Duration::from_secs(60) };
        let cluster = cluster_with(&[address], |config| {
            config.retry.on = occasions(&["5xx"]);
            config.retry.backoff_max = Duration::ZERO;
            config.retry_budget = rules.clone();
        });
        for _ in 0..100 {
            assert_eq!(ask(&cluster, Method::GET, Wishes::default()).await.0.expect("an answer"), 503);
        }
        let counts = &cluster.kept.counts;
        assert_eq!((seen.borrow().len(), counts.retries.get(), counts.over_budget.get()), (120, 20, 80));
        // The next snapshot goes on with what is left, whatever else has changed.
        let mut config = (*cluster.config).clone();
        config.timeouts.connect = Duration::from_secs(1);
        let next = Cluster::build(&"users".into(), &Arc::new(config), &Resolved::default(), Some(&cluster));
        assert_eq!(ask(&next, Method::GET, Wishes::default()).await.1, 1);
        assert_eq!(next.kept.counts.over_budget.get(), 81);
    })
    .await;
}

#[tokio::test]
async fn what_was_not_sent_draws_on_the_budget_too() {
    local(async {
        let (dead, (good, _)) = (nobody().await, upstream(&[OK]).await);
        let cluster = cluster_with(&[dead, good], |config| {
            config.retry_budget = RetryBudget { percent: 0, minimum: 0, window: Duration::from_secs(10) };
        });
        let mut failed = 0;
        for _ in 0..4 {
            let (status, sent) = ask(&cluster, Method::GET, Wishes::default()).await;
            failed += u32::from(status.is_err());
            assert_eq!(sent, 1);
        }
        assert_eq!((failed, cluster.kept.counts.over_budget.get()), (2, 2));
    })
    .await;
}

#[tokio::test]
async fn no_attempt_is_made_that_the_deadline_would_not_see() {
    local(async {
        let (address, seen) = upstream(&[BUSY, OK]).await;
        let cluster = cluster_with(&[address], |config| {
            config.retry.on = occasions(&["5xx"]);
            config.retry.backoff = Duration::from_secs(600);
            config.retry.backoff_max = Duration::from_secs(600);
        });
        let deadline = Deadline { at: Instant::now() + Duration::from_millis(50), grpc: false, field: None };
        let (status, sent) = ask(&cluster, Method::GET, Wishes { deadline: Some(deadline), ..Wishes::default() }).await;
        // A pause below 50 ms is one chance in 12,000.
        assert_eq!((status.expect("an answer"), sent, seen.borrow().len()), (503, 1, 1));
        assert_eq!(cluster.kept.counts.too_late.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_second_endpoint_is_asked_beside_one_that_is_silent() {
    local(async {
        let (silent, asked) = upstream(&[Does::Nothing]).await;
        let (quick, _) = upstream(&[OK]).await;
        let cluster = cluster_with(&[silent, quick], |config| config.retry.hedge_after = Duration::from_millis(20));
        for _ in 0..4 {
            assert_eq!(ask(&cluster, Method::GET, Wishes::default()).await.0.expect("an answer"), 200);
        }
        let counts = &cluster.kept.counts;
        let asked = asked.borrow().len() as u64;
        assert!(asked > 0, "in turns, the silent one was asked first at least once");
        assert_eq!((counts.hedges.get(), counts.hedges_won.get(), counts.retries.get()), (asked, asked, asked));
        assert!(cluster.endpoints.iter().all(|endpoint| endpoint.active() == 0), "the one that was silent was given up");
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_fails_leaves_the_other_one_its_chance() {
    local(async {
        const LATE: Does = Does::Late(Duration::from_millis(200));
        let (slow, asked) = upstream(&[LATE]).await;
        let (broken, _) = upstream(&[Does::Close]).await;
        let cluster = cluster_with(&[slow, broken], |config| config.retry.hedge_after = Duration::from_millis(20));
        for _ in 0..4 {
            let before = asked.borrow().len();
            let (status, _) = ask(&cluster, Method::GET, Wishes::default()).await;
            // Where the broken one was first, nothing is tried again: no occasion is named.
            let was_first = asked.borrow().len() > before;
            assert_eq!(status.is_ok_and(|status| status == 200), was_first);
        }
        assert!(!asked.borrow().is_empty(), "in turns, the slow one was asked first at least once");
        assert_eq!(cluster.kept.counts.hedges_won.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn who_lets_an_exchange_run_out_of_time_is_told_of_and_who_was_cut_off_is_not() {
    local(async {
        let (silent, _) = upstream(&[Does::Nothing]).await;
        let cluster = cluster_with(&[silent], |config| config.outliers.local_failures = 1);
        let ended = |cut: bool, timeout| {
            let inflow = Rc::new(Inflow::new(!cut));
            Wishes { timeout: Some(timeout), inflow: Some(inflow), ..Wishes::default() }
        };
        let seen = || cluster.kept.choices.last().iter().map(|choice| choice.seen.ended).collect::<Vec<_>>();
        let given_up = async |wishes| tokio::time::timeout(Duration::from_millis(60), ask(&cluster, Method::GET, wishes)).await;
        assert!(given_up(ended(false, Duration::from_secs(60))).await.is_err());
        assert_eq!(seen(), [], "it had its time");
        assert!(given_up(ended(true, Duration::ZERO)).await.is_err());
        assert_eq!(seen(), [], "the request has not ended");
        assert!(given_up(ended(false, Duration::from_millis(10))).await.is_err());
        assert_eq!(seen(), [Ended::Unanswered]);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_no_good_leaves_the_other_one_its_chance() {
    local(async {
        let (busy, told) = upstream(&[BUSY]).await;
        let (silent, asked) = upstream(&[Does::Nothing]).await;
        let cluster = cluster_with(&[silent, busy], |config| {
            config.retry.hedge_after = Duration::from_millis(20);
            config.retry.on = occasions(&["5xx"]);
        });
        let asking = ask(&cluster, Method::GET, Wishes::default());
        // Whichever of the two was first, the silent one is waited for in the end.
        let outcome = tokio::time::timeout(Duration::from_millis(300), asking).await;
        assert!(outcome.is_err(), "{outcome:?}");
        assert_eq!((asked.borrow().len(), told.borrow().len()), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn a_grpc_call_is_judged_once_by_how_it_ended() {
    const CALL: Does = Does::Answer("200 OK\r\ncontent-type: application/grpc");
    local(async {
        let (address, _) = upstream(&[CALL]).await;
        let cluster = cluster_with(&[address], |_| {});
        let judged = || cluster.kept.choices.last().iter().map(|choice| choice.seen.grpc).collect::<Vec<_>>();
        for code in [Some("14"), Some("0"), None] {
            let request = Request::builder().uri("/").header("host", "x").body(body("x")).expect("valid");
            let before = judged().len();
            let mut answer = send(&cluster, request, &Wishes::default(), &mut Attempt::default()).await.expect("an answer");
            assert_eq!(judged().len(), before, "it is under way");
            if let Some(code) = code {
                answer.lease.heard(&http::HeaderMap::from_iter([(
                    "grpc-status".parse().expect("a name"),
                    code.parse().expect("a value"),
                )]));
            }
            drop(answer);
        }
        assert_eq!(judged().iter().filter(|code| **code == Some(14)).count(), 1);
        assert_eq!(judged().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_stream_past_the_last_one_of_a_goaway_was_not_begun() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// The head of a frame on stream 0.
    const fn frame(length: u8, kind: u8) -> [u8; 9] {
        [0, 0, length, kind, 0, 0, 0, 0, 0]
    }
    local(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::task::spawn_local(async move {
            let (mut leaving, _) = listener.accept().await.expect("a client");
            leaving.write_all(&frame(0, 4)).await.expect("settings");
            leaving.read_exact(&mut [0; 24]).await.expect("the preface");
            let mut head = [0; 9];
            // Up to the first HEADERS.
            while head[3] != 1 {
                leaving.read_exact(&mut head).await.expect("a frame");
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                leaving.read_exact(&mut vec![0; length as usize]).await.expect("all of it");
            }
            leaving.write_all(&frame(8, 7)).await.expect("a goaway");
            leaving.write_all(&[0; 8]).await.expect("no stream, no error");
            let (stream, _) = listener.accept().await.expect("the client again");
            let mut connection = h2::server::handshake(stream).await.expect("a client");
            while let Some(Ok((_request, mut respond))) = connection.accept().await {
                let head = http::Response::builder().status(200).body(()).expect("valid");
                respond.send_response(head, true).expect("a client");
            }
        });
        let cluster = cluster_with(&[address], |config| {
            config.protocol = UpstreamProtocol::Http2;
            config.retry.on = occasions(&["refused-stream"]);
        });
        let request = Request::builder().method(Method::POST).uri("http://x/").body(body("")).expect("valid");
        let (mut attempt, wishes) = (Attempt::default(), Wishes { by_policy: true, ..Wishes::default() });
        let answer = send(&cluster, request, &wishes, &mut attempt).await.expect("an answer");
        assert_eq!((answer.response.status().as_u16(), attempt.count), (200, 2));
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_takes_no_websockets_over_http2_is_not_blamed() {
    local(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::task::spawn_local(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut connection = h2::server::handshake(stream).await.expect("a client");
            while connection.accept().await.is_some() {}
        });
        let cluster = cluster_with(&[address], |config| {
            config.protocol = UpstreamProtocol::Http2;
            config.timeouts.connect = Duration::from_millis(50);
            config.outliers.local_failures = 1;
        });
        for _ in 0..2 {
            let mut request = Request::builder().method(Method::CONNECT).uri("http://x/").body(Outgoing::Empty).expect("valid");
            request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
            let answer = send(&cluster, request, &Wishes::default(), &mut Attempt::default()).await;
            assert_eq!(answer.expect_err("it says nothing of that").kind, Kind::NotImplemented);
        }
        let judged: Vec<_> = cluster.kept.choices.last().iter().map(|choice| choice.seen.ended).collect();
        assert!(judged.iter().all(|ended| *ended == Ended::Useless), "{judged:?}");
    })
    .await;
}
