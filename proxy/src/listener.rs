//! Listeners: sockets, a worker's accept loop, and how many connections there may be.
//!
//! Every worker has a socket of its own in the kernel's group for the address (SO_REUSEPORT), so that accepting takes
//! no lock. What is accepted is handed to `http/serve` on the same worker.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use crate::drain::Signal;
use crate::exchange::{Connection, Kind};
use crate::http::serve;
use crate::snapshot::{self, Live};

/// How long accepting pauses when the process is out of file descriptors: closing ones need a moment.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Opens one socket a worker on the same address. With port 0 the first one chooses.
///
/// Addresses that somebody else serves already are refused, although the kernel would share them.
pub fn bind(address: SocketAddr, backlog: u32, workers: usize) -> io::Result<Vec<StdListener>> {
    let probe = open(address, backlog, false)?;
    let address = probe.local_addr()?;
    drop(probe);
    (0..workers).map(|_| open(address, backlog, true)).collect()
}

fn open(address: SocketAddr, backlog: u32, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Counts connections against the limits of the listener and of the process.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    process: Arc<AtomicUsize>,
    listener: Arc<AtomicUsize>,
}

/// One connection's place under the limits.
#[derive(Debug)]
struct Permit(Gate);

impl Gate {
    /// A gate for another listener of the same process.
    pub fn sibling(&self) -> Self {
        Self { process: Arc::clone(&self.process), listener: Arc::default() }
    }

    fn enter(&self, process_max: usize, listener_max: usize) -> Option<Permit> {
        let process = self.process.fetch_add(1, Ordering::Relaxed);
        let listener = self.listener.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(self.clone());
        (process < process_max && listener < listener_max).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.process.fetch_sub(1, Ordering::Relaxed);
        self.0.listener.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts on this worker until the drain begins, and then what the kernel has queued already.
pub async fn accept(socket: StdListener, name: Arc<str>, live: Arc<Live>, gate: Gate, mut drain: Signal) {
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(listener = %name, %error, "the socket cannot be served"),
    };
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = socket.accept() => accepted,
            () = drain.draining() => break,
        };
        match accepted {
            Ok((stream, peer)) => begin(stream, peer, &name, &live, &gate, &drain),
            Err(error) => paused(&name, &error).await,
        }
    }
    // Closing the socket resets what waits in its queue.
    while let Some(accepted) = accepted_already(&socket) {
        match accepted {
            Ok((stream, peer)) => begin(stream, peer, &name, &live, &gate, &drain),
            Err(_) => break,
        }
    }
}

/// What waits in the queue, without waiting for more.
fn accepted_already(socket: &TcpListener) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match socket.poll_accept(&mut context) {
        std::task::Poll::Ready(accepted) => Some(accepted),
        std::task::Poll::Pending => None,
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

fn begin(stream: TcpStream, peer: SocketAddr, name: &Arc<str>, live: &Arc<Live>, gate: &Gate, drain: &Signal) {
    let snapshot = live.load();
    let Some(listener) = snapshot.listeners.get(name).cloned() else { return };
    let limits = (snapshot.config.limits.connections, listener.config.limits.connections);
    let Some(permit) = gate.enter(limits.0, limits.1) else {
        tracing::debug!(listener = %name, %peer, "too many connections; this one is closed");
        return;
    };
    let (live, drain) = (Arc::clone(live), drain.clone());
    tokio::task::spawn_local(async move {
        serve_stream(stream, peer, listener, live, drain).await;
        drop(permit);
    });
}

async fn serve_stream(stream: TcpStream, peer: SocketAddr, listener: Arc<snapshot::Listener>, live: Arc<Live>, drain: Signal) {
    // Answers are written whole; waiting for more to write only delays them.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let (peer, local) = (unmapped(peer), unmapped(local));
    let trusted = listener.config.trusted.iter().any(|range| range.contains(&peer.ip()));
    let mut connection =
        Connection { listener: Arc::clone(&listener.name), peer, local, trusted, tls_version: None, server_name: None };
    let Some(tls) = listener.tls.clone() else {
        return serve::serve(stream, connection, None, live, listener, drain).await;
    };
    let limit = listener.config.timeouts.tls_handshake;
    let handshake = tls.acceptor.accept(stream);
    let outcome = if limit.is_zero() {
        handshake.await
    } else {
        let late = || Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"));
        tokio::time::timeout(limit, handshake).await.unwrap_or_else(|_| late())
    };
    match outcome {
        Ok(stream) => {
            let http2 = describe(&stream, &mut connection);
            serve::serve(stream, connection, http2, live, listener, drain).await;
        }
        Err(error) => {
            let kind = if error.kind() == io::ErrorKind::TimedOut { Kind::ClientTimeout } else { Kind::MalformedRequest };
            connection.log_unread(&listener.access_log, "tls", kind, 0, &error.to_string());
        }
    }
}

/// What the handshake has settled. `None`: the client speaks no ALPN, its first bytes will tell.
fn describe(stream: &TlsStream<TcpStream>, connection: &mut Connection) -> Option<bool> {
    let (_, session) = stream.get_ref();
    connection.server_name = session.server_name().map(str::to_owned);
    connection.tls_version = Some(match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    });
    session.alpn_protocol().map(|protocol| protocol == b"h2")
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
        let sockets = bind(([127, 0, 0, 1], 0).into(), 16, 2).expect("a free port");
        let address = sockets[0].local_addr().expect("bound");
        assert_eq!(sockets[1].local_addr().expect("bound"), address);
        assert_eq!(bind(address, 16, 2).expect_err("it is taken").kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn both_limits_count_and_a_leaving_connection_makes_room() {
        let gate = Gate::default();
        let first = gate.enter(2, 1).expect("room");
        assert!(gate.enter(2, 1).is_none());
        let other = gate.sibling();
        let second = other.enter(2, 1).expect("room at another listener");
        assert!(other.enter(2, 9).is_none());
        drop((first, second));
        assert!(gate.enter(1, 1).is_some());
    }
}
