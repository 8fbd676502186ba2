//! A body on its way through the filters that want its pieces or its trailers: one piece at a time, in order.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use crate::exchange::{Body, Failure, Kind};
use crate::filter::chain::{Chain, Shared, Step, Way};

/// See the module.
pub struct Passage {
    chain: Rc<Chain>,
    exchange: Shared,
    way: Way,
    /// A filter wants the pieces.
    chunks: bool,
    /// One may replace them.
    replaces: bool,
    /// The piece or the trailers that are being dealt with.
    running: Option<Running>,
    /// They have come, and go on after the last piece.
    trailers: Option<HeaderMap>,
    /// The filters have been told that no piece follows.
    told_end: bool,
    over: bool,
}

type Running = Pin<Box<dyn Future<Output = Result<Passed, Step>>>>;

enum Passed {
    Chunk(Bytes),
    Trailers(HeaderMap),
}

impl std::fmt::Debug for Passage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passage").field("way", &self.way).finish_non_exhaustive()
    }
}

impl Passage {
    /// `None` where no filter has anything to do with the body, or where there is none.
    pub fn new(chain: &Rc<Chain>, exchange: &Shared, way: Way, source: &Body) -> Option<Self> {
        if source.is_end_stream() || !chain.wants_body(way) {
            return None;
        }
        let (chunks, replaces) = chain.wants_chunks(way);
        let (chain, exchange) = (Rc::clone(chain), Rc::clone(exchange));
        Some(Self { chain, exchange, way, chunks, replaces, running: None, trailers: None, told_end: !chunks, over: false })
    }

    /// What comes out may have another length than what goes in.
    pub fn changes_length(&self) -> bool {
        self.replaces
    }

    /// Nothing more comes out.
    pub fn is_over(&self, source: &Body) -> bool {
        self.over || self.running.is_none() && self.trailers.is_none() && self.told_end && source.is_end_stream()
    }

    /// The next piece that has passed, or the trailers.
    pub fn poll_frame(&mut self, context: &mut Context<'_>, source: &mut Body) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        loop {
            if let Some(running) = &mut self.running {
                let passed = ready!(running.as_mut().poll(context));
                self.running = None;
                match passed {
                    Ok(Passed::Chunk(bytes)) if bytes.is_empty() => continue,
                    Ok(Passed::Chunk(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                    Ok(Passed::Trailers(trailers)) => {
                        self.over = true;
                        return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                    }
                    Err(step) => {
                        self.over = true;
                        return Poll::Ready(Some(Err(failure(step))));
                    }
                }
            }
            if self.over {
                return Poll::Ready(None);
            }
            if self.told_end
                && let Some(trailers) = self.trailers.take()
            {
                self.run_trailers(trailers);
                continue;
            }
            match ready!(source.poll_frame(context)) {
                Some(Err(failure)) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(failure)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if self.chunks => self.run_chunk(data, source.is_end_stream()),
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        self.tell_end();
                    }
                },
                None if !self.told_end => self.tell_end(),
                None => {
                    self.over = true;
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// An empty piece says that none follows, where the last one could not know it.
    fn tell_end(&mut self) {
        if !self.told_end {
            self.run_chunk(Bytes::new(), true);
        }
    }

    fn run_chunk(&mut self, data: Bytes, end: bool) {
        self.told_end |= end;
        let (chain, exchange, way) = (Rc::clone(&self.chain), Rc::clone(&self.exchange), self.way);
        self.running = Some(Box::pin(async move { chain.chunk(&exchange, way, data, end).await.map(Passed::Chunk) }));
    }

    fn run_trailers(&mut self, trailers: HeaderMap) {
        let (chain, exchange, way) = (Rc::clone(&self.chain), Rc::clone(&self.exchange), self.way);
        self.running = Some(Box::pin(async move { chain.trailers(&exchange, way, trailers).await.map(Passed::Trailers) }));
    }
}

/// A filter has ended the message in its middle.
fn failure(step: Step) -> Failure {
    match step {
        Step::Failed(failure) => failure,
        Step::Reset | Step::Replied(_) => Failure::new(Kind::FilterReset, "a filter ended the exchange"),
    }
}
