//! One session: datagrams of one client to one endpoint and back, until none has come for a while.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::{Around, DATAGRAM_BYTES_MAX, Key};
use crate::cluster::breaker::{Limit, Taken};
use crate::cluster::endpoint::Active;
use crate::cluster::{self, Cluster, Ended, Seen, hash};
use crate::exchange::{Connection, Exchange, Failure, Inflow, Kind, Origin, Record};
use crate::snapshot::{Listener, Snapshot};
use crate::telemetry::streams::Moving;

/// While the proxy leaves, a session on which nothing moves for so long is over: whoever waited for an answer had it by then.
const LEAVING_IDLE: Duration = Duration::from_secs(2);

thread_local! {
    /// What an endpoint sends is in here until it is sent on, at once.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; DATAGRAM_BYTES_MAX]);
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    endpoint: UdpSocket,
    moved: Cell<Instant>,
    up: Cell<u64>,
    down: Cell<u64>,
    moving: Moving,
    /// Something else than a datagram is to be looked at.
    pub look: Notify,
    refused: Cell<bool>,
}

impl Session {
    /// Sends a datagram on. One for which there is no room is lost, as datagrams are.
    pub fn forward(&self, bytes: &[u8]) {
        self.moved.set(Instant::now());
        // Not by way of what the runtime knows of it, which is nothing yet when the first one comes.
        match SockRef::from(&self.endpoint).send(bytes) {
            Ok(_) => {
                self.up.set(self.up.get() + bytes.len() as u64);
                self.moving.received(bytes.len() as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // An earlier one came to nobody (ICMP).
            Err(_) => {
                self.refused.set(true);
                self.look.notify_one();
            }
        }
    }
}

/// Begins a session, unless there are too many, or there is nowhere to go; the log says why.
pub fn begin(around: &Rc<Around>, listener: &Arc<Listener>, snapshot: &Snapshot, key: Key) -> Option<Rc<Session>> {
    let limits = (snapshot.config.limits.connections, listener.config.limits.connections);
    let Some(permit) = around.gate.enter(limits.0, limits.1) else {
        listener.traffic.refused();
        return None;
    };
    let (client, to) = key;
    let local = SocketAddr::new(to.unwrap_or(around.inbound.local.ip()).to_canonical(), around.inbound.local.port());
    let peer = SocketAddr::new(client.ip().to_canonical(), client.port());
    let connection = Connection {
        trusted: listener.config.trusted.iter().any(|range| range.contains(&peer.ip())),
        permit: Some(permit),
        open: Some(listener.traffic.opened()),
        ..Connection::new(Arc::clone(&listener.name), peer, local)
    };
    let mut exchange = Exchange::raw(Arc::new(connection), "udp", Arc::clone(&snapshot.cluster_names));
    exchange.destination.cluster.clone_from(&listener.config.cluster);
    let inflow = Rc::new(Inflow::new(false));
    let mut record = Record::new(exchange, inflow, Arc::clone(&listener.access_log), Arc::clone(&listener.traffic));
    match open(&mut record, listener, snapshot) {
        Ok((session, way)) => {
            let session = Rc::new(session);
            around.sessions.0.borrow_mut().insert(key, Rc::clone(&session));
            let idle = listener.config.timeouts.udp_idle;
            tokio::task::spawn_local(run(Rc::clone(around), Rc::clone(&session), key, record, way, idle));
            Some(session)
        }
        Err(failure) => {
            end(record, Some(&failure));
            None
        }
    }
}

/// What a session holds of its cluster.
struct Way {
    cluster: Arc<Cluster>,
    active: Active,
    _open: Taken,
    began: Instant,
}

fn open(record: &mut Record, listener: &Listener, snapshot: &Snapshot) -> Result<(Session, Way), Failure> {
    let (cluster, mut wishes) = cluster::choose(&snapshot.reach.clusters, &mut record.exchange_mut().destination)?;
    let source = record.exchange().source;
    wishes.key.get_or_insert_with(|| hash::of_key(source.to_string().as_bytes()));
    let nobody = || Failure::new(Kind::NoEndpoint, format!("no endpoint in cluster `{}`", cluster.name));
    let endpoint = cluster.pick(&wishes, &[]).ok_or_else(nobody)?;
    let open =
        cluster.kept.load.claim(Limit::Connections, &cluster.config.breakers).ok_or_else(|| Limit::Connections.failure())?;
    record.attempt.endpoint = Some(endpoint.address);
    record.attempt.count = 1;
    let unconnected = |error| Failure::new(Kind::ConnectFailed, "no socket to the upstream").because(error);
    let socket = connected(endpoint.address).map_err(unconnected)?;
    let active = endpoint.begin(None);
    let session = Session {
        endpoint: socket,
        moved: Cell::new(Instant::now()),
        up: Cell::new(0),
        down: Cell::new(0),
        moving: listener.traffic.udp.begin(&cluster.name),
        look: Notify::new(),
        refused: Cell::new(false),
    };
    Ok((session, Way { cluster: Arc::clone(cluster), active, _open: open, began: Instant::now() }))
}

/// A socket of its own: its port is what the endpoint's answers are told apart by.
fn connected(endpoint: SocketAddr) -> io::Result<UdpSocket> {
    let any = if endpoint.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)) };
    let socket = StdUdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(endpoint)?;
    UdpSocket::from_std(socket)
}

async fn run(around: Rc<Around>, session: Rc<Session>, key: Key, mut record: Record, mut way: Way, idle: Duration) {
    let mut drain = around.drain.clone();
    let mut answered = false;
    let failure = loop {
        let idle = match (drain.is_draining(), idle) {
            (true, Duration::ZERO) => LEAVING_IDLE,
            (true, idle) => idle.min(LEAVING_IDLE),
            (false, idle) => idle,
        };
        let until = session.moved.get() + idle;
        tokio::select! {
            biased;
            () = drain.cut() => break Some(Failure::new(Kind::Cut, "the proxy was told to leave")),
            readable = session.endpoint.readable() => {
                if readable.is_err() || !answer(&around, &session, key) {
                    session.refused.set(true);
                }
            }
            () = session.look.notified() => {}
            () = sleep_until(until), if !idle.is_zero() => {
                if session.moved.get() + idle <= Instant::now() {
                    break None;
                }
            }
        }
        if session.refused.get() {
            break Some(Failure::new(Kind::ConnectFailed, "the upstream takes no datagrams there"));
        }
        if !answered && session.down.get() > 0 {
            answered = true;
            way.active.answered();
            record.exchange_mut().answered = true;
            let seen = Seen { ended: Ended::Connected, took: way.began.elapsed(), ..Seen::default() };
            way.cluster.saw(way.active.endpoint(), &seen);
        }
    };
    if failure.as_ref().is_some_and(|failure| failure.kind == Kind::ConnectFailed) {
        let seen = Seen { ended: Ended::Unconnected, took: way.began.elapsed(), ..Seen::default() };
        way.cluster.saw(way.active.endpoint(), &seen);
    }
    around.sessions.0.borrow_mut().remove(&key);
    record.inflow.count(usize::try_from(session.up.get()).unwrap_or(usize::MAX));
    record.response_bytes = session.down.get();
    end(record, failure.as_ref());
    around.inbound.ended.notify_one();
}

/// Sends on what the endpoint has sent. False: it takes nothing there.
fn answer(around: &Around, session: &Session, (client, to): Key) -> bool {
    BUFFER.with_borrow_mut(|buffer| {
        loop {
            match session.endpoint.try_recv(buffer) {
                Ok(count) => {
                    session.moved.set(Instant::now());
                    if around.inbound.reply(&buffer[..count], client, to).is_ok() {
                        session.down.set(session.down.get() + count as u64);
                        session.moving.sent(count as u64);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
    })
}

fn end(mut record: Record, failure: Option<&Failure>) {
    record.complete = true;
    if let Some(failure) = failure {
        record.failed(failure);
        record.exchange_mut().origin = Origin::Failure(failure.kind);
    }
}
