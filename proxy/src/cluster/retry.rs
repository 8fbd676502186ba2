//! Whether a request is sent once more, and after what pause. It sends nothing.
//!
//! Without a word of anybody, only a request of which nothing was sent goes to one other endpoint. A filter that names
//! occasions is taken at its word, whatever the method: it knows whether the service bears to be asked twice. What the cluster
//! says holds for every request that comes, so it looks at the method.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Method};

use super::{Ended, Seen, Wishes};
use crate::config::{self, Occasion, Occasions};
use crate::exchange;

/// Endpoints that a request is offered to if nobody says otherwise.
const OFFERS_MAX: u32 = 2;

/// What holds for one exchange.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// In all, the first one included.
    pub attempts: u32,
    on: &'a Occasions,
    when_header: &'a [HeaderName],
    /// What an endpoint may have acted upon is not sent again.
    only_safe: bool,
    pub per_try_timeout: Option<Duration>,
    pub hedge_after: Option<Duration>,
    backoff: Duration,
    backoff_max: Duration,
}

impl<'a> Policy<'a> {
    pub fn of(config: &'a config::Retry, wishes: &'a Wishes, method: &Method) -> Self {
        let given = |time: Duration| Some(time).filter(|time| !time.is_zero());
        let none = Self {
            attempts: OFFERS_MAX,
            on: Occasions::NONE,
            when_header: &[],
            only_safe: true,
            per_try_timeout: None,
            hedge_after: None,
            backoff: config.backoff,
            backoff_max: config.backoff_max,
        };
        match &wishes.retry {
            Some(exchange::Retry { attempts, on, per_try_timeout }) => {
                Self { attempts: *attempts, on, only_safe: false, per_try_timeout: *per_try_timeout, ..none }
            }
            None if wishes.by_policy => Self {
                attempts: config.attempts,
                on: &config.on,
                when_header: &config.when_header,
                only_safe: !config.any_method && !method.is_idempotent(),
                per_try_timeout: given(config.per_try_timeout),
                hedge_after: given(config.hedge_after).filter(|_| method.is_idempotent()),
                ..none
            },
            None => none,
        }
    }

    /// Whether it takes more than the request itself, for as long as that has not left.
    pub fn keeps(&self) -> bool {
        self.attempts > 1 && (*self.on != *Occasions::NONE || !self.when_header.is_empty() || self.hedge_after.is_some())
    }

    /// Whether the status of gRPC is waited for.
    pub fn names_grpc(&self) -> bool {
        self.attempts > 1 && self.on.name_grpc()
    }

    /// Whether it is an occasion that was named. `answer`: the fields of the answer, if there is one.
    fn names(&self, seen: &Seen, answer: Option<&HeaderMap>) -> bool {
        let any = |occasions: &[Occasion]| occasions.iter().any(|occasion| self.on.contains(*occasion));
        // All of gRPC is POST: who names one of its codes means that.
        let of_grpc = seen.grpc.is_some_and(|code| self.on.contains_grpc(code));
        match seen.ended {
            Ended::Answered(_) if of_grpc => true,
            Ended::Answered(_) | Ended::Unanswered | Ended::Reset if self.only_safe => false,
            Ended::Answered(status) => {
                let asks = |answer: &HeaderMap| self.when_header.iter().any(|name| answer.contains_key(name));
                self.on.contains_status(status) || answer.is_some_and(asks)
            }
            Ended::Unconnected => any(&[Occasion::Connect]),
            Ended::UnconnectedInTime => any(&[Occasion::Connect, Occasion::Timeout]),
            Ended::Unanswered => any(&[Occasion::Timeout]),
            Ended::Reset => any(&[Occasion::Reset]),
            Ended::Refused => any(&[Occasion::Reset, Occasion::RefusedStream]),
            Ended::Connected | Ended::Useless => false,
        }
    }

    /// Whether a further attempt is thought of at all.
    pub fn is_worth_it(&self, seen: &Seen, answer: Option<&HeaderMap>) -> bool {
        self.attempts > 1 && (seen.ended.is_unsent() || self.names(seen, answer))
    }

    /// How long to wait before the next attempt, which is worth it; `None`: there is none. `made`: attempts until now.
    /// `another`: there is an endpoint that has not been tried.
    pub fn pause(&self, seen: &Seen, made: u32, another: bool) -> Option<Duration> {
        if made >= self.attempts {
            return None;
        }
        if !seen.ended.is_unsent() {
            return Some(self.backoff(made));
        }
        let named = self.names(seen, None);
        match (another, named) {
            // Somebody else may well be there: no reason to wait.
            (true, true) => Some(Duration::ZERO),
            (true, false) if made < OFFERS_MAX => Some(Duration::ZERO),
            (false, true) => Some(self.backoff(made)),
            _ => None,
        }
    }

    /// A random time below a limit that doubles with each attempt.
    fn backoff(&self, made: u32) -> Duration {
        let limit = self.backoff.saturating_mul(1 << made.saturating_sub(1).min(16)).min(self.backoff_max);
        limit.mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use http::StatusCode;

    fn seen(ended: Ended) -> Seen {
        Seen { ended, ..Seen::default() }
    }

    fn filter(attempts: u32, on: &[&str]) -> Wishes {
        let on: Vec<_> = on.iter().map(|word| (*word).to_owned()).collect();
        Wishes { retry: Some(exchange::Retry::parse(attempts, &on, None).expect("valid")), ..Wishes::default() }
    }

    fn cluster(attempts: u32, on: &[&str]) -> config::Retry {
        let on: Vec<_> = on.iter().map(|word| (*word).to_owned()).collect();
        config::Retry { attempts, on: Occasions::parse(&on).expect("valid"), ..config::Retry::default() }
    }

    fn pause(policy: &Policy<'_>, ended: Ended, made: u32, another: bool) -> Option<Duration> {
        let seen = seen(ended);
        policy.is_worth_it(&seen, None).then(|| policy.pause(&seen, made, another)).flatten()
    }

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

    #[test]
    fn without_a_word_only_what_was_not_sent_goes_to_another_endpoint_once() {
        let (config, silent) = (config::Retry::default(), Wishes { by_policy: true, ..Wishes::default() });
        // Neither has a copy of the filters' or a call of theirs more, whatever the cluster says.
        let (eager, apart) = (cluster(5, &["5xx", "reset", "timeout", "connect"]), Wishes::default());
        for (config, wishes) in [(&config, &silent), (&eager, &apart)] {
            let policy = Policy::of(config, wishes, &Method::GET);
            assert!(!policy.keeps());
            for ended in ALL {
                let unsent = ended.is_unsent();
                assert_eq!(pause(&policy, ended, 1, true), unsent.then_some(Duration::ZERO), "{ended:?}");
                assert_eq!(pause(&policy, ended, 2, true), None, "once");
                assert_eq!(pause(&policy, ended, 1, false), None, "another");
            }
        }
    }

    #[test]
    fn each_occasion_is_for_what_it_says() {
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
        let default = config::Retry::default();
        for (word, expected) in cases {
            let retried = |policy: &Policy<'_>| -> Vec<usize> {
                (0..ALL.len()).filter(|place| pause(policy, ALL[*place], 2, false).is_some()).collect()
            };
            let (filter, cluster) = (filter(3, &[word]), cluster(3, &[word]));
            assert_eq!(retried(&Policy::of(&default, &filter, &Method::POST)), expected, "{word}");
            let silent = Wishes { by_policy: true, ..Wishes::default() };
            assert_eq!(retried(&Policy::of(&cluster, &silent, &Method::PUT)), expected, "{word}");
            let safe: Vec<_> = expected.iter().copied().filter(|place| [3, 4, 7].contains(place)).collect();
            assert_eq!(retried(&Policy::of(&cluster, &silent, &Method::POST)), safe, "{word} for what cannot be repeated");
            let any = config::Retry { any_method: true, ..cluster };
            assert_eq!(retried(&Policy::of(&any, &silent, &Method::POST)), expected, "{word}");
        }
    }

    #[test]
    fn codes_of_grpc_and_fields_are_occasions() {
        let silent = Wishes { by_policy: true, ..Wishes::default() };
        let named = cluster(2, &["unavailable", "internal"]);
        let policy = Policy::of(&named, &silent, &Method::POST);
        let found: Vec<_> = (0..17)
            .filter(|code| {
                let seen = Seen { grpc: Some(*code), ..seen(Ended::Answered(StatusCode::OK)) };
                policy.is_worth_it(&seen, None)
            })
            .collect();
        assert_eq!(found, [13, 14]);
        let config = config::Retry { when_header: vec![HeaderName::from_static("x-again")], ..config::Retry::default() };
        let (seen, mut fields) = (seen(Ended::Answered(StatusCode::OK)), HeaderMap::new());
        let get = Policy::of(&config, &silent, &Method::GET);
        assert!(get.keeps() && !get.is_worth_it(&seen, Some(&fields)));
        fields.insert("x-again", http::HeaderValue::from_static("1"));
        assert!(get.is_worth_it(&seen, Some(&fields)));
        assert!(!Policy::of(&config, &silent, &Method::POST).is_worth_it(&seen, Some(&fields)));
    }

    #[test]
    fn attempts_are_counted_in_all() {
        let (default, three, one) = (config::Retry::default(), filter(3, &["503"]), filter(1, &["503"]));
        let policy = Policy::of(&default, &three, &Method::GET);
        let ended = Ended::Answered(StatusCode::SERVICE_UNAVAILABLE);
        assert!(pause(&policy, ended, 2, true).is_some());
        assert_eq!(pause(&policy, ended, 3, true), None);
        let policy = Policy::of(&default, &one, &Method::GET);
        assert_eq!(pause(&policy, Ended::Unconnected, 1, true), None, "not even what was not sent");
    }

    #[test]
    fn only_what_can_be_repeated_is_asked_twice_at_once() {
        let config = config::Retry { hedge_after: Duration::from_secs(1), any_method: true, ..config::Retry::default() };
        let hedges = |wishes: &Wishes, method| Policy::of(&config, wishes, &method).hedge_after.is_some();
        let silent = Wishes { by_policy: true, ..Wishes::default() };
        assert!(hedges(&silent, Method::GET) && hedges(&silent, Method::DELETE));
        assert!(!hedges(&silent, Method::POST) && !hedges(&Wishes::default(), Method::GET));
        assert!(!hedges(&filter(3, &["5xx"]), Method::GET), "the filter has said what it wants");
    }

    #[test]
    fn the_pause_is_random_and_bounded() {
        let (config, wishes) = (config::Retry::default(), Wishes::default());
        let policy = Policy::of(&config, &wishes, &Method::GET);
        for (made, limit) in [(1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (9, 250), (u32::MAX, 250)] {
            let pauses: Vec<_> = (0..100).map(|_| policy.backoff(made)).collect();
            assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(limit)), "{made}");
            let spread = *pauses.iter().max().expect("some") - *pauses.iter().min().expect("some");
            assert!(spread > Duration::from_millis(limit / 2), "{made}");
        }
    }

    #[test]
    fn a_connect_failure_waits_only_where_there_is_nobody_else() {
        let (default, wishes) = (config::Retry::default(), filter(5, &["connect"]));
        let policy = Policy::of(&default, &wishes, &Method::GET);
        assert_eq!(pause(&policy, Ended::Unconnected, 4, true), Some(Duration::ZERO));
        assert!(pause(&policy, Ended::Unconnected, 4, false).is_some());
    }
}
