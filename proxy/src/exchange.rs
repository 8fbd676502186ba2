//! The state of one exchange: what filters see and the phases change. It does no I/O and knows no connection.
//! [`Record`] owns it from the first byte to the last.

pub mod body;
mod connection;
pub mod deadline;
pub mod destination;
pub mod failure;
mod gate;
mod inflow;
pub mod onlooker;
pub mod proxy_header;
mod record;
pub mod tap;
pub mod trail;

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version, request, response};
use tokio::sync::Notify;

pub use body::Body;
pub use connection::Connection;
pub use deadline::Deadline;
pub use destination::{Destination, Retry};
pub use failure::{Failure, Kind};
pub use gate::{Gate, Permit};
pub use inflow::Inflow;
pub use onlooker::{Onlooker, Over};
pub use record::{AtEnd, Attempt, Outcome, Record, cutting};
pub use trail::Trail;

use crate::telemetry::propagation::Trace;

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
    /// What filters made for proxy-wasm keep for each other, by path.
    pub properties: Vec<(Box<[u8]>, Bytes)>,
    /// What such a filter answers after the request has begun to go on, which it has broken off then.
    pub late_reply: Option<Box<Reply>>,
    /// There were more than are kept, and the log has been told.
    pub notes_dropped: bool,
    /// The clusters that a filter may name.
    pub clusters: Arc<Names>,
    /// When the client no longer waits, as it said itself.
    pub deadline: Option<Instant>,
    /// The field in which it said so, if the listener has one.
    pub deadline_field: Option<(http::HeaderName, deadline::Form)>,
    /// How far the request has come, from the moment somebody owns the exchange.
    pub inflow: Option<Rc<Inflow>>,
    pub is_grpc: bool,
    /// What a connection speaks that is none of HTTP and has no request.
    pub raw: Option<&'static str>,
    /// An endpoint has answered.
    pub answered: bool,
    /// What it holds of quotas of concurrency, given back when it ends.
    pub held: Vec<crate::store::Held>,
    /// Copies of the request for other clusters.
    pub mirrors: Vec<Mirror>,
    /// What happens in it, if somebody looks at it.
    pub trail: Option<Rc<Trail>>,
    /// The trace that it belongs to.
    pub trace: Option<Trace>,
}

/// A copy of the request that goes to another cluster as well.
#[derive(Debug, Clone)]
pub struct Mirror {
    pub cluster: Arc<str>,
    /// Set on the copy only.
    pub fields: HeaderMap,
    /// Its own host, in the place of the request's.
    pub authority: Option<String>,
    /// A longer body is not mirrored.
    pub body_limit: usize,
    pub ticket: Rc<Ticket>,
}

/// How far a copy has come.
#[derive(Debug, Default)]
pub struct Ticket {
    pub sent: Cell<bool>,
    result: RefCell<Option<MirrorResult>>,
    ended: Notify,
}

impl Ticket {
    /// `None`: it was not sent after all.
    pub fn end(&self, result: Option<MirrorResult>) {
        self.sent.set(result.is_some());
        self.result.replace(result);
        self.ended.notify_waiters();
    }

    pub fn result(&self) -> Ref<'_, Option<MirrorResult>> {
        self.result.borrow()
    }

    /// It was sent, and has no result yet.
    pub fn is_under_way(&self) -> bool {
        self.sent.get() && self.result().is_none()
    }

    /// Waits for the result of a copy that was sent.
    pub async fn ended(&self) {
        while self.is_under_way() {
            self.ended.notified().await;
        }
    }
}

/// How a copy was answered.
#[derive(Debug)]
pub struct MirrorResult {
    /// Zero: not at all.
    pub status: u16,
    /// FNV-1a, 64 bits.
    pub body_hash: u64,
    /// Of its head, as much as is kept.
    pub headers: HeaderMap,
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
    #[inline]
    pub fn new(
        connection: Arc<Connection>,
        request: request::Parts,
        authority: String,
        id: String,
        clusters: Arc<Names>,
    ) -> Self {
        let original = connection.original_destination;
        Self {
            source: connection.client_address().ip(),
            scheme: connection.scheme(),
            connection,
            request,
            authority,
            id,
            response: None,
            origin: Origin::Upstream,
            request_body: Body::default(),
            response_body: Body::gone(),
            destination: Destination { original, ..Destination::default() },
            notes: Vec::new(),
            properties: Vec::new(),
            late_reply: None,
            notes_dropped: false,
            clusters,
            deadline: None,
            deadline_field: None,
            inflow: None,
            is_grpc: false,
            raw: None,
            answered: false,
            held: Vec::new(),
            mirrors: Vec::new(),
            trail: None,
            trace: None,
        }
    }

    /// A raw connection: what is said of requests is empty.
    pub fn raw(connection: Arc<Connection>, protocol: &'static str, clusters: Arc<Names>) -> Self {
        let (head, ()) = http::Request::new(()).into_parts();
        let mut raw = Self::new(connection, head, String::new(), String::new(), clusters);
        raw.raw = Some(protocol);
        raw
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
            properties: self.properties.clone(),
            late_reply: None,
            notes_dropped: self.notes_dropped,
            clusters: Arc::clone(&self.clusters),
            deadline: self.deadline,
            deadline_field: self.deadline_field.clone(),
            inflow: self.inflow.clone(),
            is_grpc: self.is_grpc,
            raw: self.raw,
            answered: self.answered,
            held: Vec::new(),
            mirrors: Vec::new(),
            trail: None,
            // What a copy calls is not to be seen in the trace.
            trace: self.trace.map(|trace| trace.unsampled()),
        }
    }

    /// `http/1.0`, `http/1.1` or `h2`, the way ALPN spells them, or `tcp`.
    pub fn protocol(&self) -> &'static str {
        self.raw.unwrap_or_else(|| protocol(self.request.version))
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

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A request for `/` that has just come, with two clusters to go to.
    pub fn exchange() -> Exchange {
        let connection = Connection::new("edge".into(), ([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
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
