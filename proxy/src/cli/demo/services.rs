//! The upstream services of the demo: real HTTP servers on free ports, on a runtime of their own.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// What a service is there to show.
#[derive(Debug, Clone, Copy)]
pub enum Behaviour {
    Answers,
    Slow,
    Flaky,
}

const SLOW: Duration = Duration::from_secs(3);

/// One upstream service. It lives as long as the process.
#[derive(Debug)]
pub struct Service {
    pub name: &'static str,
    pub address: SocketAddr,
    pub behaviour: Behaviour,
}

impl Service {
    /// Starts all of them on one thread.
    pub fn start_all() -> io::Result<Vec<Self>> {
        let mut services = Vec::new();
        let mut sockets = Vec::new();
        for (name, behaviour) in [
            ("users-v1", Behaviour::Answers),
            ("users-v2", Behaviour::Answers),
            ("slow", Behaviour::Slow),
            ("flaky", Behaviour::Flaky),
        ] {
            let socket = std::net::TcpListener::bind(("127.0.0.1", 0))?;
            socket.set_nonblocking(true)?;
            services.push(Self { name, address: socket.local_addr()?, behaviour });
            sockets.push((socket, name, behaviour));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("demo-services".to_owned()).spawn(move || {
            runtime.block_on(async {
                for (socket, name, behaviour) in sockets {
                    tokio::spawn(serve(socket, name, behaviour));
                }
                std::future::pending::<()>().await;
            });
        })?;
        Ok(services)
    }
}

async fn serve(socket: std::net::TcpListener, name: &'static str, behaviour: Behaviour) {
    let Ok(socket) = TcpListener::from_std(socket) else { return };
    let count = Arc::new(AtomicU64::new(0));
    loop {
        let Ok((stream, _)) = socket.accept().await else { continue };
        let count = Arc::clone(&count);
        let service = service_fn(move |request: Request<Incoming>| {
            let turn = count.fetch_add(1, Ordering::Relaxed) + 1;
            async move { Ok::<_, Infallible>(answer(name, behaviour, turn, request.uri().path()).await) }
        });
        tokio::spawn(async move {
            let served = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                tracing::debug!(%error, "a connection to a demo service ended");
            }
        });
    }
}

async fn answer(name: &str, behaviour: Behaviour, turn: u64, path: &str) -> Response<Full<Bytes>> {
    if matches!(behaviour, Behaviour::Slow) {
        tokio::time::sleep(SLOW).await;
    }
    let failing = matches!(behaviour, Behaviour::Flaky) && turn.is_multiple_of(3);
    let text = match path.strip_prefix("/hello/") {
        _ if failing => format!("{name}: failed on purpose, this was request {turn}\n"),
        Some(who) => format!("{name}: hello, {who}\n"),
        None => format!("{name}\n"),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    if failing {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}
