//! A connection whose beginning was read to see what it is: whoever reads it next gets that first.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Room for what is read at once while it is not known what comes: a head of HTTP, or of TLS, most often fits.
const ROOM: usize = 2048;

/// See the module.
#[derive(Debug)]
pub struct Rewound<IO> {
    io: IO,
    seen: BytesMut,
}

impl<IO> Rewound<IO> {
    pub fn new(io: IO) -> Self {
        Self { io, seen: BytesMut::new() }
    }

    /// What was read and is still to be read.
    pub fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// Nobody shall get the first so many bytes.
    pub fn drop_first(&mut self, count: usize) {
        self.seen.advance(count.min(self.seen.len()));
        if self.seen.is_empty() {
            self.seen = BytesMut::new();
        }
    }

    pub fn get_ref(&self) -> &IO {
        &self.io
    }
}

impl<IO: AsyncRead + Unpin> Rewound<IO> {
    /// Reads more ahead; zero: there is no more. Dropped before it is ready, it has read nothing.
    pub async fn see_more(&mut self) -> io::Result<usize> {
        self.seen.reserve(ROOM);
        self.io.read_buf(&mut self.seen).await
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Rewound<IO> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.seen.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, buffer);
        }
        let count = self.seen.len().min(buffer.remaining());
        buffer.put_slice(&self.seen[..count]);
        self.drop_first(count);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Rewound<IO> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_seen_is_read_again_but_for_what_was_dropped() {
        let mut io = Rewound::new(&b"header, then more"[..]);
        assert_eq!(io.see_more().await.expect("memory can be read"), 17);
        assert!(io.seen().starts_with(b"header"));
        io.drop_first(8);
        let mut rest = String::new();
        io.read_to_string(&mut rest).await.expect("memory can be read");
        assert_eq!(rest, "then more");
    }
}
