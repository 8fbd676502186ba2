//! The body of a request on its way to an endpoint: streamed from the client as the endpoint takes it, never collected.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use crate::exchange::failure::BoxError;
use crate::exchange::{Failure, Inflow, Kind};

/// What is sent upstream.
#[derive(Debug)]
pub enum Outgoing {
    Empty,
    Streaming(Box<Streaming>),
}

/// A client's body, with the client's pace watched.
#[derive(Debug)]
pub struct Streaming {
    body: Incoming,
    inflow: Rc<Inflow>,
    /// Longest wait for the next part; zero: for ever.
    progress: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Outgoing {
    /// `progress` bounds the wait for each next part; zero switches it off.
    pub fn new(body: Incoming, inflow: Rc<Inflow>, progress: Duration) -> Self {
        if body.is_end_stream() {
            inflow.complete();
            return Self::Empty;
        }
        Self::Streaming(Box::new(Streaming { body, inflow, progress, stalled: None }))
    }
}

impl Streaming {
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.progress.is_zero() {
            return Poll::Pending;
        }
        let progress = self.progress;
        self.stalled.get_or_insert_with(|| Box::pin(sleep(progress))).as_mut().poll(context)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self::Streaming(streaming) = &mut *self else { return Poll::Ready(None) };
        let frame = match Pin::new(&mut streaming.body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(streaming.poll_stalled(context));
                streaming.inflow.fail(Kind::ClientTimeout);
                let failure = Failure::new(Kind::ClientTimeout, "the request body stopped arriving");
                return Poll::Ready(Some(Err(failure.into())));
            }
        };
        if let Some(timer) = &mut streaming.stalled {
            timer.as_mut().reset(Instant::now() + streaming.progress);
        }
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    streaming.inflow.count(data.len());
                }
                if streaming.body.is_end_stream() {
                    streaming.inflow.complete();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                streaming.inflow.fail(Kind::ClientGone);
                Some(Err(Failure::new(Kind::ClientGone, "the request body was cut off").because(error).into()))
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
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(streaming) => streaming.body.size_hint(),
        }
    }
}
