//! An upstream service for scripts/must-show: `/` answers briefly, `/bytes/N` sends N bytes, `/count` takes a body and tells its
//! length, `/sip` does so slowly, `/wait/MS` answers after so long, `/waiting/most` with how many waited so at once since it was last
//! asked, `/busy` answers 503, `/busy/count` with how often it was asked. Listens on the address that it is given, or any; prints it, and
//! serves until it is killed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tamis_tests::{Feed, Reply, body, origin};

const PIECE_BYTES: usize = 64 * 1024;
/// About 50 MiB a second.
const SIP_BYTES: usize = 256 * 1024;
const SIP_EVERY: Duration = Duration::from_millis(4);

static WAITING: AtomicUsize = AtomicUsize::new(0);
static WAITING_MOST: AtomicUsize = AtomicUsize::new(0);
static BUSY: AtomicUsize = AtomicUsize::new(0);

fn main() {
    let address = std::env::args().nth(1).map_or(Ok(([127, 0, 0, 1], 0).into()), |address| address.parse());
    let address = address.expect("an address with a port");
    let origin = origin()
        .route("*", "hello\n")
        .route_fn("/bytes/*", |request| async move {
            let Some(length) = request.uri().path().strip_prefix("/bytes/").and_then(|length| length.parse().ok()) else {
                return Reply::new(400).body("expected a number of bytes\n");
            };
            let (feed, body) = body::channel();
            tokio::spawn(send(feed, length));
            Reply::new(200).header("content-length", &length.to_string()).streaming(body)
        })
        .route_fn("/wait/*", |request| async move {
            let Some(ms) = request.uri().path().strip_prefix("/wait/").and_then(|ms| ms.parse().ok()) else {
                return Reply::new(400).body("expected a number of milliseconds\n");
            };
            WAITING_MOST.fetch_max(WAITING.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            WAITING.fetch_sub(1, Ordering::Relaxed);
            Reply::new(200).body("waited\n")
        })
        .route_fn("/waiting/most", |_| async { Reply::new(200).body(format!("{}\n", WAITING_MOST.swap(0, Ordering::Relaxed))) })
        .route_fn("/count", |request| count(request, Duration::ZERO))
        .route_fn("/sip", |request| count(request, SIP_EVERY))
        .route_fn("/busy", |_| async {
            BUSY.fetch_add(1, Ordering::Relaxed);
            Reply::new(503).body("busy\n")
        })
        .route_fn("/busy/count", |_| async { Reply::new(200).body(format!("{}\n", BUSY.load(Ordering::Relaxed))) })
        .forgetting()
        .run_at(address);
    println!("{origin}");
    loop {
        std::thread::park();
    }
}

/// Reads a body, with a pause after each sip, and tells its length.
async fn count(request: Request<Incoming>, pause: Duration) -> Reply {
    let mut body = request.into_body();
    let (mut length, mut sip) = (0, 0);
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        (length, sip) = (length + bytes, sip + bytes);
        if sip >= SIP_BYTES && !pause.is_zero() {
            tokio::time::sleep(pause).await;
            sip = 0;
        }
    }
    Reply::new(200).body(format!("{length}\n"))
}

async fn send(feed: Feed, length: usize) {
    let piece = Bytes::from(vec![b'x'; PIECE_BYTES]);
    let mut left = length;
    while left > 0 && feed.send(piece.slice(..left.min(PIECE_BYTES))).await {
        left -= left.min(PIECE_BYTES);
    }
}
