//! The configuration of a running proxy, through its admin: as it runs, against the file, checked, replaced, gone back from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::api::{Api, CONFIG_BYTES_MAX, Order, Refused, TARGET_BYTES_MAX, read};
use super::configs::{Configs, From};
use super::query::Query;
use super::routes::Action;
use super::{diff, json_answer, refused_answer, set, text};
use crate::config::{self, Problems, Source};

/// Sections that have an entry for each name.
const NAMED: [&str; 5] = ["listeners", "clusters", "filters", "chains", "stores"];
/// Those that a running proxy does not take.
const NEXT_START: [&str; 4] = ["workers", "admin", "state", "spiffe"];

/// Which text is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Text(Arc<str>),
    /// `None`: the version that was live before.
    Rollback(Option<u64>),
    /// What the file says.
    File,
}

/// A change of the configuration, and who waits for the answer.
#[derive(Debug)]
pub struct Reconfigure {
    pub wanted: Wanted,
    /// The version that has to be live.
    pub expected: Option<u64>,
    /// Nothing is changed.
    pub dry_run: bool,
    pub answer: oneshot::Sender<Result<Reconfigured, NotConfigured>>,
    /// Given back when its body is not needed any more.
    pub held: Option<OwnedSemaphorePermit>,
}

/// Why nothing has changed.
#[derive(Debug)]
pub enum NotConfigured {
    Refused(Refused),
    Problems(Problems),
}

/// What went live, or would.
#[derive(Debug, Clone)]
pub struct Reconfigured {
    pub version: u64,
    pub previous: u64,
    pub from: From,
    /// It is not what the file says.
    pub holds: bool,
    pub changes: Changes,
    pub dry_run: bool,
    /// Whether it survives a restart.
    pub kept: bool,
    pub took: Duration,
}

/// The parts of a configuration that differ from another one: `clusters.users`, `drain`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

impl Changes {
    pub fn between(old: &Value, new: &Value) -> Self {
        let mut changes = Self::default();
        let empty = Map::new();
        let table = |value: &Value| value.as_object().cloned().unwrap_or_else(|| empty.clone());
        let (old, new) = (table(old), table(new));
        for section in NAMED {
            let of = |whole: &Map<String, Value>| whole.get(section).map(table).unwrap_or_default();
            changes.compare(&of(&old), &of(&new), |name| Some(format!("{section}.{name}")));
        }
        changes.compare(&old, &new, |name| (!NAMED.contains(&name)).then(|| name.to_owned()));
        changes
    }

    fn compare(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, place: impl Fn(&str) -> Option<String>) {
        for (name, value) in new {
            match old.get(name) {
                None => self.added.extend(place(name)),
                Some(before) if before != value => self.changed.extend(place(name)),
                Some(_) => {}
            }
        }
        self.removed.extend(old.keys().filter(|name| !new.contains_key(*name)).filter_map(|name| place(name)));
    }

    /// Those that wait for the next start.
    fn next_start(&self) -> Vec<&str> {
        let all = [&self.added, &self.changed, &self.removed].into_iter().flatten();
        all.map(String::as_str).filter(|name| NEXT_START.contains(name)).collect()
    }
}

impl Reconfigured {
    fn shown(&self) -> Value {
        json!({
            "version": self.version,
            "previous": self.previous,
            "from": self.from.name(),
            "holds": if self.holds { "put" } else { "file" },
            "dry_run": self.dry_run,
            "added": self.changes.added,
            "changed": self.changes.changed,
            "removed": self.changes.removed,
            "next_start": self.changes.next_start(),
            "kept": self.kept,
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// The configuration that runs.
#[derive(Debug, Clone)]
pub struct Running {
    pub configs: Arc<Configs>,
    pub source: Source,
    /// `None`: it was not read from a file.
    pub file: Option<PathBuf>,
}

type Answer = Response<Full<Bytes>>;

/// What is asked of `/config` and the paths below it.
pub async fn answer(action: Action, running: Running, api: &Api, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let (query, headers) = (head.uri.query(), &head.headers);
    let answered = match action {
        Action::Config => show(&running, query),
        Action::ConfigDiff => difference(running, query).await,
        Action::ConfigVersions => Query::parse(query, &[]).map(|_| json_answer(StatusCode::OK, &running.configs.shown())),
        Action::ConfigCheck => check(api, query, headers, body).await,
        Action::ConfigPut => put(api, query, headers, body).await,
        Action::ConfigRollback => rollback(api, query, headers, body).await,
        _ => reset(api, query, headers).await,
    };
    answered.unwrap_or_else(|refused| refused_answer(&refused))
}

fn show(running: &Running, query: Option<&str>) -> Result<Answer, Refused> {
    let query = Query::parse(query, &["format"])?;
    let version = running.configs.live().number;
    let mut answer = match query.get("format") {
        None | Some("toml") => {
            let mut answer = text(StatusCode::OK, running.source.shown_text());
            set(&mut answer, CONTENT_TYPE, "application/toml");
            answer
        }
        Some("json") => json_answer(
            StatusCode::OK,
            &json!({
                "version": version,
                "from": running.configs.live().from.name(),
                "holds": if running.configs.over().is_some() { "put" } else { "file" },
                "file": running.file,
                "config": running.source.shown_json(),
                "text": running.source.shown_text(),
            }),
        ),
        Some(other) => return Err(Refused::Malformed(format!("expected `format=toml` or `format=json`, found `{other}`"))),
    };
    set(&mut answer, ETAG, &format!("\"{version}\""));
    Ok(answer)
}

/// From the file to what runs.
async fn difference(running: Running, query: Option<&str>) -> Result<Answer, Refused> {
    let query = Query::parse(query, &["format"])?;
    let as_text = match query.get("format") {
        None | Some("json") => false,
        Some("text") => true,
        Some(other) => return Err(Refused::Malformed(format!("expected `format=json` or `format=text`, found `{other}`"))),
    };
    let Some(file) = running.file.clone() else {
        return Err(Refused::Conflict("this configuration was not read from a file".to_owned()));
    };
    let compare = move || {
        let said = config::read(&file).map_err(|problems| Refused::Failed(problems.to_string()))?;
        // What is no TOML now has no values to look for passwords in.
        let shown = match config::examine_as(&said, &file, std::path::Path::new("")) {
            Ok(examined) => examined.loaded.source.shown_text(),
            Err(_) => config::shown(&said).into_owned(),
        };
        let differs = said != running.source.text();
        let running = running.source.shown_text();
        let shown = match diff::unified(&file.to_string_lossy(), &shown, "running", &running) {
            diff if diff.is_empty() && differs => "only what is hidden differs\n".to_owned(),
            diff => diff,
        };
        Ok((shown, file))
    };
    let compared = tokio::task::spawn_blocking(compare).await;
    let (differs, file) = compared.map_err(|error| Refused::Failed(error.to_string())).flatten()?;
    if as_text {
        return Ok(text(StatusCode::OK, differs));
    }
    Ok(json_answer(StatusCode::OK, &json!({ "file": file, "differs": !differs.is_empty(), "diff": differs })))
}

async fn check(api: &Api, query: Option<&str>, headers: &HeaderMap, body: Incoming) -> Result<Answer, Refused> {
    Query::parse(query, &[])?;
    let held = api.room().await?;
    let wanted = Wanted::Text(toml(&read(headers, body, CONFIG_BYTES_MAX).await?)?);
    Ok(match ask(api, wanted, None, true, Some(held)).await? {
        Ok(_) => json_answer(StatusCode::OK, &json!({ "ok": true, "problems": [] })),
        Err(problems) => json_answer(StatusCode::OK, &json!({ "ok": false, "problems": problems.to_json() })),
    })
}

async fn put(api: &Api, query: Option<&str>, headers: &HeaderMap, body: Incoming) -> Result<Answer, Refused> {
    let query = Query::parse(query, &["dry-run", "version"])?;
    let (expected, dry_run) = (expected(&query, headers)?, query.flag("dry-run")?);
    let held = api.room().await?;
    let text = toml(&read(headers, body, CONFIG_BYTES_MAX).await?)?;
    if let Some(line) = config::hidden_in(&text) {
        let message =
            format!("line {line}: expected a value, found the `[redacted]` that stands for one where a configuration is shown");
        return Err(Refused::Unusable(message));
    }
    let wanted = Wanted::Text(text);
    ask(api, wanted, expected, dry_run, Some(held)).await.map(done)
}

async fn rollback(api: &Api, query: Option<&str>, headers: &HeaderMap, body: Incoming) -> Result<Answer, Refused> {
    let query = Query::parse(query, &["dry-run", "version"])?;
    let (expected, dry_run) = (expected(&query, headers)?, query.flag("dry-run")?);
    let body = read(headers, body, TARGET_BYTES_MAX).await?;
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Target {
        to: Option<u64>,
    }
    let to = match body.trim_ascii() {
        [] => None,
        body => {
            let wrong = |error| Refused::Malformed(format!("expected nothing or {{\"to\": VERSION}} as JSON: {error}"));
            serde_json::from_slice::<Target>(body).map_err(wrong)?.to
        }
    };
    ask(api, Wanted::Rollback(to), expected, dry_run, None).await.map(done)
}

async fn reset(api: &Api, query: Option<&str>, headers: &HeaderMap) -> Result<Answer, Refused> {
    let query = Query::parse(query, &["dry-run", "version"])?;
    let (expected, dry_run) = (expected(&query, headers)?, query.flag("dry-run")?);
    ask(api, Wanted::File, expected, dry_run, None).await.map(done)
}

fn done(asked: Result<Reconfigured, Problems>) -> Answer {
    match asked {
        Ok(done) => json_answer(StatusCode::OK, &done.shown()),
        Err(problems) => {
            let error = match problems.len() {
                1 => "the configuration has a mistake".to_owned(),
                count => format!("the configuration has {count} mistakes"),
            };
            let answer = json!({ "error": error, "problems": problems.to_json() });
            json_answer(StatusCode::UNPROCESSABLE_ENTITY, &answer)
        }
    }
}

/// The version that the operator saw, by `?version=` or `If-Match`.
fn expected(query: &Query, headers: &HeaderMap) -> Result<Option<u64>, Refused> {
    let named = query.number::<u64>("version", "the number of a version", |_| true)?;
    let Some(tag) = headers.get(IF_MATCH) else { return Ok(named) };
    let tag = tag.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return Ok(named);
    }
    match tag.trim_matches('"').parse() {
        Ok(version) if named.is_none_or(|named| named == version) => Ok(Some(version)),
        _ => Err(Refused::Malformed(format!("expected `If-Match` with the number of a version such as \"3\", found `{tag}`"))),
    }
}

fn toml(body: &[u8]) -> Result<Arc<str>, Refused> {
    let text = std::str::from_utf8(body);
    text.map(Arc::from).map_err(|error| Refused::Malformed(format!("expected a configuration as UTF-8 text: {error}")))
}

async fn ask(
    api: &Api,
    wanted: Wanted,
    expected: Option<u64>,
    dry_run: bool,
    held: Option<OwnedSemaphorePermit>,
) -> Result<Result<Reconfigured, Problems>, Refused> {
    let (answer, answered) = oneshot::channel();
    api.order(Order::Config(Box::new(Reconfigure { wanted, expected, dry_run, answer, held }))).await?;
    match answered.await.map_err(|_| Refused::Leaving)? {
        Ok(done) => Ok(Ok(done)),
        Err(NotConfigured::Problems(problems)) => Ok(Err(problems)),
        Err(NotConfigured::Refused(refused)) => Err(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_by_its_place() {
        let old = json!({ "workers": 1, "drain": { "timeout": "1s" }, "clusters": { "a": { "x": 1 }, "b": {} } });
        let new = json!({ "workers": 2, "dns": {}, "clusters": { "a": { "x": 2 }, "c": {} }, "filters": { "f": {} } });
        let changes = Changes::between(&old, &new);
        assert_eq!(changes.added, ["clusters.c", "filters.f", "dns"]);
        assert_eq!(changes.changed, ["clusters.a", "workers"]);
        assert_eq!(changes.removed, ["clusters.b", "drain"]);
        assert_eq!(changes.next_start(), ["workers"]);
        assert_eq!(Changes::between(&old, &old), Changes::default());
    }

    #[test]
    fn the_version_that_was_seen_is_told_in_one_of_two_ways() {
        let seen = |query: &str, tag: Option<&'static str>| {
            let headers = tag.map(|tag| (IF_MATCH, http::HeaderValue::from_static(tag))).into_iter().collect();
            expected(&Query::parse(Some(query), &["version"]).expect("well formed"), &headers)
        };
        assert_eq!((seen("", None), seen("version=3", None)), (Ok(None), Ok(Some(3))));
        assert_eq!((seen("", Some("\"3\"")), seen("", Some("*"))), (Ok(Some(3)), Ok(None)));
        assert!(seen("version=4", Some("\"3\"")).is_err() && seen("", Some("\"abc\"")).is_err());
    }
}
