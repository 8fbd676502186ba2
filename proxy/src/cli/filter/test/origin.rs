//! The services behind the proxy: each answers one thing, and remembers what it was asked.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What a service answers, whatever it is asked.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// `CLUSTER=STATUS[:BODY]`
    pub fn parse(text: &str) -> Result<(String, Self), String> {
        let (cluster, answer) = text.split_once('=').ok_or("expected CLUSTER=STATUS[:BODY], such as `idp=200:yes`")?;
        let (status, body) = answer.split_once(':').unwrap_or((answer, ""));
        let status = status.parse().map_err(|_| format!("`{status}` is no status"))?;
        Ok((cluster.to_owned(), Self { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }))
    }
}

/// A request that came to one of them.
#[derive(Debug, Clone)]
pub struct Came {
    pub cluster: String,
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

/// The requests of all of them, in order.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Came>>>);

impl Log {
    pub fn take(&self) -> Vec<Came> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, came: Came) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(came);
    }
}

/// Starts a service on this runtime. It lives as long as that.
pub fn start(runtime: &tokio::runtime::Handle, cluster: &str, answer: &Answer, log: &Log) -> io::Result<SocketAddr> {
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let _inside = runtime.enter();
    let socket = TcpListener::from_std(socket)?;
    let (cluster, answer, log) = (Arc::<str>::from(cluster), answer.clone(), log.clone());
    runtime.spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let (cluster, answer, log) = (Arc::clone(&cluster), answer.clone(), log.clone());
            let service = service_fn(move |request| serve(Arc::clone(&cluster), answer.clone(), log.clone(), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

async fn serve(
    cluster: Arc<str>,
    answer: Answer,
    log: Log,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    // A body that is cut off is remembered as far as it came to nothing.
    let (body, trailers) = match body.collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().cloned().unwrap_or_default();
            (collected.to_bytes(), trailers)
        }
        Err(_) => (Bytes::new(), HeaderMap::new()),
    };
    log.push(Came {
        cluster: cluster.to_string(),
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body,
        trailers,
    });
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}
