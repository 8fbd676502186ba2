//! The operator's listener: is the proxy ready, what are its filters doing, and its metrics. It runs on the control runtime, so that
//! it answers however busy the workers are.

pub mod ledger;
mod metrics;

use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;

use crate::drain::Signal;
use crate::filter::Configured;
use crate::snapshot::Live;
use ledger::Ledger;

/// Connections of operators at once. Scrapers and probes need a few.
const CONNECTIONS_MAX: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the admin shows.
#[derive(Clone)]
pub struct Admin {
    pub live: Arc<Live>,
    pub ledger: Arc<Ledger>,
    /// Of the whole process.
    pub drain: Signal,
}

impl Admin {
    /// Serves until the runtime ends.
    pub async fn serve(self, socket: StdListener) {
        let socket = match TcpListener::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => return tracing::error!(%error, "the admin socket cannot be served"),
        };
        let room = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((stream, _)) = socket.accept().await else {
                // Out of descriptors, most likely: closing ones need a moment.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let admin = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answer = admin.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let served = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
                if let Err(error) = served.await {
                    tracing::debug!(%error, "an admin connection ended");
                }
                drop(permit);
            });
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "expected GET\n");
        }
        match request.uri().path() {
            "/" => text(
                StatusCode::OK,
                "tamis admin\n\nGET /ready     200 while it serves, 503 while it drains\nGET /filters   every filter, its module and its swaps (JSON)\nGET /metrics   counters and gauges (Prometheus text)\n",
            ),
            "/ready" if self.drain.is_draining() => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            "/ready" => text(StatusCode::OK, "ready\n"),
            "/filters" => self.filters(),
            "/metrics" => metrics::answer(&self.live.load()),
            _ => text(StatusCode::NOT_FOUND, "nothing here; GET / lists what is\n"),
        }
    }

    fn filters(&self) -> Response<Full<Bytes>> {
        let snapshot = self.live.load();
        let filters: Vec<_> = snapshot
            .filters
            .values()
            .map(|filter| {
                let entry = self.ledger.of(&filter.name);
                json!({
                    "name": &*filter.name,
                    "module": filter.config.module.to_string(),
                    "hash": format!("sha256:{}", filter.module.hash),
                    "compiled": filter.module.compiled.word(),
                    "configured": configured(&filter.configured),
                    "since": humantime::format_rfc3339_millis(entry.since).to_string(),
                    "swaps": entry.swaps,
                    "failed": entry.failed.map(|failed| json!({
                        "at": humantime::format_rfc3339_millis(failed.at).to_string(),
                        "error": failed.error,
                    })),
                })
            })
            .collect();
        let mut body = serde_json::to_vec_pretty(&json!({ "filters": filters })).unwrap_or_default();
        body.push(b'\n');
        let mut response = Response::new(Full::new(Bytes::from(body)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// How instances come to be configured.
fn configured(configured: &Configured) -> serde_json::Value {
    match configured {
        Configured::Image(image) => json!({
            "as": "image",
            "bytes": image.bytes,
            "compiled": image.compiled.word(),
            "took-ms": u64::try_from(image.took.as_millis()).unwrap_or(u64::MAX),
        }),
        Configured::EachInstance { why } => json!({ "as": "each-instance", "why": why }),
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
