//! A worker's upstream connections: HTTP/1 ones wait idle for the next exchange, HTTP/2 ones are shared by many.
//!
//! Everything here belongs to one thread. A connection's own task drives it; this module only holds the handles.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Notify};

use super::breaker::{Limit, Load, Taken};
use super::{Endpoint, Outgoing};
use crate::config::{Breakers, ClusterLimits, ClusterTimeouts};
use crate::exchange::{Failure, Kind};

/// How often a worker drops connections that have been idle for too long.
pub const TEND: Duration = Duration::from_secs(1);
/// A further HTTP/2 connection is opened when this share (in percent) of the allowed streams is in use on all others.
const STREAMS_IN_USE_PERCENT: u32 = 80;

thread_local! {
    /// The endpoints whose connections may be kept; `None` before the first sweep.
    static KEPT: RefCell<Option<Arc<BTreeSet<u64>>>> = const { RefCell::new(None) };
    static POOLS: RefCell<HashMap<u64, Rc<Pool>>> = RefCell::new(HashMap::new());
}

/// The connections of this worker to one endpoint.
#[derive(Debug)]
pub struct Pool {
    timeouts: ClusterTimeouts,
    limits: ClusterLimits,
    /// Of the cluster, with the connections of all its pools.
    load: Arc<Load>,
    line: Rc<Line>,
    idle: RefCell<Vec<Idle>>,
    shared: RefCell<Vec<Rc<Shared>>>,
    /// Held while an HTTP/2 connection is opened, so that a burst opens one and not one each.
    opening: Mutex<()>,
    /// When an HTTP/2 connection last could not be opened, and why.
    refused: RefCell<Option<(Instant, Kind)>>,
}

/// An HTTP/1 connection.
#[derive(Debug)]
pub struct Http1 {
    pub sender: http1::SendRequest<Outgoing>,
    /// Its place among those of the cluster; its own task holds it too, until the socket is closed.
    _open: Rc<Taken>,
}

#[derive(Debug)]
struct Idle {
    connection: Http1,
    since: Instant,
}

/// Those of this pool who wait because all connections of the cluster are open.
#[derive(Debug, Default)]
struct Line {
    waiting: Cell<usize>,
    given_back: Notify,
}

/// What somebody in line gets.
enum Got<T> {
    /// A new connection may be opened.
    New(Taken),
    /// One of the pool's has room.
    Present(T),
}

/// An HTTP/2 connection with the exchanges on it.
#[derive(Debug)]
pub struct Shared {
    pub sender: http2::SendRequest<Outgoing>,
    active: Cell<u32>,
    /// How many exchanges the peer allows, as it last said.
    peer_streams: Rc<Cell<u32>>,
    last_used: Cell<Instant>,
    line: Rc<Line>,
}

/// One exchange's place on an HTTP/2 connection.
#[derive(Debug)]
pub struct Place(pub Rc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get() - 1);
        self.0.last_used.set(Instant::now());
        self.0.line.tell();
    }
}

impl Line {
    /// Something can be had again.
    fn tell(&self) {
        if self.waiting.get() > 0 {
            self.given_back.notify_one();
        }
    }
}

/// This worker's pool for an endpoint. One that has left the configuration gets a pool that ends with its exchange.
pub fn of(endpoint: &Endpoint, timeouts: &ClusterTimeouts, limits: &ClusterLimits, load: &Arc<Load>) -> Rc<Pool> {
    POOLS.with_borrow_mut(|pools| {
        if let Some(pool) = pools.get(&endpoint.id) {
            return Rc::clone(pool);
        }
        let pool = Rc::new(Pool {
            timeouts: timeouts.clone(),
            limits: limits.clone(),
            load: Arc::clone(load),
            line: Rc::default(),
            idle: RefCell::default(),
            shared: RefCell::default(),
            opening: Mutex::new(()),
            refused: RefCell::default(),
        });
        if KEPT.with_borrow(|kept| kept.as_ref().is_none_or(|kept| kept.contains(&endpoint.id))) {
            pools.insert(endpoint.id, Rc::clone(&pool));
        }
        pool
    })
}

/// From now on only connections to these endpoints are kept; exchanges under way on others finish.
pub fn sweep(keep: &Arc<BTreeSet<u64>>) {
    KEPT.set(Some(Arc::clone(keep)));
    POOLS.with_borrow_mut(|pools| pools.retain(|id, _| keep.contains(id)));
}

/// Drops connections that are closed or have been idle for too long, for as long as the worker lives.
pub async fn tend() {
    let mut interval = tokio::time::interval(TEND);
    loop {
        interval.tick().await;
        let now = Instant::now();
        POOLS.with_borrow(|pools| pools.values().for_each(|pool| pool.expire(now)));
    }
}

impl Pool {
    /// The HTTP/1 connection that was used last and still lives, if any.
    pub async fn idle(&self) -> Option<Http1> {
        loop {
            let connection = self.idle.borrow_mut().pop()?.connection;
            if !connection.sender.is_ready() {
                // Its task may still have to notice that its last exchange is over, or that the peer has closed it.
                tokio::task::yield_now().await;
            }
            if connection.sender.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Keeps an HTTP/1 connection whose exchange is over, unless somebody elsewhere waits for one.
    pub fn keep(&self, connection: Http1) {
        let mut idle = self.idle.borrow_mut();
        let is_wanted = self.line.waiting.get() > 0 || (!self.load.is_awaited() && idle.len() < self.limits.idle_connections);
        if !connection.sender.is_closed() && is_wanted {
            idle.push(Idle { connection, since: Instant::now() });
            self.line.tell();
        }
    }

    /// Opens an HTTP/1 connection, and says whether it is new: where the cluster may have no further one, it is one that was
    /// opened before.
    pub async fn open(&self, endpoint: &Endpoint, breakers: &Breakers) -> Result<(Http1, bool), Failure> {
        let _pending = self.load.claim(Limit::Pending, breakers).ok_or_else(|| Limit::Pending.failure())?;
        let open = match self.load.take(Limit::Connections, breakers) {
            Some(open) => open,
            None => match self.stand_in_line(breakers, async || self.idle().await).await? {
                Got::New(open) => open,
                Got::Present(connection) => return Ok((connection, false)),
            },
        };
        let open = Rc::new(open);
        let stream = self.connect(endpoint).await?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(self.limits.buffer_bytes).max_header_size(self.limits.header_bytes);
        if self.limits.header_count != crate::config::defaults::UPSTREAM_HEADER_COUNT {
            // hyper keeps up to 100 fields on its stack, any other number costs an allocation a message.
            builder.max_headers(self.limits.header_count);
        }
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(refused_by)?;
        let (address, held) = (endpoint.address, Rc::clone(&open));
        tokio::task::spawn_local(async move {
            let _held = held;
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%address, %error, "an upstream connection ended");
            }
        });
        Ok((Http1 { sender, _open: open }, true))
    }

    /// Waits until the cluster may have another connection, or one of this pool has room: as long as for a connection that
    /// is opened.
    async fn stand_in_line<T>(&self, breakers: &Breakers, present: impl AsyncFn() -> Option<T>) -> Result<Got<T>, Failure> {
        struct Waits<'a>(&'a Cell<usize>);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        let line = self.load.stand_in_line();
        self.line.waiting.set(self.line.waiting.get() + 1);
        let _waits = Waits(&self.line.waiting);
        give_up_an_idle_one(&self.load);
        let waiting = async {
            loop {
                let closed = line.closed();
                if let Some(open) = self.load.take(Limit::Connections, breakers) {
                    return Got::New(open);
                }
                if let Some(present) = present().await {
                    return Got::Present(present);
                }
                tokio::select! {
                    () = closed => {}
                    () = self.line.given_back.notified() => {}
                }
            }
        };
        if self.timeouts.connect.is_zero() {
            return Ok(waiting.await);
        }
        tokio::time::timeout(self.timeouts.connect, waiting).await.map_err(|_| {
            self.load.overflowed(Limit::Connections);
            Limit::Connections.failure()
        })
    }

    /// A place on an HTTP/2 connection; opens a further one when the others are well used.
    pub async fn place(&self, endpoint: &Endpoint, breakers: &Breakers) -> Result<Place, Failure> {
        if let Some(place) = self.free_place(STREAMS_IN_USE_PERCENT) {
            return Ok(place);
        }
        let asked = Instant::now();
        let _pending = self.load.claim(Limit::Pending, breakers).ok_or_else(|| Limit::Pending.failure())?;
        let _opening = self.opening.lock().await;
        // Boxed: opening one is rare, and each exchange would have to have room for it.
        Box::pin(self.open_shared(endpoint, breakers, asked)).await
    }

    /// Opens a further connection for many exchanges, unless somebody else has since it was asked for.
    async fn open_shared(&self, endpoint: &Endpoint, breakers: &Breakers, asked: Instant) -> Result<Place, Failure> {
        if let Some((at, kind)) = *self.refused.borrow()
            && at > asked
        {
            // Whoever was first has found out for all that waited.
            return Err(match kind {
                Kind::ClusterOverloaded => Limit::Connections.failure(),
                kind => Failure::new(kind, "the upstream could not be connected to a moment ago"),
            });
        }
        if let Some(place) = self.free_place(STREAMS_IN_USE_PERCENT) {
            return Ok(place);
        }
        let refused = |failure: &Failure| *self.refused.borrow_mut() = Some((Instant::now(), failure.kind));
        let open = match self.load.take(Limit::Connections, breakers) {
            Some(open) => open,
            None => match self.stand_in_line(breakers, async || self.free_place(100)).await.inspect_err(refused)? {
                Got::New(open) => open,
                Got::Present(place) => return Ok(place),
            },
        };
        let stream = self.connect(endpoint).await.inspect_err(refused)?;
        let (sender, mut connection) = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .initial_stream_window_size(self.limits.stream_window_bytes)
            .initial_connection_window_size(self.limits.connection_window_bytes)
            .max_header_list_size(u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(refused_by)?;
        let address = endpoint.address;
        let peer_streams = Rc::new(Cell::new(u32::MAX));
        let said = Rc::clone(&peer_streams);
        tokio::task::spawn_local(async move {
            let _open = open;
            let driven = std::future::poll_fn(|context| {
                let outcome = Pin::new(&mut connection).poll(context);
                said.set(u32::try_from(connection.current_max_send_streams()).unwrap_or(u32::MAX));
                outcome
            });
            if let Err(error) = driven.await {
                tracing::debug!(%address, %error, "an upstream connection ended");
            }
        });
        let (active, last_used) = (Cell::new(0), Cell::new(Instant::now()));
        let shared = Rc::new(Shared { sender, active, peer_streams, last_used, line: Rc::clone(&self.line) });
        self.shared.borrow_mut().push(Rc::clone(&shared));
        Ok(shared.place())
    }

    fn free_place(&self, percent: u32) -> Option<Place> {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|connection| !connection.sender.is_closed());
        shared
            .iter()
            .find(|connection| {
                let allowed = u64::from(self.limits.streams.min(connection.peer_streams.get()).max(1));
                u64::from(connection.active.get()) < (allowed * u64::from(percent)).div_ceil(100)
            })
            .map(Shared::place)
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<TcpStream, Failure> {
        let connected = self.connect_once(endpoint).await;
        self.load.opened(connected.is_ok());
        connected
    }

    async fn connect_once(&self, endpoint: &Endpoint) -> Result<TcpStream, Failure> {
        let connecting = TcpStream::connect(endpoint.address);
        let stream = if self.timeouts.connect.is_zero() {
            connecting.await
        } else {
            tokio::time::timeout(self.timeouts.connect, connecting)
                .await
                .map_err(|_| Failure::new(Kind::ConnectTimeout, "the upstream did not accept a connection in time"))?
        };
        let stream = stream.map_err(refused_by)?;
        // Requests are written whole; waiting for more to write only delays them.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    fn expire(&self, now: Instant) {
        // Where somebody waits for a connection, on another worker perhaps, none is kept that nobody uses.
        let spared = self.load.is_awaited();
        let late = |since: Instant| !self.timeouts.idle.is_zero() && now.saturating_duration_since(since) >= self.timeouts.idle;
        let old = |since: Instant| spared || late(since);
        self.idle.borrow_mut().retain(|idle| !idle.connection.sender.is_closed() && !old(idle.since));
        self.shared.borrow_mut().retain(|connection| {
            !connection.sender.is_closed() && (connection.active.get() > 0 || !old(connection.last_used.get()))
        });
    }
}

impl Shared {
    fn place(self: &Rc<Self>) -> Place {
        self.active.set(self.active.get() + 1);
        Place(Rc::clone(self))
    }
}

/// Closes an idle HTTP/1 connection of this cluster, whichever endpoint it is to.
fn give_up_an_idle_one(load: &Arc<Load>) {
    POOLS.with_borrow(|pools| {
        let of_cluster = pools.values().filter(|pool| Arc::ptr_eq(&pool.load, load));
        of_cluster.map(|pool| pool.idle.borrow_mut().pop()).find(Option::is_some)
    });
}

fn refused_by(error: impl Into<crate::exchange::failure::BoxError>) -> Failure {
    Failure::new(Kind::ConnectFailed, "the upstream refused the connection").because(error)
}

/// Spawns on this worker.
#[derive(Debug, Clone, Copy)]
pub struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
