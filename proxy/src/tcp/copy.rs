//! Bytes in both directions of a raw connection, moved by one future.
//!
//! A direction has a buffer only while bytes wait in it to be written; those that nobody needs wait on the worker for the next.
//! So an idle connection holds none, and a reader that does not read holds one.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::exchange::{Failure, Kind};
use crate::telemetry::streams::Moving;

/// Buffers that wait on a worker for whoever moves something next: a direction at a time needs one, the others are of readers
/// that were slow a moment ago.
const SPARE_MAX: usize = 16;
/// Buffers that one direction fills before others on the worker have their turn.
const TURN: usize = 16;

thread_local! {
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

pub fn buffer(bytes: usize) -> Box<[u8]> {
    let spare = SPARE.with_borrow_mut(Vec::pop).filter(|spare| spare.len() == bytes);
    spare.unwrap_or_else(|| vec![0; bytes].into())
}

pub fn give_back(buffer: Box<[u8]>) {
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    });
}

/// What has moved, for the log.
#[derive(Debug, Default)]
pub struct Moved {
    pub up: Cell<u64>,
    pub down: Cell<u64>,
}

/// Both sides, and how they are watched.
pub struct Between<'a, C, E> {
    pub client: &'a mut C,
    pub endpoint: &'a mut E,
    pub buffer_bytes: usize,
    /// Zero: for as long as it takes.
    pub idle: Duration,
    pub moving: &'a Moving,
    pub moved: &'a Moved,
}

/// Copies until both sides have ended. An end of one is passed on to the other, which may go on speaking.
pub async fn both_ways<C, E>(between: Between<'_, C, E>) -> Result<(), Failure>
where
    C: AsyncRead + AsyncWrite + Unpin,
    E: AsyncRead + AsyncWrite + Unpin,
{
    let Between { client, endpoint, buffer_bytes, idle, moving, moved } = between;
    let last = Cell::new(Instant::now());
    let count = |cell: &Cell<u64>, bytes: u64| {
        cell.set(cell.get() + bytes);
        last.set(Instant::now());
    };
    let from_client = |bytes| {
        moving.received(bytes);
        count(&moved.up, bytes);
    };
    let from_endpoint = |bytes| {
        moving.sent(bytes);
        count(&moved.down, bytes);
    };
    let mut up = Way::new(buffer_bytes, Kind::ClientGone, Kind::UpstreamReset);
    let mut down = Way::new(buffer_bytes, Kind::UpstreamReset, Kind::ClientGone);
    let copying = std::future::poll_fn(|context| {
        let up = up.poll(context, Pin::new(&mut *client), Pin::new(&mut *endpoint), &from_client)?;
        let down = down.poll(context, Pin::new(&mut *endpoint), Pin::new(&mut *client), &from_endpoint)?;
        if up.is_ready() && down.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    });
    watched(pin!(copying), idle, &last).await
}

/// Ends it when nothing has moved for too long.
pub async fn watched(
    mut copying: Pin<&mut impl Future<Output = Result<(), Failure>>>,
    idle: Duration,
    last: &Cell<Instant>,
) -> Result<(), Failure> {
    if idle.is_zero() {
        return copying.await;
    }
    loop {
        let until = last.get() + idle;
        match tokio::time::timeout_at(until, copying.as_mut()).await {
            Ok(outcome) => return outcome,
            Err(_) if last.get() + idle > until => {}
            Err(_) => return Err(Failure::new(Kind::Idle, "nothing moved for too long")),
        }
    }
}

pub fn broke(kind: Kind, error: io::Error) -> Failure {
    Failure::new(kind, "the connection broke").because(error)
}

/// One direction.
struct Way {
    buffer_bytes: usize,
    buffer: Option<Box<[u8]>>,
    /// What of the buffer waits to be written.
    start: usize,
    end: usize,
    unflushed: bool,
    reading: bool,
    done: bool,
    /// Whose fault it is if reading or writing fails.
    source: Kind,
    sink: Kind,
}

impl Way {
    fn new(buffer_bytes: usize, source: Kind, sink: Kind) -> Self {
        Self { buffer_bytes, buffer: None, start: 0, end: 0, unflushed: false, reading: true, done: false, source, sink }
    }

    /// Ready: the end has been passed on.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        mut from: Pin<&mut impl AsyncRead>,
        mut to: Pin<&mut impl AsyncWrite>,
        count: &dyn Fn(u64),
    ) -> Poll<Result<(), Failure>> {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..TURN {
            if let Some(buffer) = &self.buffer {
                while self.start < self.end {
                    let waiting = &buffer[self.start..self.end];
                    let written = ready!(to.as_mut().poll_write(context, waiting)).map_err(|error| broke(self.sink, error))?;
                    if written == 0 {
                        return Poll::Ready(Err(broke(self.sink, io::ErrorKind::WriteZero.into())));
                    }
                    self.start += written;
                    self.unflushed = true;
                }
            }
            if !self.reading {
                self.let_go();
                // The other side may be gone already.
                let _ = ready!(to.as_mut().poll_shutdown(context));
                self.done = true;
                return Poll::Ready(Ok(()));
            }
            let bytes = self.buffer_bytes;
            let mut into = ReadBuf::new(self.buffer.get_or_insert_with(|| buffer(bytes)));
            match from.as_mut().poll_read(context, &mut into) {
                Poll::Ready(Ok(())) => {
                    (self.start, self.end) = (0, into.filled().len());
                    self.reading = self.end > 0;
                    if self.reading {
                        count(self.end as u64);
                    }
                }
                // Many close a TLS connection without saying so; what is inside has its own farewell.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    (self.start, self.end, self.reading) = (0, 0, false);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(broke(self.source, error))),
                Poll::Pending => {
                    self.let_go();
                    if self.unflushed {
                        ready!(to.as_mut().poll_flush(context)).map_err(|error| broke(self.sink, error))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn let_go(&mut self) {
        self.buffer.take().into_iter().for_each(give_back);
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.let_go();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::telemetry::streams::Streams;

    async fn copy(client: &mut DuplexStream, endpoint: &mut DuplexStream, idle: Duration) -> (Result<(), Failure>, Moved) {
        let moving = Streams::new(std::iter::empty(), 1, None).begin("db");
        let moved = Moved::default();
        let between = Between { client, endpoint, buffer_bytes: 64, idle, moving: &moving, moved: &moved };
        (both_ways(between).await, moved)
    }

    fn spare() -> usize {
        SPARE.with_borrow(Vec::len)
    }

    #[tokio::test]
    async fn an_end_is_passed_on_and_the_other_side_goes_on() {
        let ((mut client, mut near), (mut far, mut endpoint)) = (duplex(1024), duplex(16));
        let both = async {
            client.write_all(&[b'x'; 1000]).await.expect("it is read");
            client.shutdown().await.expect("it can end");
            let mut asked = Vec::new();
            endpoint.read_to_end(&mut asked).await.expect("the end comes");
            endpoint.write_all(&asked[..500]).await.expect("the client still reads");
            drop(endpoint);
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.expect("the end comes");
            (asked.len(), answer.len())
        };
        let (lengths, (outcome, moved)) = tokio::join!(both, copy(&mut near, &mut far, Duration::ZERO));
        outcome.expect("both ended");
        assert_eq!(lengths, (1000, 500));
        assert_eq!((moved.up.get(), moved.down.get()), (1000, 500));
        assert!((1..=2).contains(&spare()), "each direction had one buffer at most: {}", spare());
    }

    #[tokio::test]
    async fn who_does_not_read_holds_one_buffer_and_stops_the_other_side() {
        let ((mut client, mut near), (mut far, _endpoint)) = (duplex(1 << 20), duplex(16));
        client.write_all(&[b'x'; 1000]).await.expect("it is read");
        let (outcome, moved) = copy(&mut near, &mut far, Duration::from_millis(1)).await;
        assert_eq!(outcome.expect_err("nothing moves").kind, Kind::Idle);
        assert_eq!(moved.up.get(), 64, "one buffer, of which the pipe took a part");
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_moves_keeps_it_open() {
        let ((mut client, mut near), (mut far, mut endpoint)) = (duplex(16), duplex(16));
        let second = Duration::from_secs(1);
        let began = Instant::now();
        let speaking = async {
            for _ in 0..5 {
                tokio::time::sleep(second * 2 / 3).await;
                endpoint.write_all(b"x").await.expect("it is read");
                client.read_u8().await.expect("it arrives");
            }
            (client, endpoint)
        };
        let ((outcome, _), _open) = tokio::join!(copy(&mut near, &mut far, second), speaking);
        assert_eq!(outcome.expect_err("nothing moves any more").kind, Kind::Idle);
        assert!(began.elapsed() >= second * 4, "{:?}", began.elapsed());
    }
}
