//! `tamis config`: the configuration of a running proxy, through its admin.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::filter::client::ClientError;
use super::filter::remote::{Remote, aligned, failed, next_step, read};
use crate::config::FILE_BYTES_MAX;

/// There is a difference. (1: it was refused or could not be asked; 2 is also what wrong arguments are.)
const DIFFERS: u8 = 2;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what runs, without passwords.
    Show(Show),
    /// Show how what runs differs from the file that the proxy was started with. Exit code 0: not at all; 2: it does.
    Diff(Diff),
    /// Have the proxy list every mistake of a configuration. Changes nothing.
    Check(Check),
    /// Let the proxy run another configuration, until its file changes. It is live when this succeeds, and nothing has changed when
    /// it does not.
    Apply(Apply),
    /// Go back to the version that was live before, or to any that is remembered.
    Rollback(Rollback),
    /// Let what the file says hold again.
    Reset(Reset),
    /// Show the versions that are remembered.
    Versions(Versions),
}

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub struct Diff {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub struct Check {
    /// The configuration; `-` is standard input.
    file: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub struct Apply {
    /// The configuration; `-` is standard input. Relative paths in it start where those of the proxy's own file do.
    file: PathBuf,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub struct Rollback {
    /// The number of a version.
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub struct Reset {
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub struct Versions {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Change {
    /// Only tell what would change.
    #[arg(long)]
    dry_run: bool,
    /// Only if this version is live.
    #[arg(long, value_name = "VERSION")]
    version: Option<u64>,
}

impl Change {
    fn query(&self) -> String {
        let version = self.version.map(|version| format!("&version={version}")).unwrap_or_default();
        format!("?dry-run={}{version}", self.dry_run)
    }
}

pub fn run(command: Command) -> ExitCode {
    match command {
        Command::Show(show) => tell(&show.remote, Method::GET, "/config?format=json", Bytes::new(), None, |answer| {
            print!("{}", answer["text"].as_str().unwrap_or_default());
        }),
        Command::Diff(diff) => tell(&diff.remote, Method::GET, "/config/diff", Bytes::new(), None, |answer| {
            print!("{}", answer["diff"].as_str().unwrap_or_default());
        }),
        Command::Check(check) => with_body(&check.file, |body| {
            tell(&check.remote, Method::POST, "/config/check", body, Some(&check.file), |answer| match answer["ok"] == true {
                true => println!("{}: no mistakes found", check.file.display()),
                false => mistakes(answer, &check.file),
            })
        }),
        Command::Apply(apply) => with_body(&apply.file, |body| {
            let path = format!("/config{}", apply.change.query());
            tell(&apply.remote, Method::PUT, &path, body, Some(&apply.file), changed)
        }),
        Command::Rollback(rollback) => {
            let body = rollback.to.map_or_else(|| json!({}), |to| json!({ "to": to }));
            let path = format!("/config/rollback{}", rollback.change.query());
            tell(&rollback.remote, Method::POST, &path, body.to_string().into(), None, changed)
        }
        Command::Reset(reset) => {
            let path = format!("/config{}", reset.change.query());
            tell(&reset.remote, Method::DELETE, &path, Bytes::new(), None, changed)
        }
        Command::Versions(versions) => tell(&versions.remote, Method::GET, "/config/versions", Bytes::new(), None, |answer| {
            print!("{}", table(answer));
        }),
    }
}

fn with_body(file: &Path, ask: impl FnOnce(Bytes) -> ExitCode) -> ExitCode {
    match read(file, FILE_BYTES_MAX) {
        Ok(body) => ask(body),
        Err(error) => failed(&error, None),
    }
}

/// Asks, shows what came of it, and says the same by the exit code. `file`: where mistakes are, for whoever sent it.
fn tell(remote: &Remote, method: Method, path: &str, body: Bytes, file: Option<&Path>, show: impl FnOnce(&Value)) -> ExitCode {
    match remote.ask(method, path, body) {
        Ok(answer) => {
            if remote.json {
                println!("{answer:#}");
            } else {
                show(&answer);
            }
            if answer["ok"] == false {
                ExitCode::FAILURE
            } else if answer["differs"] == true {
                ExitCode::from(DIFFERS)
            } else {
                ExitCode::SUCCESS
            }
        }
        Err(ClientError::Refused { answer, .. }) if answer["problems"].is_array() => {
            if remote.json {
                println!("{answer:#}");
            } else {
                mistakes(&answer, file.unwrap_or(Path::new("the version")));
                eprintln!("nothing has changed; what was live goes on serving");
            }
            ExitCode::FAILURE
        }
        Err(error) => failed(&error.to_string(), next_step(&error)),
    }
}

/// One line a mistake, as an editor understands it.
fn mistakes(answer: &Value, file: &Path) {
    for problem in answer["problems"].as_array().into_iter().flatten() {
        let help = problem["help"].as_str().map(|help| format!(" ({help})")).unwrap_or_default();
        let message = problem["message"].as_str().unwrap_or_default();
        eprintln!("{}:{}:{}: {message}{help}", file.display(), problem["line"], problem["column"]);
    }
}

fn changed(answer: &Value) {
    let names = |key: &str| answer[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    if answer["dry_run"] == true {
        println!("it would go live; nothing has changed");
    } else {
        println!("version {} is live, after {} ms", answer["version"], answer["took_ms"]);
    }
    for (sign, key) in [('+', "added"), ('~', "changed"), ('-', "removed")] {
        names(key).for_each(|name| println!("  {sign} {name}"));
    }
    names("next_start").for_each(|name| println!("  {name} takes effect at the next start"));
    if answer["holds"] == "put" && answer["dry_run"] != true {
        println!("  it holds until the file changes; `tamis config reset` takes it back");
        if answer["kept"] == false {
            println!("  it ends with the process: the proxy has no `[state] directory`");
        }
    }
}

fn table(answer: &Value) -> String {
    let header = ["", "VERSION", "AT", "FROM", "OF", "BEFORE", "SHA-256", "BYTES"].map(str::to_owned).to_vec();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let rows = answer["versions"].as_array().into_iter().flatten().map(|version| {
        let hash = text(&version["hash"]);
        let hash = hash.strip_prefix("sha256:").unwrap_or(&hash);
        vec![
            if version["live"] == true { "live" } else { "" }.to_owned(),
            text(&version["version"]),
            text(&version["at"]),
            text(&version["from"]),
            text(&version["of"]),
            text(&version["before"]),
            hash.chars().take(12).collect(),
            text(&version["bytes"]),
        ]
    });
    aligned(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}
