//! What attempts leave in the trail of an exchange that somebody looks at.

use super::policy::{ask, cluster_with, occasions};
use super::*;

use http::StatusCode;

use crate::exchange::Trail;
use crate::exchange::trail::What;

type Told = (u32, SocketAddr, bool, Option<Result<StatusCode, Kind>>);

/// Number, endpoint, whether it was beside another, and what came of it; all attempts are over.
fn attempts(trail: &Trail) -> Vec<Told> {
    let steps = trail.steps();
    let attempts = steps.iter().map(|step| match &step.what {
        What::Attempt(attempt) => {
            assert_eq!((&*attempt.cluster, attempt.by, step.took.is_some()), ("users", Some(7), true));
            (attempt.number, attempt.endpoint, attempt.hedged, attempt.result)
        }
        What::Hook(hook) => unreachable!("{hook:?}"),
    });
    attempts.collect()
}

fn watched() -> (Rc<Trail>, Wishes) {
    let trail = Rc::new(Trail::new(8, None));
    (Rc::clone(&trail), Wishes { trail: Some(trail), by: Some(7), ..Wishes::default() })
}

#[tokio::test]
async fn each_attempt_is_a_step_with_what_came_of_it() {
    local(async {
        let (address, _) = upstream(&[BUSY, Does::Close, OK]).await;
        let cluster = cluster_with(&[address], |config| {
            config.retry.on = occasions(&["5xx", "reset"]);
            config.retry.attempts = 3;
            config.retry.backoff_max = Duration::ZERO;
        });
        let (trail, wishes) = watched();
        ask(&cluster, Method::GET, wishes).await.0.expect("an answer");
        let expected = [
            (1, address, false, Some(Ok(StatusCode::SERVICE_UNAVAILABLE))),
            (2, address, false, Some(Err(Kind::UpstreamReset))),
            (3, address, false, Some(Ok(StatusCode::OK))),
        ];
        assert_eq!(attempts(&trail), expected);
    })
    .await;
}

#[tokio::test]
async fn the_one_that_was_given_up_for_another_says_so() {
    local(async {
        let ((silent, asked), (good, _)) = (upstream(&[Does::Nothing]).await, upstream(&[OK]).await);
        let cluster = cluster_with(&[silent, good], |config| config.retry.hedge_after = Duration::from_millis(10));
        for _ in 0..4 {
            let (trail, wishes) = watched();
            let before = asked.borrow().len();
            ask(&cluster, Method::GET, wishes).await.0.expect("an answer");
            if asked.borrow().len() > before {
                assert_eq!(attempts(&trail), [(1, silent, false, None), (2, good, true, Some(Ok(StatusCode::OK)))]);
            } else {
                assert_eq!(attempts(&trail), [(1, good, false, Some(Ok(StatusCode::OK)))]);
            }
        }
        assert!(!asked.borrow().is_empty(), "in turns, the silent one was asked first at least once");
    })
    .await;
}
