//! The operator's listener: is the proxy ready, what are its filters doing, what should they do instead, its metrics, and a page
//! that shows all of it. It runs on the control runtime, so that it answers however busy the workers are.

pub mod api;
pub mod certificates;
mod clusters;
mod dashboard;
pub mod guard;
pub mod ledger;
mod log;
mod metrics;
pub mod stats;
pub mod versions;
mod views;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::drain::Signal;
use crate::snapshot::Live;
use crate::store::{Access, Error as StoreError};
use api::{Api, Asked};
use guard::{Denied, Guard};
use ledger::Ledger;
use stats::History;

/// Connections of operators at once. Scrapers and probes need a few.
const CONNECTIONS_MAX: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const INDEX: &str = "\
tamis admin

GET    /dashboard               a page for browsers: traffic, filters and clusters, now and over the last half hour
GET    /ready                   200 while it serves, 503 while it drains
GET    /filters                 every filter: what is live, where it came from, what failed (JSON)
GET    /filters/NAME            one of them
PUT    /filters/NAME/module     the body is a module: compiled, configured, swapped, or refused
PUT    /filters/NAME/config     the body is what the filter's `config` holds, as JSON
POST   /filters/NAME/rollback   to the version before, or {\"to\": VERSION or \"HASH\"}
GET    /clusters                every cluster, and how many of its endpoints are in (JSON)
GET    /clusters/NAME           why each of its endpoints is in or out, and who was chosen last
GET    /stores/NAME/KEY         the value that a store keeps under this key, for whoever may change filters
GET    /metrics                 everything that is counted, for Prometheus
GET    /log                     what the proxy's own log tells; PUT {\"level\": \"debug\"} changes it, DELETE takes that back
GET    /stats                   what the dashboard shows, as JSON; /stats/history: of the last half hour
DELETE /filters/NAME            takes back everything that was pushed; the file holds again

?over=file makes a push or a rollback hold although the file has changed since the last one.
";

/// What the admin shows, and whom it asks for changes.
#[derive(Clone)]
pub struct Admin {
    pub live: Arc<Live>,
    pub ledger: Arc<Ledger>,
    /// Of the whole process.
    pub drain: Signal,
    pub api: Api,
    pub guard: Guard,
    pub history: History,
}

type Answer = Response<Full<Bytes>>;

impl Admin {
    /// Serves until the runtime ends.
    pub async fn serve(self, socket: StdListener) {
        let socket = match TcpListener::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => return tracing::error!(%error, "the admin socket cannot be served"),
        };
        tokio::spawn(self.history.clone().keep(Arc::clone(&self.live)));
        let room = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((stream, peer)) = socket.accept().await else {
                // Out of descriptors, most likely: closing ones need a moment.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let admin = self.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| async { Ok::<_, Infallible>(admin.answer(request, peer).await) });
                let served = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
                if let Err(error) = served.await {
                    tracing::debug!(%error, "an admin connection ended");
                }
                drop(permit);
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        if let Err(denied) = self.guard.check_host(peer, request.headers()) {
            return denied_answer(&denied);
        }
        let path = request.uri().path().to_owned();
        let steps: Vec<&str> = path.split('/').skip(1).collect();
        match steps[..] {
            [""] if dashboard::is_browser(request.headers()) => {
                looking(&request, || dashboard::file(&["dashboard"]).unwrap_or_else(nothing))
            }
            [""] => looking(&request, || text(StatusCode::OK, INDEX)),
            ["ready"] if self.drain.is_draining() => looking(&request, || text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")),
            ["ready"] => looking(&request, || text(StatusCode::OK, "ready\n")),
            ["filters"] => looking(&request, || json_answer(StatusCode::OK, &views::filters(&self.live.load(), &self.ledger))),
            ["filters", name] if request.method() == Method::DELETE => self.change(name, Asked::Reset, request, peer).await,
            ["filters", name] => looking_or(&request, "GET, HEAD, DELETE", || self.filter(name)),
            ["filters", name, "module"] => self.only(Method::PUT, name, Asked::Module, request, peer).await,
            ["filters", name, "config"] => self.only(Method::PUT, name, Asked::Config, request, peer).await,
            ["filters", name, "rollback"] => self.only(Method::POST, name, Asked::Rollback, request, peer).await,
            ["stores", name, ref key @ ..] if !key.is_empty() => self.stored(name, &key.join("/"), &request, peer).await,
            ["clusters"] => looking(&request, || json_answer(StatusCode::OK, &clusters::all(&self.live.load()))),
            ["clusters", name] => looking(&request, || self.cluster(name)),
            ["dashboard", ..] => looking(&request, || dashboard::file(&steps).unwrap_or_else(nothing)),
            ["stats"] => looking(&request, || json_answer(StatusCode::OK, &stats::now(&self.live.load()))),
            ["stats", "history"] => looking(&request, || json_answer(StatusCode::OK, &self.history.shown())),
            ["metrics"] => looking(&request, || metrics::answer(&self.live.load(), &self.ledger, request.headers())),
            ["log"] => self.log(request, peer).await,
            _ => nothing(),
        }
    }

    fn filter(&self, name: &str) -> Answer {
        let snapshot = self.live.load();
        match views::filter(&snapshot, &self.ledger, name) {
            Some(filter) => json_answer(StatusCode::OK, &filter),
            None => {
                let known: Vec<_> = snapshot.filters.keys().map(|name| format!("`{name}`")).collect();
                let error = format!("no filter is called `{name}`; there are {}", known.join(", "));
                json_answer(StatusCode::NOT_FOUND, &json!({ "error": error }))
            }
        }
    }

    fn cluster(&self, name: &str) -> Answer {
        let snapshot = self.live.load();
        match clusters::one(&snapshot, name) {
            Some(cluster) => json_answer(StatusCode::OK, &cluster),
            None => {
                let mut known: Vec<_> = snapshot.reach.clusters.keys().map(|name| format!("`{name}`")).collect();
                known.sort();
                let error = format!("no cluster is called `{name}`; there are {}", known.join(", "));
                json_answer(StatusCode::NOT_FOUND, &json!({ "error": error }))
            }
        }
    }

    /// A value may be a secret of somebody's: only who may change what the filters do may see what they keep.
    async fn stored(&self, name: &str, key: &str, request: &Request<Incoming>, peer: SocketAddr) -> Answer {
        if let Err(denied) = self.guard.check(peer, request.headers()) {
            return denied_answer(&denied);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed("GET, HEAD");
        }
        let store = self.live.load().stores.get(name).cloned();
        let found = match store {
            Some(store) => Access::new(store).get(key).await,
            None => Err(StoreError::NotAllowed),
        };
        let (status, error) = match found {
            Ok(Some(value)) => return value_answer(value),
            Ok(None) => (StatusCode::NOT_FOUND, format!("the store `{name}` has no key `{key}`")),
            Err(StoreError::NotAllowed) => (StatusCode::NOT_FOUND, format!("no store is called `{name}`")),
            Err(StoreError::TooLarge) => (StatusCode::NOT_FOUND, format!("no key of the store `{name}` can be so long")),
            Err(StoreError::Unavailable) => (StatusCode::SERVICE_UNAVAILABLE, format!("the store `{name}` does not answer")),
        };
        json_answer(status, &json!({ "error": error }))
    }

    async fn log(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        match *request.method() {
            Method::GET | Method::HEAD => log::answer(request).await,
            Method::PUT | Method::DELETE => {
                if let Err(denied) = self.guard.check(peer, request.headers()) {
                    api::discard(request.into_body()).await;
                    return denied_answer(&denied);
                }
                log::answer(request).await
            }
            _ => not_allowed("GET, HEAD, PUT, DELETE"),
        }
    }

    async fn only(&self, method: Method, name: &str, asked: Asked, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        if request.method() == method {
            return self.change(name, asked, request, peer).await;
        }
        not_allowed(method.as_str())
    }

    async fn change(&self, name: &str, asked: Asked, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        if let Err(denied) = self.guard.check(peer, request.headers()) {
            tracing::warn!(%peer, filter = name, %denied, "a change was refused");
            api::discard(request.into_body()).await;
            return denied_answer(&denied);
        }
        let (head, body) = request.into_parts();
        match self.api.change(name, asked, head.uri.query(), &head.headers, body).await {
            Ok(done) => json_answer(StatusCode::OK, &done),
            Err(refused) => json_answer(refused.status(), &json!({ "error": refused.to_string() })),
        }
    }
}

fn nothing() -> Answer {
    text(StatusCode::NOT_FOUND, "nothing here; GET / lists what is\n")
}

fn looking(request: &Request<Incoming>, look: impl FnOnce() -> Answer) -> Answer {
    looking_or(request, "GET, HEAD", look)
}

fn looking_or(request: &Request<Incoming>, allowed: &str, look: impl FnOnce() -> Answer) -> Answer {
    if matches!(*request.method(), Method::GET | Method::HEAD) { look() } else { not_allowed(allowed) }
}

fn not_allowed(allowed: &str) -> Answer {
    let mut answer = json_answer(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": format!("expected {allowed}") }));
    set(&mut answer, ALLOW, allowed);
    answer
}

fn denied_answer(denied: &Denied) -> Answer {
    let status = match denied {
        Denied::Browser(_) | Denied::Elsewhere(_) | Denied::Name(_) => StatusCode::FORBIDDEN,
        Denied::Token(_) => StatusCode::UNAUTHORIZED,
        Denied::Unreadable => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut answer = json_answer(status, &json!({ "error": denied.to_string() }));
    if status == StatusCode::UNAUTHORIZED {
        set(&mut answer, WWW_AUTHENTICATE, "Bearer");
    }
    answer
}

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    let mut body = serde_json::to_vec_pretty(value).unwrap_or_default();
    body.push(b'\n');
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, "application/json");
    answer
}

/// Bytes of a filter's, which nobody is to take for a page.
fn value_answer(value: Vec<u8>) -> Answer {
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&value).is_ok();
    let mut answer = Response::new(Full::new(Bytes::from(value)));
    set(&mut answer, CONTENT_TYPE, if is_json { "application/json" } else { "application/octet-stream" });
    set(&mut answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    answer
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, "text/plain; charset=utf-8");
    answer
}

fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}
