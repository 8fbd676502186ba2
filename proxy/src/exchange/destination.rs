//! Where a request goes, how often it is tried, and how fast the answer flows back: what filters write and `cluster` and
//! `http` read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

/// Attempts of one exchange, the first one included: what does not succeed by then makes an outage worse.
pub const ATTEMPTS_MAX: u32 = 10;
/// Statuses that one exchange may name as occasions.
pub const STATUSES_MAX: usize = 16;

/// Where the request goes; filters write it.
#[derive(Debug, Clone, Default)]
pub struct Destination {
    pub cluster: Option<Arc<str>>,
    /// The chain that is to follow the present one.
    pub chain: Option<Arc<str>>,
    /// Where it goes when the cluster has no endpoint for it.
    pub fallback: Option<Arc<str>>,
    /// This endpoint of the cluster and no other.
    pub endpoint: Option<SocketAddr>,
    /// Labels that an endpoint must carry; empty: any will do.
    pub subset: Vec<(String, String)>,
    /// The hash of what `balance = "hash"` goes by.
    pub hash_key: Option<u64>,
    /// A name for logs and later filters.
    pub route: Option<String>,
    /// From the end of the request to the end of the response; zero: none. `None`: what the cluster says.
    pub timeout: Option<Duration>,
    /// `None`: only what was never sent is sent again.
    pub retry: Option<Retry>,
    /// Bytes a second that the client gets of the response; `None`: as fast as it can take them.
    pub response_rate: Option<u64>,
}

/// When an exchange is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// In all, the first one included.
    pub attempts: u32,
    pub on: Occasions,
    /// From the beginning of an attempt to the head of its answer.
    pub per_try_timeout: Option<Duration>,
}

/// What another attempt is made for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occasions {
    bits: u8,
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
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Occasions {
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

impl Retry {
    /// `attempts` in all, on these occasions: names of [`Occasion`] and statuses.
    pub fn parse(attempts: u32, on: &[String], per_try_ms: Option<u32>) -> Result<Self, String> {
        if !(1..=ATTEMPTS_MAX).contains(&attempts) {
            return Err(format!("expected 1 to {ATTEMPTS_MAX} attempts, found {attempts}"));
        }
        let mut occasions = Occasions::default();
        on.iter().try_for_each(|word| occasions.add(word))?;
        let per_try_timeout = per_try_ms.filter(|ms| *ms > 0).map(|ms| Duration::from_millis(u64::from(ms)));
        Ok(Self { attempts, on: occasions, per_try_timeout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(attempts: u32, on: &[&str]) -> Result<Retry, String> {
        Retry::parse(attempts, &on.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), None)
    }

    #[test]
    fn every_name_is_its_own_occasion() {
        for occasion in Occasion::ALL {
            let on = parse(2, &[occasion.name()]).expect("a known name").on;
            let set: Vec<_> = Occasion::ALL.iter().filter(|other| on.contains(**other)).collect();
            assert_eq!(set, [occasion]);
        }
    }

    #[test]
    fn an_unknown_occasion_names_those_there_are() {
        for word in ["5xy", "", "200", "600", "Connect", "-1"] {
            let error = parse(2, &["reset", word]).expect_err(word);
            assert!(error.contains("refused-stream") && error.contains(&format!("`{word}`")), "{error}");
        }
    }

    #[test]
    fn attempts_are_bounded() {
        assert!(parse(0, &[]).is_err() && parse(ATTEMPTS_MAX + 1, &[]).is_err());
        assert!(parse(1, &[]).is_ok() && parse(ATTEMPTS_MAX, &[]).is_ok());
    }

    #[test]
    fn statuses_are_bounded_and_counted_once() {
        let distinct: Vec<_> = (0..=STATUSES_MAX).map(|number| (400 + number).to_string()).collect();
        assert!(Retry::parse(2, &distinct, None).is_err());
        assert!(Retry::parse(2, &vec!["404".to_owned(); 100], None).is_ok());
    }

    #[test]
    fn which_status_belongs_to_which_occasion() {
        let cases: [(&str, &[u16], &[u16]); 5] = [
            ("5xx", &[500, 503, 599], &[499, 404, 200]),
            ("gateway-error", &[502, 503, 504], &[500, 501, 505]),
            ("retriable-4xx", &[409], &[400, 404, 429, 500]),
            ("429", &[429], &[428, 500]),
            ("reset", &[], &[500, 409, 200]),
        ];
        for (word, among, not) in cases {
            let on = parse(2, &[word]).expect("valid").on;
            let holds = |status: &u16| on.contains_status(StatusCode::from_u16(*status).expect("a status"));
            assert!(among.iter().all(holds) && !not.iter().any(holds), "{word}");
        }
    }

    #[test]
    fn no_timeout_is_a_timeout_of_zero() {
        assert_eq!(Retry::parse(2, &[], Some(0)).expect("valid").per_try_timeout, None);
        assert_eq!(Retry::parse(2, &[], Some(5)).expect("valid").per_try_timeout, Some(Duration::from_millis(5)));
    }
}
