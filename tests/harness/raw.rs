//! A client that writes bytes, for what no HTTP library would send.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::certificates::EDGE_NAME;
use crate::client;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub struct Raw {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
}

/// The head of an HTTP/1 answer.
#[derive(Debug)]
pub struct RawHead {
    pub status: u16,
    pub text: String,
}

impl RawHead {
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.text.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

impl Raw {
    pub async fn plain(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the proxy accepts");
        stream.set_nodelay(true).ok();
        Self { stream: Box::new(stream), unread: Vec::new() }
    }

    /// Connects where the proxy closes before anything is said, maybe before the client has noticed that it is there.
    pub async fn is_refused(address: SocketAddr) {
        match TcpStream::connect(address).await {
            Ok(stream) => Self { stream: Box::new(stream), unread: Vec::new() }.closed().await,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the proxy accepts: {error}"),
        }
    }

    pub async fn tls(address: SocketAddr, alpn: &[u8]) -> Self {
        let stream = TcpStream::connect(address).await.expect("the proxy accepts");
        let stream = client::tls(stream, EDGE_NAME, &[alpn]).await.expect("the proxy speaks TLS");
        Self { stream: Box::new(stream), unread: Vec::new() }
    }

    /// Over TLS, without a word of what is spoken.
    pub async fn tls_without_alpn(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the proxy accepts");
        let stream = client::tls(stream, EDGE_NAME, &[]).await.expect("the proxy speaks TLS");
        Self { stream: Box::new(stream), unread: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("the proxy reads");
        self.stream.flush().await.expect("the proxy reads");
    }

    /// Sends what may not be read to its end.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.ok();
        self.stream.flush().await.ok();
    }

    /// The next head; `None` when the connection ends before one.
    pub async fn try_head(&mut self) -> Option<RawHead> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.unread[..end]).into_owned();
                self.unread.drain(..end + 4);
                let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
                return Some(RawHead { status: status.unwrap_or_else(|| panic!("no status line: {text}")), text });
            }
            if !self.read_more().await {
                return None;
            }
        }
    }

    pub async fn head(&mut self) -> RawHead {
        let unread = |raw: &Self| String::from_utf8_lossy(&raw.unread).into_owned();
        match self.try_head().await {
            Some(head) => head,
            None => panic!("the connection ended without an answer: {:?}", unread(self)),
        }
    }

    pub async fn read(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            assert!(self.read_more().await, "the connection ended after {} of {length} bytes", self.unread.len());
        }
        self.unread.drain(..length).collect()
    }

    /// A head and a body of its `content-length`.
    pub async fn answer(&mut self) -> (RawHead, String) {
        let head = self.head().await;
        let length = head.header("content-length").and_then(|length| length.parse().ok());
        let length = length.unwrap_or_else(|| panic!("no content-length: {}", head.text));
        let body = self.read(length).await;
        (head, String::from_utf8_lossy(&body).into_owned())
    }

    /// Everything until the other side closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.read_more().await {}
        std::mem::take(&mut self.unread)
    }

    /// Waits until the other side closes, and that it says nothing before.
    pub async fn closed(&mut self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "before it closed, the proxy said {:?}", String::from_utf8_lossy(&rest));
    }

    async fn read_more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.unread).await, Ok(count) if count > 0)
    }
}
