//! Listeners: sockets, a worker's accept loop, and how many connections there may be.
//!
//! Every worker has a socket of its own in the kernel's group for the address (SO_REUSEPORT), so that accepting takes
//! no lock. What is accepted begins on the same worker (`begin`): after what a hop before it says (`proxied`), the TLS handshake (`handshake`) if there is one, and after what
//! its first bytes tell (`detect`), it is handed to `http/serve` or to `tcp`.

mod begin;
mod detect;
mod handshake;
mod proxied;
mod redirected;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use begin::New;
use handshake::Handshakes;
use redirected::Before;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::drain::Signal;
use crate::exchange::{Connection, Gate};
use crate::snapshot::{self, Live};

/// How long accepting pauses when the process is out of file descriptors: closing ones need a moment.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Opens one socket a worker on the same address. With port 0 the first one chooses.
///
/// Addresses that somebody else serves already are refused, although the kernel would share them; `ours` says that the
/// port is one that this process serves.
pub fn bind(address: SocketAddr, backlog: u32, workers: usize, ours: bool) -> io::Result<Vec<StdListener>> {
    if address.port() == 0 {
        // The system gives nobody a port that is taken; one that was let go of could be.
        let first = open(address, backlog, true)?;
        let address = first.local_addr()?;
        let others = (1..workers).map(|_| open(address, backlog, true));
        return std::iter::once(Ok(first)).chain(others).collect();
    }
    if !ours {
        drop(open(address, backlog, false)?);
    }
    (0..workers).map(|_| open(address, backlog, true)).collect()
}

/// The same for datagrams.
pub fn bind_datagrams(address: SocketAddr, workers: usize, ours: bool) -> io::Result<Vec<UdpSocket>> {
    if address.port() == 0 {
        let first = open_datagrams(address, true)?;
        let address = first.local_addr()?;
        let others = (1..workers).map(|_| open_datagrams(address, true));
        return std::iter::once(Ok(first)).chain(others).collect();
    }
    if !ours {
        drop(open_datagrams(address, false)?);
    }
    (0..workers).map(|_| open_datagrams(address, true)).collect()
}

fn open_datagrams(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// One socket; `shared`: as one of the group of its address.
pub fn open(address: SocketAddr, backlog: u32, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Accepts on this worker until the drain begins, and then what the kernel has queued already.
pub async fn accept(socket: StdListener, listener: Arc<snapshot::Listener>, live: Arc<Live>, gate: Gate, mut drain: Signal) {
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(listener = %listener.name, %error, "the socket cannot be served"),
    };
    let mut acceptor = Acceptor { listener, live, gate, drain: drain.clone(), handshakes: Handshakes::default() };
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = socket.accept() => accepted,
            () = drain.draining() => break,
        };
        match accepted {
            Ok((stream, peer)) => acceptor.begin(stream, peer),
            Err(error) => paused(&acceptor.listener.name, &error).await,
        }
    }
    // Closing the last socket of an address resets what waits in its queue.
    let Ok(socket) = socket.into_std() else { return };
    // No more than that has waited: what a successor shares is filled again and again.
    let mut left = acceptor.listener.config.limits.backlog;
    while left > 0
        && let Ok((stream, peer)) = socket.accept()
    {
        left -= 1;
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            acceptor.begin(stream, peer);
        }
    }
}

/// A connection that failed before it was accepted is nothing; running out of descriptors is.
async fn paused(name: &str, error: &io::Error) {
    let of_the_peer = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::Interrupted];
    if !of_the_peer.contains(&error.kind()) {
        tracing::warn!(listener = name, %error, "no connection can be accepted; trying again shortly");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// What new connections of one listener need.
struct Acceptor {
    /// As it last was: it outlives its removal from the configuration for as long as something is queued.
    listener: Arc<snapshot::Listener>,
    live: Arc<Live>,
    gate: Gate,
    drain: Signal,
    handshakes: Handshakes,
}

impl Acceptor {
    fn begin(&mut self, stream: TcpStream, peer: SocketAddr) {
        let snapshot = self.live.load();
        if let Some(present) = snapshot.listeners.get(&self.listener.name) {
            self.listener = Arc::clone(present);
        }
        let listener = Arc::clone(&self.listener);
        let limits = (snapshot.config.limits.connections, listener.config.limits.connections);
        let Some(permit) = self.gate.enter(limits.0, limits.1) else {
            listener.traffic.refused();
            tracing::debug!(listener = %listener.name, %peer, "too many connections; this one is closed");
            return;
        };
        // Answers are written whole; waiting for more to write only delays them.
        let _ = stream.set_nodelay(true);
        let Ok(local) = stream.local_addr() else { return };
        let (peer, local) = (unmapped(peer), unmapped(local));
        let redirected = listener.config.original_destination;
        let before = if redirected { redirected::before(&stream, peer, local, &snapshot) } else { Before::default() };
        let connection = Connection {
            original_destination: before.original,
            is_own: before.is_own,
            trusted: listener.config.trusted.iter().any(|range| range.contains(&peer.ip())),
            permit: Some(permit),
            open: Some(listener.traffic.opened()),
            ..Connection::new(Arc::clone(&listener.name), peer, local)
        };
        let workers = snapshot.config.workers.unwrap_or(1);
        let handshakes = self.handshakes.with_at_most(listener.config.limits.handshakes.div_ceil(workers.max(1)));
        let new = New { connection, listener, live: Arc::clone(&self.live), drain: self.drain.clone(), handshakes };
        tokio::task::spawn_local(new.serve(stream));
    }
}

/// A client of IPv4 on a socket of IPv6 is one of IPv4.
fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_served_is_refused() {
        let sockets = bind(([127, 0, 0, 1], 0).into(), 16, 2, false).expect("a free port");
        let address = sockets[0].local_addr().expect("bound");
        assert_eq!(sockets[1].local_addr().expect("bound"), address);
        assert_eq!(bind(address, 16, 2, false).expect_err("it is taken").kind(), io::ErrorKind::AddrInUse);
    }
}
