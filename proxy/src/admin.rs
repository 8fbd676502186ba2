//! The operator's listener: is the proxy ready, what are its filters doing, what should they do instead, its metrics, and a page
//! that shows all of it. It runs on the control runtime, so that it answers however busy the workers are.

pub mod api;
mod body;
pub mod certificates;
mod clusters;
pub mod config;
pub mod configs;
mod dashboard;
mod diff;
pub mod guard;
pub mod ledger;
mod log;
mod metrics;
pub mod process;
mod query;
mod routes;
pub mod socket;
pub mod stats;
mod tap;
pub mod upgrade;
pub mod versions;
mod views;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::config::Admin as AdminConfig;
use crate::drain::Signal;
use crate::snapshot::Live;
use crate::store::{Access, Error as StoreError};
use api::{Api, Asked, Order, Refused};
use body::Body;
use guard::{Denied, Guard, Peer};
use ledger::Ledger;
use process::Process;
use routes::{Action, Found, Needs};
use socket::{Bound, Stream};
use stats::History;

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The answer that does not end.
const TAP: &str = "/tap";

/// What the admin shows, and whom it asks for changes.
#[derive(Clone)]
pub struct Admin {
    pub live: Arc<Live>,
    pub ledger: Arc<Ledger>,
    /// Of the whole process.
    pub drain: Signal,
    /// Connections end with the answers that are under way.
    pub closing: Signal,
    pub api: Api,
    pub guard: Guard,
    /// As it was when the process began.
    pub config: Arc<AdminConfig>,
    pub history: History,
    pub process: Process,
}

type Answer = Response<Full<Bytes>>;

impl Admin {
    /// Serves until the runtime ends.
    pub async fn serve(self, socket: Bound) {
        let socket = match socket.serve() {
            Ok(socket) => socket,
            Err(error) => return tracing::error!(%error, "the admin socket cannot be served"),
        };
        tokio::spawn(self.history.clone().keep(Arc::clone(&self.live)));
        let mut closing = self.closing.clone();
        let room = Arc::new(tokio::sync::Semaphore::new(self.config.connections));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = closing.draining() => return,
            };
            let Ok((stream, peer)) = accepted else {
                // Out of descriptors, most likely: closing ones need a moment.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let admin = self.clone();
            tokio::spawn(async move {
                match stream {
                    Stream::Tcp(stream) => admin.connection(stream, peer).await,
                    Stream::Unix(stream) => admin.connection(stream, peer).await,
                }
                drop(permit);
            });
        }
    }

    async fn connection(&self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: Peer) {
        let watches = AtomicBool::new(false);
        let service = service_fn(|request: Request<Incoming>| async {
            watches.store(request.uri().path() == TAP, Ordering::Relaxed);
            Ok::<_, Infallible>(self.answer(request, peer).await)
        });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(self.config.request_headers);
        let mut serving = std::pin::pin!(server.serve_connection(TokioIo::new(stream), service));
        let mut closing = self.closing.clone();
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = closing.draining() => {
                // Whoever watches what happens does not end by itself.
                if watches.load(Ordering::Relaxed) {
                    return;
                }
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "an admin connection ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        if let Err(denied) = self.guard.check_host(peer, request.headers()) {
            return denied_answer(&denied).map(Body::Whole);
        }
        let path = request.uri().path().to_owned();
        let (route, named) = match routes::find(request.method(), &path) {
            Found::Route(route, named) => (route, named),
            Found::Methods(methods) => return not_allowed(&methods.join(", ")).map(Body::Whole),
            Found::Nothing => return nothing().map(Body::Whole),
        };
        if route.needs == Needs::Permission
            && let Err(denied) = self.guard.check(peer, request.headers())
        {
            tracing::warn!(%peer, method = %request.method(), path, %denied, "refused by the admin");
            api::discard(request.into_body()).await;
            return denied_answer(&denied).map(Body::Whole);
        }
        if route.action == Action::Tap {
            let tap = tap::answer(&self.live.load().tap, request.uri().query(), &self.config.tap);
            return tap.unwrap_or_else(|refused| refused_answer(&refused).map(Body::Whole));
        }
        if route.action == Action::Upgrade {
            let is_trusted = self.guard.is_as_its_user(peer);
            let (head, body) = request.into_parts();
            let done = upgrade::answer(&self.api, is_trusted, &head.headers, body).await;
            let answer = done.map_or_else(|refused| refused_answer(&refused), |done| json_answer(StatusCode::OK, &done));
            return answer.map(Body::Whole);
        }
        self.act(route.action, &named, request).await.map(Body::Whole)
    }

    async fn act(&self, action: Action, named: &[&str], request: Request<Incoming>) -> Answer {
        let name = named.first().copied().unwrap_or_default();
        match action {
            Action::Index if dashboard::is_browser(request.headers()) => dashboard::file("").unwrap_or_else(nothing),
            Action::Index => text(StatusCode::OK, routes::index()),
            Action::Dashboard => dashboard::file(name).unwrap_or_else(nothing),
            Action::Ready if self.drain.is_draining() => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            Action::Ready => text(StatusCode::OK, "ready\n"),
            Action::Live => text(StatusCode::OK, "live\n"),
            Action::Version => json_answer(StatusCode::OK, &self.process.shown()),
            Action::Drain => self.leave().await,
            Action::OpenApi => openapi(),
            Action::Listeners => json_answer(StatusCode::OK, &process::listeners(&self.live.load(), &self.ledger)),
            Action::Certificates => {
                json_answer(StatusCode::OK, &json!({ "certificates": certificates::list(&self.live.load()) }))
            }
            Action::Config
            | Action::ConfigPut
            | Action::ConfigReset
            | Action::ConfigDiff
            | Action::ConfigCheck
            | Action::ConfigVersions
            | Action::ConfigRollback => match self.ledger.configuration() {
                Some(running) => config::answer(action, running, &self.api, request).await,
                None => nothing(),
            },
            Action::Filters => json_answer(StatusCode::OK, &views::filters(&self.live.load(), &self.ledger)),
            Action::Filter => self.filter(name),
            Action::FilterReset => self.change(name, Asked::Reset, request).await,
            Action::FilterModule => self.change(name, Asked::Module, request).await,
            Action::FilterConfig => self.change(name, Asked::Config, request).await,
            Action::FilterRollback => self.change(name, Asked::Rollback, request).await,
            Action::FilterPromote => self.change(name, Asked::Promote, request).await,
            Action::FilterAbort => self.change(name, Asked::Abort, request).await,
            Action::Stored => self.stored(name, named.get(1).copied().unwrap_or_default()).await,
            Action::Clusters => json_answer(StatusCode::OK, &clusters::all(&self.live.load())),
            Action::Cluster => self.cluster(name),
            Action::Stats => json_answer(StatusCode::OK, &stats::now(&self.live.load(), &self.ledger.listening())),
            Action::History => json_answer(StatusCode::OK, &self.history.shown()),
            Action::Metrics => metrics::answer(&self.live.load(), &self.ledger, request.headers()),
            Action::Log | Action::LogSet | Action::LogReset => log::answer(request).await,
            // Answered before: one does not end, the other asks who wants it.
            Action::Tap | Action::Upgrade => nothing(),
        }
    }

    async fn leave(&self) -> Answer {
        if !self.drain.is_draining()
            && let Err(refused) = self.api.order(Order::Drain).await
            && !self.drain.is_draining()
        {
            return refused_answer(&refused);
        }
        let drain = &self.live.load().config.drain;
        let shown = |time: Duration| humantime::format_duration(time).to_string();
        let answer = json!({ "draining": true, "pre_stop": shown(drain.pre_stop), "timeout": shown(drain.timeout) });
        json_answer(StatusCode::ACCEPTED, &answer)
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
    async fn stored(&self, name: &str, key: &str) -> Answer {
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

    async fn change(&self, name: &str, asked: Asked, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        match self.api.change(name, asked, head.uri.query(), &head.headers, body).await {
            Ok(done) => json_answer(StatusCode::OK, &done),
            Err(refused) => refused_answer(&refused),
        }
    }
}

fn refused_answer(refused: &Refused) -> Answer {
    json_answer(refused.status(), &json!({ "error": refused.to_string() }))
}

fn openapi() -> Answer {
    let mut answer = text(StatusCode::OK, include_str!("admin/openapi.json"));
    set(&mut answer, CONTENT_TYPE, "application/json");
    answer
}

fn nothing() -> Answer {
    text(StatusCode::NOT_FOUND, "nothing here; GET / lists what is\n")
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

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, "text/plain; charset=utf-8");
    answer
}

fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}
