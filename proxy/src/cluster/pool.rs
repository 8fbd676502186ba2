//! A worker's upstream connections: HTTP/1 ones wait idle for the next exchange, HTTP/2 ones are shared by many.
//!
//! Everything here belongs to one thread. A connection's own task drives it; this module only holds the handles. `either` is for
//! endpoints of which a handshake tells what they speak.

mod either;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Mutex, Notify};

pub use either::Either;

use super::breaker::{Limit, Load, Taken};
use super::connect::{Stream, connect, refused_by};
use super::counted::Counted;
use super::line::{Line, Stood};
use super::{Cluster, Endpoint, Outgoing, passing};
use crate::config::{Breakers, ClusterLimits, ClusterTimeouts};
use crate::exchange::{Failure, Kind};
use crate::tls::Offer;

/// How often a worker drops connections that have been idle for too long.
pub const TEND: Duration = Duration::from_secs(1);
/// How often it is looked whether the settings of an HTTP/2 connection have come, where a WebSocket waits for them.
const SETTINGS_LOOK: Duration = Duration::from_millis(2);
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
    idle: RefCell<Vec<Idle>>,
    /// Those who wait for a connection that comes back, and for a place on a shared one.
    waiting: Line<Http1>,
    waiting_for_places: Rc<Line<Place>>,
    shared: RefCell<Vec<Rc<Shared>>>,
    /// Held while an HTTP/2 connection is opened, so that a burst opens one and not one each.
    opening: Mutex<()>,
    /// When an HTTP/2 connection last could not be opened, and why.
    refused: RefCell<Option<(Instant, Kind)>>,
    /// Where TLS decides: the last connection agreed on HTTP/1.
    speaks_http1: Cell<bool>,
}

/// An HTTP/1 connection.
#[derive(Debug)]
pub struct Http1 {
    pub sender: http1::SendRequest<Outgoing>,
}

#[derive(Debug)]
struct Idle {
    connection: Http1,
    since: Instant,
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
    peer: Rc<Peer>,
    last_used: Cell<Instant>,
    waiting: Rc<Line<Place>>,
}

/// What the other end of an HTTP/2 connection allows, as it last said.
#[derive(Debug)]
struct Peer {
    streams: Cell<u32>,
    /// WebSockets by CONNECT (RFC 8441), from the moment it says so.
    connects: Cell<bool>,
    /// It was waited for in vain.
    silent: Cell<bool>,
    /// Lets the task of the connection look again: hyper tells nobody that settings have come.
    look: Notify,
}

/// One exchange's place on an HTTP/2 connection.
#[derive(Debug)]
pub struct Place(pub Rc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get() - 1);
        self.0.last_used.set(Instant::now());
        let waiting = &self.0.waiting;
        if waiting.is_awaited() && !self.0.sender.is_closed() {
            // One that nobody takes ends here too.
            drop(waiting.give(self.0.place()));
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
            idle: RefCell::default(),
            waiting: Line::default(),
            waiting_for_places: Rc::default(),
            shared: RefCell::default(),
            opening: Mutex::new(()),
            refused: RefCell::default(),
            speaks_http1: Cell::new(false),
        });
        if endpoint.passing || KEPT.with_borrow(|kept| kept.as_ref().is_none_or(|kept| kept.contains(&endpoint.id))) {
            pools.insert(endpoint.id, Rc::clone(&pool));
        }
        pool
    })
}

/// From now on only connections to these endpoints are kept; exchanges under way on others finish.
pub fn sweep(keep: &Arc<BTreeSet<u64>>) {
    KEPT.set(Some(Arc::clone(keep)));
    passing::forget();
    POOLS.with_borrow_mut(|pools| pools.retain(|id, _| keep.contains(id)));
}

/// Drops connections that are closed or have been idle for too long, for as long as the worker lives.
pub async fn tend() {
    let mut interval = tokio::time::interval(TEND);
    loop {
        interval.tick().await;
        let now = Instant::now();
        POOLS.with_borrow(|pools| pools.values().for_each(|pool| pool.expire(now)));
        let unused = |id| {
            POOLS.with_borrow_mut(|pools| {
                let is_unused = pools.get(&id).is_none_or(|pool| Rc::strong_count(pool) == 1 && pool.is_empty());
                if is_unused {
                    pools.remove(&id);
                }
                is_unused
            })
        };
        passing::tend(unused);
    }
}

impl Pool {
    /// The HTTP/1 connection that was used last and still lives, if any.
    pub async fn idle(&self) -> Option<Http1> {
        loop {
            let connection = self.idle.borrow_mut().pop()?.connection;
            if connection.is_alive().await {
                return Some(connection);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.idle.borrow().is_empty() && self.shared.borrow().is_empty()
    }

    /// Keeps an HTTP/1 connection whose exchange is over, unless somebody waits for one.
    pub fn keep(&self, connection: Http1) {
        if connection.sender.is_closed() {
            return;
        }
        let Some(connection) = self.waiting.give(connection) else { return };
        let mut idle = self.idle.borrow_mut();
        if !self.load.is_awaited() && idle.len() < self.limits.idle_connections {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    /// Opens an HTTP/1 connection, and says whether it is new: where the cluster may have no further one, it is one that was
    /// opened before.
    pub async fn open(&self, endpoint: &Endpoint, cluster: &Cluster, stood: &Stood) -> Result<(Http1, bool), Failure> {
        let breakers = &cluster.config.breakers;
        let _pending = self.load.claim(Limit::Pending, breakers).ok_or_else(|| Limit::Pending.failure())?;
        let open = match self.load.take(Limit::Connections, breakers) {
            Some(open) => open,
            None => match self.stand_in_line(breakers, stood, &self.waiting, Http1::is_alive).await? {
                Got::New(open) => open,
                Got::Present(connection) => return Ok((connection, false)),
            },
        };
        let stream = connect(cluster, endpoint, Offer::Http1).await?;
        Ok((self.begin_http1(Counted::new(stream, open), endpoint).await?, true))
    }

    async fn begin_http1(&self, stream: Counted<Stream>, endpoint: &Endpoint) -> Result<Http1, Failure> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(self.limits.buffer_bytes).max_header_size(self.limits.header_bytes);
        if self.limits.header_count != crate::config::defaults::UPSTREAM_HEADER_COUNT {
            // hyper keeps up to 100 fields on its stack, any other number costs an allocation a message.
            builder.max_headers(self.limits.header_count);
        }
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(refused_by)?;
        let address = endpoint.address;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%address, %error, "an upstream connection ended");
            }
        });
        Ok(Http1 { sender })
    }

    /// Waits until the cluster may have another connection, or one of this pool has room: as long as for a connection that
    /// is opened.
    async fn stand_in_line<T>(
        &self,
        breakers: &Breakers,
        stood: &Stood,
        waiting: &Line<T>,
        is_alive: impl AsyncFn(&T) -> bool,
    ) -> Result<Got<T>, Failure> {
        stood.begin();
        give_up_an_idle_one(&self.load);
        let served = async {
            loop {
                let mut present = waiting.join();
                let mut line = self.load.stand_in_line(breakers);
                tokio::select! {
                    biased;
                    Ok(thing) = &mut present => if is_alive(&thing).await {
                        return Got::Present(thing);
                    },
                    Ok(open) = &mut line.given => return Got::New(open),
                    else => {}
                }
            }
        };
        let served = if self.timeouts.connect.is_zero() {
            Ok(served.await)
        } else {
            tokio::time::timeout(self.timeouts.connect, served).await
        };
        stood.end();
        served.map_err(|_| {
            self.load.overflowed(Limit::Connections);
            Limit::Connections.failure()
        })
    }

    /// A place on an HTTP/2 connection; opens a further one when the others are well used.
    pub async fn place(&self, endpoint: &Endpoint, cluster: &Cluster, stood: &Stood) -> Result<Place, Failure> {
        let breakers = &cluster.config.breakers;
        if let Some(place) = self.free_place(STREAMS_IN_USE_PERCENT) {
            return Ok(place);
        }
        let asked = Instant::now();
        let _pending = self.load.claim(Limit::Pending, breakers).ok_or_else(|| Limit::Pending.failure())?;
        // Behind somebody who stands in line, one does as well.
        let stands = self.waiting_for_places.is_awaited();
        if stands {
            stood.begin();
        }
        let _opening = self.opening.lock().await;
        if stands {
            stood.end();
        }
        // Boxed: opening one is rare, and each exchange would have to have room for it.
        Box::pin(self.open_shared(endpoint, cluster, stood, asked)).await
    }

    /// Opens a further connection for many exchanges, unless somebody else has since it was asked for.
    async fn open_shared(&self, endpoint: &Endpoint, cluster: &Cluster, stood: &Stood, asked: Instant) -> Result<Place, Failure> {
        let breakers = &cluster.config.breakers;
        if let Some(failure) = self.refused_since(asked) {
            return Err(failure);
        }
        if let Some(place) = self.free_place(STREAMS_IN_USE_PERCENT) {
            return Ok(place);
        }
        let refused = |failure: &Failure| *self.refused.borrow_mut() = Some((Instant::now(), failure.kind));
        let open = match self.load.take(Limit::Connections, breakers) {
            Some(open) => open,
            None => {
                if let Some(place) = self.free_place(100) {
                    return Ok(place);
                }
                let is_alive = async |place: &Place| !place.0.sender.is_closed();
                match self.stand_in_line(breakers, stood, &self.waiting_for_places, is_alive).await.inspect_err(refused)? {
                    Got::New(open) => open,
                    Got::Present(place) => return Ok(place),
                }
            }
        };
        let stream = connect(cluster, endpoint, Offer::Http2).await.inspect_err(refused)?;
        self.begin_http2(Counted::new(stream, open), endpoint).await
    }

    /// Whoever was first has found out for all that waited.
    fn refused_since(&self, asked: Instant) -> Option<Failure> {
        let (_, kind) = self.refused.borrow().filter(|(at, _)| *at > asked)?;
        Some(match kind {
            Kind::ClusterOverloaded => Limit::Connections.failure(),
            kind => Failure::new(kind, "the upstream could not be connected to a moment ago"),
        })
    }

    async fn begin_http2(&self, stream: Counted<Stream>, endpoint: &Endpoint) -> Result<Place, Failure> {
        let (sender, mut connection) = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .initial_stream_window_size(self.limits.stream_window_bytes)
            .initial_connection_window_size(self.limits.connection_window_bytes)
            .max_header_list_size(u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(refused_by)?;
        let address = endpoint.address;
        let peer = Rc::new(Peer::default());
        let said = Rc::clone(&peer);
        tokio::task::spawn_local(async move {
            let driven = std::future::poll_fn(|context| {
                let outcome = Pin::new(&mut connection).poll(context);
                said.streams.set(u32::try_from(connection.current_max_send_streams()).unwrap_or(u32::MAX));
                said.connects.set(connection.is_extended_connect_protocol_enabled());
                outcome
            });
            let mut driven = std::pin::pin!(driven);
            let outcome = loop {
                tokio::select! {
                    outcome = &mut driven => break outcome,
                    () = said.look.notified() => {}
                }
            };
            if let Err(error) = outcome {
                tracing::debug!(%address, %error, "an upstream connection ended");
            }
        });
        let (active, last_used) = (Cell::new(0), Cell::new(Instant::now()));
        let shared = Rc::new(Shared { sender, active, peer, last_used, waiting: Rc::clone(&self.waiting_for_places) });
        self.shared.borrow_mut().push(Rc::clone(&shared));
        Ok(shared.place())
    }

    fn free_place(&self, percent: u32) -> Option<Place> {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|connection| !connection.sender.is_closed());
        shared
            .iter()
            .find(|connection| {
                let allowed = u64::from(self.limits.streams.min(connection.peer.streams.get()).max(1));
                u64::from(connection.active.get()) < (allowed * u64::from(percent)).div_ceil(100)
            })
            .map(Shared::place)
    }

    /// Waits until the other end has said that it takes WebSockets over HTTP/2, as long as for a connection that is opened; one
    /// that does not say so is waited for once.
    pub async fn takes_connects(&self, place: &Place) -> Result<(), Failure> {
        let peer = &place.0.peer;
        let said = async {
            while !peer.connects.get() {
                peer.look.notify_one();
                tokio::time::sleep(SETTINGS_LOOK).await;
            }
        };
        let limit = match self.timeouts.connect {
            _ if peer.silent.get() => Duration::ZERO,
            Duration::ZERO => crate::config::defaults::CONNECT,
            limit => limit,
        };
        if !peer.connects.get() && tokio::time::timeout(limit, said).await.is_err() {
            peer.silent.set(true);
            return Err(Failure::new(Kind::NotImplemented, "the upstream takes no WebSockets over HTTP/2 (RFC 8441)"));
        }
        Ok(())
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

impl Default for Peer {
    fn default() -> Self {
        Self { streams: Cell::new(u32::MAX), connects: Cell::default(), silent: Cell::default(), look: Notify::new() }
    }
}

impl Shared {
    fn place(self: &Rc<Self>) -> Place {
        self.active.set(self.active.get() + 1);
        Place(Rc::clone(self))
    }
}

impl Http1 {
    async fn is_alive(&self) -> bool {
        if !self.sender.is_ready() {
            // Its task may still have to notice that its last exchange is over, or that the peer has closed it.
            tokio::task::yield_now().await;
        }
        self.sender.is_ready()
    }
}

/// Closes a connection of this cluster that nobody uses, whichever endpoint it is to.
pub fn give_up_an_idle_one(load: &Arc<Load>) {
    let give_up = |pool: &Rc<Pool>| {
        let mut shared = pool.shared.borrow_mut();
        let unused = shared.iter().position(|connection| connection.active.get() == 0);
        pool.idle.borrow_mut().pop().is_some() || unused.map(|unused| shared.swap_remove(unused)).is_some()
    };
    POOLS.with_borrow(|pools| pools.values().filter(|pool| Arc::ptr_eq(&pool.load, load)).any(give_up));
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
