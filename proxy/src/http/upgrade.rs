//! Another protocol on a connection: how it is asked for, by `Upgrade` over HTTP/1.1 or, for WebSocket, by an extended CONNECT over
//! HTTP/2 (RFC 8441), whichever the two sides speak; and after that bytes in both directions, until one side ends or nothing moves
//! for too long.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version, response};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::body::{Content, Upstream};
use super::headers::Upgrade;
use super::serve::{Served, UnderWay};
use crate::cluster::Lease;
use crate::drain::Signal;
use crate::exchange::{Body, Failure, Kind, Origin, Record};
use crate::snapshot::Listener;

/// Bytes read at once in each direction.
const BUFFER_BYTES: usize = 16 * 1024;

/// Asks an HTTP/1.1 upstream. A key is of one hop: who asked over HTTP/2 has none.
pub fn ask(headers: &mut HeaderMap, upgrade: &Upgrade) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, upgrade.protocol.clone());
    if upgrade.by_connect
        && let Ok(key) = HeaderValue::from_str(&BASE64.encode(fastrand::u128(..).to_ne_bytes()))
    {
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
    }
}

/// Asks an HTTP/2 upstream (RFC 8441, 5).
pub fn ask_by_connect(request: &mut Request<()>, headers: &mut HeaderMap) {
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    headers.remove(header::SEC_WEBSOCKET_KEY);
    headers.remove(header::CONTENT_LENGTH);
}

/// The upstream's side of the connection, where one was asked to switch; an answer by which it has is a 101 from now on.
pub fn asked<B>(upgrade: Option<&Upgrade>, response: &mut Response<B>) -> Result<Option<OnUpgrade>, Failure> {
    let wrong = |message| Err(Failure::new(Kind::UpstreamProtocol, message));
    let by_connect = response.version() == Version::HTTP_2;
    let has_switched = if by_connect {
        // hyper hands the stream over with no other.
        upgrade.is_some() && response.status() == StatusCode::OK
    } else {
        response.status() == StatusCode::SWITCHING_PROTOCOLS
    };
    match upgrade {
        None if has_switched => return wrong("the upstream switched protocols without being asked"),
        None => return Ok(None),
        // Over HTTP/2 it would mean that it has.
        Some(upgrade) if upgrade.by_connect && !has_switched && response.status().is_success() => {
            return wrong("the upstream was asked for a WebSocket and answered without switching to it");
        }
        Some(_) => {}
    }
    let endpoint = hyper::upgrade::on(&mut *response);
    if by_connect && has_switched {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    }
    Ok(Some(endpoint))
}

/// If the answer is a 101 that was asked for, a tunnel will follow it; any other answer passes.
pub fn begin(served: &Served, listener: &Listener, record: &mut Record, upgrade: Option<Upgrade>, content: Content) -> Content {
    let switching = |head: &response::Parts| head.status == StatusCode::SWITCHING_PROTOCOLS;
    match (upgrade, content) {
        (Some(asked), Content::Upstream(upstream)) if record.exchange().response.as_ref().is_some_and(switching) => {
            let Upstream { lease, upgrade: Some(endpoint), .. } = *upstream else { return Content::Made(Body::default()) };
            if let Some(head) = &mut record.exchange_mut().response {
                tell(head, &asked);
            }
            let idle = listener.config.timeouts.upgrade_idle;
            let drain = served.drain.clone();
            Content::Upgraded(Box::new(Tunnel { lease, client: asked.client, endpoint, idle, drain }))
        }
        (_, content) => content,
    }
}

/// Who has asked by CONNECT takes any 2xx for a WebSocket: an answer that is none, of a filter say, has to be a failure.
pub fn decline(content: &Content, record: &Record) -> Option<Failure> {
    let is_success = record.exchange().response.as_ref().is_some_and(|head| head.status.is_success());
    (!content.is_interim() && is_success)
        .then(|| Failure::new(Kind::NotImplemented, "a WebSocket was asked for, and what answered is none"))
}

/// Tells the client, in the way in which it asked.
fn tell(head: &mut response::Parts, asked: &Upgrade) {
    if asked.by_connect {
        head.status = StatusCode::OK;
        head.headers.remove(header::UPGRADE);
        head.headers.remove(header::SEC_WEBSOCKET_ACCEPT);
        return;
    }
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.entry(header::UPGRADE).or_insert_with(|| asked.protocol.clone());
    if let Some(key) = &asked.key
        && let Ok(accepted) = HeaderValue::from_str(&accept(key.as_bytes()))
    {
        head.headers.entry(header::SEC_WEBSOCKET_ACCEPT).or_insert(accepted);
    }
}

/// What a server says to the key of a client (RFC 6455, 4.2.2).
fn accept(key: &[u8]) -> String {
    let mut digest = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key);
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64.encode(digest.finish())
}

/// Both sides of a connection that has switched, or is about to.
#[derive(Debug)]
pub struct Tunnel {
    lease: Lease,
    client: OnUpgrade,
    endpoint: OnUpgrade,
    idle: Duration,
    drain: Signal,
}

impl Tunnel {
    /// Runs on the worker until it ends; then the record is closed.
    pub fn start(self, record: Record, under_way: UnderWay) {
        tokio::task::spawn_local(async move {
            self.run(record).await;
            drop(under_way);
        });
    }

    async fn run(mut self, mut record: Record) {
        let outcome = match tokio::try_join!(self.client, self.endpoint) {
            Err(error) => Err(Failure::new(Kind::UpstreamReset, "the connection could not be switched").because(error)),
            Ok((client, endpoint)) => {
                let flow = Flow { up: Cell::new(0), down: Cell::new(0), moved: Cell::new(Instant::now()) };
                let outcome = tokio::select! {
                    outcome = both_ways(TokioIo::new(client), TokioIo::new(endpoint), &flow) => outcome,
                    () = flow.idle_for(self.idle) => Err(Failure::new(Kind::Timeout, "nothing moved for too long")),
                    () = self.drain.cut() => Err(Failure::new(Kind::Cut, "the proxy was told to leave")),
                };
                record.inflow.count(usize::try_from(flow.up.get()).unwrap_or(usize::MAX));
                record.response_bytes = flow.down.get();
                outcome
            }
        };
        record.complete = true;
        if let Err(failure) = outcome {
            record.failed(&failure);
            record.exchange_mut().origin = Origin::Failure(failure.kind);
        }
        drop(self.lease);
    }
}

/// What has moved.
struct Flow {
    up: Cell<u64>,
    down: Cell<u64>,
    moved: Cell<Instant>,
}

impl Flow {
    async fn idle_for(&self, idle: Duration) {
        if idle.is_zero() {
            return std::future::pending().await;
        }
        while self.moved.get().elapsed() < idle {
            tokio::time::sleep_until(self.moved.get() + idle).await;
        }
    }

    /// One direction, until `from` ends. What fails is told as the fault of the side it failed on.
    async fn copy(&self, from: impl AsyncRead + Unpin, to: impl AsyncWrite + Unpin, way: Way<'_>) -> Result<(), Failure> {
        let Way { count, from: source, to: sink } = way;
        let broke = |kind, error: io::Error| Failure::new(kind, "the tunnel broke").because(error);
        let (mut from, mut to) = (from, to);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = match from.read(&mut buffer).await {
                // Many close a TLS connection without saying so; the protocol inside has its own farewell.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                read => read.map_err(|error| broke(source, error))?,
            };
            if read == 0 {
                // The other side may be gone already.
                let _ = to.shutdown().await;
                return Ok(());
            }
            to.write_all(&buffer[..read]).await.map_err(|error| broke(sink, error))?;
            to.flush().await.map_err(|error| broke(sink, error))?;
            count.set(count.get() + read as u64);
            self.moved.set(Instant::now());
        }
    }
}

/// One direction of a tunnel: what it counts, and whose fault a failure is.
struct Way<'a> {
    count: &'a Cell<u64>,
    from: Kind,
    to: Kind,
}

async fn both_ways(
    client: impl AsyncRead + AsyncWrite,
    endpoint: impl AsyncRead + AsyncWrite,
    flow: &Flow,
) -> Result<(), Failure> {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_endpoint, to_endpoint) = tokio::io::split(endpoint);
    let up = Way { count: &flow.up, from: Kind::ClientGone, to: Kind::UpstreamReset };
    let down = Way { count: &flow.down, from: Kind::UpstreamReset, to: Kind::ClientGone };
    tokio::try_join!(flow.copy(from_client, to_endpoint, up), flow.copy(from_endpoint, to_client, down))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_answered_as_the_rfc_shows() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
