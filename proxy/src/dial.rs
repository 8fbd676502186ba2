//! Connections that the proxy opens: with the firewall mark that they are to have, by which what redirects leaves them out.

use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

/// `mark`: none, and the system is asked for nothing that takes a privilege.
pub async fn to(address: SocketAddr, mark: Option<u32>) -> io::Result<TcpStream> {
    opened(begin(address, mark)?).await
}

/// Sends the first packet and waits for nothing. The system has given the connection its own address by then.
pub fn begin(address: SocketAddr, mark: Option<u32>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(mark) = mark {
        socket.set_mark(mark).map_err(|error| {
            let message = format!("the firewall mark {mark:#x} cannot be set, which takes CAP_NET_ADMIN: {error}");
            io::Error::new(error.kind(), message)
        })?;
    }
    match socket.connect(&address.into()) {
        Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => Err(error),
        _ => TcpStream::from_std(socket.into()),
    }
}

/// Waits until the other side has taken one that was begun.
pub async fn opened(stream: TcpStream) -> io::Result<TcpStream> {
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
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
    use socket2::SockRef;

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
        drop(listener);
        let refused = to(SocketAddr::from(([127, 0, 0, 1], port)), None).await.expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
