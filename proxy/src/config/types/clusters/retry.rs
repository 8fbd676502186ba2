//! When a request is sent again, and how much of that a cluster bears.

use std::time::Duration;

use http::{HeaderName, StatusCode};

use crate::config::defaults;

/// Attempts of one exchange, the first one included: what does not succeed by then makes an outage worse.
pub const ATTEMPTS_MAX: u32 = 10;
/// Statuses that one exchange may name as occasions.
pub const STATUSES_MAX: usize = 16;

/// `[clusters.NAME.retry]`: for exchanges about which no filter says anything else.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// In all, the first one included.
    pub attempts: u32,
    pub on: Occasions,
    /// Response fields that ask for another attempt by being there.
    pub when_header: Vec<HeaderName>,
    /// `methods = "idempotent" | "any"`: whether what an endpoint may have acted upon is sent again for POST and PATCH as well.
    pub any_method: bool,
    /// From the beginning of an attempt to the head of its answer; zero: none.
    pub per_try_timeout: Duration,
    /// Longest pause before the second attempt; it doubles with each further one.
    pub backoff: Duration,
    pub backoff_max: Duration,
    /// After this long without an answer a second endpoint is asked beside the first; zero: never.
    pub hedge_after: Duration,
}

/// `[clusters.NAME.retry-budget]`: retries of all exchanges together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryBudget {
    /// Of the requests of the window.
    pub percent: u32,
    /// A second, besides.
    pub minimum: u32,
    pub window: Duration,
}

/// What another attempt is made for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occasions {
    bits: u16,
    statuses: Vec<StatusCode>,
}

/// One of those that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// No connection: nothing was sent.
    Connect,
    /// The connection or the stream ended before an answer came.
    Reset,
    /// An attempt took longer than its timeout.
    Timeout,
    /// Any status from 500 to 599.
    ServerError,
    /// 502, 503 and 504.
    GatewayError,
    /// 409: the conflict may be over.
    Retriable4xx,
    /// HTTP/2: the endpoint says that it has not begun to process the request.
    RefusedStream,
    /// The rest are status codes of gRPC.
    Cancelled,
    DeadlineExceeded,
    ResourceExhausted,
    Internal,
    Unavailable,
}

impl Occasion {
    pub const ALL: &[Occasion] = &[
        Occasion::Connect,
        Occasion::Reset,
        Occasion::Timeout,
        Occasion::ServerError,
        Occasion::GatewayError,
        Occasion::Retriable4xx,
        Occasion::RefusedStream,
        Occasion::Cancelled,
        Occasion::DeadlineExceeded,
        Occasion::ResourceExhausted,
        Occasion::Internal,
        Occasion::Unavailable,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Occasion::Connect => "connect",
            Occasion::Reset => "reset",
            Occasion::Timeout => "timeout",
            Occasion::ServerError => "5xx",
            Occasion::GatewayError => "gateway-error",
            Occasion::Retriable4xx => "retriable-4xx",
            Occasion::RefusedStream => "refused-stream",
            Occasion::Cancelled => "cancelled",
            Occasion::DeadlineExceeded => "deadline-exceeded",
            Occasion::ResourceExhausted => "resource-exhausted",
            Occasion::Internal => "internal",
            Occasion::Unavailable => "unavailable",
        }
    }

    /// The number of a status code of gRPC.
    pub const fn grpc(self) -> Option<u32> {
        match self {
            Occasion::Cancelled => Some(1),
            Occasion::DeadlineExceeded => Some(4),
            Occasion::ResourceExhausted => Some(8),
            Occasion::Internal => Some(13),
            Occasion::Unavailable => Some(14),
            _ => None,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl Occasions {
    /// None, to borrow.
    pub const NONE: &Occasions = &Occasions { bits: 0, statuses: Vec::new() };

    /// Names of [`Occasion`] and statuses.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut occasions = Self::default();
        words.iter().try_for_each(|word| occasions.add(word))?;
        Ok(occasions)
    }

    pub fn contains(&self, occasion: Occasion) -> bool {
        self.bits & occasion.bit() != 0
    }

    /// Whether an answer with this status is an occasion.
    pub fn contains_status(&self, status: StatusCode) -> bool {
        let number = status.as_u16();
        (self.contains(Occasion::ServerError) && status.is_server_error())
            || (self.contains(Occasion::GatewayError) && (502..=504).contains(&number))
            || (self.contains(Occasion::Retriable4xx) && status == StatusCode::CONFLICT)
            || self.statuses.contains(&status)
    }

    /// Whether an answer with this status of gRPC is one.
    pub fn contains_grpc(&self, code: u32) -> bool {
        Occasion::ALL.iter().any(|occasion| occasion.grpc() == Some(code) && self.contains(*occasion))
    }

    /// Whether it takes the status of gRPC to know.
    pub fn name_grpc(&self) -> bool {
        Occasion::ALL.iter().any(|occasion| occasion.grpc().is_some() && self.contains(*occasion))
    }

    /// In the words that they are given in.
    pub fn words(&self) -> Vec<String> {
        let named = Occasion::ALL.iter().filter(|occasion| self.contains(**occasion)).map(|occasion| occasion.name().to_owned());
        named.chain(self.statuses.iter().map(|status| status.as_u16().to_string())).collect()
    }

    fn add(&mut self, word: &str) -> Result<(), String> {
        if let Some(known) = Occasion::ALL.iter().find(|known| known.name() == word) {
            self.bits |= known.bit();
            return Ok(());
        }
        let unknown = || {
            let names: Vec<_> = Occasion::ALL.iter().map(|known| known.name()).collect();
            format!("no occasion `{word}`; expected one of {}, or a status from 400 to 599", names.join(", "))
        };
        let status = word.parse::<u16>().ok().filter(|status| (400..=599).contains(status));
        let status = status.and_then(|status| StatusCode::from_u16(status).ok()).ok_or_else(unknown)?;
        if self.statuses.contains(&status) {
            return Ok(());
        }
        if self.statuses.len() >= STATUSES_MAX {
            return Err(format!("expected at most {STATUSES_MAX} statuses"));
        }
        self.statuses.push(status);
        Ok(())
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: defaults::RETRY_ATTEMPTS,
            on: Occasions::default(),
            when_header: Vec::new(),
            any_method: false,
            per_try_timeout: Duration::ZERO,
            backoff: defaults::RETRY_BACKOFF,
            backoff_max: defaults::RETRY_BACKOFF_MAX,
            hedge_after: Duration::ZERO,
        }
    }
}

from_defaults!(RetryBudget { percent: RETRY_BUDGET_PERCENT, minimum: RETRY_BUDGET_MINIMUM, window: RETRY_BUDGET_WINDOW });

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Occasions, String> {
        Occasions::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn every_name_is_its_own_occasion() {
        for occasion in Occasion::ALL {
            let on = parse(&[occasion.name()]).expect("a known name");
            let set: Vec<_> = Occasion::ALL.iter().filter(|other| on.contains(**other)).collect();
            assert_eq!(set, [occasion]);
            assert_eq!(on.words(), [occasion.name()]);
            assert_eq!(on.name_grpc(), occasion.grpc().is_some());
            let codes: Vec<_> = (0..20).filter(|code| on.contains_grpc(*code)).collect();
            assert_eq!(codes, Vec::from_iter(occasion.grpc()));
        }
    }

    #[test]
    fn an_unknown_occasion_names_those_there_are() {
        for word in ["5xy", "", "200", "600", "Connect", "-1"] {
            let error = parse(&["reset", word]).expect_err(word);
            assert!(error.contains("refused-stream") && error.contains(&format!("`{word}`")), "{error}");
        }
    }

    #[test]
    fn statuses_are_bounded_and_counted_once() {
        let distinct: Vec<_> = (0..=STATUSES_MAX).map(|number| (400 + number).to_string()).collect();
        assert!(Occasions::parse(&distinct).is_err());
        assert!(Occasions::parse(&vec!["404".to_owned(); 100]).is_ok());
    }

    #[test]
    fn which_status_belongs_to_which_occasion() {
        let cases: [(&str, &[u16], &[u16]); 6] = [
            ("5xx", &[500, 503, 599], &[499, 404, 200]),
            ("gateway-error", &[502, 503, 504], &[500, 501, 505]),
            ("retriable-4xx", &[409], &[400, 404, 429, 500]),
            ("429", &[429], &[428, 500]),
            ("reset", &[], &[500, 409, 200]),
            ("unavailable", &[], &[503, 200]),
        ];
        for (word, among, not) in cases {
            let on = parse(&[word]).expect("valid");
            let holds = |status: &u16| on.contains_status(StatusCode::from_u16(*status).expect("a status"));
            assert!(among.iter().all(holds) && !not.iter().any(holds), "{word}");
        }
    }
}
