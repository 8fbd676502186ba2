//! A real upstream service: HTTP/1 and HTTP/2 by prior knowledge on one port, on a runtime thread of its own, so that
//! nothing a scenario does holds it up. It records every request that it is sent.

mod gate;
mod raw;
mod reply;

pub use gate::Gate;
pub use raw::{RawOrigin, raw_origin, raw_origin_at};
pub use reply::Reply;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::body::{self, Body};
use crate::certificates::Certificate;

type Answering = Pin<Box<dyn Future<Output = Reply> + Send>>;
type Handler = Arc<dyn Fn(Request<Incoming>) -> Answering + Send + Sync>;

/// Describes an origin; `run` starts it.
pub fn origin() -> Builder {
    Builder { routes: HashMap::new(), recording: true, tls: None }
}

pub struct Builder {
    routes: HashMap<String, Handler>,
    recording: bool,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Builder {
    /// Answers 200 with this body. A path that ends in `*` stands for every path that begins so.
    pub fn route(self, path: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        self.route_fn(path, move |_| {
            let body = body.clone();
            async move { Reply::new(200).body(body) }
        })
    }

    pub fn route_fn<F, A>(mut self, path: &str, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
        A: Future<Output = Reply> + Send + 'static,
    {
        self.routes.insert(path.to_owned(), Arc::new(move |request| Box::pin(answer(request))));
        self
    }

    /// Answers with what it was sent, as JSON: `method`, `target`, `version`, `authority`, `headers` (each a list), `body`, `trailers`.
    pub fn echo(self, path: &str) -> Self {
        self.route_fn(path, reply::echo)
    }

    /// Sends the request's body back while it arrives, trailers included.
    pub fn reflect(self, path: &str) -> Self {
        self.route_fn(path, |request| async { Reply::reflecting(request) })
    }

    /// Reads the request and never answers.
    pub fn hang(self, path: &str) -> Self {
        self.route_fn(path, |_| std::future::pending())
    }

    /// Answers when the gate lets it.
    pub fn gated(self, path: &str, gate: &Gate, body: &'static str) -> Self {
        let gate = gate.clone();
        self.route_fn(path, move |_| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                Reply::new(200).body(body)
            }
        })
    }

    /// Records nothing: for more requests than fit into memory.
    pub fn forgetting(mut self) -> Self {
        self.recording = false;
        self
    }

    /// Speaks TLS and shows this certificate.
    pub fn tls(mut self, certificate: &Certificate) -> Self {
        self.tls = Some(certificate.server_config());
        self
    }

    /// The same in its own way.
    pub fn tls_config(mut self, config: Arc<rustls::ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    pub fn run(self) -> Origin {
        self.run_at(([127, 0, 0, 1], 0).into())
    }

    /// At an address that another origin has given back.
    pub fn run_at(self, address: SocketAddr) -> Origin {
        let listener = std::net::TcpListener::bind(address).expect("the origin can listen");
        listener.set_nonblocking(true).expect("the origin's socket can be non-blocking");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State { recording: self.recording, ..State::default() });
        let (orders, receiver) = mpsc::unbounded_channel();
        let tls = self.tls.map(TlsAcceptor::from);
        let serving = serve(listener, tls, Arc::new(self.routes), state.clone(), receiver);
        let thread = std::thread::Builder::new().name("origin".into()).spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built").block_on(serving);
        });
        Origin { address, state, orders, thread: Some(thread.expect("a thread can be started")) }
    }
}

/// A running origin. It is shown as its address; dropped, it closes everything.
pub struct Origin {
    pub address: SocketAddr,
    state: Arc<State>,
    orders: mpsc::UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

/// The head of a request as the origin saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub version: Version,
    pub headers: HeaderMap,
    /// Which connection it came on, counted from 1.
    pub connection: usize,
}

impl Seen {
    fn of(request: &Request<Incoming>, connection: usize) -> Self {
        Self {
            method: request.method().clone(),
            target: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            version: request.version(),
            headers: request.headers().clone(),
            connection,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("the value is text"))
    }
}

impl Origin {
    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<Seen> {
        self.state.requests.lock().unwrap().clone()
    }

    /// The one request that was sent.
    pub fn request(&self) -> Seen {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "the origin saw {requests:?}");
        requests.remove(0)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Closes every connection at once, whatever runs on it, and waits until that is done.
    pub async fn close_connections(&self) {
        let (done, closed) = tokio::sync::oneshot::channel();
        self.orders.send(Order::CloseConnections(done)).expect("the origin runs");
        closed.await.expect("the origin closes its connections");
    }

    fn end(&mut self) {
        self.orders.send(Order::Stop).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }

    /// Closes everything and gives the address back, on which nobody listens now.
    pub fn stop(mut self) -> SocketAddr {
        self.end();
        self.address
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.address.fmt(formatter)
    }
}

enum Order {
    CloseConnections(tokio::sync::oneshot::Sender<()>),
    Stop,
}

#[derive(Default)]
struct State {
    recording: bool,
    requests: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
}

async fn serve(
    listener: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    routes: Arc<HashMap<String, Handler>>,
    state: Arc<State>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let listener = TcpListener::from_std(listener).expect("the listener can be watched");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                stream.set_nodelay(true).ok();
                let number = state.connections.fetch_add(1, Ordering::SeqCst) + 1;
                let (tls, routes, state) = (tls.clone(), routes.clone(), state.clone());
                connections.spawn(async move {
                    match tls {
                        None => connection(stream, number, routes, state).await,
                        Some(tls) => {
                            // A client may not like the certificate.
                            let Ok(stream) = tls.accept(stream).await else { return };
                            connection(stream, number, routes, state).await;
                        }
                    }
                });
            }
            order = orders.recv() => match order {
                Some(Order::CloseConnections(done)) => {
                    connections.shutdown().await;
                    done.send(()).ok();
                }
                Some(Order::Stop) | None => return,
            },
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection<S>(stream: S, number: usize, routes: Arc<HashMap<String, Handler>>, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        if state.recording {
            state.requests.lock().unwrap().push(Seen::of(&request, number));
        }
        let handler = handler(&routes, request.uri().path());
        async move {
            let reply = match handler {
                Some(handler) => handler(request).await,
                None => Reply::new(404).body("the origin has no such route"),
            };
            Ok::<Response<Body>, Infallible>(reply.into_response())
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_header_list_size(1 << 20);
    builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await.ok();
}

fn handler(routes: &HashMap<String, Handler>, path: &str) -> Option<Handler> {
    routes.get(path).cloned().or_else(|| {
        let begins = |route: &str| route.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix));
        routes.iter().filter(|(route, _)| begins(route)).max_by_key(|(route, _)| route.len()).map(|(_, handler)| handler.clone())
    })
}

/// A body that is dropped tells so: how an origin notices that the proxy gave an exchange up.
pub fn noticing(body: Body, dropped: mpsc::UnboundedSender<()>) -> Body {
    use http_body_util::BodyExt;
    struct Notice(mpsc::UnboundedSender<()>);
    impl Drop for Notice {
        fn drop(&mut self) {
            self.0.send(()).ok();
        }
    }
    let notice = Notice(dropped);
    body.map_frame(move |frame| {
        let _kept = &notice;
        frame
    })
    .boxed_unsync()
}

/// A body whose first piece is never followed by another, and that never ends.
pub fn unending(first: impl Into<Bytes>) -> Body {
    let (feed, body) = body::channel();
    let first = first.into();
    tokio::spawn(async move {
        feed.send(first).await;
        feed.gone().await;
    });
    body
}
