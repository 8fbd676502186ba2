//! A listener's socket for datagrams. It tells which of the machine's addresses a datagram was sent to, and replies from there:
//! a client takes an answer from nobody else.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

/// See the module.
#[derive(Debug)]
pub struct Inbound {
    socket: UdpSocket,
    /// Where the socket has one address only, everything was sent there.
    addresses: Option<UdpSocketState>,
    pub local: SocketAddr,
    /// Whenever a session has ended.
    pub ended: Notify,
}

/// What was received: of one client, perhaps several datagrams.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    pub bytes: usize,
    /// Of one of them; the last may be shorter.
    pub each: usize,
    pub client: SocketAddr,
    /// Where they were sent to, if the socket has several addresses.
    pub to: Option<IpAddr>,
}

impl Inbound {
    pub fn new(socket: StdUdpSocket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let addresses = if local.ip().is_unspecified() { Some(UdpSocketState::new((&socket).into())?) } else { None };
        if addresses.is_some() {
            // That is made for QUIC, which forbids that its datagrams are fragmented. Those of others may be.
            if local.is_ipv6() {
                sockopt::set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::WANT)?;
            }
            sockopt::set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::WANT)?;
        }
        Ok(Self { socket: UdpSocket::from_std(socket)?, addresses, local, ended: Notify::new() })
    }

    /// The next datagrams.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let Some(addresses) = &self.addresses else {
            let (bytes, client) = self.socket.recv_from(buffer).await?;
            return Ok(Received { bytes, each: bytes, client, to: None });
        };
        let mut found = [RecvMeta::default()];
        let receive = || addresses.recv((&self.socket).into(), &mut [IoSliceMut::new(buffer)], &mut found);
        self.socket.async_io(Interest::READABLE, receive).await?;
        let [RecvMeta { addr, len, stride, dst_ip, .. }] = found;
        Ok(Received { bytes: len, each: stride, client: addr, to: dst_ip })
    }

    /// Sends a reply. One for which there is no room is lost, as datagrams are.
    pub fn reply(&self, bytes: &[u8], to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
        let Some(addresses) = &self.addresses else {
            return SockRef::from(&self.socket).send_to(bytes, &to.into()).map(drop);
        };
        let reply = Transmit { destination: to, ecn: None, contents: bytes, segment_size: None, src_ip: from };
        addresses.try_send((&self.socket).into(), &reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reply_comes_from_the_address_that_was_spoken_to() {
        for (listen, spoken_to) in
            [("0.0.0.0:0", ["127.0.0.1", "127.0.0.2"]), ("[::]:0", ["127.0.0.3", "::1"]), ("127.0.0.1:0", ["127.0.0.1"; 2])]
        {
            let socket = StdUdpSocket::bind(listen).expect("a free port");
            socket.set_nonblocking(true).expect("it can be");
            let inbound = Inbound::new(socket).expect("it can be served");
            for address in spoken_to {
                let to = SocketAddr::new(address.parse().expect("an address"), inbound.local.port());
                let client = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).await.expect("a free port");
                client.connect(to).await.expect("it is there");
                client.send(b"ask").await.expect("it is sent");
                let mut buffer = [0; 2048];
                let received = inbound.receive(&mut buffer).await.expect("it comes");
                assert_eq!((&buffer[..received.bytes], received.each), (&b"ask"[..], 3));
                inbound.reply(b"answer", received.client, received.to).expect("there is room");
                // A connected socket takes nothing from any other address.
                let count = client.recv(&mut buffer).await.expect("it comes from there");
                assert_eq!(&buffer[..count], b"answer", "{listen} {address}");
            }
        }
    }
}
