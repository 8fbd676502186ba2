//! Connections that the proxy opens: with the firewall mark that they are to have, by which what redirects leaves them out.

use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

/// `mark`: none, and the system is asked for nothing that takes a privilege.
pub async fn to(address: SocketAddr, mark: Option<u32>) -> io::Result<TcpStream> {
    let Some(mark) = mark else { return TcpStream::connect(address).await };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    SockRef::from(&socket).set_mark(mark).map_err(|error| {
        let message = format!("the firewall mark {mark:#x} cannot be set, which takes CAP_NET_ADMIN: {error}");
        io::Error::new(error.kind(), message)
    })?;
    socket.connect(address).await
}

/// Every address of a name in turn, until one takes the connection.
pub async fn to_name(host: &str, port: u16, mark: Option<u32>) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, format!("`{host}` has no address"));
    for address in tokio::net::lookup_host((host, port)).await? {
        match to(address, mark).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_connected_to_and_the_mark_is_set_or_missed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
        let port = listener.local_addr().expect("it is bound").port();
        to_name("127.0.0.1", port, None).await.expect("somebody listens");
        match to_name("127.0.0.1", port, Some(0x539)).await {
            Ok(stream) => assert_eq!(SockRef::from(&stream).mark().expect("it can be read"), 0x539),
            Err(error) => assert!(error.to_string().contains("0x539 cannot be set, which takes CAP_NET_ADMIN"), "{error}"),
        }
    }
}
