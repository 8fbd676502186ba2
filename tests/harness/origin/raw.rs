//! An origin that writes bytes instead of answers, for what no HTTP library would send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Serves each connection with `serve`; it lives on the scenario's own runtime.
pub async fn raw_origin<F, S>(serve: F) -> RawOrigin
where
    F: Fn(RawConnection) -> S + Send + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    raw_origin_at(SocketAddr::from(([127, 0, 0, 1], 0)), serve).await
}

/// The same at an address that somebody has had before.
pub async fn raw_origin_at<F, S>(address: SocketAddr, serve: F) -> RawOrigin
where
    F: Fn(RawConnection) -> S + Send + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address).await.expect("the origin can listen");
    let address = listener.local_addr().expect("a bound socket has an address");
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(RawConnection(stream)));
        }
    });
    RawOrigin { address, accepting }
}

pub struct RawOrigin {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl std::fmt::Display for RawOrigin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.address.fmt(formatter)
    }
}

pub struct RawConnection(pub TcpStream);

impl RawConnection {
    /// Reads to the end of a request head and returns it; empty when the connection ends first.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return String::new(),
            }
        }
        String::from_utf8_lossy(&head).into_owned()
    }

    pub async fn write(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.ok();
    }
}
