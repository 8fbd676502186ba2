//! Where a request goes, how often it is tried, and how fast the answer flows back: what filters write and `cluster` and
//! `http` read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{ATTEMPTS_MAX, Occasions};

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
    /// Where the client was going before it was redirected.
    pub original: Option<SocketAddr>,
    /// Labels that an endpoint must carry; empty: any will do.
    pub subset: Vec<(String, String)>,
    /// The hash of what `balance = "hash"` goes by.
    pub hash_key: Option<u64>,
    /// A name for logs and later filters.
    pub route: Option<String>,
    /// From the end of the request to the end of the response; zero: none. `None`: what the cluster says.
    pub timeout: Option<Duration>,
    /// `None`: what the cluster says.
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

impl Retry {
    /// `attempts` in all, on these occasions: names of [`Occasion`] and statuses.
    pub fn parse(attempts: u32, on: &[String], per_try_ms: Option<u32>) -> Result<Self, String> {
        if !(1..=ATTEMPTS_MAX).contains(&attempts) {
            return Err(format!("expected 1 to {ATTEMPTS_MAX} attempts, found {attempts}"));
        }
        let on = Occasions::parse(on)?;
        let per_try_timeout = per_try_ms.filter(|ms| *ms > 0).map(|ms| Duration::from_millis(u64::from(ms)));
        Ok(Self { attempts, on, per_try_timeout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_bounded_and_occasions_known() {
        let parse = |attempts, on: &str| Retry::parse(attempts, &[on.to_owned()], None);
        assert!(parse(0, "5xx").is_err() && parse(ATTEMPTS_MAX + 1, "5xx").is_err());
        assert!(parse(1, "5xx").is_ok() && parse(ATTEMPTS_MAX, "unavailable").is_ok());
        assert!(parse(2, "5xy").expect_err("unknown").contains("`5xy`"));
    }

    #[test]
    fn no_timeout_is_a_timeout_of_zero() {
        assert_eq!(Retry::parse(2, &[], Some(0)).expect("valid").per_try_timeout, None);
        assert_eq!(Retry::parse(2, &[], Some(5)).expect("valid").per_try_timeout, Some(Duration::from_millis(5)));
    }
}
