//! The body of a request on its way to an endpoint: what the client sends, through the filters that want its pieces,
//! with a copy kept for other clusters where a filter asked for it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::mirror::Copies;
use super::passage::Passage;
use crate::cluster::Outgoing;
use crate::exchange::failure::BoxError;
use crate::exchange::{Body, Inflow};

/// See the module.
#[derive(Debug)]
struct Outbound {
    body: Body,
    passage: Option<Passage>,
    copies: Option<Copies>,
    inflow: Rc<Inflow>,
}

/// What is sent upstream.
pub fn outbound(body: Body, passage: Option<Passage>, copies: Option<Copies>, inflow: Rc<Inflow>) -> Outgoing {
    if body.is_end_stream() {
        // There are no pieces, and nothing to wait for.
        if let Some(copies) = copies {
            copies.send();
        }
        return Outgoing::Empty;
    }
    Outgoing::Streaming(Box::pin(Outbound { body, passage, copies, inflow }))
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = ready!(match &mut this.passage {
            Some(passage) => passage.poll_frame(context, &mut this.body),
            None => this.body.poll_frame(context),
        });
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                if let Some(copies) = &mut this.copies {
                    copies.keep(&frame);
                }
                if this.is_end_stream()
                    && let Some(copies) = this.copies.take()
                {
                    copies.send();
                }
                Some(Ok(frame))
            }
            Some(Err(failure)) => {
                this.copies = None;
                this.inflow.stop(failure.kind);
                Some(Err(failure.into()))
            }
            None => {
                if let Some(copies) = this.copies.take() {
                    copies.send();
                }
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.passage {
            Some(passage) => passage.is_over(&self.body),
            None => self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.passage {
            Some(passage) if passage.hides_length() => SizeHint::new(),
            _ => self.body.size_hint(),
        }
    }
}
