//! A connection to an endpoint: TCP, and TLS over it where the cluster says so, within one deadline.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::passing::{self, Own};
use super::{Cluster, Endpoint};
use crate::config;
use crate::exchange::proxy_header::{self, Addresses};
use crate::exchange::{Failure, Kind};
use crate::tls::{self, Offer, Why};

/// One that is open.
#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream, Option<Own>),
    Tls(Box<TlsStream<TcpStream>>, Option<Own>),
}

impl Stream {
    /// Whether HTTP/2 was agreed on.
    pub fn agreed_on_http2(&self) -> bool {
        match self {
            Self::Plain(..) => false,
            Self::Tls(stream, _) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

/// Opens one, and counts whether that went well. `client`: for whom, where endpoints are told.
pub async fn connect(cluster: &Cluster, endpoint: &Endpoint, offer: Offer, client: Option<Addresses>) -> Result<Stream, Failure> {
    let opened = open(cluster, endpoint, offer, client).await;
    cluster.kept.load.opened(opened.is_ok());
    opened
}

/// Says who the client is, where endpoints are told.
pub async fn announce(config: &config::Cluster, stream: &mut TcpStream, client: Option<Addresses>) -> io::Result<()> {
    match config.proxy_protocol {
        Some(version) => stream.write_all(&proxy_header::write(version, client)).await,
        None => Ok(()),
    }
}

async fn open(cluster: &Cluster, endpoint: &Endpoint, offer: Offer, client: Option<Addresses>) -> Result<Stream, Failure> {
    let limit = cluster.config.timeouts.connect;
    let connecting = async {
        let (mut stream, own) = passing::open(endpoint.address, cluster.config.mark).await.map_err(refused_by)?;
        // Requests are written whole; waiting for more to write only delays them.
        let _ = stream.set_nodelay(true);
        announce(&cluster.config, &mut stream, client).await.map_err(refused_by)?;
        if cluster.config.tls.is_none() {
            return Ok(Stream::Plain(stream, own));
        }
        // Boxed: opening a connection is rare, and whoever waits for one would have to have room for a handshake.
        let stream = Box::pin(shake(cluster, endpoint, stream, offer)).await?;
        Ok(Stream::Tls(stream, own))
    };
    if limit.is_zero() {
        return connecting.await;
    }
    let late = || Failure::new(Kind::ConnectTimeout, "the upstream did not accept a connection in time");
    tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| Err(late()))
}

async fn shake(
    cluster: &Cluster,
    endpoint: &Endpoint,
    stream: TcpStream,
    offer: Offer,
) -> Result<Box<TlsStream<TcpStream>>, Failure> {
    /// Counts a handshake that is given up because it takes too long.
    struct Late<'a>(Option<&'a Cluster>);
    impl Drop for Late<'_> {
        fn drop(&mut self) {
            if let Some(cluster) = self.0 {
                cluster.kept.counts.tls.failed_for(Why::Timeout);
            }
        }
    }
    // A cluster is never built without what its configuration asks for; should it be, nothing goes out in plain text.
    let Some(client) = &cluster.tls else {
        return Err(Failure::new(Kind::UpstreamTls, "TLS with the upstream is not set up"));
    };
    let mut late = Late(Some(cluster));
    let shaken = client.connect(stream, endpoint.host.as_deref(), endpoint.address, offer).await;
    late.0 = None;
    let counts = &cluster.kept.counts.tls;
    match shaken {
        Ok(stream) => {
            counts.shook(tls::Client::is_resumed(stream.get_ref().1));
            Ok(Box::new(stream))
        }
        Err(refused) => {
            counts.failed_for(refused.why);
            Err(Failure::new(Kind::UpstreamTls, "there is no TLS with the upstream").because(refused))
        }
    }
}

/// Of what the client is told nothing more.
pub fn refused_by(error: impl Into<crate::exchange::failure::BoxError>) -> Failure {
    Failure::new(Kind::ConnectFailed, "the upstream refused the connection").because(error)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream, _) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream, _) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream, _) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream, _) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream, _) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream, _) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream, _) => stream.is_write_vectored(),
            Self::Tls(stream, _) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream, _) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream, _) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream, _) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream, _) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
