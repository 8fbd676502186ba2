//! The proxy of a test: one listener, one filter, one worker, on free ports of this machine, for one exchange.
//!
//! Nobody says which clusters and stores a filter will ask for. Where it asks for one that is not there, that is made,
//! granted, and the exchange begins again, from nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;

use super::UPSTREAM;
use super::origin::{self, Answer, Came, Log};
use crate::app::{App, Bound, StartError};
use crate::cli::filter::module::Named;
use crate::cli::filter::say::Trouble;
use crate::config::{self, Input};
use crate::filter::witness::{self, Event, Missing};

/// Names that are made and granted, one or several a time, before what is still missing stays so.
const ROUNDS: usize = 16;
/// An exchange that takes longer will not end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is tried out.
#[derive(Debug)]
pub struct Lab<'a> {
    pub module: &'a Named,
    pub config: Arc<serde_json::Value>,
    pub inputs: &'a [(String, PathBuf)],
    pub environment: BTreeMap<String, String>,
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub grant: bool,
    /// What clusters answer that nobody spoke of.
    pub otherwise: Answer,
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    pub events: Vec<Event>,
    /// What reached the services.
    pub came: Vec<Came>,
    /// `Err`: there was no answer, or not all of it.
    pub answer: Result<Whole, String>,
    pub stores: BTreeSet<String>,
    pub clusters: BTreeSet<String>,
}

/// What the client got.
#[derive(Debug)]
pub struct Whole {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Lab<'_> {
    pub fn run(&self, mut answers: BTreeMap<String, Answer>) -> Result<Ran, Trouble> {
        let mut stores = BTreeSet::new();
        for _ in 0..ROUNDS {
            let ran = self.once(&answers, &stores)?;
            let mut more = false;
            for event in ran.events.iter().filter(|_| self.grant) {
                match event {
                    Event::Missing(Missing::Cluster, name) if is_name(name) && !answers.contains_key(name) => {
                        answers.insert(name.clone(), self.otherwise.clone());
                        more = true;
                    }
                    Event::Missing(Missing::Store, name) if is_name(name) => more |= stores.insert(name.clone()),
                    _ => {}
                }
            }
            if !more {
                return Ok(ran);
            }
        }
        self.once(&answers, &stores)
    }

    fn once(&self, answers: &BTreeMap<String, Answer>, stores: &BTreeSet<String>) -> Result<Ran, Trouble> {
        let no_runtime = |error| Trouble::new(format!("the services of the test cannot start: {error}"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(no_runtime)?;
        let log = Log::default();
        let mut clusters = BTreeMap::new();
        for (name, answer) in answers {
            clusters.insert(name.as_str(), origin::start(runtime.handle(), name, answer, &log).map_err(no_runtime)?);
        }
        witness::begin();
        let bound = self.build(&clusters, stores).map_err(|error| {
            witness::end();
            self.refused(error)
        })?;
        let address = bound.listener("test").ok_or_else(|| Trouble::new("the proxy of the test has no address"))?;
        let handle = bound.handle();
        let proxy = std::thread::spawn(move || bound.run());
        let answer = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, self.send(address))
                .await
                .unwrap_or_else(|_| Err(format!("it took longer than {PATIENCE:?}")))
        });
        // It ends when everything has, complete hooks included.
        handle.drain();
        let left = proxy.join();
        let events = witness::end();
        runtime.shutdown_background();
        if let Ok(Err(error)) = left {
            return Err(Trouble::new(error));
        }
        Ok(Ran {
            events,
            came: log.take(),
            answer,
            stores: stores.clone(),
            clusters: answers.keys().filter(|name| *name != UPSTREAM).cloned().collect(),
        })
    }

    fn build(&self, clusters: &BTreeMap<&str, SocketAddr>, stores: &BTreeSet<String>) -> Result<Bound, StartError> {
        let name = &self.module.name;
        let mut text = format!(
            "workers = 1\ndrain = {{ pre-stop = '0s', timeout = '10s' }}\naccess-log = {{ output = 'off' }}\n\
             [listeners.test]\nlisten = '127.0.0.1:0'\ncluster = '{UPSTREAM}'\nfilters = ['{name}']\n\
             [filters.{name}]\nmodule = 'builtin:router'\n"
        );
        for (cluster, address) in clusters {
            let _ = write!(text, "[clusters.'{cluster}']\nendpoints = ['{address}']\n");
        }
        for store in stores {
            let _ = writeln!(text, "[stores.'{store}']");
        }
        let mut loaded = config::parse(&text, Path::new("test"))?;
        let filter = loaded.config.filters.values_mut().next().map(Arc::make_mut);
        if let Some(filter) = filter {
            filter.module = self.module.source.clone();
            filter.config = Arc::clone(&self.config);
            let files = self.inputs.iter().map(|(name, file)| (Arc::from(name.as_str()), Input::File(file.clone())));
            filter.inputs = files.collect();
            filter.log_lines = 0;
            if self.grant {
                filter.allow.clusters = clusters.keys().map(|name| Arc::from(*name)).collect();
                filter.allow.stores = stores.iter().map(|name| Arc::from(name.as_str())).collect();
                filter.allow.environment = self.environment.clone();
            }
        }
        App::build(loaded)
    }

    /// The mistakes in words: the file that they are in is none of the user's.
    fn refused(&self, error: StartError) -> Trouble {
        let StartError::Config(problems) = error else { return Trouble::new(error) };
        let messages: Vec<_> = problems.iter().map(|problem| problem.message.clone()).collect();
        Trouble::new(messages.join("\n")).hint(format!(
            "--config gives it a configuration, --input what it reads; `tamis filter inspect {}` says what it wants",
            self.module.shown
        ))
    }

    async fn send(&self, address: SocketAddr) -> Result<Whole, String> {
        let stream = tokio::net::TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let connection = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connection.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.parse().map_err(|error| format!("`{}`: {error}", self.target))?;
        *request.headers_mut() = self.headers.clone();
        if !request.headers().contains_key(header::HOST) {
            request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("localhost"));
        }
        let response =
            sender.send_request(request).await.map_err(|_| "the connection was closed without an answer".to_owned())?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| format!("{}, and then its body was cut off: {error}", head.status))?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        Ok(Whole { status: head.status, headers: head.headers, body: body.to_bytes(), trailers })
    }
}

/// Whether a cluster or a store can be called that.
fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
