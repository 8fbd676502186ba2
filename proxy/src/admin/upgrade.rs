//! `POST /upgrade`: another process takes over. Who runs the proxy does it; here it is read what is wanted, and told what came of it.

use std::path::PathBuf;
use std::time::Instant;

use http::HeaderMap;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::api::{Api, Order, Refused, TARGET_BYTES_MAX, read};

/// What is wanted, and who waits for the answer.
#[derive(Debug)]
pub struct Upgrade {
    /// `None`: the program that this process was started as.
    pub program: Option<PathBuf>,
    answer: Option<oneshot::Sender<Result<Upgraded, Refused>>>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    pub process: u32,
    /// Sockets that it has taken.
    pub taken: usize,
    /// What it does not want.
    pub unwanted: Vec<String>,
}

impl Upgrade {
    /// Nobody waits: a signal has asked for it.
    pub fn nobodys() -> Self {
        Self { program: None, answer: None }
    }

    pub fn tell(self, done: Result<Upgraded, Refused>) {
        if let Some(answer) = self.answer {
            let _ = answer.send(done);
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    binary: Option<PathBuf>,
}

/// `is_trusted`: whoever asks may have any program started that the proxy's user can start.
pub async fn answer(api: &Api, is_trusted: bool, headers: &HeaderMap, body: Incoming) -> Result<Value, Refused> {
    let begun = Instant::now();
    let body = read(headers, body, TARGET_BYTES_MAX).await?;
    let wanted: Wanted = if body.trim_ascii().is_empty() {
        Wanted::default()
    } else {
        let expected = |error| Refused::Malformed(format!("expected nothing or {{\"binary\": PATH}} as JSON: {error}"));
        serde_json::from_slice(&body).map_err(expected)?
    };
    match &wanted.binary {
        Some(binary) if !binary.is_absolute() => {
            return Err(Refused::Malformed(format!("expected the whole path of a program, found `{}`", binary.display())));
        }
        Some(_) if !is_trusted => {
            let why = "another program is started only for whoever shows the token of `admin.token-file`, or comes through \
                       the admin's socket of the file system";
            return Err(Refused::Forbidden(why));
        }
        _ => {}
    }
    let (answer, answered) = oneshot::channel();
    api.order(Order::Upgrade(Upgrade { program: wanted.binary, answer: Some(answer) })).await?;
    let Upgraded { process, taken, unwanted } = answered.await.map_err(|_| Refused::Leaving)??;
    Ok(json!({
        "process": process,
        "predecessor": std::process::id(),
        "sockets": taken,
        "unwanted": unwanted,
        "took_ms": u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }))
}
