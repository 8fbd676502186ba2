//! `tamis upgrade`: another process takes over from a running proxy, through its admin.

use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::filter::client::ClientError;
use super::filter::remote::{Remote, failed, next_step};

#[derive(Debug, Args)]
pub struct Upgrade {
    /// The program that takes over, with the arguments of the present one. Without it, the program that the present one was
    /// started as, which may have been replaced meanwhile. Needs the proxy's token, or its admin at a socket of the file system.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

impl Upgrade {
    pub fn run(&self) -> ExitCode {
        let body = match self.binary.as_ref().map(std::path::absolute) {
            None => Bytes::new(),
            Some(Ok(binary)) => json!({ "binary": binary }).to_string().into(),
            Some(Err(error)) => return failed(&format!("--binary: {error}"), None),
        };
        match self.remote.ask(Method::POST, "/upgrade", body) {
            Ok(answer) if self.remote.json => println!("{answer:#}"),
            Ok(answer) => print!("{}", upgraded(&answer)),
            Err(error @ ClientError::Refused { status, .. }) if status != StatusCode::UNAUTHORIZED => {
                return failed(&error.to_string(), Some("nothing has changed; the proxy goes on as it was"));
            }
            Err(error) => return failed(&error.to_string(), next_step(&error)),
        }
        ExitCode::SUCCESS
    }
}

fn upgraded(answer: &Value) -> String {
    let mut said = format!(
        "process {} serves, with {} sockets of process {}, which drains\n",
        answer["process"], answer["sockets"], answer["predecessor"]
    );
    for unwanted in answer["unwanted"].as_array().into_iter().flatten() {
        said.push_str(&format!("it does not listen on {}\n", unwanted.as_str().unwrap_or_default()));
    }
    said
}
