//! The beginning of a connection over TLS: its turn, and the handshake itself, within one deadline.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use crate::snapshot::Listener;
use crate::tcp::Rewound;
use crate::tls::{Peer, Server};

/// Of the deadline, one part in so many may be spent waiting for a turn: whoever gets one then has time for it.
const WAITING_PART: u32 = 2;

/// The handshakes of one listener on one worker.
#[derive(Debug, Clone, Default)]
pub struct Handshakes(Arc<Line>);

#[derive(Debug, Default)]
struct Line {
    most: AtomicUsize,
    under_way: AtomicUsize,
    given_back: Notify,
}

/// One handshake's place among them.
#[derive(Debug)]
struct Turn(Arc<Line>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
        self.0.given_back.notify_one();
    }
}

impl Handshakes {
    /// The same line, in which so many have room from now on.
    pub fn with_at_most(&self, most: usize) -> Self {
        self.0.most.store(most, Ordering::Relaxed);
        self.clone()
    }

    /// Waits for a place. All of a line are on one thread, so nobody comes between the look and the taking.
    async fn turn(&self) -> Turn {
        while self.0.under_way.load(Ordering::Relaxed) >= self.0.most.load(Ordering::Relaxed) {
            self.0.given_back.notified().await;
        }
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        Turn(Arc::clone(&self.0))
    }
}

/// A client, with what was read of it already.
pub type Client = Rewound<TcpStream>;

/// Everything until the first byte of a request.
pub async fn shake(
    stream: Client,
    tls: &Server,
    listener: &Listener,
    handshakes: Handshakes,
) -> io::Result<Box<TlsStream<Client>>> {
    let limit = listener.config.timeouts.tls_handshake;
    let late = |why| io::Error::new(io::ErrorKind::TimedOut, why);
    let shaking = async {
        if stream.seen().is_empty() {
            // Who says nothing takes no turn.
            stream.get_ref().peek(&mut [0]).await?;
        }
        let _turn = within(limit / WAITING_PART, handshakes.turn()).await.ok_or_else(|| {
            listener.traffic.late_for_handshake();
            late("the TLS handshake had no turn in time: too many are under way")
        })?;
        tls.acceptor.accept(stream).await
    };
    let stream = within(limit, shaking).await.unwrap_or_else(|| Err(late("the TLS handshake took too long")))?;
    refuse_expired(&stream)?;
    Ok(Box::new(stream))
}

/// `None`: it took too long. Zero: for as long as it takes.
pub async fn within<T>(limit: Duration, job: impl Future<Output = T>) -> Option<T> {
    if limit.is_zero() { Some(job.await) } else { timeout(limit, job).await.ok() }
}

/// A session that is taken up brings the client's certificate from before, which may have expired since.
fn refuse_expired(stream: &TlsStream<Client>) -> io::Result<()> {
    let (_, session) = stream.get_ref();
    if session.handshake_kind() != Some(rustls::HandshakeKind::Resumed) {
        return Ok(());
    }
    let Some(client) = session.peer_certificates().and_then(|chain| chain.first()).and_then(Peer::of) else { return Ok(()) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    if i64::try_from(now).unwrap_or(i64::MAX) > client.not_after {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the client's certificate has expired since its session began"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn handshakes_take_turns() {
        let handshakes = Handshakes::default().with_at_most(1);
        let first = handshakes.turn().await;
        let second = handshakes.clone();
        let mut second = std::pin::pin!(second.turn());
        assert!(once(second.as_mut()).await.is_none(), "the place is taken");
        drop(first);
        assert!(once(second.as_mut()).await.is_some());
        let most = handshakes.with_at_most(2);
        let (_one, _two) = (most.turn().await, most.turn().await);
        assert_eq!(most.0.under_way.load(Ordering::Relaxed), 2);
    }

    /// What there is after one poll.
    async fn once<T>(mut job: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        std::future::poll_fn(|context| match job.as_mut().poll(context) {
            std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
