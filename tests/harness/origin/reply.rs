//! What an origin answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;

use crate::body::{self, Body, Cut};

pub struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Body,
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Self { status, headers: HeaderMap::new(), body: body::empty() }
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

    /// The request's own body, sent back while it arrives.
    pub fn reflecting(request: Request<Incoming>) -> Self {
        Self::new(200).streaming(request.into_body().map_err(|_| Cut).boxed_unsync())
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = StatusCode::from_u16(self.status).expect("the status is one of HTTP");
        *response.headers_mut() = self.headers;
        response
    }
}

pub(super) async fn echo(request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let Ok(collected) = body.collect().await else {
        return Reply::new(400).body("the request's body was cut");
    };
    let trailers = collected.trailers().map(fields).unwrap_or_default();
    let seen = json!({
        "method": head.method.as_str(),
        "target": head.uri.path_and_query().map(ToString::to_string),
        "version": format!("{:?}", head.version),
        "authority": head.uri.authority().map(ToString::to_string),
        "headers": fields(&head.headers),
        "body": String::from_utf8_lossy(&collected.to_bytes()),
        "trailers": trailers,
    });
    Reply::new(200).header("content-type", "application/json").body(seen.to_string())
}

fn fields(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let values = |name: &HeaderName| {
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    };
    headers.keys().map(|name| (name.to_string(), values(name))).collect()
}
