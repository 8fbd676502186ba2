//! An answer: open while its body streams, whole when it was read to the end.

use bytes::Bytes;
use http::{HeaderMap, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::Client;

/// The head of an answer whose body is still to be read.
#[derive(Debug)]
pub struct Open {
    pub status: u16,
    pub headers: HeaderMap,
    response: Response<Incoming>,
    /// Holds the connection: a client that is gone closes it.
    client: Client,
}

/// A body to its end.
#[derive(Debug)]
pub struct Whole {
    pub bytes: Bytes,
    pub trailers: HeaderMap,
}

impl Open {
    pub(super) fn new(response: Response<Incoming>, client: Client) -> Self {
        Self { status: response.status().as_u16(), headers: response.headers().clone(), response, client }
    }

    /// The next piece of the body that holds a byte; `None` at its end.
    pub async fn piece(&mut self) -> hyper::Result<Option<Bytes>> {
        while let Some(frame) = self.response.frame().await.transpose()? {
            if let Some(bytes) = frame.into_data().ok().filter(|bytes| !bytes.is_empty()) {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    pub async fn whole(self) -> hyper::Result<Whole> {
        let _held = self.client;
        let collected = self.response.into_body().collect().await?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Ok(Whole { bytes: collected.to_bytes(), trailers })
    }

    pub async fn answer(self) -> hyper::Result<Answer> {
        let (status, headers, version) = (self.status, self.headers.clone(), self.response.version());
        let Whole { bytes, trailers } = self.whole().await?;
        Ok(Answer { status, version, headers, body: bytes, trailers })
    }

    pub fn into_response(self) -> Response<Incoming> {
        self.response
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON, {error}: {:?}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("the value is text"))
    }

    /// The word by which the proxy says why it answered by itself.
    pub fn reason(&self) -> Option<&str> {
        self.header("x-tamis-reason")
    }
}
