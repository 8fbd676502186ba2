//! One downstream connection: HTTP/1 or HTTP/2, told apart, watched and drained; every request becomes an exchange.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::exchange;
use super::pulse::{Pulse, Watched};
use super::watch::{Watch, watch};
use super::{rest, stall};
use crate::config::ListenerLimits;
use crate::config::defaults::HEADER_COUNT;
use crate::drain::Signal;
use crate::exchange::{Connection, Inflow, Kind};
use crate::snapshot::{Listener, Live, Snapshot};

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A connection with nothing under way when a drain begins is waited for this long: a request may be on its way.
pub(super) const UNUSED_DRAIN: Duration = Duration::from_secs(1);
/// What a client gets whose head did not arrive in time.
const HEAD_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\nx-tamis-reason: client-timeout\r\n\r\n";

/// What the exchanges of one connection share.
pub struct Served {
    pub live: Arc<Live>,
    pub connection: Arc<Connection>,
    pub drain: Signal,
    pub(super) pulse: Arc<Pulse>,
    /// The listener as it last was; it outlives its removal from the configuration.
    pub(super) listener: RefCell<Arc<Listener>>,
    pub(super) exchanges: Cell<u64>,
    pub(super) http2: bool,
    /// It waits for its next request, and has no buffers.
    pub(super) resting: Cell<bool>,
    /// After so many exchanges its buffers were looked into last.
    pub(super) looked: Cell<u64>,
    /// How far the request of the last exchange has come.
    pub(super) request: RefCell<Option<Rc<Inflow>>>,
    /// When hyper was told to end this connection after what is under way.
    pub(super) drained: Cell<Option<Instant>>,
    /// The client's address as upstreams are told, from the first exchange on.
    pub(super) client: OnceCell<HeaderValue>,
}

thread_local! {
    static UNDER_WAY: Cell<usize> = const { Cell::new(0) };
}

/// Counts an exchange for as long as it is under way. The last clone ends it.
#[derive(Debug, Clone)]
pub struct UnderWay(Rc<Counted>);

#[derive(Debug)]
struct Counted {
    pulse: Arc<Pulse>,
    over_limit: bool,
}

impl UnderWay {
    /// There are more on this worker than its share of the process's limit.
    pub fn over_limit(&self) -> bool {
        self.0.over_limit
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.pulse.end_exchange();
        UNDER_WAY.set(UNDER_WAY.get() - 1);
    }
}

impl Served {
    pub fn begin_exchange(&self, snapshot: &Snapshot) -> UnderWay {
        self.pulse.begin_exchange();
        self.exchanges.set(self.exchanges.get() + 1);
        UNDER_WAY.set(UNDER_WAY.get() + 1);
        let config = &snapshot.config;
        let share = config.limits.exchanges.div_ceil(config.workers.unwrap_or(1).max(1));
        UnderWay(Rc::new(Counted { pulse: Arc::clone(&self.pulse), over_limit: UNDER_WAY.get() > share }))
    }

    /// The request of an exchange that begins.
    pub fn receives(&self, request: &Rc<Inflow>) {
        *self.request.borrow_mut() = Some(Rc::clone(request));
    }

    /// The listener in the snapshot, or as it was before it was removed.
    pub fn listener(&self, snapshot: &Snapshot) -> Arc<Listener> {
        let mut listener = self.listener.borrow_mut();
        if let Some(present) = snapshot.listeners.get(&self.connection.listener) {
            *listener = Arc::clone(present);
        }
        Arc::clone(&listener)
    }

    pub fn client(&self) -> &HeaderValue {
        self.client.get_or_init(|| {
            let address = self.connection.client_address().ip().to_string();
            HeaderValue::try_from(address).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
        })
    }

    /// An HTTP/1 connection ends after this exchange.
    pub fn is_last_exchange(&self) -> bool {
        let limit = self.listener.borrow().config.limits.requests_per_connection;
        self.drain.is_draining() || (limit > 0 && self.exchanges.get() >= limit)
    }
}

/// Serves a connection until it ends. `http2`: what ALPN settled, if it did.
pub async fn serve<IO>(
    mut io: IO,
    connection: Arc<Connection>,
    http2: Option<bool>,
    live: Arc<Live>,
    listener: Arc<Listener>,
    drain: Signal,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (http2, prefix) = match http2 {
        Some(http2) => (http2, Bytes::new()),
        None => match detect(&mut io, &listener, drain.clone()).await {
            Ok(Some(detected)) => detected,
            // It came and went without a word.
            Ok(None) => return,
            Err(error) => {
                let kind = if error.kind() == io::ErrorKind::TimedOut { Kind::ClientTimeout } else { Kind::ClientGone };
                connection.log_unread(&listener.access_log, "unknown", kind, 0, &error.to_string());
                return;
            }
        },
    };
    let pulse = Arc::new(Pulse::new());
    let io = Watched::new(io, prefix, Arc::clone(&pulse));
    let listener = RefCell::new(listener);
    let (exchanges, resting, looked) = (Cell::new(0), Cell::new(false), Cell::new(0));
    let (request, drained, client) = (RefCell::default(), Cell::new(None), OnceCell::new());
    let served = Served { live, connection, drain, pulse, listener, exchanges, http2, resting, looked, request, drained, client };
    let served = Rc::new(served);
    // Boxed, like what is awaited before it: what waits for its next request has room for neither.
    if http2 { Box::pin(serve_http2(io, served)).await } else { serve_http1(io, served).await }
}

/// Reads until the first bytes tell which protocol it is. What was read comes back with the answer.
async fn detect(io: &mut (impl AsyncRead + Unpin), listener: &Listener, mut drain: Signal) -> io::Result<Option<(bool, Bytes)>> {
    let timeouts = &listener.config.timeouts;
    let mut read = BytesMut::with_capacity(4096);
    let first = async {
        let unused = async {
            drain.draining().await;
            tokio::time::sleep(UNUSED_DRAIN).await;
        };
        tokio::select! {
            count = io.read_buf(&mut read) => count,
            () = unused => Ok(0),
        }
    };
    // Until the first byte a connection is merely idle: browsers open them ahead of need.
    match within(timeouts.idle, first).await {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(None),
        Ok(0) => return Ok(None),
        outcome => outcome?,
    };
    let more = async {
        while PREFACE.starts_with(&read) && read.len() < PREFACE.len() {
            if io.read_buf(&mut read).await? == 0 {
                break;
            }
        }
        Ok(read.len())
    };
    within(timeouts.protocol_detect, more).await?;
    Ok(Some((read.starts_with(PREFACE), read.freeze())))
}

/// Zero: for as long as it takes.
async fn within<T>(limit: Duration, job: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    if limit.is_zero() {
        return job.await;
    }
    match timeout(limit, job).await {
        Ok(outcome) => outcome,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the first bytes did not arrive in time")),
    }
}

async fn serve_http1<IO>(mut io: Watched<IO>, served: Rc<Served>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    while let Some(mut resting) = Box::pin(work_http1(io, Rc::clone(&served))).await {
        if !rest::begins(&served) {
            io = resting;
            continue;
        }
        let rests = served.listener.borrow().traffic.rests();
        rest::give_back();
        let woken = watch(&served, std::pin::pin!(rest::awake(&mut resting))).await;
        drop(rests);
        match woken {
            Watch::Ended(Ok(1..)) => {
                served.resting.set(false);
                io = resting;
            }
            Watch::Cut => return,
            _ => {
                // It is between two exchanges, and may end.
                let _ = timeout(UNUSED_DRAIN, resting.shutdown()).await;
                return;
            }
        }
    }
}

/// Until the connection ends, or has been idle for long enough to rest: then it comes back.
async fn work_http1<IO>(io: Watched<IO>, served: Rc<Served>) -> Option<Watched<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = served.listener.borrow().config.limits.clone();
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The watchdog does this, and tells a dribbling head from an idle connection.
        .header_read_timeout(None)
        .max_buf_size(limits.buffer_bytes)
        .max_header_size(limits.header_bytes + limits.uri_bytes);
    if limits.header_count != HEADER_COUNT {
        // hyper keeps up to 100 fields on its stack, any other number costs an allocation a message.
        builder.max_headers(limits.header_count);
    }
    let service = service_fn({
        let served = Rc::clone(&served);
        move |request| exchange::run(Rc::clone(&served), request)
    });
    let mut connection = builder.serve_connection(TokioIo::new(io), service).with_upgrades();
    let outcome = loop {
        match watch(&served, Pin::new(&mut connection)).await {
            Watch::Ended(outcome) => break outcome,
            Watch::Drain => Pin::new(&mut connection).graceful_shutdown(),
            Watch::Cut => return None,
            Watch::Stalled => {
                stalled(&served, "http/1.1");
                return None;
            }
            Watch::Rest => {
                let parts = connection.into_parts()?;
                let mut io = parts.io.into_inner();
                io.put_back(parts.read_buf);
                return Some(io);
            }
            Watch::HeadLate => {
                log_unread(&served, "http/1.1", Kind::ClientTimeout, 408, "the request head did not arrive in time");
                if let Some(parts) = connection.into_parts() {
                    let mut io = parts.io.into_inner();
                    let _ = timeout(UNUSED_DRAIN, io.write_all(HEAD_TIMEOUT)).await;
                }
                return None;
            }
        }
    };
    if let Err(error) = outcome {
        log_http1_error(&served, &error);
    }
    None
}

async fn serve_http2<IO>(io: Watched<IO>, served: Rc<Served>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = served.listener.borrow().config.limits.clone();
    let service = service_fn({
        let served = Rc::clone(&served);
        move |request| exchange::run(Rc::clone(&served), request)
    });
    let mut connection = std::pin::pin!(
        http2::Builder::new(stall::Streams)
            .timer(TokioTimer::new())
            .enable_connect_protocol()
            .max_concurrent_streams(limits.streams)
            .initial_stream_window_size(limits.stream_window_bytes)
            .initial_connection_window_size(limits.connection_window_bytes)
            .max_frame_size(limits.frame_bytes)
            .max_send_buf_size(limits.send_buffer_bytes)
            .max_header_list_size(header_list_bytes(&limits))
            .max_pending_accept_reset_streams(limits.pending_resets)
            .max_local_error_reset_streams(limits.local_resets)
            .serve_connection(TokioIo::new(io), service)
    );
    let outcome = loop {
        match watch(&served, connection.as_mut()).await {
            Watch::Ended(outcome) => break outcome,
            Watch::Drain => connection.as_mut().graceful_shutdown(),
            Watch::Cut | Watch::Rest => return,
            Watch::Stalled | Watch::HeadLate => return stalled(&served, "h2"),
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(peer = %served.connection.peer, %error, "an HTTP/2 connection ended");
        if !std::error::Error::source(&error).is_some_and(|source| source.is::<io::Error>()) && served.pulse.is_idle() {
            log_unread(&served, "h2", Kind::MalformedRequest, 0, &describe(&error));
        }
    }
}

/// HTTP/2 counts 32 bytes more for each field, and the pseudo-fields too (RFC 9113, 6.5.2). What is within this and past
/// a limit of the listener is refused by the proxy, with its own words and a line in the log.
fn header_list_bytes(limits: &ListenerLimits) -> u32 {
    const PSEUDO_FIELDS: usize = 4;
    let overhead = 32 * (limits.header_count + PSEUDO_FIELDS);
    u32::try_from(limits.header_bytes + limits.uri_bytes + overhead).unwrap_or(u32::MAX)
}

/// The exchanges under way tell it in their own lines.
fn stalled(served: &Served, protocol: &str) {
    let _ = served.connection.ended.set(Kind::ClientTimeout);
    if served.pulse.is_idle() {
        log_unread(served, protocol, Kind::ClientTimeout, 0, "the client stopped reading");
    }
}

fn log_unread(served: &Served, protocol: &str, kind: Kind, status: u16, error: &str) {
    served.connection.log_unread(&served.listener.borrow().access_log, protocol, kind, status, error);
}

/// hyper answers a head that it cannot read by itself; the log has to know.
fn log_http1_error(served: &Served, error: &hyper::Error) {
    tracing::debug!(peer = %served.connection.peer, %error, "an HTTP/1 connection ended");
    if error.is_parse() {
        let text = describe(error);
        let (kind, status) = if text.contains("URI too long") {
            (Kind::UriTooLong, 414)
        } else if error.is_parse_too_large() {
            (Kind::HeadersTooLarge, 431)
        } else {
            (Kind::MalformedRequest, 400)
        };
        log_unread(served, "http/1.1", kind, status, &text);
    } else if error.is_incomplete_message() && served.pulse.is_idle() && served.pulse.head_since().is_some() {
        log_unread(served, "http/1.1", Kind::ClientGone, 0, "the request head was cut off");
    }
}

fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
