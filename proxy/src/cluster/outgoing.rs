//! The body of a request on its way to an endpoint: streamed from the client as the endpoint takes it, never collected, or
//! made here.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::replay::Replay;
use crate::exchange::failure::BoxError;
use crate::exchange::{Failure, Inflow, Kind};

/// What is sent upstream.
#[derive(Debug)]
pub enum Outgoing {
    Empty,
    Streaming(Box<Streaming>),
    /// Made here: the data, then the trailers.
    Whole {
        body: Bytes,
        trailers: Option<HeaderMap>,
    },
    /// Streamed and kept, for a request that may be sent again.
    Replay(Replay),
}

/// A client's body, with the client's pace watched.
#[derive(Debug)]
pub struct Streaming {
    body: Incoming,
    http2: bool,
    inflow: Rc<Inflow>,
    pace: Pace,
    stalled: Option<Pin<Box<Sleep>>>,
}

/// How long nothing may move. Zero: for ever.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// While the request is on its way.
    pub request: Duration,
    /// From the head of the answer on, when either side may be the one that speaks.
    pub stream: Duration,
}

impl Outgoing {
    /// `http2`: how the client speaks.
    pub fn new(body: Incoming, http2: bool, inflow: Rc<Inflow>, pace: Pace) -> Self {
        if body.is_end_stream() {
            inflow.complete();
            return Self::Empty;
        }
        Self::Streaming(Box::new(Streaming { body, http2, inflow, pace, stalled: None }))
    }

    /// The same, so that [`Outgoing::again`] has something to give after it was sent: of what streams, up to `limit` bytes
    /// are kept.
    #[must_use]
    pub fn kept(self, limit: usize) -> Self {
        match self {
            Self::Streaming(_) => Self::Replay(Replay::new(Box::pin(self), limit)),
            other => other,
        }
    }

    /// The body from its beginning, if that can be had.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Streaming(_) => None,
            Self::Whole { body, trailers } => Some(Self::Whole { body: body.clone(), trailers: trailers.clone() }),
            Self::Replay(replay) => replay.again().map(Self::Replay),
        }
    }
}

impl Streaming {
    /// Ready when nothing of the exchange has moved for too long.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let limit = if self.inflow.is_answered() { self.pace.stream } else { self.pace.request };
            if limit.is_zero() {
                return Poll::Pending;
            }
            let due = Instant::from_std(self.inflow.moved_at()) + limit;
            let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() < due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(context));
            // An answer that has come meanwhile may have changed the limit.
            let moved = Instant::from_std(self.inflow.moved_at());
            let limit = if self.inflow.is_answered() { self.pace.stream } else { self.pace.request };
            if limit.is_zero() {
                return Poll::Pending;
            }
            if moved + limit <= Instant::now() {
                return Poll::Ready(());
            }
            self.stalled = None;
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let streaming = match &mut *self {
            Self::Empty => return Poll::Ready(None),
            Self::Streaming(streaming) => streaming,
            Self::Whole { body, trailers } => {
                let data = (!body.is_empty()).then(|| Frame::data(std::mem::take(body)));
                return Poll::Ready(data.or_else(|| trailers.take().map(Frame::trailers)).map(Ok));
            }
            Self::Replay(replay) => return Pin::new(replay).poll_frame(context),
        };
        let frame = match Pin::new(&mut streaming.body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(streaming.poll_stalled(context));
                streaming.inflow.fail(Kind::ClientTimeout);
                let failure = Failure::new(Kind::ClientTimeout, "the request body stopped arriving");
                return Poll::Ready(Some(Err(failure.into())));
            }
        };
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    streaming.inflow.count(data.len());
                }
                if frame.is_trailers() || streaming.body.is_end_stream() {
                    streaming.inflow.complete();
                }
                Some(Ok(frame))
            }
            // A stream may be reset after its end.
            None | Some(Err(_)) if streaming.inflow.is_complete() => None,
            Some(Err(error)) => {
                let failure = cut_off(error);
                streaming.inflow.fail(failure.kind);
                Some(Err(failure.into()))
            }
            None if streaming.http2 && was_reset(&streaming.body) => {
                streaming.inflow.fail(Kind::ClientGone);
                Some(Err(Failure::new(Kind::ClientGone, "the client reset the stream of its request").into()))
            }
            None => {
                streaming.inflow.complete();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(streaming) => streaming.body.is_end_stream(),
            Self::Whole { body, trailers } => body.is_empty() && trailers.is_none(),
            Self::Replay(replay) => replay.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(streaming) => streaming.body.size_hint(),
            Self::Whole { body, trailers: None } => SizeHint::with_exact(body.len() as u64),
            Self::Replay(replay) => replay.size_hint(),
            // An exact length would make HTTP/1 announce it, and trailers need chunks.
            Self::Whole { body, trailers: Some(_) } => {
                let mut hint = SizeHint::new();
                hint.set_lower(body.len() as u64);
                hint
            }
        }
    }
}

/// hyper takes an HTTP/2 stream that was reset with CANCEL or NO_ERROR for one that has ended. One that announced its
/// length and has kept it has.
pub fn was_reset(body: &Incoming) -> bool {
    !body.is_end_stream() && body.size_hint().exact() != Some(0)
}

/// A body that ends too early, or breaks the rules of its framing.
fn cut_off(error: hyper::Error) -> Failure {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    match cause {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            Failure::new(Kind::MalformedRequest, "the request body breaks its framing").because(error)
        }
        _ => Failure::new(Kind::ClientGone, "the request body was cut off").because(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_body_made_here_is_its_data_then_its_trailers() {
        let trailers = HeaderMap::from_iter([("a".parse().expect("a name"), "1".parse().expect("a value"))]);
        for (body, trailers) in [("data", Some(&trailers)), ("data", None), ("", Some(&trailers)), ("", None)] {
            let whole = Outgoing::Whole { body: Bytes::from_static(body.as_bytes()), trailers: trailers.cloned() };
            assert_eq!(whole.size_hint().exact(), trailers.is_none().then_some(body.len() as u64));
            assert_eq!(whole.is_end_stream(), body.is_empty() && trailers.is_none());
            let collected = whole.collect().await.expect("nothing can fail");
            assert_eq!(collected.trailers(), trailers);
            assert_eq!(collected.to_bytes(), body);
        }
    }
}
