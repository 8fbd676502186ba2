//! Who owns an exchange from the first byte to the last, and writes the access log when it is dropped, however that comes about:
//! an exchange that ends in any way is told of once.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::uri::PathAndQuery;
use http::{HeaderMap, StatusCode};

use super::{Exchange, Failure, Inflow, Kind, Mirror, Origin, Over};
use crate::telemetry::access_log::{self, AccessLog, Entry, Fields};
use crate::telemetry::propagation::Hex;
use crate::telemetry::traffic::{Ended, Traffic};

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
    traffic: Arc<Traffic>,
    pub started: Instant,
    time: SystemTime,
    /// As it came, whatever filters made of it.
    pub method: http::Method,
    target: Option<PathAndQuery>,
    host: String,
    /// What the line shows of the fields that came, and of those that went.
    request_fields: Fields,
    response_fields: Fields,
    /// Of the answer that the client gets; `None` until it goes out.
    pub status: Option<StatusCode>,
    /// The first failure, in words for the log.
    error: Option<String>,
    pub attempt: Attempt,
    pub inflow: Rc<Inflow>,
    pub response_bytes: u64,
    /// The answer went out whole. Without it the client left before.
    pub complete: bool,
    /// When its last byte moved, if anybody knows; otherwise it is over when this is dropped.
    pub ended: Option<Instant>,
    /// Called after the log is written.
    pub at_end: Option<AtEnd>,
}

impl Record {
    pub fn new(exchange: Exchange, inflow: Rc<Inflow>, log: Arc<AccessLog>, traffic: Arc<Traffic>) -> Self {
        Self::of(Rc::new(RefCell::new(exchange)), inflow, log, traffic)
    }

    /// The same for one that has its place already.
    pub fn of(shared: Rc<RefCell<Exchange>>, inflow: Rc<Inflow>, log: Arc<AccessLog>, traffic: Arc<Traffic>) -> Self {
        let mut exchange = shared.borrow_mut();
        if exchange.raw.is_none() {
            traffic.begun();
        }
        exchange.inflow = Some(Rc::clone(&inflow));
        let record = Self {
            started: inflow.moved_at(),
            time: SystemTime::now(),
            method: exchange.request.method.clone(),
            target: exchange.request.uri.path_and_query().cloned(),
            host: exchange.authority.clone(),
            request_fields: log.of_request(&exchange.request.headers),
            response_fields: Fields::default(),
            exchange: Rc::clone(&shared),
            log,
            traffic,
            status: None,
            error: None,
            attempt: Attempt::default(),
            inflow,
            response_bytes: 0,
            complete: false,
            ended: None,
            at_end: None,
        };
        drop(exchange);
        record
    }

    /// As it came, without the query.
    pub fn path(&self) -> &str {
        self.target.as_ref().map_or("", PathAndQuery::path)
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

    /// The head of the answer is on its way to the client.
    pub fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = Some(status);
        self.response_fields = self.log.of_response(headers);
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
        let duration = self.ended.unwrap_or_else(Instant::now).saturating_duration_since(self.started);
        let of_request = exchange.raw.is_none();
        self.log.write(&Entry {
            time: self.time,
            listener: &exchange.connection.listener,
            method: of_request.then_some(self.method.as_str()),
            scheme: of_request.then_some(exchange.scheme),
            authority: of_request.then_some(&self.host),
            path: self.target.as_ref().filter(|_| of_request).map(PathAndQuery::path),
            query: self.target.as_ref().and_then(PathAndQuery::query),
            protocol: exchange.protocol(),
            status,
            reason: origin.reason(),
            failed: matches!(origin, Origin::Failure(_)),
            error: self.error.as_deref(),
            cluster: exchange.destination.cluster.as_deref(),
            endpoint: self.attempt.endpoint,
            route: exchange.destination.route.as_deref(),
            attempts: self.attempt.count,
            request_bytes: self.inflow.bytes(),
            response_bytes: self.response_bytes,
            duration,
            request_id: of_request.then_some(&exchange.id),
            trace_id: exchange.trace.map(|trace| Hex(trace.context.trace)),
            span_id: exchange.trace.map(|trace| Hex(trace.context.span)),
            source: exchange.source,
            identity: exchange.connection.identities().first().map(String::as_str),
            peer: exchange.connection.peer,
            tls_version: exchange.connection.tls_version,
            server_name: exchange.connection.server_name.as_deref(),
            notes: &exchange.notes,
            request_fields: &self.request_fields,
            response_fields: &self.response_fields,
            trail: exchange.trail.as_deref().map(|trail| trail as &dyn access_log::Trail),
        });
        let reason = match origin {
            Origin::Failure(kind) => Some(kind as usize),
            Origin::Upstream | Origin::Filter => None,
        };
        let cluster = exchange.destination.cluster.as_deref();
        let (request_bytes, response_bytes) = (self.inflow.bytes(), self.response_bytes);
        match exchange.raw {
            None => self.traffic.ended(&Ended { cluster, status, reason, duration, request_bytes, response_bytes }),
            // What has moved was counted when it did.
            Some("udp") => self.traffic.udp.ended(cluster, reason, duration),
            Some(_) => self.traffic.tcp.ended(cluster, reason, duration),
        }
        if let Some(trail) = &exchange.trail {
            let over = Over {
                exchange: &exchange,
                trail,
                time: self.time,
                started: self.started,
                duration,
                method: &self.method,
                path: self.path(),
                host: &self.host,
                status,
                origin,
                error: self.error.as_deref(),
                request_bytes: self.inflow.bytes(),
                response_bytes: self.response_bytes,
                attempt: &self.attempt,
            };
            trail.take_onlookers().iter().for_each(|onlooker| onlooker.ended(&over));
        }
        drop(exchange);
        // Whoever still looks at the exchange afterwards does not hold what it took, nor the client's connection.
        let mut exchange = self.exchange.borrow_mut();
        exchange.trail = None;
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
