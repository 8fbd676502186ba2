//! The body of an answer on its way to the client: streamed as the client takes it, never collected.
//!
//! It ends once: with its last byte, with an error that ends the other side as an error too, or by being dropped
//! because the client left. Each way the record is closed and so the access log written.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::passage::Passage;
use super::rate::Rate;
use super::serve::UnderWay;
use super::stall::Stall;
use super::upgrade::Tunnel;
use crate::cluster::Lease;
use crate::config::ListenerTimeouts;
use crate::exchange::failure::{At, BoxError};
use crate::exchange::{Body, Failure, Kind, Origin, Record};

/// Where the bytes come from.
#[derive(Debug)]
pub enum Content {
    /// Made here.
    Made(Body),
    Upstream(Box<Upstream>),
    /// 101: what follows is no body.
    Upgraded(Box<Tunnel>),
}

impl Content {
    /// Another protocol follows, and no answer.
    pub fn is_interim(&self) -> bool {
        matches!(self, Content::Upgraded(_))
    }

    /// The exchange has the body in hand while response hooks run.
    pub fn lend_body(&mut self, record: &Record) {
        if let Some(body) = self.body_mut() {
            record.exchange_mut().response_body = std::mem::take(body);
        }
    }

    pub fn take_body(&mut self, record: &Record) {
        if let Some(body) = self.body_mut() {
            *body = record.exchange_mut().response_body.take();
        }
    }

    /// `None`: what follows is none.
    pub fn body(&self) -> Option<&Body> {
        match self {
            Content::Made(body) => Some(body),
            Content::Upstream(upstream) => Some(&upstream.body),
            Content::Upgraded(_) => None,
        }
    }

    fn body_mut(&mut self) -> Option<&mut Body> {
        match self {
            Content::Made(body) => Some(body),
            Content::Upstream(upstream) => Some(&mut upstream.body),
            Content::Upgraded(_) => None,
        }
    }
}

/// A streaming answer of an endpoint.
#[derive(Debug)]
pub struct Upstream {
    pub body: Body,
    pub lease: Lease,
    /// From the end of the request to the end of the response, if somebody set a timeout for this exchange.
    pub total: Option<Duration>,
    /// For a 101: the way to the endpoint's side of the connection.
    pub upgrade: Option<hyper::upgrade::OnUpgrade>,
}

/// See the module.
#[derive(Debug)]
pub struct Downstream(Box<State>);

#[derive(Debug)]
struct State {
    source: Source,
    passage: Option<Passage>,
    record: Option<Record>,
    /// How fast it may flow, and what of a piece has to wait for it.
    rate: Option<Rate>,
    held_back: Bytes,
    /// The rate has made the client wait.
    paused: bool,
    /// Longest wait for the next part; zero: for ever.
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// For a client that does not take what is there.
    stall: Option<Rc<Stall>>,
    _under_way: UnderWay,
}

#[derive(Debug)]
enum Source {
    Made(Body),
    Upstream(Box<Upstream>),
    Over,
}

impl Downstream {
    /// `bodiless`: nothing follows this head whatever it says (HEAD, 204, 304).
    pub fn new(
        content: Content,
        record: Record,
        passage: Option<Passage>,
        bodiless: bool,
        timeouts: &ListenerTimeouts,
        under_way: UnderWay,
    ) -> Self {
        let rate = record.exchange().destination.response_rate.map(Rate::new);
        let (source, record, under_way) = match content {
            Content::Made(body) => (Source::Made(body), Some(record), under_way),
            Content::Upstream(upstream) => (Source::Upstream(upstream), Some(record), under_way),
            Content::Upgraded(tunnel) => {
                tunnel.start(record, under_way.clone());
                (Source::Over, None, under_way)
            }
        };
        let idle = timeouts.stream_idle;
        let mut state = State {
            source,
            passage,
            record,
            rate,
            held_back: Bytes::new(),
            paused: false,
            idle,
            timer: None,
            stall: None,
            _under_way: under_way,
        };
        if bodiless || state.is_over() {
            state.end(state.is_over());
        } else {
            state.stall = Stall::of_this_stream(timeouts.progress);
        }
        Self(Box::new(state))
    }
}

impl State {
    fn is_over(&self) -> bool {
        let body = match &self.source {
            Source::Made(body) => body,
            Source::Upstream(upstream) => &upstream.body,
            Source::Over => return true,
        };
        if !self.held_back.is_empty() {
            return false;
        }
        match &self.passage {
            Some(passage) => passage.is_over(body),
            None => body.is_end_stream(),
        }
    }

    /// After the last byte: the connection may serve another exchange, the log is written.
    /// `read`: nothing more comes from the endpoint either.
    fn end(&mut self, read: bool) {
        let source = std::mem::replace(&mut self.source, Source::Over);
        self.passage = None;
        let Some(mut record) = self.record.take() else { return };
        record.complete = true;
        if let Source::Upstream(upstream) = source
            && read
            && !upstream.body.was_abandoned()
            && record.inflow.is_complete()
        {
            upstream.lease.finish();
        }
    }

    fn fail(&mut self, failure: Failure) -> BoxError {
        self.source = Source::Over;
        self.passage = None;
        if let Some(mut record) = self.record.take() {
            record.failed(&failure);
            record.exchange_mut().origin = Origin::Failure(failure.kind);
            record.complete = true;
        }
        failure.into()
    }

    /// When the whole exchange has to be over.
    fn last_moment(&self) -> Option<std::time::Instant> {
        let (Source::Upstream(upstream), Some(record)) = (&self.source, &self.record) else { return None };
        let total = upstream.total.and_then(|total| Some(record.inflow.ended_at()? + total));
        [total, record.exchange().deadline].into_iter().flatten().min()
    }

    /// It is over, also for an answer that always has more.
    fn is_late(&self) -> bool {
        self.last_moment().is_some_and(|moment| moment <= std::time::Instant::now())
    }

    /// Ready when nothing moved for too long, or the time of the whole exchange is over. A pause of the rate's own is no
    /// silence.
    fn poll_timers(&mut self, context: &mut Context<'_>) -> Poll<Failure> {
        loop {
            let idle = match (&self.source, &self.record) {
                (Source::Upstream(_), Some(record)) if !self.idle.is_zero() && !self.paused => {
                    Some(record.inflow.moved_at() + self.idle)
                }
                _ => None,
            };
            let Some(due) = [idle, self.last_moment()].into_iter().flatten().min() else { return Poll::Pending };
            if due <= std::time::Instant::now() {
                let silent = idle == Some(due);
                return Poll::Ready(if silent { Failure::new(Kind::Timeout, "the response stopped arriving") } else { late() });
            }
            let due = Instant::from_std(due);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            // What moved since only makes it later: looking again when it fires is cheaper than setting it anew.
            if timer.is_elapsed() || due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(context));
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(stall) = &self.stall {
            stall.asked();
        }
        if self.is_late() {
            return Poll::Ready(Some(Err(self.fail(late()))));
        }
        if let Some(rate) = &mut self.rate {
            let pauses = rate.poll_ready(context).is_pending();
            let paused = std::mem::replace(&mut self.paused, pauses);
            if pauses {
                let failure = ready!(self.poll_timers(context));
                return Poll::Ready(Some(Err(self.fail(failure))));
            }
            if let (true, Some(record)) = (paused, &self.record) {
                record.inflow.moved();
            }
        }
        let body = match &mut self.source {
            Source::Over => return Poll::Ready(None),
            Source::Made(body) => body,
            Source::Upstream(upstream) => &mut upstream.body,
        };
        let polled = match &mut self.passage {
            _ if !self.held_back.is_empty() => Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.held_back))))),
            Some(passage) => passage.poll_frame(context, body),
            None => body.poll_frame(context),
        };
        let Poll::Ready(frame) = polled else {
            let failure = ready!(self.poll_timers(context));
            return Poll::Ready(Some(Err(self.fail(failure))));
        };
        match frame {
            Some(Ok(mut frame)) => {
                if let (Some(rate), Some(data)) = (&self.rate, frame.data_mut()) {
                    self.held_back = data.split_off(data.len().min(rate.piece()));
                }
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if let Some(record) = &mut self.record {
                    record.inflow.moved();
                    record.response_bytes += bytes as u64;
                    if let (Some(kept), Some(data)) = (record.inflow.kept(), frame.data_ref()) {
                        kept.response(data);
                    }
                }
                if let Some(rate) = &mut self.rate {
                    rate.took(bytes);
                }
                if let Some(stall) = &self.stall {
                    stall.handed_out();
                }
                if let (Some(trailers), Source::Upstream(upstream)) = (frame.trailers_ref(), &mut self.source) {
                    upstream.lease.heard(trailers);
                }
                // A stream may be reset after its trailers: they are its end whatever follows.
                if frame.is_trailers() || self.is_over() {
                    if let Some(record) = &mut self.record {
                        record.ended = Some(record.inflow.moved_at());
                    }
                    self.end(true);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(failure)) => {
                let failure = self.blame(failure);
                Poll::Ready(Some(Err(self.fail(failure))))
            }
            None => {
                self.end(true);
                Poll::Ready(None)
            }
        }
    }

    /// An upstream that stops because the client has, or a filter made it, is not to blame.
    fn blame(&self, failure: Failure) -> Failure {
        match self.record.as_ref().and_then(|record| record.inflow.failure()) {
            Some(kind) if failure.kind.at() == At::Upstream => {
                Failure::new(kind, "the request was cut off while it was being answered").because(failure)
            }
            _ => failure,
        }
    }
}

fn late() -> Failure {
    Failure::new(Kind::Timeout, "the response took longer than its timeout")
}

impl Drop for State {
    fn drop(&mut self) {
        if self.stall.as_ref().is_some_and(|stall| stall.gave_up()) {
            self.fail(Failure::new(Kind::ClientTimeout, "the client did not take its answer"));
        }
    }
}

impl http_body::Body for Downstream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        if self.0.passage.as_ref().is_some_and(Passage::hides_length) {
            return SizeHint::new();
        }
        match &self.0.source {
            Source::Made(body) => body.size_hint(),
            Source::Upstream(upstream) => upstream.body.size_hint(),
            Source::Over => SizeHint::with_exact(0),
        }
    }
}
