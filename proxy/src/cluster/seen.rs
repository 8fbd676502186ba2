//! How an attempt went: what retries, balancing and health go by.

use std::error::Error;
use std::time::Duration;

use http::StatusCode;

use crate::exchange::{Failure, Kind, failure};

/// What was seen of an endpoint in one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub ended: Ended,
    /// From the pick to the head of the answer, or to the failure.
    pub took: Duration,
}

/// How an attempt ended, as far as a further one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Answered(StatusCode),
    /// No connection; nothing was sent.
    Unconnected,
    /// The same, for it took too long.
    UnconnectedInTime,
    /// Something was sent and no answer came in time.
    Unanswered,
    /// The connection or the stream ended, or broke its protocol, before an answer came.
    Reset,
    /// The endpoint has not begun to process the request.
    Refused,
    /// Another attempt would end the same.
    Useless,
}

impl Ended {
    /// `unsent`: the request has not left.
    pub fn of(failure: &Failure, unsent: bool) -> Self {
        match failure.kind {
            Kind::ConnectTimeout if unsent => Self::UnconnectedInTime,
            kind if unsent && kind.retry() == failure::Retry::Safe => Self::Unconnected,
            Kind::Timeout => Self::Unanswered,
            Kind::UpstreamReset if was_refused(failure) => Self::Refused,
            Kind::UpstreamReset | Kind::UpstreamProtocol => Self::Reset,
            _ => Self::Useless,
        }
    }

    pub const fn is_unsent(self) -> bool {
        matches!(self, Self::Unconnected | Self::UnconnectedInTime)
    }
}

/// REFUSED_STREAM (RFC 9113, 8.7).
fn was_refused(failure: &Failure) -> bool {
    let mut cause = failure.source.as_ref().map(|source| &**source as &dyn Error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_says_how_it_ended() {
        let cases = [
            (Kind::ConnectFailed, true, Ended::Unconnected),
            (Kind::ConnectTimeout, true, Ended::UnconnectedInTime),
            (Kind::ConnectFailed, false, Ended::Useless),
            (Kind::Timeout, false, Ended::Unanswered),
            (Kind::UpstreamReset, false, Ended::Reset),
            (Kind::UpstreamProtocol, false, Ended::Reset),
            (Kind::ClientGone, false, Ended::Useless),
            (Kind::Overloaded, false, Ended::Useless),
        ];
        for (kind, unsent, expected) in cases {
            assert_eq!(Ended::of(&Failure::new(kind, "x"), unsent), expected, "{kind:?}");
        }
        let refused = Failure::new(Kind::UpstreamReset, "x").because(h2::Error::from(h2::Reason::REFUSED_STREAM));
        assert_eq!(Ended::of(&refused, false), Ended::Reset, "said by this side");
    }
}
