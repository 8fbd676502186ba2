//! A downstream socket with a finger on its pulse: when its present head began, since when it refuses to be written.
//!
//! hyper has one timer for the wait between requests and for a head that dribbles in, and none for a client that does
//! not read. The watchdog of `http/serve` looks at this instead. It only observes and replays what protocol detection
//! has read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is known of a connection. Written and read on one worker; atomic because hyper wants sockets to be `Send`.
#[derive(Debug)]
pub struct Pulse {
    opened: Instant,
    exchanges: AtomicU32,
    /// Milliseconds since `opened`, plus one; zero: not so.
    head_since: AtomicU64,
    idle_since: AtomicU64,
    blocked_since: AtomicU64,
}

impl Pulse {
    pub fn new() -> Self {
        Self {
            opened: Instant::now(),
            exchanges: AtomicU32::new(0),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(1),
            blocked_since: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn at(&self, stamp: &AtomicU64) -> Option<Instant> {
        match stamp.load(Relaxed) {
            0 => None,
            stamp => Some(self.opened + Duration::from_millis(stamp - 1)),
        }
    }

    pub fn begin_exchange(&self) {
        self.exchanges.fetch_add(1, Relaxed);
        self.head_since.store(0, Relaxed);
    }

    pub fn end_exchange(&self) {
        if self.exchanges.fetch_sub(1, Relaxed) == 1 {
            self.idle_since.store(self.now(), Relaxed);
        }
    }

    pub fn is_idle(&self) -> bool {
        self.exchanges.load(Relaxed) == 0
    }

    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// Bytes came that belong to no exchange yet: a head has begun.
    pub fn head_since(&self) -> Option<Instant> {
        self.at(&self.head_since).filter(|_| self.is_idle())
    }

    pub fn idle_since(&self) -> Option<Instant> {
        self.at(&self.idle_since).filter(|_| self.is_idle())
    }

    /// The client takes nothing although there is something to send.
    pub fn blocked_since(&self) -> Option<Instant> {
        self.at(&self.blocked_since)
    }

    fn read(&self) {
        if self.is_idle() && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    /// A head began with what was before: its time runs since that has ended.
    fn left_over(&self) {
        if self.is_idle() && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.idle_since.load(Relaxed), Relaxed);
        }
    }

    fn write<T>(&self, outcome: &Poll<T>) {
        match outcome {
            Poll::Ready(_) => self.blocked_since.store(0, Relaxed),
            Poll::Pending if self.blocked_since.load(Relaxed) == 0 => self.blocked_since.store(self.now(), Relaxed),
            Poll::Pending => {}
        }
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

/// The socket, and what was read of it before it got here.
#[derive(Debug)]
pub struct Watched<IO> {
    io: IO,
    prefix: Bytes,
    pulse: Arc<Pulse>,
}

impl<IO> Watched<IO> {
    pub fn new(io: IO, prefix: Bytes, pulse: Arc<Pulse>) -> Self {
        if !prefix.is_empty() {
            pulse.read();
        }
        Self { io, prefix, pulse }
    }

    /// Something was put back and not read again.
    pub fn has_more(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// What was read after all, and comes first the next time: nothing else is left of what was put back before.
    pub fn put_back(&mut self, bytes: Bytes) {
        // Empty lines before a request are none of it (RFC 9112, 2.2).
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            // It may be a view of a buffer that was read into.
            self.prefix = Bytes::new();
            return;
        }
        self.pulse.left_over();
        self.prefix = bytes;
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            let count = self.prefix.len().min(buffer.remaining());
            buffer.put_slice(&self.prefix[..count]);
            self.prefix.advance(count);
            if self.prefix.is_empty() {
                // What it was read into is no longer needed.
                self.prefix = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let filled = buffer.filled().len();
        let outcome = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > filled {
            self.pulse.read();
        }
        outcome
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(context, bytes);
        self.pulse.write(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.pulse.write(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Everything has been written before hyper flushes: ready means that nothing is stuck inside of TLS either.
        let outcome = Pin::new(&mut self.io).poll_flush(context);
        self.pulse.write(&outcome);
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A farewell that the client does not take: the connection ends, and is not idle.
        let outcome = Pin::new(&mut self.io).poll_shutdown(context);
        self.pulse.write(&outcome);
        outcome
    }
}
