//! A body on its way through the filters that want its pieces or its trailers: one piece at a time, in order.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Frame;

use crate::exchange::{Body, Exchange, Failure, Kind};
use crate::filter::chain::{Chain, PIECE_BYTES_MAX, Shared, Step, Way};

/// See the module.
pub struct Passage {
    chain: Rc<Chain>,
    exchange: Shared,
    way: Way,
    /// A filter wants the pieces.
    chunks: bool,
    /// One may replace them.
    replaces: bool,
    /// What the head tells of the length is a filter's word, and not what the source knows.
    hides: bool,
    /// The piece or the trailers that are being dealt with.
    running: Option<Running>,
    /// They have come, and go on after the last piece.
    trailers: Option<HeaderMap>,
    /// They have passed, and what stands before them goes first.
    last: Option<HeaderMap>,
    /// The filters have been told that no piece follows.
    told_end: bool,
    over: bool,
}

type Running = Pin<Box<dyn Future<Output = Result<Passed, Step>>>>;

enum Passed {
    Chunk(Bytes),
    /// And what goes before them.
    Trailers(Bytes, HeaderMap),
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
        let pieces = chain.wants_chunks(way);
        let told = if pieces.shared { told_length(&exchange.borrow(), way) } else { None };
        let kept = pieces.shared && told.is_some();
        let replaces = pieces.replaced || pieces.shared && !kept;
        let hides = replaces || kept && told != source.size_hint().exact();
        let (chain, exchange, chunks) = (Rc::clone(chain), Rc::clone(exchange), pieces.wanted);
        Some(Self {
            chain,
            exchange,
            way,
            chunks,
            replaces,
            hides,
            running: None,
            trailers: None,
            last: None,
            told_end: !chunks,
            over: false,
        })
    }

    /// What comes out may have another length than what goes in.
    pub fn changes_length(&self) -> bool {
        self.replaces
    }

    /// What is known of the length of what goes in is not true of it.
    pub fn hides_length(&self) -> bool {
        self.hides
    }

    /// Nothing more comes out.
    pub fn is_over(&self, source: &Body) -> bool {
        self.over
            || self.running.is_none() && self.trailers.is_none() && self.last.is_none() && self.told_end && source.is_end_stream()
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
                    Ok(Passed::Trailers(before, trailers)) if !before.is_empty() => {
                        self.last = Some(trailers);
                        return Poll::Ready(Some(Ok(Frame::data(before))));
                    }
                    Ok(Passed::Trailers(_, trailers)) => {
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
            if let Some(trailers) = self.last.take() {
                self.over = true;
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            if self.told_end
                && let Some(trailers) = self.trailers.take()
            {
                self.run_trailers(trailers);
                continue;
            }
            let polled = if self.chunks { source.poll_piece(context, PIECE_BYTES_MAX) } else { source.poll_frame(context) };
            let Poll::Ready(frame) = polled else {
                ready!(self.chain.poll_released(context, self.way));
                self.run_chunk(Bytes::new(), false);
                continue;
            };
            match frame {
                Some(Err(failure)) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(failure)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if self.chunks => self.run_chunk(data, source.is_end_stream()),
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        self.chain.trailers_follow(self.way);
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
        self.running = Some(Box::pin(async move {
            chain.trailers(&exchange, way, trailers).await.map(|(before, trailers)| Passed::Trailers(before, trailers))
        }));
    }
}

/// What the head of this message tells.
fn told_length(exchange: &Exchange, way: Way) -> Option<u64> {
    let headers = match way {
        Way::Request => &exchange.request.headers,
        Way::Response => &exchange.response.as_ref()?.headers,
    };
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A filter has ended the message in its middle.
fn failure(step: Step) -> Failure {
    match step {
        Step::Failed(failure) => failure,
        Step::Reset | Step::Replied(_) => Failure::new(Kind::FilterReset, "a filter ended the exchange"),
    }
}
