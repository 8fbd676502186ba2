//! Whether a request is sent once more, and after what pause. It sends nothing.
//!
//! Without a word of a filter, only a request of which nothing was sent goes to one other endpoint. A filter that names
//! occasions is taken at its word, whatever the method: it knows whether the service bears to be asked twice.

use std::time::Duration;

use super::Ended;
use crate::config::defaults::{RETRY_BACKOFF, RETRY_BACKOFF_MAX};
use crate::exchange::Retry;
use crate::exchange::destination::Occasion;

/// Endpoints that a request is offered to if no filter says otherwise.
const OFFERS_MAX: u32 = 2;

impl Ended {
    /// Whether it is an occasion that the filter named.
    fn was_named(self, retry: &Retry) -> bool {
        let any = |occasions: &[Occasion]| occasions.iter().any(|occasion| retry.on.contains(*occasion));
        match self {
            Self::Answered(status) => retry.on.contains_status(status),
            Self::Unconnected => any(&[Occasion::Connect]),
            Self::UnconnectedInTime => any(&[Occasion::Connect, Occasion::Timeout]),
            Self::Unanswered => any(&[Occasion::Timeout]),
            Self::Reset => any(&[Occasion::Reset]),
            Self::Refused => any(&[Occasion::Reset, Occasion::RefusedStream]),
            Self::Useless => false,
        }
    }
}

/// Whether a further attempt is thought of at all.
pub fn is_worth_it(ended: Ended, retry: Option<&Retry>) -> bool {
    ended.is_unsent() || retry.is_some_and(|retry| ended.was_named(retry))
}

/// How long to wait before the next attempt; `None`: there is none. `made`: attempts until now. `another`: there is an
/// endpoint that has not been tried.
pub fn pause(ended: Ended, retry: Option<&Retry>, made: u32, another: bool) -> Option<Duration> {
    if made >= retry.map_or(OFFERS_MAX, |retry| retry.attempts) {
        return None;
    }
    let named = retry.is_some_and(|retry| ended.was_named(retry));
    match ended {
        // Somebody else may well be there: no reason to wait.
        _ if ended.is_unsent() && another && (named || made < OFFERS_MAX) => Some(Duration::ZERO),
        _ if named => Some(backoff(made)),
        _ => None,
    }
}

/// A random time below a limit that doubles with each attempt.
fn backoff(made: u32) -> Duration {
    let limit = RETRY_BACKOFF.saturating_mul(1 << made.saturating_sub(1).min(16)).min(RETRY_BACKOFF_MAX);
    limit.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    use http::StatusCode;

    fn retry(attempts: u32, on: &[&str]) -> Retry {
        Retry::parse(attempts, &on.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), None).expect("valid")
    }

    #[test]
    fn without_a_word_only_what_was_not_sent_goes_to_another_endpoint_once() {
        for ended in [Ended::Unconnected, Ended::UnconnectedInTime] {
            assert_eq!(pause(ended, None, 1, true), Some(Duration::ZERO));
            assert_eq!(pause(ended, None, 2, true), None, "once");
            assert_eq!(pause(ended, None, 1, false), None, "another");
        }
        for ended in [Ended::Unanswered, Ended::Reset, Ended::Refused, Ended::Answered(StatusCode::BAD_GATEWAY), Ended::Useless] {
            assert!(!is_worth_it(ended, None));
            assert_eq!(pause(ended, None, 1, true), None, "{ended:?}");
        }
    }

    #[test]
    fn each_occasion_is_for_what_it_says() {
        const ALL: [Ended; 9] = [
            Ended::Answered(StatusCode::OK),
            Ended::Answered(StatusCode::CONFLICT),
            Ended::Answered(StatusCode::SERVICE_UNAVAILABLE),
            Ended::Unconnected,
            Ended::UnconnectedInTime,
            Ended::Unanswered,
            Ended::Reset,
            Ended::Refused,
            Ended::Useless,
        ];
        let cases: [(&str, &[usize]); 8] = [
            ("connect", &[3, 4]),
            ("reset", &[6, 7]),
            ("timeout", &[4, 5]),
            ("5xx", &[2]),
            ("gateway-error", &[2]),
            ("retriable-4xx", &[1]),
            ("refused-stream", &[7]),
            ("409", &[1]),
        ];
        for (word, expected) in cases {
            let retry = retry(3, &[word]);
            let retried = |ended: Ended| is_worth_it(ended, Some(&retry)) && pause(ended, Some(&retry), 2, false).is_some();
            let found: Vec<_> = (0..ALL.len()).filter(|place| retried(ALL[*place])).collect();
            assert_eq!(found, expected, "{word}");
        }
    }

    #[test]
    fn attempts_are_counted_in_all() {
        let retry = retry(3, &["503"]);
        let ended = Ended::Answered(StatusCode::SERVICE_UNAVAILABLE);
        assert!(pause(ended, Some(&retry), 2, true).is_some());
        assert_eq!(pause(ended, Some(&retry), 3, true), None);
        assert_eq!(pause(Ended::Unconnected, Some(&self::retry(1, &["503"])), 1, true), None, "not even what was not sent");
    }

    #[test]
    fn the_pause_is_random_and_bounded() {
        for (made, limit) in [(1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (9, 250), (u32::MAX, 250)] {
            let pauses: Vec<_> = (0..100).map(|_| backoff(made)).collect();
            assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(limit)), "{made}");
            let spread = *pauses.iter().max().expect("some") - *pauses.iter().min().expect("some");
            assert!(spread > Duration::from_millis(limit / 2), "{made}");
        }
    }

    #[test]
    fn a_connect_failure_waits_only_where_there_is_nobody_else() {
        let retry = retry(5, &["connect"]);
        assert_eq!(pause(Ended::Unconnected, Some(&retry), 4, true), Some(Duration::ZERO));
        assert!(pause(Ended::Unconnected, Some(&retry), 4, false).is_some());
    }
}
