//! From an accepted connection to whoever serves it: what a hop says of its client, TLS if there is any, and what the first bytes tell where that matters.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::detect::{Among, First, Wait, first};
use super::handshake::{self, Client, Handshakes};
use super::proxied::introduce;
use crate::config::{ClientAuthMode, ListenerProtocol, TlsMode};
use crate::drain::Signal;
use crate::exchange::{Connection, Kind};
use crate::http::serve;
use crate::snapshot::{Listener, Live};
use crate::tcp::{self, Rewound, hello};
use crate::telemetry::traffic::Mode;
use crate::tls::{self, Peer, Server};

/// A new connection, with what it needs.
pub struct New {
    pub connection: Connection,
    pub listener: Arc<Listener>,
    pub live: Arc<Live>,
    pub drain: Signal,
    pub handshakes: Handshakes,
}

/// The rest of its life.
type Served = Pin<Box<dyn Future<Output = ()>>>;

impl New {
    pub async fn serve(self, stream: TcpStream) {
        // Each in a box of its own: an idle connection would have room for whatever it took to begin it.
        if let Some(served) = Box::pin(self.begin(stream)).await {
            served.await;
        }
    }

    /// Finds out what it speaks. `None`: it was over before anybody knew.
    async fn begin(mut self, stream: TcpStream) -> Option<Served> {
        let mut stream = Rewound::new(stream);
        let listener = Arc::clone(&self.listener);
        match Box::pin(introduce(&mut stream, &mut self.connection, &listener.config)).await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(why) => return self.unread("unknown", Kind::ProxyHeader, &why),
        }
        match self.listener.tls.clone() {
            Some(server) => self.with_tls(stream, &server).await,
            None => self.plain(stream).await,
        }
    }

    /// TLS ends here, for those that speak it where others may come as well.
    async fn with_tls(mut self, mut stream: Client, server: &Server) -> Option<Served> {
        let listener = Arc::clone(&self.listener);
        let permissive = listener.config.tls.as_ref().is_some_and(|tls| tls.mode == TlsMode::Permissive);
        if permissive {
            // Until the first byte a connection of HTTP is merely idle; where servers may speak first, it is not.
            let timeouts = &listener.config.timeouts;
            let silence_tells = listener.config.protocol.is_raw();
            let limit = if silence_tells { timeouts.protocol_detect } else { timeouts.idle };
            match first(&mut stream, Among::Tls, Wait { limit, silence_tells }, 0, self.drain.clone()).await {
                Ok(First::Tls) => {}
                Ok(First::Opaque) if listener.config.protocol.is_raw() || !stream.seen().is_empty() => {
                    return self.plain(stream).await;
                }
                Ok(_) => return None,
                Err(error) => return self.unread("unknown", Kind::ClientGone, &error.to_string()),
            }
        }
        let shaken = Box::pin(handshake::shake(stream, server, &listener, self.handshakes.clone())).await;
        match shaken {
            Ok(stream) => {
                listener.traffic.handshake(true);
                let http2 = self.describe(&stream);
                let stream = Rewound::new(*stream);
                match (listener.config.protocol, http2) {
                    (ListenerProtocol::Tcp, _) => self.tcp(stream),
                    (ListenerProtocol::Auto, _) if self.is_opaque() => self.tcp(stream),
                    (ListenerProtocol::Auto, None) => self.within_tls(stream).await,
                    _ => self.http(stream, http2),
                }
            }
            Err(error) => {
                listener.traffic.handshake(false);
                let kind = if error.kind() == io::ErrorKind::TimedOut { Kind::ClientTimeout } else { Kind::MalformedRequest };
                self.unread("tls", kind, &tls::words(&error))
            }
        }
    }

    /// The client has not said what it speaks over TLS.
    async fn within_tls(self, mut stream: Rewound<TlsStream<Client>>) -> Option<Served> {
        match self.first(&mut stream, Among::Http).await {
            Ok(First::Http1) => self.http(stream, Some(false)),
            Ok(First::Http2) => self.http(stream, Some(true)),
            Ok(First::Http) => self.http(stream, None),
            Ok(First::Opaque | First::Tls) => self.tcp(stream),
            Ok(First::Silent) => None,
            Err(error) => self.unread("unknown", Kind::ClientGone, &error.to_string()),
        }
    }

    /// There is no TLS, or none that ends here.
    async fn plain(mut self, mut stream: Client) -> Option<Served> {
        let config = Arc::clone(&self.listener.config);
        // Where TLS ends here, what is plain is plain; elsewhere it may be TLS with somebody behind the proxy.
        let passes = self.listener.tls.is_none();
        let told = match config.protocol {
            ListenerProtocol::Tcp if passes && !config.tcp.sni.is_empty() => self.first(&mut stream, Among::Tls).await,
            ListenerProtocol::Tcp => Ok(First::Opaque),
            ListenerProtocol::Auto if self.is_opaque() => Ok(First::Opaque),
            ListenerProtocol::Auto => self.first(&mut stream, if passes { Among::All } else { Among::Http }).await,
            ListenerProtocol::Http | ListenerProtocol::Udp => {
                self.listener.traffic.is_of(Mode::Plain);
                return self.http(stream, None);
            }
        };
        match told {
            Ok(First::Silent) => return None,
            Ok(First::Tls) => match self.asked_for(&mut stream).await {
                Ok(name) => {
                    self.connection.server_name = name;
                    self.listener.traffic.is_of(Mode::Passed);
                }
                Err(error) => {
                    let late = error.kind() == io::ErrorKind::TimedOut;
                    let kind = if late { Kind::ClientTimeout } else { Kind::MalformedRequest };
                    return self.unread("tls", kind, &error.to_string());
                }
            },
            Ok(_) => self.listener.traffic.is_of(Mode::Plain),
            Err(error) => return self.unread("unknown", Kind::ClientGone, &error.to_string()),
        }
        match told {
            Ok(First::Http1) => self.http(stream, Some(false)),
            Ok(First::Http2) => self.http(stream, Some(true)),
            Ok(First::Http) => self.http(stream, None),
            _ => self.tcp(stream),
        }
    }

    /// Where it was going, servers speak first: there is nothing to wait for.
    fn is_opaque(&self) -> bool {
        let ports = &self.listener.config.tcp.opaque_ports;
        self.connection.original_destination.is_some_and(|destination| ports.contains(&destination.port()))
    }

    async fn first<IO: tokio::io::AsyncRead + Unpin>(&self, stream: &mut Rewound<IO>, among: Among) -> io::Result<First> {
        let config = &self.listener.config;
        let wait = Wait { limit: config.timeouts.protocol_detect, silence_tells: true };
        Box::pin(first(stream, among, wait, config.limits.uri_bytes, self.drain.clone())).await
    }

    /// The name that a client asks somebody behind the proxy for.
    async fn asked_for(&self, stream: &mut Client) -> io::Result<Option<String>> {
        let config = &self.listener.config;
        let limit = config.timeouts.protocol_detect;
        let asked = hello::server_name(stream, config.limits.client_hello_bytes);
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the first message of the TLS handshake did not arrive in time");
        handshake::within(limit, Box::pin(asked)).await.unwrap_or_else(|| Err(late()))
    }

    fn http<IO>(self, stream: IO, http2: Option<bool>) -> Option<Served>
    where
        IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        Some(Box::pin(serve::serve(stream, Arc::new(self.connection), http2, self.live, self.listener, self.drain)))
    }

    fn tcp<IO>(self, stream: IO) -> Option<Served>
    where
        IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + tcp::Abort + Unpin + 'static,
    {
        Some(Box::pin(tcp::serve(stream, self.connection, self.live, self.listener, self.drain)))
    }

    /// What the handshake has settled. `None`: the client speaks no ALPN, its first bytes will tell.
    fn describe(&mut self, stream: &TlsStream<Client>) -> Option<bool> {
        let (connection, listener) = (&mut self.connection, &self.listener);
        let (_, session) = stream.get_ref();
        connection.server_name = session.server_name().map(str::to_owned);
        connection.tls_version = Some(match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        });
        connection.client = session.peer_certificates().and_then(|chain| chain.first()).and_then(Peer::of);
        let auth = listener.config.tls.as_ref().map(|tls| &tls.client_auth);
        connection.strict_sni = auth.is_some_and(|auth| auth.mode != ClientAuthMode::None && auth.strict_sni);
        if session.handshake_kind() == Some(rustls::HandshakeKind::Resumed) {
            listener.traffic.resumed();
        }
        listener.traffic.is_of(if connection.client.is_some() { Mode::Mutual } else { Mode::Tls });
        session.alpn_protocol().map(|protocol| protocol == b"h2")
    }

    /// Logs a connection that never got as far as a request, or bytes to pass on.
    fn unread(&self, protocol: &str, kind: Kind, error: &str) -> Option<Served> {
        self.connection.log_unread(&self.listener.access_log, protocol, kind, 0, error);
        None
    }
}
