//! One attempt to fetch a module: connect, ask, follow redirects, read.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, HOST, LOCATION, USER_AGENT};
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::dial;
use crate::filter::module::MODULE_BYTES_MAX;

/// One connection, and as long again for its TLS handshake.
const CONNECT: Duration = Duration::from_secs(5);
/// Servers that redirect further are going in circles.
const REDIRECTS_MAX: usize = 5;
const HTTPS: u16 = 443;

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    #[error("the name `{host}` cannot be resolved: {source}")]
    Name { host: String, source: io::Error },
    #[error("cannot connect to {address}: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("the TLS handshake with `{host}` failed: {source}")]
    Tls { host: String, source: io::Error },
    #[error("the connection to `{host}` failed: {source}")]
    Http { host: String, source: hyper::Error },
    #[error("expected the status 200, found {0}")]
    Status(StatusCode),
    #[error("the module has {} bytes, expected at most {MODULE_BYTES_MAX}", more(.0))]
    TooLarge(Option<u64>),
    #[error("expected the bytes as they are, found the content-encoding {0:?}")]
    Encoding(String),
    #[error("it is redirected without an address that could be followed")]
    Nowhere,
    #[error("it is redirected to `{0}`, expected an https:// address")]
    Insecure(String),
    #[error("it is redirected more than {REDIRECTS_MAX} times")]
    Redirects,
    #[error("at `{url}`, where it is redirected to, {error}")]
    Redirected { url: String, error: Box<AttemptError> },
}

fn more(bytes: &Option<u64>) -> String {
    bytes.map_or_else(|| "more".to_owned(), |bytes| bytes.to_string())
}

/// Without its query, which may be a secret.
fn shown(url: &Uri) -> String {
    format!("https://{}{}", url.authority().map_or("", |authority| authority.as_str()), url.path())
}

impl AttemptError {
    /// Whether another attempt would end in the same way.
    pub fn is_lasting(&self) -> bool {
        match self {
            // What rustls refuses, a certificate say, it will refuse again. A connection that broke may not break again.
            Self::Tls { source, .. } => source.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()),
            Self::Status(status) => {
                let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
                !status.is_server_error() && !passing.contains(status)
            }
            Self::Name { .. } | Self::Connect { .. } | Self::Http { .. } => false,
            Self::TooLarge(_) | Self::Encoding(_) | Self::Nowhere | Self::Insecure(_) | Self::Redirects => true,
            Self::Redirected { error, .. } => error.is_lasting(),
        }
    }
}

/// How servers are connected to.
#[derive(Clone)]
pub struct Way {
    pub tls: TlsConnector,
    pub mark: Option<u32>,
}

/// How far an attempt has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    Waiting,
    Resolving(String),
    Connecting(SocketAddr),
    Greeting(String),
    Asking(String),
    Reading(usize),
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => f.write_str("others were fetched first"),
            Self::Resolving(host) => write!(f, "the name `{host}` was being resolved"),
            Self::Connecting(address) => write!(f, "{address} was being connected to"),
            Self::Greeting(host) => write!(f, "the TLS handshake with `{host}` was under way"),
            Self::Asking(host) => write!(f, "`{host}` had not answered"),
            Self::Reading(bytes) => write!(f, "{bytes} bytes had come"),
        }
    }
}

/// The bytes behind an address, and how far it has come if nobody waits for it any more.
pub async fn run(url: &Uri, way: &Way, doing: &mut Doing) -> Result<Vec<u8>, AttemptError> {
    let mut answer = ask(url, way, doing).await?;
    let mut here = url.clone();
    for _ in 0..REDIRECTS_MAX {
        let Answer::Elsewhere(next) = answer else { break };
        answer = match ask(&next, way, doing).await {
            Ok(answer) => answer,
            Err(error) => return Err(AttemptError::Redirected { url: shown(&next), error: Box::new(error) }),
        };
        here = next;
    }
    match answer {
        Answer::Module(bytes) => Ok(bytes),
        Answer::Elsewhere(_) => Err(AttemptError::Redirected { url: shown(&here), error: Box::new(AttemptError::Redirects) }),
    }
}

enum Answer {
    Module(Vec<u8>),
    Elsewhere(Uri),
}

async fn ask(url: &Uri, way: &Way, doing: &mut Doing) -> Result<Answer, AttemptError> {
    let host = url.host().unwrap_or_default().to_owned();
    let stream = connect(&host, url.port_u16().unwrap_or(HTTPS), way, doing).await?;
    *doing = Doing::Asking(host.clone());
    let failed = |source| AttemptError::Http { host: host.clone(), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // It ends with the sender and the body, or with the runtime.
    tokio::spawn(connection);
    let response = sender.send_request(request(url)).await.map_err(failed)?;
    if response.status().is_redirection() {
        return target(url, &response).map(Answer::Elsewhere);
    }
    if response.status() != StatusCode::OK {
        return Err(AttemptError::Status(response.status()));
    }
    if let Some(encoding) = response.headers().get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        return Err(AttemptError::Encoding(String::from_utf8_lossy(encoding.as_bytes()).into_owned()));
    }
    read(&host, response.into_body(), doing).await.map(Answer::Module)
}

/// Every address of a name in turn, until one takes the connection.
async fn connect(host: &str, port: u16, way: &Way, doing: &mut Doing) -> Result<TlsStream<TcpStream>, AttemptError> {
    *doing = Doing::Resolving(host.to_owned());
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let unresolved = |source| AttemptError::Name { host: host.to_owned(), source };
    let addresses = tokio::net::lookup_host((bare, port)).await.map_err(unresolved)?;
    let mut failed = unresolved(io::Error::other("it has no address"));
    for address in addresses {
        *doing = Doing::Connecting(address);
        match in_time(dial::to(address, way.mark)).await {
            Ok(stream) => {
                *doing = Doing::Greeting(host.to_owned());
                let refused = |source| AttemptError::Tls { host: host.to_owned(), source };
                let name = ServerName::try_from(bare.to_owned()).map_err(|error| refused(io::Error::other(error)))?;
                return in_time(way.tls.connect(name, stream)).await.map_err(refused);
            }
            Err(source) => failed = AttemptError::Connect { address, source },
        }
    }
    Err(failed)
}

async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("it took longer than {CONNECT:?}"));
    timeout(CONNECT, step).await.map_err(late)?
}

async fn read(host: &str, mut body: Incoming, doing: &mut Doing) -> Result<Vec<u8>, AttemptError> {
    let announced = body.size_hint().lower();
    if announced > MODULE_BYTES_MAX as u64 {
        return Err(AttemptError::TooLarge(Some(announced)));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    *doing = Doing::Reading(0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| AttemptError::Http { host: host.to_owned(), source })?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MODULE_BYTES_MAX {
            return Err(AttemptError::TooLarge(None));
        }
        bytes.extend_from_slice(&data);
        *doing = Doing::Reading(bytes.len());
    }
    Ok(bytes)
}

fn request(url: &Uri) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    // Of an address that has been read from text, each part fits.
    *request.uri_mut() = url.path_and_query().map_or_else(|| Uri::from_static("/"), |path| Uri::from(path.clone()));
    let headers = request.headers_mut();
    if let Some(host) = url.authority().and_then(|authority| authority.as_str().parse().ok()) {
        headers.insert(HOST, host);
    }
    headers.insert(USER_AGENT, http::HeaderValue::from_static(concat!("tamis/", env!("CARGO_PKG_VERSION"))));
    headers.insert(ACCEPT, http::HeaderValue::from_static("application/wasm, */*"));
    request
}

/// Where an answer redirects to.
fn target(from: &Uri, response: &Response<Incoming>) -> Result<Uri, AttemptError> {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok()).ok_or(AttemptError::Nowhere)?;
    let next = resolved(from, location).ok_or(AttemptError::Nowhere)?;
    match next.scheme_str() {
        Some("https") if next.host().is_some_and(|host| !host.is_empty()) => Ok(next),
        _ => Err(AttemptError::Insecure(location.split('?').next().unwrap_or_default().to_owned())),
    }
}

/// A reference relative to an address (RFC 3986, 5.2). Dot segments are left to the server.
fn resolved(from: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next()?;
    let authority = from.authority()?.as_str();
    let scheme_end = reference.find([':', '/', '?']).filter(|at| reference[*at..].starts_with(':'));
    let whole = if scheme_end.is_some() {
        reference.to_owned()
    } else if reference.starts_with("//") {
        format!("https:{reference}")
    } else if reference.starts_with('/') {
        format!("https://{authority}{reference}")
    } else if reference.starts_with('?') {
        format!("https://{authority}{}{reference}", from.path())
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("https://{authority}{folder}/{reference}")
    };
    whole.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_relative_to_where_it_was_said() {
        let from: Uri = "https://a.test:8443/one/two.wasm?x=1".parse().unwrap();
        let cases = [
            ("https://b.test/three.wasm", "https://b.test/three.wasm"),
            ("http://b.test/three.wasm", "http://b.test/three.wasm"),
            ("//b.test/three.wasm?y", "https://b.test/three.wasm?y"),
            ("/three.wasm#part", "https://a.test:8443/three.wasm"),
            ("three.wasm?at=1:00", "https://a.test:8443/one/three.wasm?at=1:00"),
            ("?y=https://z", "https://a.test:8443/one/two.wasm?y=https://z"),
        ];
        for (reference, whole) in cases {
            assert_eq!(resolved(&from, reference).map(|next| next.to_string()).as_deref(), Some(whole), "{reference}");
        }
        assert_eq!(resolved(&from, "https://"), None);
        assert_eq!(resolved(&from, "/a b"), None);
    }

    #[test]
    fn what_would_end_in_the_same_way_is_not_tried_again() {
        let status = |code| AttemptError::Status(StatusCode::from_u16(code).unwrap());
        for (code, lasting) in [(404, true), (403, true), (204, true), (500, false), (503, false), (429, false), (408, false)] {
            assert_eq!(status(code).is_lasting(), lasting, "{code}");
        }
        let refused = |source| AttemptError::Tls { host: String::new(), source };
        assert!(refused(io::Error::other(rustls::Error::DecryptError)).is_lasting());
        assert!(!refused(io::ErrorKind::UnexpectedEof.into()).is_lasting());
        assert!(AttemptError::Redirected { url: String::new(), error: Box::new(status(404)) }.is_lasting());
    }
}
