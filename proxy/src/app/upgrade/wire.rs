//! One message at a time, with the descriptors that go along, between two processes. It knows no order of them.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

/// Descriptors that go along with one message; the system takes 253.
pub const DESCRIPTORS_MAX: usize = 64;
/// Of one message, which names one listener or a few of them.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// What is said, by either side.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// The predecessor's standard error goes along.
    Output,
    /// With its sockets, or some of them.
    Sockets(Offer),
    /// The state directory: its lock goes along.
    State(PathBuf),
    /// That was all.
    Offered,
    /// The successor has built and opened everything.
    Ready { taken: usize, unwanted: Vec<String> },
    /// It is to serve.
    Go,
    /// It does.
    Serving,
}

/// What some sockets were for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub place: Place,
    pub name: String,
    /// What the configuration said, which is not the address where that says port 0.
    pub listen: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    Listener,
    Admin,
    /// By the service manager; the name is what it calls them, and may be nobody's.
    Activated,
    /// Of another version.
    #[serde(other)]
    Unknown,
}

/// Messages stay whole on it, and come in order.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

pub fn send(to: BorrowedFd<'_>, message: &Message, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut along = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !along.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    sendmsg(to, &[IoSlice::new(&text)], &mut along, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// `None`: the other side is gone.
pub fn receive(from: BorrowedFd<'_>) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
    let mut text = vec![0; MESSAGE_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut along = RecvAncillaryBuffer::new(&mut space);
    let received = match recvmsg(from.as_fd(), &mut [IoSliceMut::new(&mut text)], &mut along, RecvFlags::CMSG_CLOEXEC) {
        Ok(received) => received,
        Err(rustix::io::Errno::CONNRESET) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for message in along.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = message {
            descriptors.extend(more);
        }
    }
    let message = serde_json::from_slice(&text[..received.bytes])
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("not understood: {error}")))?;
    Ok(Some((message, descriptors)))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_goes_along_and_is_the_same() {
        let (one, other) = pair().unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let offer = Offer { place: Place::Listener, name: "edge".to_owned(), listen: "127.0.0.1:0".to_owned() };
        send(one.as_fd(), &Message::Sockets(offer.clone()), &[socket.as_fd(), socket.as_fd()]).unwrap();
        drop(socket);
        let queued = TcpStream::connect(address).expect("what is under way is a socket still");
        let Some((Message::Sockets(found), descriptors)) = receive(other.as_fd()).unwrap() else { panic!("expected sockets") };
        assert_eq!((found, descriptors.len()), (offer, 2));
        let taken: Vec<TcpListener> = descriptors.into_iter().map(Into::into).collect();
        let (_stream, peer) = taken[1].accept().unwrap();
        assert_eq!(peer, queued.local_addr().unwrap());
        drop(one);
        assert!(receive(other.as_fd()).unwrap().is_none());
    }

    #[test]
    fn a_place_of_another_version_is_no_mistake() {
        let offer: Offer = serde_json::from_str(r#"{ "place": "quic", "name": "a", "listen": "b" }"#).unwrap();
        assert_eq!(offer.place, Place::Unknown);
    }
}
