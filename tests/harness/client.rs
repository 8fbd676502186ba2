//! A client with one connection, over HTTP/1.1 or HTTP/2, plain or TLS. Awaiting a request sends it and reads the whole answer.

mod answer;
mod request;

pub use answer::{Answer, Open, Whole};
pub use request::Request;

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, Uri};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::body::Body;
use crate::certificates::{self, EDGE_NAME};
use crate::edge::{Edge, Protocol};

/// Describes a connection; `open` opens it.
pub fn connect(address: SocketAddr) -> Connect {
    Connect { address, edge: Edge::HTTP1_PLAIN, name: EDGE_NAME.to_owned(), window: None, config: None, sni: None }
}

pub struct Connect {
    address: SocketAddr,
    edge: Edge,
    name: String,
    window: Option<u32>,
    config: Option<Arc<ClientConfig>>,
    sni: Option<String>,
}

impl Connect {
    pub fn edge(mut self, edge: Edge) -> Self {
        self.edge = edge;
        self
    }

    /// The name that TLS asks for and that requests go to.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// What it speaks TLS with, in the place of a client that trusts the tests' authority. What it offers is the edge's.
    pub fn tls(mut self, config: &Arc<ClientConfig>) -> Self {
        self.config = Some(Arc::clone(config));
        self
    }

    /// The name that TLS asks for, where requests go to another.
    pub fn sni(mut self, name: &str) -> Self {
        self.sni = Some(name.to_owned());
        self
    }

    /// The HTTP/2 window of each stream and of the connection.
    pub fn window(mut self, bytes: u32) -> Self {
        self.window = Some(bytes);
        self
    }

    pub async fn open(self) -> Client {
        let address = self.address;
        self.try_open().await.unwrap_or_else(|error| panic!("no connection to {address}: {error}"))
    }

    pub async fn try_open(self) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        if !self.edge.tls {
            return self.handshake(stream, None).await;
        }
        let alpn: &[u8] = if self.edge.is_http2() { b"h2" } else { b"http/1.1" };
        let stream = match &self.config {
            None => tls(stream, self.sni.as_ref().unwrap_or(&self.name), &[alpn]).await?,
            Some(config) => {
                let mut config = ClientConfig::clone(config);
                config.alpn_protocols = vec![alpn.to_vec()];
                tls_with(stream, self.sni.as_ref().unwrap_or(&self.name), Arc::new(config)).await?
            }
        };
        let agreed = stream.get_ref().1.alpn_protocol();
        anyhow::ensure!(agreed == Some(alpn), "the server chose {agreed:?} instead of {alpn:?}");
        let presented =
            stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|leaf| leaf.clone().into_owned());
        self.handshake(stream, presented).await
    }

    async fn handshake<S>(self, stream: S, presented: Option<CertificateDer<'static>>) -> anyhow::Result<Client>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (ended, closed) = watch::channel(None);
        let io = TokioIo::new(stream);
        let sender = match self.edge.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake::<_, Body>(io).await?;
                tokio::spawn(async move { ended.send(Some(connection.with_upgrades().await.map_err(Arc::new))) });
                Sender::Http1(Mutex::new(sender))
            }
            Protocol::Http2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder
                    .max_header_list_size(1 << 20)
                    .initial_stream_window_size(self.window)
                    .initial_connection_window_size(self.window);
                let (sender, connection) = builder.handshake::<_, Body>(io).await?;
                tokio::spawn(async move { ended.send(Some(connection.await.map_err(Arc::new))) });
                Sender::Http2(sender)
            }
        };
        Ok(Client { edge: self.edge, name: self.name, sender: Arc::new(sender), closed, presented })
    }
}

/// A TLS connection that trusts the tests' authority.
pub async fn tls(stream: TcpStream, name: &str, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    tls_with(stream, name, certificates::client_config(alpn)).await
}

enum Sender {
    Http1(Mutex<http1::SendRequest<Body>>),
    Http2(http2::SendRequest<Body>),
}

type Ended = Option<Result<(), Arc<hyper::Error>>>;

/// One connection. A clone is the same connection.
#[derive(Clone)]
pub struct Client {
    edge: Edge,
    name: String,
    sender: Arc<Sender>,
    closed: watch::Receiver<Ended>,
    presented: Option<CertificateDer<'static>>,
}

impl Client {
    pub fn request(&self, method: &str, target: &str) -> Request {
        let method: Method = method.parse().expect("the method is one");
        Request::new(self.clone(), method, target)
    }

    pub fn get(&self, target: &str) -> Request {
        self.request("GET", target)
    }

    pub fn post(&self, target: &str, body: impl Into<bytes::Bytes>) -> Request {
        self.request("POST", target).body(body)
    }

    /// Waits until the connection has ended, and says how.
    pub async fn closed(&self) -> Result<(), Arc<hyper::Error>> {
        let mut closed = self.closed.clone();
        let ended = closed.wait_for(Option::is_some).await.expect("a connection says how it ended");
        ended.clone().expect("it has ended")
    }

    pub fn is_open(&self) -> bool {
        self.closed.borrow().is_none()
    }

    /// The certificate that the server showed.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.presented.as_ref().expect("the connection is one of TLS")
    }

    fn uri(&self, target: &str) -> Uri {
        let text =
            if self.edge.is_http2() { format!("{}://{}{target}", self.edge.scheme(), self.name) } else { target.to_owned() };
        text.parse().unwrap_or_else(|error| panic!("{text} is no URI: {error}"))
    }

    async fn send(&self, request: http::Request<Body>) -> hyper::Result<http::Response<hyper::body::Incoming>> {
        match &*self.sender {
            Sender::Http1(sender) => {
                let mut sender = sender.lock().await;
                sender.ready().await?;
                let answer = sender.send_request(request);
                drop(sender);
                answer.await
            }
            Sender::Http2(sender) => {
                let mut sender = sender.clone();
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").field("edge", &self.edge).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A TLS connection of a client's own. An address as a name asks for nobody.
pub async fn tls_with(stream: TcpStream, name: &str, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).expect("the name is one of a host");
    TlsConnector::from(config).connect(name, stream).await
}
