//! `tamis filter list`, `load`, `config`, `rollback` and `reset`: the filters of a running proxy, through its admin.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, ClientError};
use crate::config::FILE_BYTES_MAX;
use crate::filter::module::MODULE_BYTES_MAX;

/// Characters of a hash that a table shows.
const HASH_CHARS: usize = 12;

/// Which proxy, and how its answer is shown.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Remote {
    /// The proxy's admin.
    #[arg(long, env = "TAMIS_ADMIN", default_value = "http://127.0.0.1:9901", value_name = "URL")]
    pub(in crate::cli) admin: String,
    /// A file with the token that its `admin.token-file` holds.
    #[arg(long, env = "TAMIS_TOKEN_FILE", value_name = "FILE")]
    pub(in crate::cli) token_file: Option<PathBuf>,
    /// What the proxy answers, as JSON.
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, Args)]
pub struct List {
    /// Only this filter, with its history.
    name: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub struct Load {
    name: String,
    /// The module; `-` is standard input.
    module: PathBuf,
    /// Try it out with this percentage of the exchanges, beside the live version.
    #[arg(long, value_name = "PERCENT")]
    canary: Option<u32>,
    #[command(flatten)]
    over: OverFile,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub struct Config {
    name: String,
    /// What the filter's `config` is to hold, as JSON; `-` is standard input.
    config: PathBuf,
    #[command(flatten)]
    over: OverFile,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub struct Rollback {
    name: String,
    /// The number of a version, or `sha256:` and the beginning of its module's hash.
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    #[command(flatten)]
    over: OverFile,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub struct Reset {
    name: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct OverFile {
    /// Even where the file has changed since the last push.
    #[arg(long)]
    over_file: bool,
}

impl OverFile {
    fn query(&self) -> &'static str {
        if self.over_file { "?over=file" } else { "" }
    }
}

impl List {
    pub fn run(&self) -> ExitCode {
        let path = match &self.name {
            Some(name) => format!("/filters/{}", segment(name)),
            None => "/filters".to_owned(),
        };
        let show = |answer: &Value| match &self.name {
            Some(_) => one(answer),
            None => table(answer),
        };
        self.remote.run(Method::GET, &path, Ok(Bytes::new()), show)
    }
}

impl Load {
    pub fn run(&self) -> ExitCode {
        let mut path = format!("/filters/{}/module{}", segment(&self.name), self.over.query());
        if let Some(percent) = self.canary {
            path.push_str(&format!("{}canary={percent}", if path.contains('?') { '&' } else { '?' }));
        }
        self.remote.run(Method::PUT, &path, read(&self.module, MODULE_BYTES_MAX as u64), gone_live)
    }
}

impl Config {
    pub fn run(&self) -> ExitCode {
        let path = format!("/filters/{}/config{}", segment(&self.name), self.over.query());
        self.remote.run(Method::PUT, &path, read(&self.config, FILE_BYTES_MAX), gone_live)
    }
}

impl Rollback {
    pub fn run(&self) -> ExitCode {
        let path = format!("/filters/{}/rollback{}", segment(&self.name), self.over.query());
        let body = match &self.to {
            None => json!({}),
            Some(to) => match to.parse::<u64>() {
                // A hash of digits only is told from a number by its kind.
                Ok(number) => json!({ "to": number }),
                Err(_) => json!({ "to": to }),
            },
        };
        self.remote.run(Method::POST, &path, Ok(body.to_string().into()), gone_live)
    }
}

impl Reset {
    pub fn run(&self) -> ExitCode {
        self.remote.run(Method::DELETE, &format!("/filters/{}", segment(&self.name)), Ok(Bytes::new()), gone_live)
    }
}

impl Remote {
    pub(in crate::cli) fn admin(&self) -> &str {
        &self.admin
    }

    /// What is at this path, or why it cannot be said, in one text.
    pub(in crate::cli) fn look(&self, path: &str) -> Result<Value, String> {
        let asked = Client::build(&self.admin, self.token_file.as_deref());
        asked.and_then(|client| client.ask(Method::GET, path, Bytes::new())).map_err(|error| error.to_string())
    }

    /// Shows what is at this path; `hint` helps where there is nothing.
    pub(in crate::cli) fn show(&self, path: &str, hint: &'static str, show: impl FnOnce(&Value) -> String) -> ExitCode {
        let asked = Client::build(&self.admin, self.token_file.as_deref());
        match asked.and_then(|client| client.ask(Method::GET, path, Bytes::new())) {
            Ok(answer) if self.json => println!("{answer:#}"),
            Ok(answer) => print!("{}", show(&answer)),
            Err(error @ ClientError::Refused { status: StatusCode::NOT_FOUND, .. }) => {
                return failed(&error.to_string(), Some(hint));
            }
            Err(error) => return failed(&error.to_string(), next_step(&error)),
        }
        ExitCode::SUCCESS
    }

    /// What the proxy answers.
    pub(in crate::cli) fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Value, ClientError> {
        Client::build(&self.admin, self.token_file.as_deref())?.ask(method, path, body)
    }

    pub(super) fn run(
        &self,
        method: Method,
        path: &str,
        body: Result<Bytes, String>,
        show: impl FnOnce(&Value) -> String,
    ) -> ExitCode {
        let body = match body {
            Ok(body) => body,
            Err(error) => return failed(&error, None),
        };
        let asked = Client::build(&self.admin, self.token_file.as_deref()).and_then(|client| client.ask(method, path, body));
        match asked {
            Ok(answer) if self.json => println!("{answer:#}"),
            Ok(answer) => print!("{}", show(&answer)),
            Err(error) => return failed(&error.to_string(), next_step(&error)),
        }
        ExitCode::SUCCESS
    }
}

pub(in crate::cli) fn failed(error: &str, next: Option<&str>) -> ExitCode {
    eprintln!("error: {error}");
    if let Some(next) = next {
        eprintln!("{next}");
    }
    ExitCode::FAILURE
}

/// What may help.
pub(in crate::cli) fn next_step(error: &ClientError) -> Option<&'static str> {
    Some(match error {
        ClientError::Connect(..) | ClientError::ConnectTime(_) => {
            "is the proxy running? `--admin` names the address in its `[admin] listen`"
        }
        ClientError::Refused { status, .. } => match *status {
            StatusCode::UNAUTHORIZED => "`--token-file FILE` shows the token that `admin.token-file` of the proxy holds",
            StatusCode::NOT_FOUND => "`tamis filter list` shows the filters that there are",
            StatusCode::CONFLICT => {
                "nothing has changed; `tamis filter list NAME` and `tamis config versions` show the history, `--over-file` pushes \
                 over the file, `tamis filter reset NAME` takes what the file says"
            }
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => "nothing has changed; what was live goes on serving",
            StatusCode::INSUFFICIENT_STORAGE => "nothing has changed; make room in the proxy's `[state] directory` and try again",
            _ => return None,
        },
        _ => return None,
    })
}

/// A name as a part of a path; the proxy knows no name with anything else in it.
pub(in crate::cli) fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

pub(in crate::cli) fn read(file: &Path, bytes_max: u64) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(bytes_max + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("expected at most {bytes_max} bytes in `{}`", file.display()));
    }
    Ok(bytes.into())
}

pub(super) fn gone_live(answer: &Value) -> String {
    let text = |key: &str| answer[key].as_str().unwrap_or("none");
    let live = match answer["version"].as_u64() {
        Some(version) => format!("version {version} is live"),
        None => "what the file says is live".to_owned(),
    };
    let mut said = format!("{}: {live}, after {} ms\n", text("name"), answer["took_ms"]);
    for (part, hash, before) in [("module", "hash", "previous_hash"), ("config", "config_hash", "previous_config_hash")] {
        let change =
            if answer[hash] == answer[before] { "as before".to_owned() } else { format!("before it {}", short(&answer[before])) };
        said.push_str(&format!("  {part}  {}, {change}\n", text(hash)));
    }
    if let Some(percent) = answer["canary"]["percent"].as_u64() {
        let hash = short(&answer["canary"]["hash"]);
        said.push_str(&format!("  canary  {hash} has {percent} % of the exchanges, until it is promoted or aborted\n"));
    } else if answer["kept"] == false {
        said.push_str("  it ends with the process: the proxy has no `[state] directory`\n");
    }
    said
}

fn table(answer: &Value) -> String {
    let filters = answer["filters"].as_array().map_or(&[][..], Vec::as_slice);
    let header = ["NAME", "VERSION", "MODULE", "FROM", "CONFIG", "FROM", "SINCE", "STATE"].map(str::to_owned).to_vec();
    let rows = filters.iter().map(|filter| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        vec![
            text(&filter["name"]),
            filter["version"].as_u64().map_or_else(|| "-".to_owned(), |version| version.to_string()),
            short(&filter["hash"]),
            text(&filter["from"]["module"]),
            short(&filter["config_hash"]),
            text(&filter["from"]["config"]),
            text(&filter["since"]),
            state(filter).to_owned(),
        ]
    });
    let mut said = aligned(&std::iter::once(header).chain(rows).collect::<Vec<_>>());
    for filter in filters {
        said.push_str(&troubles(filter));
    }
    for name in answer["waiting"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        said.push_str(&format!("\n{name}: something is pushed for it, but the file has no such filter\n"));
    }
    said
}

fn one(filter: &Value) -> String {
    let mut said = format!("{}: {}\n", filter["name"].as_str().unwrap_or("-"), state(filter));
    if let Some(module) = filter["module"].as_str() {
        said.push_str(&format!("the file's module is {module}\n"));
    }
    said.push_str(&troubles(filter));
    let header = ["", "VERSION", "AT", "AFTER", "MODULE", "CONFIG"].map(str::to_owned).to_vec();
    let history = filter["history"].as_array().map_or(&[][..], Vec::as_slice);
    if history.is_empty() {
        said.push_str("\nnothing was pushed for it\n");
        return said;
    }
    let rows = history.iter().map(|version| {
        let number = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), |number| number.to_string());
        vec![
            if version["live"] == true { "live" } else { "" }.to_owned(),
            number(&version["version"]),
            version["at"].as_str().unwrap_or("-").to_owned(),
            number(&version["before"]),
            short(&version["module"]),
            short(&version["config"]),
        ]
    });
    said.push('\n');
    said.push_str(&aligned(&std::iter::once(header).chain(rows).collect::<Vec<_>>()));
    said
}

fn state(filter: &Value) -> &'static str {
    if filter["waiting"] == true {
        "waits for the file"
    } else if !filter["conflict"].is_null() {
        "conflict"
    } else if !filter["failed"].is_null() {
        "failed"
    } else {
        "ok"
    }
}

fn troubles(filter: &Value) -> String {
    let name = filter["name"].as_str().unwrap_or("-");
    let mut said = String::new();
    for part in filter["conflict"].as_object().into_iter().flat_map(serde_json::Map::keys) {
        said.push_str(&format!(
            "\n{name}: the file says something else of its {part} than when it was pushed, which goes on serving\n"
        ));
    }
    if let Some(error) = filter["failed"]["error"].as_str() {
        let at = filter["failed"]["at"].as_str().unwrap_or("-");
        said.push_str(&format!("\n{name}: a load failed at {at}, and what was live goes on serving\n{error}\n"));
    }
    said
}

/// Of a hash its kind is left out and its end.
fn short(hash: &Value) -> String {
    let hash = hash.as_str().unwrap_or("-");
    match hash.strip_prefix("sha256:") {
        Some(digits) => digits.chars().take(HASH_CHARS).collect(),
        None => hash.to_owned(),
    }
}

/// Columns, two spaces apart; the last one takes what it needs.
pub(in crate::cli) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_filters() {
        let hash = format!("sha256:{}", "a1".repeat(32));
        let filters = json!({ "waiting": ["gone"], "filters": [{
            "name": "routes", "version": null, "hash": hash, "config_hash": hash,
            "from": { "module": "file", "config": "pushed" }, "since": "2026-01-01T12:00:00.000Z",
            "failed": { "at": "2026-01-01T13:00:00.000Z", "error": "no module" }, "conflict": null,
        }]});
        let said = table(&filters);
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines[0], "NAME    VERSION  MODULE        FROM  CONFIG        FROM    SINCE                     STATE");
        assert_eq!(lines[1], "routes  -        a1a1a1a1a1a1  file  a1a1a1a1a1a1  pushed  2026-01-01T12:00:00.000Z  failed");
        assert!(said.contains("no module") && said.contains("gone: "), "{said}");
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(segment("users.v1-A_b"), "users.v1-A_b");
        assert_eq!(segment("a/../b ?é"), "a%2F..%2Fb%20%3F%C3%A9");
    }
}
