//! Bodies that a test sends: whole ones, and ones that it feeds piece by piece, ends with trailers, or cuts.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use tokio::sync::mpsc;

/// The one body type of the harness's clients and origins.
pub type Body = UnsyncBoxBody<Bytes, Cut>;

/// The body ended before it was whole, on purpose.
#[derive(Debug)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the body was cut on purpose")
    }
}

impl std::error::Error for Cut {}

pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Of no declared length, for HTTP/1 has no trailers after a body of known length.
pub fn with_trailers(bytes: impl Into<Bytes>, trailers: &[(&'static str, &str)]) -> Body {
    let (sender, receiver) = mpsc::channel(2);
    for frame in [Frame::data(bytes.into()), Frame::trailers(headers(trailers))] {
        sender.try_send(Ok(frame)).expect("there is room for both");
    }
    Channel(receiver).boxed_unsync()
}

/// A body that is sent while its `Feed` is used. One piece waits at most, so that `send` feels the other side's pressure.
pub fn channel() -> (Feed, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (Feed(sender), Channel(receiver).boxed_unsync())
}

pub fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
}

/// `length` bytes that differ from place to place, so that a lost or doubled piece is noticed.
pub fn pattern(length: usize) -> Bytes {
    (0..length).map(|place| (place ^ (place >> 8) ^ (place >> 16)) as u8).collect()
}

/// The sending end of a body; dropped, it ends the body as whole.
pub struct Feed(mpsc::Sender<Result<Frame<Bytes>, Cut>>);

impl Feed {
    /// False when nobody reads the body any more.
    pub async fn send(&self, bytes: impl Into<Bytes>) -> bool {
        self.0.send(Ok(Frame::data(bytes.into()))).await.is_ok()
    }

    pub async fn trailers(self, trailers: &[(&'static str, &str)]) {
        self.0.send(Ok(Frame::trailers(headers(trailers)))).await.ok();
    }

    /// The same for trailers that came from somewhere.
    pub async fn end_with(self, trailers: HeaderMap) {
        self.0.send(Ok(Frame::trailers(trailers))).await.ok();
    }

    /// Ends the body before it is whole: HTTP/1 closes the connection, HTTP/2 resets the stream.
    pub async fn cut(self) {
        self.0.send(Err(Cut)).await.ok();
    }

    /// Waits until nobody reads the body any more.
    pub async fn gone(&self) {
        self.0.closed().await;
    }
}

struct Channel(mpsc::Receiver<Result<Frame<Bytes>, Cut>>);

impl http_body::Body for Channel {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        Poll::Ready(ready!(self.0.poll_recv(context)))
    }
}
