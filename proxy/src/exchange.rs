//! The state of one exchange: what filters see and the phases change. It does no I/O and knows no connection.
//!
//! [`Record`] owns it from the first byte to the last and writes the access log when it is dropped, however that comes
//! about: an exchange that ends in any way is told of once.

pub mod body;
mod connection;
pub mod destination;
pub mod failure;
mod gate;
mod inflow;

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version, request, response};
use tokio::sync::Notify;

pub use body::Body;
pub use connection::Connection;
pub use destination::{Destination, Retry};
pub use failure::{Failure, Kind};
pub use gate::{Gate, Permit};
pub use inflow::Inflow;

use crate::telemetry::access_log::{AccessLog, Entry};

/// The names of the clusters of one snapshot.
pub type Names = BTreeSet<Arc<str>>;

/// One request and its response.
#[derive(Debug)]
pub struct Exchange {
    pub connection: Arc<Connection>,
    /// The client as far as trusted hops tell.
    pub source: IpAddr,
    /// The head as filters have left it: `uri` has a path and a query only, `headers` neither Host nor hop-by-hop fields.
    pub request: request::Parts,
    pub scheme: &'static str,
    pub authority: String,
    pub id: String,
    /// The head of the answer, from the moment there is one.
    pub response: Option<response::Parts>,
    pub origin: Origin,
    /// The client's body, until it is on its way.
    pub request_body: Body,
    /// The body of the answer, while response hooks run; before and after that there is nothing to read.
    pub response_body: Body,
    pub destination: Destination,
    pub notes: Vec<(String, String)>,
    /// There were more than are kept, and the log has been told.
    pub notes_dropped: bool,
    /// The clusters that a filter may name.
    pub clusters: Arc<Names>,
    /// When the client no longer waits, as it said itself (`grpc-timeout`).
    pub deadline: Option<Instant>,
    /// How far the request has come, from the moment somebody owns the exchange.
    pub inflow: Option<Rc<Inflow>>,
    pub is_grpc: bool,
    /// An endpoint has answered.
    pub answered: bool,
    /// What it holds of quotas of concurrency, given back when it ends.
    pub held: Vec<crate::store::Held>,
    /// Copies of the request for other clusters.
    pub mirrors: Vec<Mirror>,
}

/// A copy of the request that goes to another cluster as well.
#[derive(Debug, Clone)]
pub struct Mirror {
    pub cluster: Arc<str>,
    /// Set on the copy only.
    pub fields: HeaderMap,
    /// A longer body is not mirrored.
    pub body_limit: usize,
    pub ticket: Rc<Ticket>,
}

/// How far a copy has come.
#[derive(Debug, Default)]
pub struct Ticket {
    pub sent: Cell<bool>,
    result: Cell<Option<MirrorResult>>,
    ended: Notify,
}

impl Ticket {
    /// `None`: it was not sent after all.
    pub fn end(&self, result: Option<MirrorResult>) {
        self.result.set(result);
        self.sent.set(result.is_some());
        self.ended.notify_waiters();
    }

    pub fn result(&self) -> Option<MirrorResult> {
        self.result.get()
    }

    /// Waits for the result of a copy that was sent.
    pub async fn ended(&self) {
        while self.sent.get() && self.result.get().is_none() {
            self.ended.notified().await;
        }
    }
}

/// How a copy was answered.
#[derive(Debug, Clone, Copy)]
pub struct MirrorResult {
    /// Zero: not at all.
    pub status: u16,
    /// FNV-1a, 64 bits.
    pub body_hash: u64,
    pub duration: Duration,
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Upstream,
    /// A filter replied.
    Filter,
    /// The proxy answered by itself.
    Failure(Kind),
}

impl Origin {
    pub const fn reason(self) -> &'static str {
        match self {
            Origin::Upstream => "upstream",
            Origin::Filter => "filter",
            Origin::Failure(kind) => kind.reason(),
        }
    }
}

/// A whole answer, made here.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Exchange {
    /// A request that has come, with everything else as it is then.
    pub fn new(
        connection: Arc<Connection>,
        request: request::Parts,
        authority: String,
        id: String,
        clusters: Arc<Names>,
    ) -> Self {
        Self {
            source: connection.peer.ip(),
            scheme: connection.scheme(),
            connection,
            request,
            authority,
            id,
            response: None,
            origin: Origin::Upstream,
            request_body: Body::default(),
            response_body: Body::gone(),
            destination: Destination::default(),
            notes: Vec::new(),
            notes_dropped: false,
            clusters,
            deadline: None,
            inflow: None,
            is_grpc: false,
            answered: false,
            held: Vec::new(),
            mirrors: Vec::new(),
        }
    }

    /// For a filter that is only watched: nothing that is done to the copy reaches the exchange. Of bodies it has what has
    /// been read ahead whole.
    pub fn copy(&self) -> Self {
        Self {
            connection: Arc::clone(&self.connection),
            source: self.source,
            request: self.request.clone(),
            scheme: self.scheme,
            authority: self.authority.clone(),
            id: self.id.clone(),
            response: self.response.clone(),
            origin: self.origin,
            request_body: self.request_body.copy(),
            response_body: self.response_body.copy(),
            destination: self.destination.clone(),
            notes: self.notes.clone(),
            notes_dropped: self.notes_dropped,
            clusters: Arc::clone(&self.clusters),
            deadline: self.deadline,
            inflow: self.inflow.clone(),
            is_grpc: self.is_grpc,
            answered: self.answered,
            held: Vec::new(),
            mirrors: Vec::new(),
        }
    }

    /// `http/1.0`, `http/1.1` or `h2`, the way ALPN spells them.
    pub fn protocol(&self) -> &'static str {
        protocol(self.request.version)
    }

    /// What is left of the time that it may take; `None`: it may take any.
    pub fn time_left(&self) -> Option<Duration> {
        let now = Instant::now();
        // A timeout counts from the end of the request.
        let total = self.destination.timeout.filter(|timeout| !timeout.is_zero());
        let ended_at = self.inflow.as_ref().and_then(|inflow| inflow.ended_at()).unwrap_or(now);
        let total = total.map(|total| total.saturating_sub(now.saturating_duration_since(ended_at)));
        let deadline = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        [total, deadline].into_iter().flatten().min()
    }

    pub fn note(&self, key: &str) -> Option<&str> {
        self.notes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// `http/1.0`, `http/1.1` or `h2`.
pub fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "http/1.0",
        Version::HTTP_2 => "h2",
        _ => "http/1.1",
    }
}

/// What happened on the way upstream, whether it succeeded or not.
#[derive(Debug, Default)]
pub struct Attempt {
    pub endpoint: Option<SocketAddr>,
    pub count: u32,
}

thread_local! {
    static CUTTING: Cell<bool> = const { Cell::new(false) };
}

/// From now on this worker ends exchanges that nobody else has ended: the proxy's deadline for leaving has passed.
pub fn cutting() {
    CUTTING.set(true);
}

/// An exchange and how it went, once it is over.
#[derive(Debug)]
pub struct Outcome {
    pub exchange: Rc<RefCell<Exchange>>,
    /// Zero: the client got nothing.
    pub status: u16,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub duration: Duration,
    pub attempt: Attempt,
    pub origin: Origin,
    pub mirrors: Vec<Mirror>,
}

/// What is to be done when an exchange is over.
pub type AtEnd = Box<dyn FnOnce(Outcome)>;

/// Owns an exchange until its last byte, counts, and writes the access log when it is dropped.
pub struct Record {
    exchange: Rc<RefCell<Exchange>>,
    log: Arc<AccessLog>,
    pub started: Instant,
    time: SystemTime,
    /// As it came, whatever filters made of it.
    pub method: http::Method,
    path: String,
    host: String,
    /// Of the answer that the client gets; `None` until it goes out.
    pub status: Option<StatusCode>,
    /// The first failure, in words for the log.
    error: Option<String>,
    pub attempt: Attempt,
    pub inflow: Rc<Inflow>,
    pub response_bytes: u64,
    /// The answer went out whole. Without it the client left before.
    pub complete: bool,
    /// Called after the log is written.
    pub at_end: Option<AtEnd>,
}

impl Record {
    pub fn new(mut exchange: Exchange, inflow: Rc<Inflow>, log: Arc<AccessLog>) -> Self {
        exchange.inflow = Some(Rc::clone(&inflow));
        Self {
            started: Instant::now(),
            time: SystemTime::now(),
            method: exchange.request.method.clone(),
            // Without the query, which may hold secrets.
            path: exchange.request.uri.path().to_owned(),
            host: exchange.authority.clone(),
            exchange: Rc::new(RefCell::new(exchange)),
            log,
            status: None,
            error: None,
            attempt: Attempt::default(),
            inflow,
            response_bytes: 0,
            complete: false,
            at_end: None,
        }
    }

    /// The exchange, for hooks. Whoever holds it borrows it only while it runs, never while it waits.
    pub fn shared(&self) -> &Rc<RefCell<Exchange>> {
        &self.exchange
    }

    pub fn exchange(&self) -> Ref<'_, Exchange> {
        self.exchange.borrow()
    }

    pub fn exchange_mut(&self) -> RefMut<'_, Exchange> {
        self.exchange.borrow_mut()
    }

    /// Keeps the words of a failure for the log; the first one counts.
    pub fn failed(&mut self, failure: &Failure) {
        self.error.get_or_insert_with(|| failure.to_string());
    }

    /// Where the answer came from, as it turned out.
    fn origin(&self, exchange: &Exchange) -> Origin {
        match exchange.origin {
            Origin::Upstream if !self.complete && CUTTING.get() => Origin::Failure(Kind::Cut),
            Origin::Upstream if !self.complete => {
                Origin::Failure(exchange.connection.ended.get().copied().unwrap_or(Kind::ClientGone))
            }
            origin => origin,
        }
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let exchange = self.exchange.borrow();
        let origin = self.origin(&exchange);
        let status = self.status.map_or(0, |status| status.as_u16());
        let duration = self.started.elapsed();
        self.log.write(&Entry {
            time: self.time,
            listener: &exchange.connection.listener,
            method: Some(self.method.as_str()),
            host: Some(&self.host),
            path: Some(&self.path),
            protocol: exchange.protocol(),
            status,
            reason: origin.reason(),
            error: self.error.as_deref(),
            cluster: exchange.destination.cluster.as_deref(),
            endpoint: self.attempt.endpoint,
            route: exchange.destination.route.as_deref(),
            attempts: self.attempt.count,
            request_bytes: self.inflow.bytes(),
            response_bytes: self.response_bytes,
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            request_id: Some(&exchange.id),
            source: exchange.source,
            notes: &exchange.notes,
        });
        drop(exchange);
        // Whoever still looks at the exchange afterwards does not hold what it took, nor the client's connection.
        let mut exchange = self.exchange.borrow_mut();
        exchange.held.clear();
        exchange.request_body.let_go();
        exchange.response_body.let_go();
        drop(exchange);
        if let Some(at_end) = self.at_end.take() {
            at_end(Outcome {
                exchange: Rc::clone(&self.exchange),
                status,
                request_bytes: self.inflow.bytes(),
                response_bytes: self.response_bytes,
                duration,
                attempt: std::mem::take(&mut self.attempt),
                origin,
                mirrors: std::mem::take(&mut self.exchange.borrow_mut().mirrors),
            });
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A request for `/` that has just come, with two clusters to go to.
    pub fn exchange() -> Exchange {
        let connection = Connection {
            listener: "edge".into(),
            peer: ([127, 0, 0, 1], 1).into(),
            local: ([127, 0, 0, 1], 2).into(),
            trusted: false,
            tls_version: None,
            server_name: None,
            permit: None,
            ended: std::sync::OnceLock::new(),
        };
        let (head, ()) = http::Request::new(()).into_parts();
        let clusters = Names::from(["one".into(), "two".into()]);
        Exchange::new(Arc::new(connection), head, "a".to_owned(), "1".to_owned(), Arc::new(clusters))
    }

    #[test]
    fn a_timeout_counts_from_the_end_of_the_request_and_the_earlier_end_counts() {
        let second = Duration::from_secs(1);
        let mut exchange = exchange();
        assert_eq!(exchange.time_left(), None);
        exchange.destination.timeout = Some(Duration::ZERO);
        assert_eq!(exchange.time_left(), None);
        exchange.destination.timeout = Some(second);
        let inflow = Rc::new(Inflow::new(false));
        exchange.inflow = Some(Rc::clone(&inflow));
        assert_eq!(exchange.time_left(), Some(second));
        inflow.complete();
        while inflow.ended_at().expect("it has ended") == Instant::now() {}
        assert!(exchange.time_left().expect("limited") < second);
        exchange.deadline = Some(Instant::now());
        assert_eq!(exchange.time_left(), Some(Duration::ZERO));
    }
}
