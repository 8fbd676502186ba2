//! What a filter asks of another service, and what the test lets it answer.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::host::{self, Field};
use super::{rules, target};

/// A call of a filter to another service.
#[derive(Debug, Clone)]
pub struct Call {
    cluster: String,
    method: Method,
    target: String,
    authority: String,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
    timeout: Option<Duration>,
}

impl Call {
    /// `None` if it cannot be sent.
    pub(super) fn sent(outgoing: &host::http_client::Outgoing) -> Option<Self> {
        let authority = outgoing.authority.clone().unwrap_or_else(|| outgoing.cluster.clone());
        target::check(&outgoing.target).ok().filter(|()| outgoing.target != "*")?;
        target::check_authority(&authority).ok()?;
        Some(Call {
            cluster: outgoing.cluster.clone(),
            method: Method::from_bytes(outgoing.method.as_bytes()).ok().filter(|method| *method != Method::CONNECT)?,
            target: outgoing.target.clone(),
            authority,
            headers: map(&outgoing.fields).ok()?,
            body: outgoing.body.clone(),
            trailers: map(&outgoing.trailers).ok()?,
            timeout: (outgoing.timeout_ms > 0).then(|| Duration::from_millis(u64::from(outgoing.timeout_ms))),
        })
    }

    /// The cluster that it goes to.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What it says as `host`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The first value of the name.
    pub fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.headers.get(name)
    }

    /// All fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The first trailer of the name.
    pub fn trailer(&self, name: &str) -> Option<&HeaderValue> {
        self.trailers.get(name)
    }

    /// How long the answer may take; `None`: the proxy's limit.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

/// What another service answers.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
    trailers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    /// An answer without fields or body.
    ///
    /// # Panics
    /// If it is no HTTP status.
    pub fn new(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status that HTTP allows");
        Answer { status, fields: Vec::new(), body: Vec::new(), trailers: Vec::new() }
    }

    /// One more field.
    ///
    /// # Panics
    /// If it is no field that HTTP allows.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push(field(name, value.as_ref()));
        self
    }

    /// The body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// One more trailer.
    ///
    /// # Panics
    /// If it is no field that HTTP allows.
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push(field(name, value.as_ref()));
        self
    }

    pub(super) fn crossing(self) -> host::http_client::Incoming {
        let fields = |fields: Vec<(HeaderName, HeaderValue)>| {
            let field = |(name, value): (HeaderName, HeaderValue)| Field {
                name: name.as_str().to_owned(),
                value: value.as_bytes().to_vec(),
            };
            fields.into_iter().map(field).collect()
        };
        host::http_client::Incoming {
            status: self.status.as_u16(),
            fields: fields(self.fields),
            body: self.body,
            trailers: fields(self.trailers),
        }
    }
}

/// A field that a test names.
pub(super) fn field(name: &str, value: &[u8]) -> (HeaderName, HeaderValue) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a field name that HTTP allows");
    let value = HeaderValue::from_bytes(value).expect("a field value that HTTP allows");
    (name, value)
}

/// Fields that a filter names.
pub(super) fn map(fields: &[Field]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for field in fields {
        let (name, value) = rules::field(&field.name, &field.value)?;
        map.append(name, value);
    }
    Ok(map)
}
