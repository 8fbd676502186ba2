//! The body of an answer on its way to the client: streamed as the client takes it, never collected.
//!
//! It ends once: with its last byte, with an error that ends the other side as an error too, or by being dropped
//! because the client left. Each way the record is closed and so the access log written.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::serve::UnderWay;
use super::upgrade::Tunnel;
use crate::cluster::call::Lease;
use crate::exchange::failure::BoxError;
use crate::exchange::{Failure, Kind, Origin, Record};

/// Where the bytes come from.
#[derive(Debug)]
pub enum Content {
    /// Made here.
    Whole(Bytes),
    Upstream(Box<Upstream>),
    /// 101: what follows is no body.
    Upgraded(Box<Tunnel>),
}

/// A streaming answer of an endpoint.
#[derive(Debug)]
pub struct Upstream {
    pub body: Incoming,
    pub lease: Lease,
    /// When the whole exchange has to be over, if somebody set a timeout.
    pub deadline: Option<Instant>,
    /// For a 101: the way to the endpoint's side of the connection.
    pub upgrade: Option<hyper::upgrade::OnUpgrade>,
}

/// See the module.
#[derive(Debug)]
pub struct Downstream(Box<State>);

#[derive(Debug)]
struct State {
    source: Source,
    record: Option<Record>,
    /// Longest wait for the next part; zero: for ever.
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    _under_way: UnderWay,
}

#[derive(Debug)]
enum Source {
    Whole(Option<Bytes>),
    Upstream(Box<Upstream>),
    Over,
}

impl Downstream {
    pub fn new(content: Content, record: Record, idle: Duration, under_way: UnderWay) -> Self {
        let source = match content {
            Content::Whole(bytes) => Source::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())),
            Content::Upstream(upstream) => Source::Upstream(upstream),
            Content::Upgraded(tunnel) => {
                tunnel.start(record);
                return Self(Box::new(State { source: Source::Over, record: None, idle, timer: None, _under_way: under_way }));
            }
        };
        let mut state = State { source, record: Some(record), idle, timer: None, _under_way: under_way };
        state.end_if_over();
        Self(Box::new(state))
    }
}

impl State {
    fn is_over(&self) -> bool {
        match &self.source {
            Source::Whole(bytes) => bytes.is_none(),
            Source::Upstream(upstream) => upstream.body.is_end_stream(),
            Source::Over => true,
        }
    }

    /// After the last byte: the connection may serve another exchange, the log is written.
    fn end_if_over(&mut self) {
        if self.is_over() {
            self.end();
        }
    }

    fn end(&mut self) {
        let source = std::mem::replace(&mut self.source, Source::Over);
        let Some(mut record) = self.record.take() else { return };
        record.complete = true;
        if let Source::Upstream(upstream) = source
            && record.inflow.is_complete()
        {
            upstream.lease.finish();
        }
    }

    fn fail(&mut self, failure: Failure) -> BoxError {
        self.source = Source::Over;
        if let Some(mut record) = self.record.take() {
            record.failed(&failure);
            record.origin = Origin::Failure(failure.kind);
            record.complete = true;
        }
        failure.into()
    }

    /// Ready when nothing came for too long, or the time of the whole exchange is over.
    fn poll_timers(&mut self, context: &mut Context<'_>) -> Poll<Failure> {
        let Source::Upstream(upstream) = &self.source else { return Poll::Pending };
        let idle = (!self.idle.is_zero()).then(|| Instant::now() + self.idle);
        let deadline = upstream.deadline;
        let Some(until) = [idle, deadline].into_iter().flatten().min() else { return Poll::Pending };
        if self.timer.is_none() {
            self.timer = Some(Box::pin(sleep(until.saturating_duration_since(Instant::now()))));
        }
        match &mut self.timer {
            Some(timer) => ready!(timer.as_mut().poll(context)),
            None => return Poll::Pending,
        }
        Poll::Ready(if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            Failure::new(Kind::Timeout, "the response took longer than its timeout")
        } else {
            Failure::new(Kind::Timeout, "the response stopped arriving")
        })
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.source {
            Source::Over => return Poll::Ready(None),
            Source::Whole(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Source::Upstream(upstream) => match Pin::new(&mut upstream.body).poll_frame(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    let failure = ready!(self.poll_timers(context));
                    return Poll::Ready(Some(Err(self.fail(failure))));
                }
            },
        };
        if self.timer.is_some() {
            self.timer = None;
        }
        match frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(record)) = (frame.data_ref(), &mut self.record) {
                    record.response_bytes += data.len() as u64;
                }
                self.end_if_over();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                let failure = Failure::new(Kind::UpstreamReset, "the upstream cut its answer off").because(error);
                Poll::Ready(Some(Err(self.fail(failure))))
            }
            None => {
                self.end();
                Poll::Ready(None)
            }
        }
    }
}

impl Body for Downstream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Upstream(upstream) => upstream.body.size_hint(),
            Source::Over => SizeHint::with_exact(0),
        }
    }
}
