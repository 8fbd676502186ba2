//! Datagrams: passed on to a cluster in sessions, one for each client and the address that it speaks to.
//!
//! `inbound` is a listener's socket, which tells the address that a datagram was sent to, so that replies come from there;
//! `session` is one client's way to its endpoint and back. Each worker has a socket of its own in the kernel's group for the address,
//! which gives all datagrams of one client to the same worker, so that sessions need no lock.

mod inbound;
mod session;

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::rc::Rc;
use std::sync::Arc;

use crate::drain::Signal;
use crate::exchange::Gate;
use crate::snapshot::{Listener, Live};
use inbound::Inbound;
use session::{Session, begin};

/// What a datagram holds at most.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Whose a session is: the client, and the address that it speaks to.
type Key = (SocketAddr, Option<IpAddr>);

/// Those of one listener on one worker.
#[derive(Debug, Default)]
struct Sessions(RefCell<HashMap<Key, Rc<Session>>>);

/// What every session of a listener needs.
struct Around {
    inbound: Inbound,
    sessions: Sessions,
    live: Arc<Live>,
    gate: Gate,
    drain: Signal,
}

/// Receives on this worker until the proxy, or the listener, has left: a session that is there goes on meanwhile, and none begins. Where a
/// successor has the socket, what comes is for that: here, only what endpoints still answer is passed on.
pub async fn serve(socket: StdUdpSocket, mut listener: Arc<Listener>, live: Arc<Live>, gate: Gate, drain: Signal) {
    let inbound = match Inbound::new(socket) {
        Ok(inbound) => inbound,
        Err(error) => return tracing::error!(listener = %listener.name, %error, "the socket cannot be served"),
    };
    let around = Rc::new(Around { inbound, sessions: Sessions::default(), live, gate, drain: drain.clone() });
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let (mut draining, mut cut) = (drain.clone(), drain);
    let mut draining = std::pin::pin!(draining.draining());
    let mut leaves = false;
    loop {
        if leaves && around.sessions.0.borrow().is_empty() {
            return;
        }
        let received = tokio::select! {
            biased;
            () = cut.cut() => return,
            () = &mut draining, if !leaves => {
                leaves = true;
                around.sessions.0.borrow().values().for_each(|session| session.look.notify_one());
                continue;
            }
            // A session that ends says so, for it may be the last.
            () = around.inbound.ended.notified(), if leaves => continue,
            received = around.inbound.receive(&mut buffer), if !(leaves && around.drain.is_succeeded()) => received,
        };
        let received = match received {
            Ok(received) => received,
            // What an earlier reply came to; nothing is wrong with the socket.
            Err(error) => {
                tracing::debug!(listener = %listener.name, %error, "a datagram could not be received");
                continue;
            }
        };
        let key = (received.client, received.to);
        let known = around.sessions.0.borrow().get(&key).cloned();
        let session = match known {
            Some(session) => session,
            None if leaves => continue,
            None => {
                let snapshot = around.live.load();
                if let Some(present) = snapshot.listeners.get(&listener.name) {
                    listener = Arc::clone(present);
                }
                match begin(&around, &listener, &snapshot, key) {
                    Some(session) => session,
                    None => continue,
                }
            }
        };
        // None has a length of zero but an empty one.
        match buffer[..received.bytes].chunks(received.each.max(1)) {
            datagrams if datagrams.len() == 0 => session.forward(&[]),
            datagrams => datagrams.for_each(|datagram| session.forward(datagram)),
        }
    }
}
