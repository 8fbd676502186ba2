//! The connection to a collector: one request at a time, over HTTP/1.1 or, for gRPC, HTTP/2. It is kept while it lasts.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::{TracerError, otlp};
use crate::config::{Export, ExportProtocol};
use crate::dial;
use crate::tls::client;

/// Bytes of an answer that are read: collectors have little to say.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why a batch did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    #[error("the connection failed: {0}")]
    Http(#[from] hyper::Error),
    #[error("the answer cannot be read: {0}")]
    Answer(String),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it answered with the gRPC status {0}")]
    Grpc(String),
    #[error("it took longer than `timeout`")]
    Late,
}

impl SendError {
    /// Whether it may go better another time, as OTLP has it for statuses.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Http(_) | Self::Late | Self::Answer(_) => true,
            Self::Status(status) => matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504),
            // Cancelled, deadline exceeded, resource exhausted, aborted, out of range, unavailable, data loss.
            Self::Grpc(code) => matches!(code.as_str(), "1" | "4" | "8" | "10" | "11" | "14" | "15"),
        }
    }
}

/// See the module.
pub struct Link {
    export: Export,
    authority: Authority,
    fields: HeaderMap,
    tls: Option<TlsConnector>,
    sender: Option<Sender>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Link {
    /// Reads the authorities; connects to nobody yet.
    pub fn to(export: &Export) -> Result<Self, TracerError> {
        let is_tls = export.endpoint.scheme() == Some(&Scheme::HTTPS);
        let tls = if is_tls {
            let authorities = client::authorities(export.ca.as_slice())?;
            let connector = client::connector(&authorities)?;
            Some(if export.protocol == ExportProtocol::OtlpGrpc { over_http2(&connector) } else { connector })
        } else {
            None
        };
        let authority = export.endpoint.authority().cloned().unwrap_or_else(|| Authority::from_static("localhost"));
        let fields = export.fields.iter().filter_map(|(name, value)| {
            // The configuration has been checked for it.
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
        });
        Ok(Self { export: export.clone(), authority, fields: fields.collect(), tls, sender: None })
    }

    /// Sends one batch; how many spans of it were not taken, and why, where the collector says so.
    pub async fn send(&mut self, batch: &Bytes) -> Result<(usize, String), SendError> {
        match tokio::time::timeout(self.export.timeout, self.exchange(batch)).await {
            Ok(sent) => sent,
            Err(_) => {
                // Whatever was under way on it would be in the way of the next one.
                self.sender = None;
                Err(SendError::Late)
            }
        }
    }

    async fn exchange(&mut self, batch: &Bytes) -> Result<(usize, String), SendError> {
        let usable = match &mut self.sender {
            Some(Sender::Http1(sender)) => sender.ready().await.is_ok(),
            Some(Sender::Http2(sender)) => sender.ready().await.is_ok(),
            None => false,
        };
        let mut sender = match self.sender.take().filter(|_| usable) {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let request = self.request(batch);
        let response = match &mut sender {
            Sender::Http1(sender) => sender.send_request(request).await?,
            Sender::Http2(sender) => sender.send_request(request).await?,
        };
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| SendError::Answer(error.to_string()))?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let answer = body.to_bytes();
        self.sender = Some(sender);
        if !head.status.is_success() {
            return Err(SendError::Status(head.status));
        }
        match self.export.protocol {
            ExportProtocol::OtlpGrpc => {
                // Where there is nothing else to say, the status is in the head.
                let status = trailers.get("grpc-status").or(head.headers.get("grpc-status"));
                match status.map(|status| status.to_str().unwrap_or("2")) {
                    Some("0") => Ok(otlp::rejected(answer.get(5..).unwrap_or_default())),
                    Some(code) => Err(SendError::Grpc(code.to_owned())),
                    None => Err(SendError::Answer("it has no grpc-status".to_owned())),
                }
            }
            ExportProtocol::OtlpHttp => Ok(otlp::rejected(&answer)),
            ExportProtocol::Zipkin => Ok((0, String::new())),
        }
    }

    async fn connect(&self) -> Result<Sender, SendError> {
        let host = self.authority.host();
        let port = self.authority.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let stream = dial::to_name(host.trim_matches(['[', ']']), port, self.export.mark).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => self.greet(stream).await,
            Some(tls) => {
                let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
                self.greet(tls.connect(name, stream).await?).await
            }
        }
    }

    async fn greet(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Sender, SendError> {
        let stream = TokioIo::new(stream);
        if self.export.protocol == ExportProtocol::OtlpGrpc {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            return Ok(Sender::Http2(sender));
        }
        let (sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Sender::Http1(sender))
    }

    fn request(&self, batch: &Bytes) -> Request<Full<Bytes>> {
        let grpc = self.export.protocol == ExportProtocol::OtlpGrpc;
        let body = if grpc { framed(batch) } else { batch.clone() };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        let given = self.export.endpoint.path_and_query().filter(|path| path.as_str() != "/").cloned();
        let path = match self.export.protocol {
            ExportProtocol::OtlpGrpc => PathAndQuery::from_static(otlp::METHOD),
            ExportProtocol::OtlpHttp => given.unwrap_or(PathAndQuery::from_static("/v1/traces")),
            ExportProtocol::Zipkin => given.unwrap_or(PathAndQuery::from_static("/api/v2/spans")),
        };
        let mut headers = self.fields.clone();
        let content = match self.export.protocol {
            ExportProtocol::OtlpGrpc => "application/grpc",
            ExportProtocol::OtlpHttp => "application/x-protobuf",
            ExportProtocol::Zipkin => "application/json",
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tamis/", env!("CARGO_PKG_VERSION"))));
        let mut target = http::uri::Parts::default();
        target.path_and_query = Some(path);
        if grpc {
            headers.insert(TE, HeaderValue::from_static("trailers"));
            target.scheme = self.export.endpoint.scheme().cloned();
            target.authority = Some(self.authority.clone());
            *request.version_mut() = Version::HTTP_2;
        } else if let Ok(host) = HeaderValue::from_str(self.authority.as_str()) {
            headers.insert(HOST, host);
        }
        *request.uri_mut() = Uri::from_parts(target).unwrap_or_default();
        *request.headers_mut() = headers;
        request
    }
}

/// The same trust, another protocol.
fn over_http2(connector: &TlsConnector) -> TlsConnector {
    let mut config = ClientConfig::clone(connector.config());
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// One message of gRPC: not compressed, its length, and itself.
fn framed(message: &Bytes) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.extend_from_slice(&[0]);
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(message);
    frame.freeze()
}
