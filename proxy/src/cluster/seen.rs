//! How an attempt went: what retries, balancing and health go by.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use http_body::Frame;

use crate::exchange::{Failure, Kind, failure};

/// What was seen of an endpoint in one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub ended: Ended,
    /// From the pick to the head of the answer, or to the failure.
    pub took: Duration,
    /// The status of a gRPC call, as far as it is known.
    pub grpc: Option<u32>,
    /// How long the endpoint wants to be left alone (`retry-after` in seconds, `grpc-retry-pushback-ms`).
    pub retry_after: Option<Duration>,
}

impl Seen {
    /// `first`: what came behind the head of an answer, where that was waited for. `unsent`: the request has not left.
    pub fn of<B>(outcome: Result<&Response<B>, &Failure>, first: Option<&Frame<Bytes>>, unsent: bool, took: Duration) -> Self {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(failure) => return Self { ended: Ended::of(failure, unsent), took, ..Self::default() },
        };
        let trailers = first.and_then(Frame::trailers_ref);
        let fields = answer.headers();
        let grpc = is_grpc(fields).then(|| grpc_status(fields).or_else(|| grpc_status(trailers?))).flatten();
        Self { ended: Ended::Answered(answer.status()), took, grpc, retry_after: retry_after(answer.status(), fields) }
    }
}

impl Default for Seen {
    /// An answer like most.
    fn default() -> Self {
        Self { ended: Ended::Answered(StatusCode::OK), took: Duration::ZERO, grpc: None, retry_after: None }
    }
}

pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

pub fn grpc_status(fields: &HeaderMap) -> Option<u32> {
    number(fields, "grpc-status").and_then(|code| u32::try_from(code).ok())
}

/// Only where it means that there was too much to do.
fn retry_after(status: StatusCode, fields: &HeaderMap) -> Option<Duration> {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => number(fields, "retry-after").map(Duration::from_secs),
        StatusCode::OK if is_grpc(fields) => number(fields, "grpc-retry-pushback-ms").map(Duration::from_millis),
        _ => None,
    }
}

fn number(fields: &HeaderMap, name: &str) -> Option<u64> {
    fields.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// How an attempt ended, as far as a further one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Answered(StatusCode),
    /// A raw connection is there; what it is for, nobody here knows.
    Connected,
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
            // No fault of an endpoint, and another one is in the same cluster.
            Kind::ClusterOverloaded => Self::Useless,
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

/// REFUSED_STREAM (RFC 9113, 8.7), or GOAWAY: only streams past the last one that the peer will answer end by that (6.8).
fn was_refused(failure: &Failure) -> bool {
    let mut cause = failure.source.as_ref().map(|source| &**source as &dyn Error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let refuses = error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
            return error.is_remote() && refuses;
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
            (Kind::ClusterOverloaded, true, Ended::Useless),
        ];
        for (kind, unsent, expected) in cases {
            assert_eq!(Ended::of(&Failure::new(kind, "x"), unsent), expected, "{kind:?}");
        }
        let refused = Failure::new(Kind::UpstreamReset, "x").because(h2::Error::from(h2::Reason::REFUSED_STREAM));
        assert_eq!(Ended::of(&refused, false), Ended::Reset, "said by this side");
    }

    #[test]
    fn what_an_answer_says_besides_its_status() {
        let seen = |status: u16, fields: &[(&str, &str)], trailer: Option<&str>| {
            let mut head = http::Response::builder().status(status);
            for (name, value) in fields {
                head = head.header(*name, *value);
            }
            let head = head.body(()).expect("valid");
            let trailers =
                |code: &str| HeaderMap::from_iter([("grpc-status".parse().expect("a name"), code.parse().expect("a value"))]);
            let first = trailer.map(|code| Frame::trailers(trailers(code)));
            let seen = Seen::of(Ok(&head), first.as_ref(), false, Duration::ZERO);
            (seen.grpc, seen.retry_after.map(|after| after.as_millis()))
        };
        let grpc = ("content-type", "application/grpc+proto");
        assert_eq!(seen(200, &[grpc, ("grpc-status", "14")], None), (Some(14), None), "trailers only");
        assert_eq!(seen(200, &[grpc], Some("8")), (Some(8), None));
        assert_eq!(seen(200, &[grpc], None), (None, None));
        assert_eq!(seen(200, &[("grpc-status", "14")], Some("14")), (None, None), "no gRPC");
        assert_eq!(seen(503, &[("retry-after", "3")], None), (None, Some(3000)));
        assert_eq!(seen(301, &[("retry-after", "3")], None), (None, None));
        assert_eq!(seen(503, &[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")], None), (None, None));
        assert_eq!(seen(200, &[grpc, ("grpc-status", "14"), ("grpc-retry-pushback-ms", "20")], None), (Some(14), Some(20)));
    }
}
