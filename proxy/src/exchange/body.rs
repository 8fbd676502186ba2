//! The body of a message while it passes: what was read ahead for filters first, then what still arrives.
//!
//! Nothing is read ahead unless a filter asks for it. A body that a filter has replaced drops what still arrives and
//! keeps the trailers.

mod ahead;

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

pub use self::ahead::Ahead;
use super::{Failure, Inflow, Kind};

/// A smaller piece that is read ahead is copied to the ones before it: it would keep the whole buffer that it was read
/// into, and the peer decides how small its pieces are.
const OWN_PIECE_BYTES: usize = 4 << 10;

/// See the module.
#[derive(Debug, Default)]
pub struct Body {
    /// Read ahead, or put in the place of what arrives.
    front: VecDeque<Bytes>,
    /// Small pieces behind the front.
    gathered: BytesMut,
    /// Bytes of both.
    ahead: usize,
    source: Source,
    /// They came while the body was read ahead.
    trailers: Option<Box<HeaderMap>>,
    /// Another body has taken the place of what still arrives.
    replaced: bool,
    /// A part has gone on: there is no whole left to read.
    begun: bool,
    /// What still arrived was let go.
    abandoned: bool,
}

#[derive(Debug, Default)]
enum Source {
    #[default]
    Over,
    Client(Box<FromClient>),
    Upstream(FromUpstream),
    /// It broke while it was read ahead: whoever takes it on is told.
    Broken(Option<Failure>),
}

/// Why a body cannot be read as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    TooLarge,
    PeerGone,
    AlreadyStreamed,
}

/// How long nothing may move. Zero: for ever.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// While the request is on its way.
    pub request: Duration,
    /// From the head of the answer on, when either side may be the one that speaks.
    pub stream: Duration,
}

impl Body {
    /// What a client sends. `http2`: how it speaks.
    pub fn from_client(body: Incoming, http2: bool, inflow: Rc<Inflow>, pace: Pace) -> Self {
        if body.is_end_stream() {
            inflow.complete();
            return Self::default();
        }
        let client = FromClient { body, http2, inflow, pace, stalled: None };
        Self { source: Source::Client(Box::new(client)), ..Self::default() }
    }

    /// What an endpoint answers. `first`: what has come of it already.
    pub fn from_upstream(body: Incoming, first: Option<Frame<Bytes>>, http2: bool) -> Self {
        let mut this = Self::default();
        if !body.is_end_stream() {
            this.source = Source::Upstream(FromUpstream { body, http2 });
        }
        match first.map(Frame::into_data) {
            None => {}
            Some(Ok(data)) => {
                this.ahead = data.len();
                this.front = only(data);
            }
            Some(Err(frame)) => {
                // Nothing follows trailers, however the stream ends.
                this.source = Source::Over;
                this.trailers = frame.into_trailers().ok().map(Box::new);
            }
        }
        this
    }

    /// Made here.
    pub fn whole(bytes: Bytes) -> Self {
        Self { ahead: bytes.len(), front: only(bytes), ..Self::default() }
    }

    /// One of which everything has gone on, or that has not come yet: nobody can read it.
    pub fn gone() -> Self {
        Self { begun: true, ..Self::default() }
    }

    /// Lets the peer go. What was not empty cannot be read any more.
    pub fn let_go(&mut self) {
        drop(self.take());
    }

    /// Sends it on its way. What is left of one that was not empty cannot be read any more.
    pub fn take(&mut self) -> Self {
        let begun = self.begun || !self.is_end_stream();
        std::mem::replace(self, Self { begun, ..Self::default() })
    }

    /// Reads ahead until the body has ended; all of it then, and it still goes on. Past `limit` nothing is lost either.
    pub fn poll_whole(&mut self, context: &mut Context<'_>, limit: usize) -> Poll<Result<Bytes, Unreadable>> {
        if self.begun {
            return Poll::Ready(Err(Unreadable::AlreadyStreamed));
        }
        loop {
            // An announced length need not arrive to be too long.
            if self.size_hint().lower() > limit as u64 {
                return Poll::Ready(Err(Unreadable::TooLarge));
            }
            if self.replaced || matches!(self.source, Source::Over) {
                return Poll::Ready(Ok(self.joined()));
            }
            match ready!(self.poll_source(context)) {
                None => self.source = Source::Over,
                Some(Err(failure)) => {
                    self.source = Source::Broken(Some(failure));
                    return Poll::Ready(Err(Unreadable::PeerGone));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.put(data),
                    Err(frame) => self.trailers = frame.into_trailers().ok().map(Box::new),
                },
            }
        }
    }

    /// What has been read ahead, if that is all of it; otherwise a body of which a part has gone on already.
    pub fn copy(&self) -> Self {
        let whole = !self.begun && (self.replaced || matches!(self.source, Source::Over));
        if !whole {
            return Self::gone();
        }
        Self {
            front: self.front.clone(),
            gathered: self.gathered.clone(),
            ahead: self.ahead,
            trailers: self.trailers.clone(),
            ..Self::default()
        }
    }

    /// Behind what is there.
    fn put(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        self.ahead += data.len();
        if data.len() < OWN_PIECE_BYTES {
            self.gathered.extend_from_slice(&data);
        } else {
            self.close_gathered();
            self.front.push_back(data);
        }
    }

    fn close_gathered(&mut self) {
        if !self.gathered.is_empty() {
            self.front.push_back(std::mem::take(&mut self.gathered).freeze());
        }
    }

    fn joined(&mut self) -> Bytes {
        self.close_gathered();
        if self.front.len() > 1 {
            let mut whole = BytesMut::with_capacity(self.ahead);
            self.front.iter().for_each(|piece| whole.extend_from_slice(piece));
            self.front = VecDeque::from([whole.freeze()]);
        }
        self.front.front().cloned().unwrap_or_default()
    }

    /// Puts other bytes in the place of the body. Of what still arrives only trailers go on; without `keep_trailers`
    /// nothing does.
    pub fn replace(&mut self, bytes: Bytes, keep_trailers: bool) {
        self.gathered = BytesMut::new();
        self.ahead = bytes.len();
        self.front = only(bytes);
        self.replaced = true;
        if !keep_trailers {
            self.abandoned |= !self.source_has_ended();
            self.source = Source::Over;
            self.trailers = None;
        }
    }

    /// What still arrives is waited for no longer, and whoever takes the body on is told why.
    pub fn break_off(&mut self, failure: Failure) {
        if let Source::Client(client) = &self.source {
            client.inflow.fail(failure.kind);
        }
        self.source = Source::Broken(Some(failure));
    }

    /// The peer was not heard to its end.
    pub fn was_abandoned(&self) -> bool {
        self.abandoned
    }

    /// A part of it has gone on.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// The next piece, or the trailers.
    pub fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        self.begun = true;
        if self.front.is_empty() {
            self.close_gathered();
        }
        if let Some(data) = self.front.pop_front() {
            self.ahead -= data.len();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        loop {
            match ready!(self.poll_source(context)) {
                Some(Ok(frame)) if self.replaced && frame.is_data() => {}
                Some(frame) => return Poll::Ready(Some(frame)),
                None => return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(*trailers)))),
            }
        }
    }

    /// The same, and what is left of a longer piece next time.
    pub fn poll_piece(&mut self, context: &mut Context<'_>, bytes_max: usize) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = ready!(self.poll_frame(context));
        Poll::Ready(match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(mut data))) => {
                if data.len() > bytes_max {
                    let rest = data.split_off(bytes_max);
                    self.ahead += rest.len();
                    self.front.push_front(rest);
                }
                Some(Ok(Frame::data(data)))
            }
            Some(Ok(Err(other))) => Some(Ok(other)),
            Some(Err(failure)) => Some(Err(failure)),
            None => None,
        })
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match &mut self.source {
            Source::Over => Poll::Ready(None),
            Source::Client(client) => client.poll_frame(context),
            Source::Upstream(upstream) => upstream.poll_frame(context),
            Source::Broken(failure) => Poll::Ready(failure.take().map(Err)),
        }
    }

    pub fn is_end_stream(&self) -> bool {
        self.ahead == 0 && self.trailers.is_none() && self.source_has_ended()
    }

    /// Nothing more comes from the peer.
    pub fn source_has_ended(&self) -> bool {
        match &self.source {
            Source::Over => true,
            Source::Client(client) => client.body.is_end_stream(),
            Source::Upstream(upstream) => upstream.body.is_end_stream(),
            Source::Broken(failure) => failure.is_none(),
        }
    }

    pub fn size_hint(&self) -> SizeHint {
        let front = self.ahead as u64;
        let rest = match &self.source {
            Source::Over => SizeHint::with_exact(0),
            // Its data is dropped; trailers may follow, so it is not known to end with the front.
            _ if self.replaced => SizeHint::new(),
            Source::Client(client) => client.body.size_hint(),
            Source::Upstream(upstream) => upstream.body.size_hint(),
            Source::Broken(_) => SizeHint::new(),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(front + rest.lower());
        // Trailers have no place behind a body of known length.
        if let (Some(upper), None) = (rest.upper(), &self.trailers) {
            hint.set_upper(front + upper);
        }
        hint
    }
}

fn only(bytes: Bytes) -> VecDeque<Bytes> {
    if bytes.is_empty() { VecDeque::new() } else { VecDeque::from([bytes]) }
}

/// A client's body, with the client's pace watched.
#[derive(Debug)]
struct FromClient {
    body: Incoming,
    http2: bool,
    inflow: Rc<Inflow>,
    pace: Pace,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl FromClient {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(self.poll_stalled(context));
                self.inflow.fail(Kind::ClientTimeout);
                return Poll::Ready(Some(Err(Failure::new(Kind::ClientTimeout, "the request body stopped arriving"))));
            }
        };
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.inflow.count(data.len());
                    if let Some(kept) = self.inflow.kept() {
                        kept.request(data);
                    }
                }
                if frame.is_trailers() || self.body.is_end_stream() {
                    self.inflow.complete();
                }
                Some(Ok(frame))
            }
            // A stream may be reset after its end.
            None | Some(Err(_)) if self.inflow.is_complete() => None,
            Some(Err(error)) => {
                let failure = cut_off(error);
                self.inflow.fail(failure.kind);
                Some(Err(failure))
            }
            None if self.http2 && was_reset(&self.body) => {
                self.inflow.fail(Kind::ClientGone);
                Some(Err(Failure::new(Kind::ClientGone, "the client reset the stream of its request")))
            }
            None => {
                self.inflow.complete();
                None
            }
        })
    }

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

/// A streaming answer.
#[derive(Debug)]
struct FromUpstream {
    body: Incoming,
    /// How the endpoint speaks.
    http2: bool,
}

impl FromUpstream {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => Some(Err(Failure::new(Kind::UpstreamReset, "the upstream cut its answer off").because(error))),
            None if self.http2 && was_reset(&self.body) => {
                Some(Err(Failure::new(Kind::UpstreamReset, "the upstream reset the stream of its answer")))
            }
            None => None,
        })
    }
}

/// hyper takes an HTTP/2 stream that was reset with CANCEL or NO_ERROR for one that has ended. One that announced its
/// length and has kept it has.
fn was_reset(body: &Incoming) -> bool {
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

    use std::future::poll_fn;

    async fn frames(body: &mut Body) -> Vec<Frame<Bytes>> {
        let mut frames = Vec::new();
        while let Some(frame) = poll_fn(|context| body.poll_frame(context)).await {
            frames.push(frame.expect("no failure"));
        }
        frames
    }

    fn trailers() -> HeaderMap {
        HeaderMap::from_iter([("a".parse().expect("a name"), "1".parse().expect("a value"))])
    }

    #[tokio::test]
    async fn small_pieces_do_not_keep_the_buffers_they_came_in() {
        let buffer = Bytes::from(vec![b'x'; 8 << 10]);
        let mut body = Body::default();
        for _ in 0..1000 {
            body.put(buffer.slice(..1));
            body.put(Bytes::new());
        }
        body.put(buffer.clone());
        body.put(buffer.slice(..2));
        assert_eq!((body.front.len(), body.size_hint().exact(), body.is_end_stream()), (2, Some(1002 + (8 << 10)), false));
        assert_eq!(body.front[1].as_ptr(), buffer.as_ptr(), "a large piece is not copied");
        assert_eq!(body.copy().size_hint().exact(), body.size_hint().exact());
        let lengths: Vec<_> = frames(&mut body).await.iter().map(|frame| frame.data_ref().map_or(0, Bytes::len)).collect();
        assert_eq!(lengths, [1000, 8 << 10, 2]);
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
    }

    #[tokio::test]
    async fn a_whole_body_can_be_read_until_it_has_gone_on() {
        let mut body = Body::default();
        for piece in ["one", "two"] {
            body.put(Bytes::from(piece));
        }
        for _ in 0..2 {
            assert_eq!(poll_fn(|context| body.poll_whole(context, 6)).await.expect("it fits"), "onetwo");
        }
        assert_eq!(poll_fn(|context| body.poll_whole(context, 5)).await, Err(Unreadable::TooLarge));
        body.let_go();
        for mut body in [body, Body::gone(), Body::gone().copy()] {
            assert_eq!(poll_fn(|context| body.poll_whole(context, 6)).await, Err(Unreadable::AlreadyStreamed));
        }
        let mut empty = Body::default();
        empty.let_go();
        assert_eq!(poll_fn(|context| empty.poll_whole(context, 0)).await.expect("nothing is lost"), "");
    }

    #[tokio::test]
    async fn another_body_has_trailers_only_if_they_are_kept() {
        for keep in [true, false] {
            let mut body = Body { trailers: Some(Box::new(trailers())), ..Body::whole("before".into()) };
            body.replace("after".into(), keep);
            let frames = frames(&mut body).await;
            assert_eq!(frames[0].data_ref().map(|data| &**data), Some(b"after".as_slice()));
            assert_eq!(frames.get(1).and_then(Frame::trailers_ref), keep.then(trailers).as_ref());
        }
    }

    #[tokio::test]
    async fn a_long_piece_comes_in_several_and_its_end_with_the_last() {
        let mut body = Body::whole("abcdefgh".into());
        let mut pieces = Vec::new();
        while let Some(frame) = poll_fn(|context| body.poll_piece(context, 3)).await {
            let data = frame.expect("no failure").into_data().expect("data");
            pieces.push((data, body.size_hint().exact(), body.is_end_stream()));
        }
        assert_eq!(pieces, [("abc".into(), Some(5), false), ("def".into(), Some(2), false), ("gh".into(), Some(0), true)]);
    }

    #[test]
    fn a_peer_that_was_let_go_stays_so() {
        let mut body = Body { abandoned: true, ..Body::default() };
        body.replace("again".into(), false);
        assert!(body.was_abandoned());
    }
}
