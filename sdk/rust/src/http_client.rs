//! Calls to other services from inside a filter. They wait; the proxy goes on with other work meanwhile.
//!
//! ```no_run
//! # use std::time::Duration;
//! use tamis_sdk::http_client::Outgoing;
//!
//! fn knows(user: &str) -> bool {
//!     let call = Outgoing::get("users", format!("/users/{user}")).timeout(Duration::from_millis(200));
//!     call.send().is_ok_and(|answer| answer.status().is_success())
//! }
//! ```

use std::fmt;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};

use crate::{fields, host, ms};

/// A request to a cluster that the filter's `allow` table grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    cluster: String,
    method: Method,
    target: String,
    authority: Option<String>,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
    timeout: Option<Duration>,
}

impl Outgoing {
    /// A request of any method; `target` is path and query.
    pub fn new(cluster: impl Into<String>, method: Method, target: impl Into<String>) -> Self {
        Outgoing {
            cluster: cluster.into(),
            method,
            target: target.into(),
            authority: None,
            fields: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
            timeout: None,
        }
    }

    /// A GET.
    pub fn get(cluster: impl Into<String>, target: impl Into<String>) -> Self {
        Outgoing::new(cluster, Method::GET, target)
    }

    /// A POST.
    pub fn post(cluster: impl Into<String>, target: impl Into<String>) -> Self {
        Outgoing::new(cluster, Method::POST, target)
    }

    /// What it says as `host`; without a word, the cluster's name.
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// One more field.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// The body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// One more trailer.
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// How long the answer may take; without a word, the proxy's limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it and waits for the answer. Any status is an answer.
    pub fn send(self) -> Result<Incoming, Error> {
        match host::http_client::send(&self.crossing()) {
            Ok(incoming) => Ok(Incoming::from(incoming)),
            Err(error) => Err(Error::from(error)),
        }
    }

    fn crossing(self) -> host::http_client::Outgoing {
        host::http_client::Outgoing {
            cluster: self.cluster,
            method: self.method.as_str().to_owned(),
            target: self.target,
            authority: self.authority,
            fields: crossing(self.fields),
            body: self.body,
            trailers: crossing(self.trailers),
            timeout_ms: self.timeout.map_or(0, |timeout| ms::short(timeout).max(1)),
        }
    }
}

/// Sends all at once, side by side, and waits for every answer; they are in the order of the requests.
pub fn send_all(requests: impl IntoIterator<Item = Outgoing>) -> Vec<Result<Incoming, Error>> {
    let requests: Vec<_> = requests.into_iter().map(Outgoing::crossing).collect();
    let answers = host::http_client::send_all(&requests);
    answers.into_iter().map(|answer| answer.map(Incoming::from).map_err(Error::from)).collect()
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    status: StatusCode,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
}

impl Incoming {
    /// The status, whatever it is.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// All values of the name joined by `, `.
    pub fn header(&self, name: &str) -> Option<HeaderValue> {
        let values: Vec<&[u8]> = named(&self.fields, name).collect();
        (!values.is_empty()).then(|| fields::value(values.join(b", ".as_slice())))
    }

    /// Each value of the name, in the order in which they came.
    pub fn headers(&self, name: &str) -> Vec<HeaderValue> {
        named(&self.fields, name).map(|value| fields::value(value.to_vec())).collect()
    }

    /// Every field, names in lower case.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, taken out.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// The first trailer of the name.
    pub fn trailer(&self, name: &str) -> Option<HeaderValue> {
        named(&self.trailers, name).next().map(|value| fields::value(value.to_vec()))
    }

    /// Every trailer, names in lower case.
    pub fn all_trailers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.trailers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }
}

impl From<host::http_client::Incoming> for Incoming {
    fn from(incoming: host::http_client::Incoming) -> Self {
        let plain = |fields: Vec<host::Field>| fields.into_iter().map(|field| (field.name, field.value)).collect();
        Incoming {
            status: StatusCode::from_u16(incoming.status).unwrap_or_default(),
            fields: plain(incoming.fields),
            body: incoming.body,
            trailers: plain(incoming.trailers),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The filter's `allow` table does not grant the cluster.
    NotAllowed,
    /// There is no cluster of that name.
    NoSuchCluster,
    /// None of its endpoints is healthy.
    NoHealthyEndpoint,
    /// The answer took too long.
    Timeout,
    /// The connection ended before the answer did.
    Reset,
    /// The answer is longer than the proxy allows.
    TooLarge,
    /// The other side does not speak HTTP as it should, or the request that was to be sent is malformed.
    Protocol,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::NotAllowed => "`allow` does not grant the cluster",
            Error::NoSuchCluster => "no such cluster",
            Error::NoHealthyEndpoint => "no healthy endpoint",
            Error::Timeout => "no answer in time",
            Error::Reset => "the connection ended before the answer did",
            Error::TooLarge => "the answer is too large",
            Error::Protocol => "request or answer breaks a rule of HTTP",
        })
    }
}

impl std::error::Error for Error {}

impl From<host::http_client::Error> for Error {
    fn from(error: host::http_client::Error) -> Self {
        match error {
            host::http_client::Error::NotAllowed => Error::NotAllowed,
            host::http_client::Error::NoSuchCluster => Error::NoSuchCluster,
            host::http_client::Error::NoHealthyEndpoint => Error::NoHealthyEndpoint,
            host::http_client::Error::Timeout => Error::Timeout,
            host::http_client::Error::Reset => Error::Reset,
            host::http_client::Error::TooLarge => Error::TooLarge,
            host::http_client::Error::Protocol => Error::Protocol,
        }
    }
}

fn named<'a>(fields: &'a [(String, Vec<u8>)], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
}

fn crossing(fields: Vec<(String, Vec<u8>)>) -> Vec<host::Field> {
    fields.into_iter().map(|(name, value)| host::Field { name, value }).collect()
}
