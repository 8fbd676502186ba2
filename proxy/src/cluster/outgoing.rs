//! The body of a request on its way to an endpoint: streamed from the client as the endpoint takes it, never collected, or
//! made here.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::replay::{Replay, Source};
use crate::exchange::failure::BoxError;

/// What is sent upstream.
pub enum Outgoing {
    Empty,
    /// The client's body, with whatever it has to pass on its way.
    Streaming(Source),
    /// Made here: the data, then the trailers.
    Whole {
        body: Bytes,
        trailers: Option<HeaderMap>,
    },
    /// Streamed and kept, for a request that may be sent again.
    Replay(Replay),
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Outgoing::Empty",
            Self::Streaming(_) => "Outgoing::Streaming",
            Self::Whole { .. } => "Outgoing::Whole",
            Self::Replay(_) => "Outgoing::Replay",
        })
    }
}

impl Outgoing {
    /// The same, so that [`Outgoing::again`] has something to give after it was sent: of what streams, up to `limit` bytes
    /// are kept.
    #[must_use]
    pub fn kept(self, limit: usize) -> Self {
        match self {
            Self::Streaming(body) => Self::Replay(Replay::new(body, limit)),
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

    /// The same beside a body that is on its way already.
    pub fn beside(&self) -> Option<Self> {
        match self {
            Self::Replay(replay) => replay.beside().map(|(body, trailers)| Self::Whole { body, trailers }),
            other => other.again(),
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Streaming(body) => body.as_mut().poll_frame(context),
            Self::Whole { body, trailers } => {
                let data = (!body.is_empty()).then(|| Frame::data(std::mem::take(body)));
                Poll::Ready(data.or_else(|| trailers.take().map(Frame::trailers)).map(Ok))
            }
            Self::Replay(replay) => Pin::new(replay).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(body) => body.is_end_stream(),
            Self::Whole { body, trailers } => body.is_empty() && trailers.is_none(),
            Self::Replay(replay) => replay.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(body) => body.size_hint(),
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
