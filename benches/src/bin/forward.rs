//! The least that a proxy made of hyper can be: HTTP/1.1, one thread, one upstream, a pool, no feature at all. What Tamis costs is
//! told beside it. `forward LISTEN UPSTREAM`.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Pool = Rc<RefCell<Vec<SendRequest<Incoming>>>>;

/// An answer's body; the connection goes back when it is over.
struct Leased {
    body: Incoming,
    sender: Option<SendRequest<Incoming>>,
    pool: Pool,
}

impl Body for Leased {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.pool.borrow_mut().extend(self.sender.take().filter(|sender| !sender.is_closed()));
    }
}

async fn connect(upstream: SocketAddr) -> Option<SendRequest<Incoming>> {
    let stream = TcpStream::connect(upstream).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::task::spawn_local(connection);
    Some(sender)
}

async fn forward(mut request: Request<Incoming>, upstream: SocketAddr, pool: &Pool) -> Option<Response<Leased>> {
    let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str).parse().ok()?;
    *request.uri_mut() = target;
    request.headers_mut().remove(http::header::CONNECTION);
    let mut sender = loop {
        let Some(mut idle) = pool.borrow_mut().pop() else { break connect(upstream).await? };
        if idle.ready().await.is_ok() {
            break idle;
        }
    };
    let (head, body) = sender.send_request(request).await.ok()?.into_parts();
    Some(Response::from_parts(head, Leased { body, sender: Some(sender), pool: Rc::clone(pool) }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut addresses = std::env::args().skip(1).map(|text| text.parse::<SocketAddr>().expect("an address with a port"));
    let (listen, upstream) = (addresses.next().expect("where to listen"), addresses.next().expect("the upstream"));
    let socket = TcpListener::bind(listen).await.expect("a free address");
    let pool = Pool::default();
    let accepting = async {
        loop {
            let Ok((stream, _)) = socket.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let pool = Rc::clone(&pool);
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| async {
                    let answer = forward(request, upstream, &pool).await.map(|answer| answer.map(Either::Left));
                    Ok::<_, Infallible>(answer.unwrap_or_else(|| {
                        let mut failed = Response::new(Either::Right(Empty::<Bytes>::new()));
                        *failed.status_mut() = StatusCode::BAD_GATEWAY;
                        failed
                    }))
                });
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    };
    tokio::task::LocalSet::new().run_until(accepting).await;
}
