//! Who is ejected, for how long, and who never is. The clock is paused: waiting takes no time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::watch;

use super::*;
use crate::cluster::discovery::Resolved;
use crate::cluster::health::Out;
use crate::cluster::{Cluster, Ended};
use crate::config::{self, EndpointSpec};

const fn seen(ended: Ended) -> Seen {
    Seen { ended, took: Duration::ZERO, grpc: None, retry_after: None }
}

const NOBODY: [usize; 0] = [];
const NO_ANSWER: Seen = seen(Ended::Unconnected);
const WELL: Seen = seen(Ended::Answered(StatusCode::OK));
const SERVER_ERROR: Seen = seen(Ended::Answered(StatusCode::INTERNAL_SERVER_ERROR));

fn cluster(count: u8, outliers: Outliers, previous: Option<&Arc<Cluster>>) -> Arc<Cluster> {
    let endpoint = |number| config::Endpoint {
        at: EndpointSpec::Address(SocketAddr::from(([10, 0, 0, number], 80))),
        labels: Arc::default(),
        standing: config::Standing::default(),
    };
    let mut config = config::Cluster::of((0..count).map(endpoint).collect());
    config.outliers = outliers;
    // Or they would all be asked again once half of them are out.
    config.balancing.panic_percent = 0;
    Cluster::build(&"users".into(), &Arc::new(config), &Resolved::default(), previous)
}

/// Without jitter, so that terms are what they say.
fn rules() -> Outliers {
    Outliers { ejection_jitter: Duration::ZERO, ..Outliers::default() }
}

/// A cluster under the eyes of its ward.
struct Watched {
    cluster: Arc<Cluster>,
    sender: watch::Sender<Arc<Cluster>>,
}

impl Watched {
    fn new(count: u8, rules: Outliers) -> Self {
        let cluster = cluster(count, rules, None);
        let (sender, receiver) = watch::channel(Arc::clone(&cluster));
        tokio::spawn(tend(receiver));
        Self { cluster, sender }
    }

    fn saw(&self, place: usize, seen: &Seen, times: usize) {
        for _ in 0..times {
            self.cluster.saw(&self.cluster.endpoints[place], seen);
        }
    }

    /// Which endpoints are ejected once the ward has had its say.
    async fn ejected(&self) -> Vec<usize> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let places = self.cluster.endpoints.iter().enumerate();
        let ejected: Vec<_> = places.filter(|(_, endpoint)| endpoint.health.has(Out::Ejected)).map(|(place, _)| place).collect();
        let out: Vec<_> = ejected.iter().map(|place| self.cluster.endpoints[*place].id).collect();
        for _ in 0..100 {
            let picked = self.cluster.pick(&crate::cluster::Wishes::default(), &[]).expect("one is always in");
            assert!(!out.contains(&picked.id), "picks know of it");
        }
        ejected
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_ejected_and_comes_back() {
    let watched = Watched::new(4, rules());
    watched.saw(1, &NO_ANSWER, 4);
    assert_eq!(watched.ejected().await, NOBODY);
    watched.saw(1, &NO_ANSWER, 1);
    assert_eq!(watched.ejected().await, [1]);
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(watched.ejected().await, [1]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(watched.ejected().await, NOBODY);
    watched.saw(1, &NO_ANSWER, 4);
    assert_eq!(watched.ejected().await, NOBODY, "it counts from the beginning");
    watched.saw(1, &NO_ANSWER, 1);
    assert_eq!(watched.ejected().await, [1]);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(watched.ejected().await, [1], "twice as long");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(watched.ejected().await, NOBODY);
    assert_eq!(watched.cluster.kept.alarm.ejections(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_cap_is_honoured() {
    for (count, percent, most) in [(10, 50, 5), (10, 10, 1), (5, 10, 0), (3, 50, 1), (10, 0, 0), (4, 100, 3)] {
        let watched = Watched::new(count, Outliers { ejected_percent: percent, ..rules() });
        for place in 0..usize::from(count) {
            watched.saw(place, &NO_ANSWER, 5);
        }
        assert_eq!(watched.ejected().await.len(), most, "{percent} % of {count}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_one_that_is_in_stays() {
    let watched = Watched::new(3, Outliers { ejected_percent: 100, ..rules() });
    watched.cluster.endpoints[0].health.set(Out::Checks, true);
    watched.cluster.endpoints[1].health.set(Out::Checks, true);
    watched.cluster.refresh();
    watched.saw(2, &NO_ANSWER, 5);
    assert_eq!(watched.ejected().await, NOBODY);
    assert_eq!(Watched::new(1, rules()).ejected().await, NOBODY);
}

#[tokio::test(start_paused = true)]
async fn endpoints_are_compared_at_the_end_of_an_interval() {
    let watched = Watched::new(5, Outliers { success_rate: true, ..rules() });
    for place in 0..4 {
        watched.saw(place, &WELL, 100);
    }
    watched.saw(4, &WELL, 60);
    watched.saw(4, &SERVER_ERROR, 40);
    assert_eq!(watched.ejected().await, NOBODY, "not yet");
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(watched.ejected().await, NOBODY);
    // The slots of the beginning are still within the last ten seconds when the interval ends.
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(watched.ejected().await, [4]);
}

#[tokio::test(start_paused = true)]
async fn too_few_attempts_or_endpoints_are_not_compared() {
    for (count, attempts) in [(5, 99), (4, 1000)] {
        let watched = Watched::new(count, Outliers { success_rate: true, ..rules() });
        for place in 0..usize::from(count) {
            watched.saw(place, if place == 0 { &SERVER_ERROR } else { &WELL }, attempts);
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(watched.ejected().await, NOBODY, "{attempts} of {count}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_cluster_goes_by_the_share_of_one_endpoint() {
    let watched = Watched::new(2, Outliers { failure_percent: 50, ..rules() });
    for _ in 0..10 {
        watched.saw(0, &WELL, 1);
        watched.saw(0, &SERVER_ERROR, 1);
    }
    assert_eq!(watched.ejected().await, [0]);
}

#[tokio::test(start_paused = true)]
async fn who_is_ejected_stays_so_through_a_reload_within_the_cap() {
    let mut watched = Watched::new(4, rules());
    watched.saw(0, &NO_ANSWER, 5);
    assert_eq!(watched.ejected().await, [0]);
    watched.saw(1, &NO_ANSWER, 5);
    assert_eq!(watched.ejected().await, [0, 1]);
    watched.cluster = cluster(3, rules(), Some(&watched.cluster));
    watched.sender.send(Arc::clone(&watched.cluster)).expect("the ward listens");
    assert_eq!(watched.ejected().await, [1], "one of three, the one that would have come back last");
    watched.cluster = cluster(2, Outliers { ejected_percent: 0, ..rules() }, Some(&watched.cluster));
    watched.sender.send(Arc::clone(&watched.cluster)).expect("the ward listens");
    assert_eq!(watched.ejected().await, NOBODY);
}
