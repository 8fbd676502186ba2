//! The part of the admin that changes filters: reads what is asked, hands it to whoever runs the proxy, and tells what
//! became of it. It decides nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::config::Reconfigure;
use super::query::Query;
use super::upgrade::Upgrade;
use super::versions::Target;
use super::views::shown;
use crate::config;
use crate::filter::module::MODULE_BYTES_MAX;

/// Changes that wait to be looked at.
pub const COMMANDS: usize = 16;
/// Bodies that are held at once, each of up to 64 MiB; a further one waits.
pub const BODIES_MAX: usize = 4;
/// As much as a configuration file may have.
pub const CONFIG_BYTES_MAX: usize = config::FILE_BYTES_MAX as usize;
/// `{ "to": … }`
pub const TARGET_BYTES_MAX: usize = 4096;
/// A body of which nothing comes for this long is not waited for.
const BODY_STALL: Duration = Duration::from_secs(10);
/// The whole of a body: 64 MiB over a slow line.
const BODY_TIME_MAX: Duration = Duration::from_secs(300);

/// What is read of a body that nobody wants, and for how long: most modules, from near.
const DISCARDED_BYTES_MAX: usize = 4 << 20;
const DISCARD: Duration = Duration::from_secs(1);

/// What is wanted of one filter.
#[derive(Debug)]
pub enum Change {
    Module(Bytes),
    Config(Arc<Value>),
    Rollback(Target),
    /// A module gets this percentage of the exchanges, beside the live one.
    Canary(Bytes, u32),
    /// It becomes the live one.
    Promote,
    /// It is taken back.
    Abort,
    /// Everything that was pushed is taken back.
    Reset,
}

impl Change {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Module(_) => "module",
            Self::Config(_) => "config",
            Self::Rollback(_) => "rollback",
            Self::Canary(..) => "canary",
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Reset => "reset",
        }
    }
}

/// A change, and who waits for the answer.
#[derive(Debug)]
pub struct Command {
    pub filter: Arc<str>,
    pub change: Change,
    /// It holds even where the file has changed since the last push.
    pub over_file: bool,
    pub answer: oneshot::Sender<Result<Done, Refused>>,
    /// Given back when its body is not needed any more.
    pub held: Option<OwnedSemaphorePermit>,
}

/// What whoever runs the proxy is told.
#[derive(Debug)]
pub enum Order {
    Filter(Command),
    Config(Box<Reconfigure>),
    /// Like SIGTERM.
    Drain,
    /// Like SIGUSR2.
    Upgrade(Upgrade),
}

/// What went live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// `None`: it is the file's again.
    pub version: Option<u64>,
    /// `None` where the file has no such filter.
    pub live: Option<Hashes>,
    pub previous: Option<Hashes>,
    /// The share and the module of what is tried out beside it.
    pub canary: Option<(u32, Arc<str>)>,
    /// Whether it survives a restart.
    pub kept: bool,
}

/// Of a module and of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashes {
    pub module: Arc<str>,
    pub config: Arc<str>,
}

/// Why nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    NotFound(String),
    #[error("the body did not come: {0}")]
    Slow(&'static str),
    #[error("{0}")]
    Conflict(String),
    #[error("expected a body of at most {0} bytes")]
    TooLarge(usize),
    #[error("{0}")]
    Unusable(String),
    #[error("{0}")]
    Failed(String),
    #[error("the proxy is leaving; whether the change was kept shows at its next start")]
    Leaving,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    Full(String),
    #[error("{0}")]
    Busy(String),
}

impl Refused {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unusable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Leaving | Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        }
    }
}

/// What a path of the API asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Module,
    Config,
    Rollback,
    Promote,
    Abort,
    Reset,
}

/// Hands changes on. A clone is the same.
#[derive(Debug, Clone)]
pub struct Api {
    commands: mpsc::Sender<Order>,
    bodies: Arc<Semaphore>,
}

impl Api {
    pub fn new(commands: mpsc::Sender<Order>) -> Self {
        Self { commands, bodies: Arc::new(Semaphore::new(BODIES_MAX)) }
    }

    /// Hands it on; it waits for its turn.
    pub async fn order(&self, order: Order) -> Result<(), Refused> {
        self.commands.send(order).await.map_err(|_| Refused::Leaving)
    }

    /// The place of a body; a further one waits for it.
    pub async fn room(&self) -> Result<OwnedSemaphorePermit, Refused> {
        Arc::clone(&self.bodies).acquire_owned().await.map_err(|_| Refused::Leaving)
    }

    /// Reads the body, has it done, and says what went live.
    pub async fn change(
        &self,
        filter: &str,
        asked: Asked,
        query: Option<&str>,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<Value, Refused> {
        let begun = Instant::now();
        let known: &[&str] = if asked == Asked::Module { &["over", "canary"] } else { &["over"] };
        let query = Query::parse(query, known)?;
        let over_file = over_file(&query)?;
        let canary = query.number::<u32>("canary", "a percentage from 1 to 100", |percent| (1..=100).contains(percent))?;
        let held = match asked {
            Asked::Module | Asked::Config => Some(self.room().await?),
            Asked::Rollback | Asked::Promote | Asked::Abort | Asked::Reset => None,
        };
        let change = match asked {
            Asked::Module => match (read(headers, body, MODULE_BYTES_MAX).await?, canary) {
                (module, None) => Change::Module(module),
                (module, Some(percent)) => Change::Canary(module, percent),
            },
            Asked::Promote => Change::Promote,
            Asked::Abort => Change::Abort,
            Asked::Config => Change::Config(Arc::new(json(&read(headers, body, CONFIG_BYTES_MAX).await?)?)),
            Asked::Rollback => Change::Rollback(target(&read(headers, body, TARGET_BYTES_MAX).await?)?),
            Asked::Reset => Change::Reset,
        };
        let (answer, answered) = oneshot::channel();
        let command = Command { filter: filter.into(), change, over_file, answer, held };
        self.order(Order::Filter(command)).await?;
        let done = answered.await.map_err(|_| Refused::Leaving)??;
        Ok(told(filter, &done, begun.elapsed()))
    }
}

fn told(filter: &str, done: &Done, took: Duration) -> Value {
    let module = |hashes: &Option<Hashes>| hashes.as_ref().map(|hashes| shown(&hashes.module));
    let config = |hashes: &Option<Hashes>| hashes.as_ref().map(|hashes| shown(&hashes.config));
    json!({
        "name": filter,
        "version": done.version,
        "hash": module(&done.live),
        "previous_hash": module(&done.previous),
        "config_hash": config(&done.live),
        "previous_config_hash": config(&done.previous),
        "canary": done.canary.as_ref().map(|(percent, hash)| json!({ "percent": percent, "hash": shown(hash) })),
        "kept": done.kept,
        "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn over_file(query: &Query) -> Result<bool, Refused> {
    match query.get("over") {
        None => Ok(false),
        Some("file") => Ok(true),
        Some(other) => Err(Refused::Malformed(format!("expected `over=file`, found `over={other}`"))),
    }
}

pub async fn read(headers: &HeaderMap, mut body: Incoming, bytes_max: usize) -> Result<Bytes, Refused> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bytes_max as u64) {
        return Err(Refused::TooLarge(bytes_max));
    }
    let whole = async {
        let mut bytes = BytesMut::new();
        loop {
            let frame = tokio::time::timeout(BODY_STALL, body.frame()).await;
            match frame.map_err(|_| Refused::Slow("nothing of it for 10 seconds"))? {
                None => return Ok(bytes.freeze()),
                Some(Err(error)) => return Err(Refused::Malformed(format!("the body was cut off: {error}"))),
                Some(Ok(frame)) => {
                    let Some(data) = frame.data_ref() else { continue };
                    if bytes.len() + data.len() > bytes_max {
                        return Err(Refused::TooLarge(bytes_max));
                    }
                    bytes.extend_from_slice(data);
                }
            }
        }
    };
    tokio::time::timeout(BODY_TIME_MAX, whole).await.map_err(|_| Refused::Slow("not all of it in 5 minutes"))?
}

/// Somebody who is still sending when the connection closes may never read why.
pub async fn discard(mut body: Incoming) {
    let little = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DISCARDED_BYTES_MAX {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD, little).await;
}

fn json(body: &[u8]) -> Result<Value, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::Malformed(format!("expected a configuration as JSON: {error}")))
}

/// `{}` and nothing mean the version before.
fn target(body: &[u8]) -> Result<Target, Refused> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        to: Option<To>,
    }
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`to` is the number of a version, or the hash of a module as text")]
    enum To {
        Number(u64),
        Module(String),
    }
    if body.trim_ascii().is_empty() {
        return Ok(Target::Before);
    }
    let wanted: Wanted = serde_json::from_slice(body)
        .map_err(|error| Refused::Malformed(format!("expected nothing or {{\"to\": …}} as JSON: {error}")))?;
    Ok(match wanted.to {
        None => Target::Before,
        Some(To::Number(number)) => Target::Number(number),
        Some(To::Module(hash)) => Target::Module(hash.strip_prefix("sha256:").unwrap_or(&hash).to_ascii_lowercase()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_back_to() {
        assert_eq!(target(b""), Ok(Target::Before));
        assert_eq!(target(b" {} "), Ok(Target::Before));
        assert_eq!(target(br#"{"to": 3}"#), Ok(Target::Number(3)));
        assert_eq!(target(br#"{"to": "sha256:ABcd"}"#), Ok(Target::Module("abcd".into())));
        for wrong in ["3", "{\"to\": -1}", "{\"to\": []}", "{\"too\": 3}", "{"] {
            assert!(matches!(target(wrong.as_bytes()), Err(Refused::Malformed(_))), "{wrong}");
        }
    }

    #[test]
    fn a_query_is_understood_or_refused() {
        let over = |query| over_file(&Query::parse(query, &["over"])?);
        assert_eq!((over(None), over(Some("")), over(Some("over=file"))), (Ok(false), Ok(false), Ok(true)));
        assert!(over(Some("over=files")).is_err() && over(Some("other")).is_err());
    }
}
