//! What is past a limit of the cluster.

use super::policy::{ask, cluster_with};
use super::*;

use crate::cluster::breaker::Limit;
use crate::config::Breakers;

/// An answer that is held, so that its exchange stays under way.
async fn begin(cluster: &Arc<Cluster>) -> Result<Answer, Failure> {
    let request = Request::builder().uri("/").header("host", "x").body(Outgoing::Empty).expect("valid");
    send(cluster, request, &Wishes::default(), &mut Attempt::default()).await
}

fn breakers(connections: usize, pending: usize, requests: usize) -> impl FnOnce(&mut config::Cluster) {
    move |config| config.breakers = Breakers { connections, pending, requests, retries: 1024 }
}

#[tokio::test]
async fn more_requests_than_allowed_are_refused_at_once() {
    local(async {
        let (address, seen) = upstream(&[OK]).await;
        let cluster = cluster_with(&[address], breakers(10, 10, 2));
        let held = [begin(&cluster).await.expect("room"), begin(&cluster).await.expect("room")];
        let refused = begin(&cluster).await.expect_err("two are under way");
        assert_eq!((refused.kind, seen.borrow().len()), (Kind::ClusterOverloaded, 2));
        assert_eq!(cluster.kept.load.overflows(Limit::Requests), 1);
        // Another snapshot counts on.
        let mut config = (*cluster.config).clone();
        config.breakers.requests = 3;
        let next = Cluster::build(&"users".into(), &Arc::new(config), &Resolved::default(), Some(&cluster));
        assert!(Arc::ptr_eq(&next.endpoints[0], &cluster.endpoints[0]), "other limits are no other endpoints");
        let more = begin(&next).await.expect("three are allowed now");
        assert_eq!(begin(&next).await.expect_err("three are under way").kind, Kind::ClusterOverloaded);
        drop((held, more));
        begin(&cluster).await.expect("room again");
        assert_eq!(next.kept.load.taken(Limit::Requests), 0);
    })
    .await;
}

#[tokio::test]
async fn who_finds_all_connections_open_waits_for_one() {
    local(async {
        let (address, seen) = upstream(&[OK]).await;
        let cluster = cluster_with(&[address], breakers(1, 1, 10));
        let first = begin(&cluster).await.expect("a connection");
        let waiting = begin(&cluster);
        tokio::pin!(waiting);
        // It stands in line, and there is no place behind it.
        assert!(futures_pending(&mut waiting).await);
        assert_eq!(begin(&cluster).await.expect_err("one waits already").kind, Kind::ClusterOverloaded);
        first.lease.finish();
        let second = waiting.await.expect("the connection of the first");
        assert_eq!((seen.borrow().len(), cluster.kept.load.taken(Limit::Connections)), (2, 1));
        // One that is closed instead makes room as well.
        let waiting = begin(&cluster);
        tokio::pin!(waiting);
        assert!(futures_pending(&mut waiting).await);
        drop(second);
        waiting.await.expect("a new connection").lease.finish();
        assert_eq!(cluster.kept.load.overflows(Limit::Pending), 1);
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_to_another_endpoint_makes_room() {
    local(async {
        let ((one, _), (two, _)) = (upstream(&[OK]).await, upstream(&[OK]).await);
        let cluster = cluster_with(&[one, two], breakers(1, 10, 10));
        for _ in 0..4 {
            begin(&cluster).await.expect("a connection").lease.finish();
        }
        assert_eq!(cluster.kept.load.overflows(Limit::Connections), 0);
    })
    .await;
}

#[tokio::test]
async fn who_waits_for_too_long_is_told_so() {
    local(async {
        let (address, _) = upstream(&[OK]).await;
        let cluster = cluster_with(&[address], |config| {
            breakers(1, 10, 10)(config);
            config.timeouts.connect = Duration::from_millis(50);
        });
        let _held = begin(&cluster).await.expect("a connection");
        let (outcome, sent) = ask(&cluster, Method::GET, Wishes::default()).await;
        assert_eq!((outcome.expect_err("none became free").kind, sent), (Kind::ClusterOverloaded, 1));
        assert_eq!(cluster.kept.load.overflows(Limit::Connections), 1);
    })
    .await;
}

/// Lets it come as far as it can, and says whether it waits.
async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
    for _ in 0..20 {
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending()));
        if !polled.await {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

#[tokio::test]
async fn who_stands_in_line_is_served_before_whoever_comes_later() {
    local(async {
        let (address, _) = upstream(&[OK]).await;
        let cluster = cluster_with(&[address], breakers(1, 10, 10));
        for comes_back in [true, false] {
            let first = begin(&cluster).await.expect("a connection");
            let (early, late) = (begin(&cluster), begin(&cluster));
            tokio::pin!(early, late);
            assert!(futures_pending(&mut early).await);
            if comes_back {
                first.lease.finish();
            } else {
                drop(first);
            }
            assert!(futures_pending(&mut late).await, "it came later");
            early.await.expect("its turn").lease.finish();
            late.await.expect("its turn").lease.finish();
        }
        assert_eq!(cluster.kept.load.overflows(Limit::Connections), 0);
    })
    .await;
}

#[tokio::test]
async fn standing_in_line_is_no_time_of_an_attempt() {
    const PER_TRY: Duration = Duration::from_millis(300);
    local(async {
        let (address, _) = upstream(&[OK]).await;
        let cluster = cluster_with(&[address], |config| {
            breakers(1, 10, 10)(config);
            config.retry.per_try_timeout = PER_TRY;
        });
        let held = begin(&cluster).await.expect("a connection");
        let waiting = ask(&cluster, Method::GET, Wishes::default());
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(PER_TRY * 2, &mut waiting).await.is_err(), "it stands in line still");
        held.lease.finish();
        let (outcome, sent) = waiting.await;
        assert_eq!((outcome.expect("an answer"), sent), (200, 1));
    })
    .await;
}

#[tokio::test]
async fn who_is_given_up_in_line_is_nobodys_fault() {
    local(async {
        let (address, _) = upstream(&[OK]).await;
        let cluster = cluster_with(&[address], breakers(1, 10, 10));
        let _held = begin(&cluster).await.expect("a connection");
        let judged = cluster.kept.choices.last().len();
        let inflow = Rc::new(crate::exchange::Inflow::new(true));
        let wishes = Wishes { timeout: Some(Duration::from_millis(10)), inflow: Some(inflow), ..Wishes::default() };
        let given_up = tokio::time::timeout(Duration::from_millis(60), ask(&cluster, Method::GET, wishes)).await;
        assert!(given_up.is_err(), "it stood in line until its time was over");
        assert_eq!(cluster.kept.choices.last().len(), judged);
    })
    .await;
}
