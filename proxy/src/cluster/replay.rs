//! A request's body that may have to be sent again: what passes is kept, up to a limit.
//!
//! There is one [`Replay`] an attempt, and one more that is never sent and makes the others. They share the source and
//! what has come of it, so that the source is read once, whoever reads it. What is kept is copied: a piece of a client's
//! body pins the whole buffer that it was read into, and a client decides how small its pieces are.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::exchange::failure::BoxError;

/// What is kept while it passes.
pub type Source = Pin<Box<dyn Body<Data = Bytes, Error = BoxError>>>;

/// The body of one attempt.
pub struct Replay {
    shared: Rc<RefCell<Shared>>,
    /// Which attempt; only the last one may go on.
    attempt: u32,
    /// Bytes of what is kept that were sent in this attempt.
    sent: usize,
    trailers_sent: bool,
}

struct Shared {
    source: Source,
    limit: usize,
    kept: Vec<u8>,
    trailers: Option<HeaderMap>,
    state: State,
    /// The last attempt.
    attempt: u32,
    /// Of the attempt that reads, so that it can be told that it is not the last one any more.
    reader: Option<Waker>,
    /// The source had nothing when it was last asked.
    awaited: bool,
    moved: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Everything that has come is kept.
    Whole,
    /// The same, and nothing more will come.
    Ended,
    /// More has come than is kept.
    Lost,
    /// The source failed.
    Failed,
}

impl Replay {
    pub fn new(source: Source, limit: usize) -> Self {
        let shared = Shared {
            source,
            limit,
            kept: Vec::new(),
            trailers: None,
            state: State::Whole,
            attempt: 0,
            reader: None,
            awaited: false,
            moved: Instant::now(),
        };
        Self { shared: Rc::new(RefCell::new(shared)), attempt: 0, sent: 0, trailers_sent: false }
    }

    /// The body from its beginning, for a further attempt; the ones before end with an error. `None` if too much of it has
    /// gone by, or if the client did not deliver.
    pub fn again(&self) -> Option<Self> {
        let mut shared = self.shared.borrow_mut();
        if matches!(shared.state, State::Lost | State::Failed) {
            return None;
        }
        shared.attempt += 1;
        // Until the new attempt asks, nobody waits for the client.
        shared.awaited = false;
        let (attempt, reader) = (shared.attempt, shared.reader.take());
        drop(shared);
        if let Some(reader) = reader {
            reader.wake();
        }
        Some(Self { shared: Rc::clone(&self.shared), attempt, sent: 0, trailers_sent: false })
    }

    /// The same for an attempt beside others, which go on: only of a body that is here as a whole.
    pub fn beside(&self) -> Option<(Bytes, Option<HeaderMap>)> {
        let shared = self.shared.borrow();
        let whole = shared.state == State::Ended || (shared.state == State::Whole && shared.source.is_end_stream());
        whole.then(|| (Bytes::copy_from_slice(&shared.kept), shared.trailers.clone()))
    }

    /// All that has come is kept, and more may come.
    pub fn is_kept(&self) -> bool {
        matches!(self.shared.borrow().state, State::Whole | State::Ended)
    }

    /// When the client's body last moved; `None` while it is the client that is waited for.
    pub fn moved(&self) -> Option<Instant> {
        let shared = self.shared.borrow();
        (!shared.awaited).then_some(shared.moved)
    }

    /// The whole body has come.
    pub fn is_complete(&self) -> bool {
        let shared = self.shared.borrow();
        shared.state == State::Ended || shared.source.is_end_stream()
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("attempt", &self.attempt).field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Shared {
    /// The next frame of the source, and what becomes of it.
    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = self.source.as_mut().poll_frame(context);
        self.awaited = frame.is_pending();
        if self.awaited {
            self.reader = Some(context.waker().clone());
        }
        let frame = ready!(frame);
        self.moved = Instant::now();
        match &frame {
            Some(Ok(frame)) => self.keep(frame),
            Some(Err(_)) => self.end(State::Failed),
            None => self.end(State::Ended),
        }
        Poll::Ready(frame)
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref()
            && self.state == State::Whole
        {
            let rest = usize::try_from(self.source.size_hint().lower()).unwrap_or(usize::MAX);
            let length = self.kept.len().saturating_add(data.len());
            if length.saturating_add(rest) > self.limit {
                self.kept = Vec::new();
                self.state = State::Lost;
            } else {
                self.kept.extend_from_slice(data);
            }
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(trailers.clone());
            self.end(State::Ended);
        } else if self.source.is_end_stream() {
            self.end(State::Ended);
        }
    }

    fn end(&mut self, state: State) {
        if self.state == State::Whole {
            self.state = state;
        }
    }
}

impl Body for Replay {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let mut shared = this.shared.borrow_mut();
        if this.attempt != shared.attempt {
            return Poll::Ready(Some(Err("another attempt sends this request".into())));
        }
        if this.sent < shared.kept.len() {
            let rest = Bytes::copy_from_slice(&shared.kept[this.sent..]);
            this.sent = shared.kept.len();
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        if let Some(trailers) = shared.trailers.as_ref().filter(|_| !this.trailers_sent) {
            this.trailers_sent = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers.clone()))));
        }
        if shared.state == State::Ended {
            return Poll::Ready(None);
        }
        let frame = ready!(shared.poll_source(context));
        this.sent = shared.kept.len();
        this.trailers_sent = shared.trailers.is_some();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let shared = self.shared.borrow();
        let caught_up = self.sent == shared.kept.len() && (self.trailers_sent || shared.trailers.is_none());
        caught_up && (shared.state == State::Ended || shared.source.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let shared = self.shared.borrow();
        let behind = (shared.kept.len().saturating_sub(self.sent)) as u64;
        let rest = shared.source.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + behind);
        }
        hint.set_lower(rest.lower() + behind);
        hint
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    use http_body_util::BodyExt;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use crate::cluster::Outgoing;

    /// A client whose body comes piece by piece.
    struct Arriving(UnboundedReceiver<Result<Frame<Bytes>, BoxError>>);

    impl Body for Arriving {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            self.0.poll_recv(context)
        }
    }

    /// It ends its body by being dropped.
    pub struct Client(UnboundedSender<Result<Frame<Bytes>, BoxError>>);

    impl Client {
        pub fn with_limit(limit: usize) -> (Self, Replay) {
            let (sender, receiver) = unbounded_channel();
            (Self(sender), Replay::new(Box::pin(Arriving(receiver)), limit))
        }

        pub fn says(&self, text: &'static str) {
            self.0.send(Ok(Frame::data(Bytes::from_static(text.as_bytes())))).expect("a reader");
        }
    }

    pub fn whole(text: &'static str, trailers: Option<HeaderMap>) -> Source {
        Box::pin(Outgoing::Whole { body: Bytes::from_static(text.as_bytes()), trailers })
    }

    async fn next(body: &mut Replay) -> Bytes {
        body.frame().await.expect("a frame").expect("no error").into_data().expect("data")
    }

    #[tokio::test]
    async fn a_further_attempt_begins_at_the_beginning_and_goes_on() {
        let (client, spare) = Client::with_limit(100);
        let mut first = spare.again().expect("nothing is lost");
        for piece in ["one", "two"] {
            client.says(piece);
            assert_eq!(next(&mut first).await, piece);
        }
        let mut second = spare.again().expect("all is kept");
        assert!(first.frame().await.expect("an end").is_err(), "two attempts cannot both go on");
        assert_eq!(next(&mut second).await, "onetwo");
        client.says("three");
        drop(client);
        assert!(!spare.is_complete());
        assert_eq!(second.collect().await.expect("no error").to_bytes(), "three");
        assert!(spare.is_complete());
        let third = spare.again().expect("all is kept");
        assert_eq!(third.size_hint().lower(), 11);
        assert_eq!(third.collect().await.expect("no error").to_bytes(), "onetwothree");
    }

    #[tokio::test]
    async fn trailers_are_kept_too() {
        let trailers = HeaderMap::from_iter([("a".parse().expect("a name"), "1".parse().expect("a value"))]);
        let spare = Replay::new(whole("data", Some(trailers.clone())), 100);
        for _ in 0..3 {
            let collected = spare.again().expect("all is kept").collect().await.expect("no error");
            assert_eq!(collected.trailers(), Some(&trailers));
            assert_eq!(collected.to_bytes(), "data");
        }
    }

    #[tokio::test]
    async fn past_the_limit_it_is_sent_once() {
        let (client, spare) = Client::with_limit(5);
        let mut first = spare.again().expect("nothing is lost");
        client.says("12345");
        assert_eq!(next(&mut first).await, "12345");
        let mut second = spare.again().expect("at the limit");
        assert_eq!(next(&mut second).await, "12345");
        client.says("6");
        drop(client);
        assert_eq!(second.collect().await.expect("no error").to_bytes(), "6", "what is sent goes on");
        assert!(spare.again().is_none());
        assert!(spare.shared.borrow().kept.is_empty(), "what can never be used holds no memory");
    }

    #[tokio::test]
    async fn what_is_too_long_can_be_begun_again_as_long_as_nothing_was_read() {
        let spare = Replay::new(whole("123456", None), 5);
        drop(spare.again().expect("nothing was read"));
        let body = spare.again().expect("nothing was read");
        assert_eq!(body.size_hint().exact(), Some(6));
        assert_eq!(body.collect().await.expect("no error").to_bytes(), "123456");
        assert!(spare.again().is_none());
    }

    #[tokio::test]
    async fn the_length_stays_what_was_announced() {
        let spare = Replay::new(whole("1234", None), 5);
        for _ in 0..2 {
            let mut body = spare.again().expect("all is kept");
            assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(4), false));
            assert_eq!(next(&mut body).await, "1234");
            assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
        }
    }

    #[tokio::test]
    async fn a_client_that_left_ends_it() {
        let (client, spare) = Client::with_limit(100);
        let mut first = spare.again().expect("nothing is lost");
        client.says("one");
        assert_eq!(next(&mut first).await, "one");
        client.0.send(Err("the client is gone".into())).expect("a reader");
        assert!(first.frame().await.expect("an end").is_err());
        assert!(spare.again().is_none());
    }

    #[tokio::test]
    async fn an_attempt_that_waits_for_the_client_is_told_of_the_next() {
        let (_client, spare) = Client::with_limit(100);
        let mut first = spare.again().expect("nothing is lost");
        let waiting = async { first.frame().await.expect("an end").is_err() };
        let next = async {
            while spare.moved().is_some() {
                tokio::task::yield_now().await;
            }
            let second = spare.again().expect("nothing is lost");
            assert!(spare.moved().is_some(), "nobody waits for the client until the next attempt asks");
            second
        };
        let (was_told, _second) = tokio::join!(waiting, next);
        assert!(was_told);
    }
}
