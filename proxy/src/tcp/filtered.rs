//! Bytes that filters look at: a piece at a time through the chain, each direction by itself.
//!
//! A piece is read when the one before it has gone on. What a filter keeps back is the filter's to bound; what it lets go, or puts there
//! itself, goes on without a piece.

use std::cell::Cell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::copy::{Between, broke, buffer, give_back, watched};
use crate::exchange::{Failure, Kind};
use crate::filter::Chain;
use crate::filter::chain::{Peer, Shared, Step, Way};

/// The next bytes, or none at the end. No buffer is held while there are none.
pub fn poll_piece(from: Pin<&mut impl AsyncRead>, context: &mut Context<'_>, bytes_max: usize) -> Poll<io::Result<Bytes>> {
    let mut room = buffer(bytes_max);
    let mut into = ReadBuf::new(&mut room);
    let read = from.poll_read(context, &mut into);
    let piece = Bytes::copy_from_slice(into.filled());
    give_back(room);
    read.map(|read| match read {
        // Many close a TLS connection without saying so.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Bytes::new()),
        read => read.map(|()| piece),
    })
}

/// What both directions know.
struct Both<'a> {
    chain: &'a Chain,
    record: &'a Shared,
    buffer_bytes: usize,
    /// When something has moved.
    last: Cell<Instant>,
    /// A filter has said that the connection is over; what is on its way still goes.
    closing: Cell<bool>,
    closed: Notify,
}

/// Passes on what filters let pass, until both sides have ended or a filter says that the connection is over.
pub async fn both_ways<C, E>(between: Between<'_, C, E>, chain: &Chain, record: &Shared) -> Result<(), Failure>
where
    C: AsyncRead + AsyncWrite + Unpin,
    E: AsyncRead + AsyncWrite + Unpin,
{
    let Between { client, endpoint, buffer_bytes, idle, moving, moved } = between;
    let both =
        Both { chain, record, buffer_bytes, last: Cell::new(Instant::now()), closing: Cell::new(false), closed: Notify::new() };
    let (from_client, to_client) = tokio::io::split(client);
    let (from_endpoint, to_endpoint) = tokio::io::split(endpoint);
    let received = |bytes| {
        moving.received(bytes);
        moved.up.set(moved.up.get() + bytes);
    };
    let sent = |bytes| {
        moving.sent(bytes);
        moved.down.set(moved.down.get() + bytes);
    };
    let up = both.pass(Way::Request, from_client, to_endpoint, (&received, &|_| ()));
    let down = both.pass(Way::Response, from_endpoint, to_client, (&|_| (), &sent));
    let passing = pin!(async { tokio::try_join!(up, down).map(drop) });
    watched(passing, idle, &both.last).await?;
    if both.closing.get() { Err(Failure::new(Kind::FilterReset, "a filter closed the connection")) } else { Ok(()) }
}

enum Next {
    Piece(Bytes),
    /// Something may go on that has waited.
    Released,
    Closed,
}

impl Both<'_> {
    /// One direction. Counted is what is read on one side, and what is written on the other.
    async fn pass(
        &self,
        way: Way,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        (read, written): (&dyn Fn(u64), &dyn Fn(u64)),
    ) -> Result<(), Failure> {
        let (source, sink, peer) = match way {
            Way::Request => (Kind::ClientGone, Kind::UpstreamReset, Peer::Remote),
            Way::Response => (Kind::UpstreamReset, Kind::ClientGone, Peer::Local),
        };
        let mut ended = way == Way::Request && self.chain.client_ended();
        loop {
            let piece = match if ended { Next::Piece(Bytes::new()) } else { self.next(way, &mut from, source).await? } {
                Next::Piece(piece) => {
                    ended |= piece.is_empty();
                    read(piece.len() as u64);
                    piece
                }
                Next::Released => Bytes::new(),
                Next::Closed => return Ok(()),
            };
            self.last.set(Instant::now());
            let out = match self.chain.bytes(self.record, way, piece, ended).await {
                Ok(out) => out,
                Err(Step::Failed(failure)) => return Err(failure),
                Err(_) if self.chain.was_closed() => {
                    self.closing.set(true);
                    self.closed.notify_waiters();
                    return Ok(());
                }
                Err(_) => return Err(Failure::new(Kind::FilterReset, "a filter ended the connection")),
            };
            if !out.is_empty() {
                to.write_all(&out).await.map_err(|error| broke(sink, error))?;
                to.flush().await.map_err(|error| broke(sink, error))?;
                written(out.len() as u64);
                self.last.set(Instant::now());
            }
            if ended {
                self.chain.ended_by(peer);
                // The other side may be gone already.
                let _ = to.shutdown().await;
                return Ok(());
            }
        }
    }

    async fn next(&self, way: Way, from: &mut (impl AsyncRead + Unpin), source: Kind) -> Result<Next, Failure> {
        let mut closed = pin!(self.closed.notified());
        std::future::poll_fn(|context| {
            if self.closing.get() || closed.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(Next::Closed));
            }
            if self.chain.poll_released(context, way).is_ready() {
                return Poll::Ready(Ok(Next::Released));
            }
            let piece = std::task::ready!(poll_piece(Pin::new(&mut *from), context, self.buffer_bytes));
            Poll::Ready(piece.map(Next::Piece).map_err(|error| broke(source, error)))
        })
        .await
    }
}
