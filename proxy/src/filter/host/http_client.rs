//! `http-client`: calls to other services, through the proxy's own clusters.
//!
//! A call takes the way of any request: the cluster's balancing, its pools, its limits. It ends with the hook that made
//! it, however that ends.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body_util::BodyExt;
use tokio::task::JoinHandle;

use super::fields;
use super::request::is_authority;
use crate::cluster::{self, Cluster, Outgoing, Wishes};
use crate::config::UpstreamProtocol;
use crate::exchange::{Attempt, Kind};
use crate::filter::witness::{self, Event, Missing};
use crate::filter::{Identity, OutOfPlace, hand};

/// Longest time of one call, whatever it asks for: a filter that waits holds an instance, and its exchange a client.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// Bytes of one answer, or of all answers of one `send-all`: they have to fit into the filter's memory.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Calls of one `send-all`.
pub const CALLS_MAX: usize = 64;

/// What a filter wants to send.
#[derive(Debug)]
pub struct Call {
    pub cluster: String,
    pub method: String,
    /// Path and query.
    pub target: String,
    /// `None`: the cluster's name.
    pub authority: Option<String>,
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, Vec<u8>)>,
    /// Zero: as long as the host allows.
    pub timeout: Duration,
}

/// An answer as a whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    NotAllowed,
    NoSuchCluster,
    NoHealthyEndpoint,
    Timeout,
    Reset,
    TooLarge,
    Protocol,
}

/// Ends its task with itself.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// `send`. Begins at once and is to be awaited.
pub fn call(identity: &Identity, call: Call) -> impl Future<Output = Result<Result<Answer, Error>, OutOfPlace>> + Send + use<> {
    let begun = begin(identity, call, &Rc::new(Cell::new(ANSWER_BYTES_MAX)));
    async move {
        Ok(match begun? {
            Ok(task) => wait(task).await,
            Err(error) => Err(error),
        })
    }
}

/// `send-all`: side by side.
pub fn call_all(
    identity: &Identity,
    calls: Vec<Call>,
) -> impl Future<Output = Result<Vec<Result<Answer, Error>>, OutOfPlace>> + Send + use<> {
    // All answers wait in the proxy's memory until the last one is there.
    let room = Rc::new(Cell::new(ANSWER_BYTES_MAX));
    let begun: Vec<_> = calls
        .into_iter()
        .enumerate()
        .map(|(index, call)| if index < CALLS_MAX { begin(identity, call, &room) } else { Ok(Err(Error::TooLarge)) })
        .collect();
    async move {
        let mut answers = Vec::with_capacity(begun.len());
        for begun in begun {
            answers.push(match begun? {
                Ok(task) => wait(task).await,
                Err(error) => Err(error),
            });
        }
        Ok(answers)
    }
}

async fn wait(mut task: Task<Result<Answer, Error>>) -> Result<Answer, Error> {
    // A task that was aborted belongs to a worker that is leaving.
    (&mut task.0).await.unwrap_or(Err(Error::Reset))
}

/// Checks what can be checked and lets the rest run on this worker.
fn begin(
    identity: &Identity,
    call: Call,
    room: &Rc<Cell<usize>>,
) -> Result<Result<Task<Result<Answer, Error>>, Error>, OutOfPlace> {
    let (cluster, left, wishes, trace) = hand::with("http-client", |hand| {
        let deadline = hand.exchange.as_ref().and_then(|exchange| exchange.borrow().deadline);
        let deadline = [deadline, hand.until.map(tokio::time::Instant::into_std)].into_iter().flatten().min();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(std::time::Instant::now()));
        let trail = hand.exchange.as_ref().and_then(|exchange| exchange.borrow().trail.clone());
        let wishes = Wishes { trail, by: hand.step, ..Wishes::default() };
        let trace = hand.exchange.as_ref().and_then(|exchange| exchange.borrow().trace);
        (hand.reach.clusters.get(call.cluster.as_str()).cloned(), left, wishes, trace)
    })?;
    let missing = || witness::tell(|| Event::Missing(Missing::Cluster, call.cluster.clone()));
    if !identity.grants.clusters.contains(call.cluster.as_str()) {
        missing();
        return Ok(Err(Error::NotAllowed));
    }
    let Some(cluster) = cluster else {
        missing();
        return Ok(Err(Error::NoSuchCluster));
    };
    witness::effect("http-client", || format!("{} {} to {}, {} bytes", call.method, call.target, call.cluster, call.body.len()));
    let asked = if call.timeout.is_zero() { TIMEOUT_MAX } else { call.timeout.min(TIMEOUT_MAX) };
    let limit = left.map_or(asked, |left| left.min(asked));
    let Some(mut request) = request(&cluster, call) else { return Ok(Err(Error::Protocol)) };
    if let Some(trace) = trace {
        trace.write(request.headers_mut());
    }
    let room = Rc::clone(room);
    let answered = async move {
        // In a box, which is made when the task first runs: a future of this size that is spawned from a fiber passes through several
        // frames there, and the pages that they touch stay with the fiber for as long as it waits.
        let room = within(&room);
        let exchange = Box::pin(exchange(&cluster, request, &wishes, &room));
        let answer = tokio::time::timeout(limit, exchange).await.unwrap_or(Err(Error::Timeout));
        witness::effect("http-client", || match &answer {
            Ok(answer) => format!("{} answered {}, {} bytes", cluster.name, answer.status, answer.body.len()),
            Err(error) => format!("{} did not answer: {error:?}", cluster.name),
        });
        answer
    };
    Ok(Ok(Task(tokio::task::spawn_local(answered))))
}

/// The request in the form the cluster's protocol wants; `None` if it cannot be one.
pub fn request(cluster: &Cluster, call: Call) -> Option<Request<Outgoing>> {
    if call.fields.len() > fields::FIELDS_MAX || call.trailers.len() > fields::FIELDS_MAX {
        return None;
    }
    let authority = call.authority.unwrap_or_else(|| cluster.name.to_string());
    if !is_authority(&authority) || !call.target.starts_with('/') {
        return None;
    }
    let method = Method::from_bytes(call.method.as_bytes()).ok().filter(|method| *method != Method::CONNECT)?;
    let mut headers = HeaderMap::with_capacity(call.fields.len() + 2);
    for (name, value) in &call.fields {
        fields::add(&mut headers, name, value).ok()?;
    }
    let mut target = http::uri::Parts::default();
    target.path_and_query = Some(call.target.parse::<PathAndQuery>().ok()?);
    let version = match cluster.config.protocol {
        UpstreamProtocol::Http1 | UpstreamProtocol::Auto => {
            headers.insert(header::HOST, HeaderValue::from_str(&authority).ok()?);
            Version::HTTP_11
        }
        UpstreamProtocol::Http2 => {
            target.scheme = Some(if cluster.config.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
            target.authority = Some(authority.parse::<Authority>().ok()?);
            Version::HTTP_2
        }
    };
    let mut trailers = HeaderMap::new();
    for (name, value) in &call.trailers {
        fields::add(&mut trailers, name, value).ok()?;
    }
    let trailers = Some(trailers).filter(|trailers| !trailers.is_empty());
    if let (Some(trailers), UpstreamProtocol::Http1 | UpstreamProtocol::Auto) = (&trailers, cluster.config.protocol) {
        // HTTP/1 sends only those that were announced.
        let names: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        headers.insert(header::TRAILER, HeaderValue::from_str(&names.join(", ")).ok()?);
    }
    let body = match (call.body.is_empty(), &trailers) {
        (true, None) => Outgoing::Empty,
        _ => Outgoing::Whole { body: Bytes::from(call.body), trailers },
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_parts(target).ok()?;
    *request.version_mut() = version;
    *request.headers_mut() = headers;
    Some(request)
}

/// Takes as many bytes as are left, and so many fewer are then.
pub fn within(room: &Cell<usize>) -> impl Fn(usize) -> bool {
    |bytes| room.get().checked_sub(bytes).map(|left| room.set(left)).is_some()
}

/// Sends a request and reads the whole answer.
/// `room`: whether so many more bytes of its body may be kept.
pub async fn exchange(
    cluster: &Arc<Cluster>,
    request: Request<Outgoing>,
    wishes: &Wishes,
    room: &dyn Fn(usize) -> bool,
) -> Result<Answer, Error> {
    let answer = cluster::send(cluster, request, wishes, &mut Attempt::default()).await;
    let cluster::Answer { response, lease, .. } = answer.map_err(|failure| error_of(failure.kind))?;
    let (head, mut body) = response.into_parts();
    let mut bytes = BytesMut::new();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Error::Reset)?;
        match frame.into_data() {
            Ok(data) if !room(data.len()) => return Err(Error::TooLarge),
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    lease.finish();
    Ok(Answer { status: head.status.as_u16(), fields: head.headers, body: bytes.freeze(), trailers })
}

/// What a failure on the way means to the filter.
pub fn error_of(kind: Kind) -> Error {
    match kind {
        Kind::NoEndpoint | Kind::ConnectFailed | Kind::UpstreamTls | Kind::ClusterOverloaded => Error::NoHealthyEndpoint,
        Kind::NoCluster => Error::NoSuchCluster,
        Kind::Timeout | Kind::ConnectTimeout | Kind::Deadline => Error::Timeout,
        Kind::UpstreamProtocol => Error::Protocol,
        _ => Error::Reset,
    }
}
