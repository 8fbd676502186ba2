//! A request that is about to be sent.

use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use http_body::Body as _;

use super::{Answer, Client, Open};
use crate::body::{self, Body};

pub struct Request {
    client: Client,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Body,
}

impl Request {
    pub(super) fn new(client: Client, method: Method, target: &str) -> Self {
        Self { client, method, target: target.to_owned(), headers: HeaderMap::new(), body: body::empty() }
    }

    /// Adds a field; what is already there by this name stays.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("the name is one of a field");
        self.headers.append(name, value.parse().expect("the value is one of a field"));
        self
    }

    /// The same for a value that is no text.
    pub fn header_bytes(mut self, name: &str, value: &[u8]) -> Self {
        let name: HeaderName = name.parse().expect("the name is one of a field");
        self.headers.append(name, HeaderValue::from_bytes(value).expect("the value is one of a field"));
        self
    }

    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = body::full(bytes);
        self
    }

    pub fn streaming(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Sends it and waits for the head of the answer.
    pub async fn open(self) -> hyper::Result<Open> {
        let mut request = http::Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.client.uri(&self.target);
        *request.headers_mut() = self.headers;
        if self.client.edge.is_http1() {
            let host = self.client.name.parse().expect("the name is one of a host");
            request.headers_mut().entry(header::HOST).or_insert(host);
        } else {
            *request.version_mut() = Version::HTTP_2;
        }
        if request.body().is_end_stream() && matches!(*request.method(), Method::POST | Method::PUT) {
            request.headers_mut().entry(header::CONTENT_LENGTH).or_insert(0.into());
        }
        self.client.send(request).await.map(|response| Open::new(response, self.client.clone()))
    }

    /// Sends it and waits for the whole answer.
    pub async fn whole(self) -> hyper::Result<Answer> {
        self.open().await?.answer().await
    }
}

impl IntoFuture for Request {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    /// The whole answer; that there is none fails the scenario.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let what = format!("{} {}", self.method, self.target);
            self.whole().await.unwrap_or_else(|error| panic!("{what} got no whole answer: {error:?}"))
        })
    }
}
