//! The endpoints: each answers after some ten milliseconds, but for one that is slow.

use std::net::{SocketAddr, TcpListener as Socket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
/// The least and the most that an ordinary answer takes, in microseconds.
const TAKES: std::ops::Range<u64> = 5_000..15_000;

pub struct Service {
    pub addresses: Vec<SocketAddr>,
    slow: Arc<Slow>,
}

/// Which endpoint is slow, and by how many milliseconds; 0: none.
#[derive(Default)]
struct Slow {
    place: AtomicUsize,
    milliseconds: AtomicU64,
}

impl Service {
    /// On a thread of its own.
    pub fn start(count: usize) -> Self {
        let sockets: Vec<_> = (0..count).map(|_| Socket::bind("127.0.0.1:0").expect("a free port")).collect();
        let addresses = sockets.iter().map(|socket| socket.local_addr().expect("bound")).collect();
        let slow = Arc::new(Slow::default());
        let told = Arc::clone(&slow);
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            let accepting = async move {
                for (place, socket) in sockets.into_iter().enumerate() {
                    socket.set_nonblocking(true).expect("a socket");
                    let listener = TcpListener::from_std(socket).expect("a listener");
                    tokio::task::spawn_local(accept(listener, place, Arc::clone(&told)));
                }
                std::future::pending::<()>().await;
            };
            LocalSet::new().block_on(&runtime, accepting);
        });
        Self { addresses, slow }
    }

    pub fn make_slow(&self, slow: Option<(usize, Duration)>) {
        let (place, by) = slow.unwrap_or_default();
        self.slow.place.store(place, Ordering::Relaxed);
        self.slow.milliseconds.store(by.as_millis() as u64, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, place: usize, slow: Arc<Slow>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::task::spawn_local(serve(stream, place, Arc::clone(&slow)));
    }
}

async fn serve(mut stream: TcpStream, place: usize, slow: Arc<Slow>) {
    let _ = stream.set_nodelay(true);
    let (mut read, mut chance) = (Vec::new(), place as u64);
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        read.extend_from_slice(&buffer[..count]);
        while let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            read.drain(..end + 4);
            // The linear congruential generator of Knuth's MMIX.
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut takes = Duration::from_micros(TAKES.start + (chance >> 33) % (TAKES.end - TAKES.start));
            if slow.place.load(Ordering::Relaxed) == place {
                takes += Duration::from_millis(slow.milliseconds.load(Ordering::Relaxed));
            }
            tokio::time::sleep(takes).await;
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
    }
}
