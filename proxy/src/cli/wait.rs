//! `tamis wait`: until a proxy is ready.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use http::{Method, StatusCode};

use super::filter::client::Client;
use super::filter::remote::Remote;

/// Between two looks: soon enough for whoever starts behind it, seldom enough to cost nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub struct Wait {
    /// How long; then it fails. `0s`: one look.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    remote: Remote,
}

impl Wait {
    pub fn run(&self) -> ExitCode {
        let client = match Client::build(&self.remote.admin, self.remote.token_file.as_deref()) {
            Ok(client) => client,
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(2);
            }
        };
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
        };
        match runtime.block_on(self.wait(&client)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(last) => {
                let waited = humantime::format_duration(self.timeout);
                eprintln!("error: not ready after {waited}: {last}");
                ExitCode::FAILURE
            }
        }
    }

    async fn wait(&self, client: &Client) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let left = self.timeout.saturating_sub(begun.elapsed()).max(LOOK_EVERY);
            let last = match tokio::time::timeout(left, look(client)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(last)) => last,
                Err(_) => "no answer".to_owned(),
            };
            if begun.elapsed() + LOOK_EVERY > self.timeout {
                return Err(last);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

async fn look(client: &Client) -> Result<(), String> {
    let asked = client.send(Method::GET, "/ready", &[], Bytes::new()).await;
    let (answer, connection) = asked.map_err(|error| error.to_string())?;
    connection.abort();
    match answer.status() {
        StatusCode::OK => Ok(()),
        StatusCode::SERVICE_UNAVAILABLE => Err("it drains".to_owned()),
        other => Err(format!("it answers {other}")),
    }
}
