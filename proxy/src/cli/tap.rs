//! `tamis tap`: exchanges of a running proxy as they end, through its admin.

use std::io::{self, Write};
use std::process::ExitCode;

use bytes::{Buf, Bytes, BytesMut};
use clap::Args;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::filter::client::{Client, ClientError};
use super::filter::remote::{Remote, failed, next_step, segment};

/// One event: two heads and two bodies, escaped.
const EVENT_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Args)]
pub struct Tap {
    /// What to show: terms that all have to hold, such as `cluster=users status=5xx path=/v1/*`; a bare word is looked for in
    /// method, host and path.
    #[arg(value_name = "MATCH")]
    terms: Vec<String>,
    /// The share of them that is shown.
    #[arg(long, value_name = "SHARE")]
    sample: Option<f64>,
    /// As much of each body; they stand in the JSON.
    #[arg(long, value_name = "BYTES")]
    bodies: Option<usize>,
    /// Ends after so many.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

impl Tap {
    pub fn run(&self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let watched = match runtime {
            Ok(runtime) => runtime.block_on(self.watch()),
            Err(error) => return failed(&error.to_string(), None),
        };
        match watched {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error.to_string(), next_step(&error)),
        }
    }

    fn path(&self) -> String {
        let mut path = format!("/tap?match={}", segment(&self.terms.join(" ")));
        let numbers = [
            ("sample", self.sample.map(|share| share.to_string())),
            ("bodies", self.bodies.map(|bytes| bytes.to_string())),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                path.push_str(&format!("&{name}={number}"));
            }
        }
        path
    }

    async fn watch(&self) -> Result<(), ClientError> {
        let client = Client::build(&self.remote.admin, self.remote.token_file.as_deref())?;
        let (answer, _connection) = client.send(Method::GET, &self.path(), &[], Bytes::new()).await?;
        if !answer.status().is_success() {
            return client.whole(answer).await.map(drop);
        }
        eprintln!("watching; Ctrl-C ends it");
        let mut events = Events { body: answer.into_body(), read: BytesMut::new() };
        while let Some((kind, data)) = events.next().await.map_err(|error| client.odd(&error))? {
            if self.show(&kind, &data).is_err() {
                // Whoever read this has seen enough.
                return Ok(());
            }
        }
        Ok(())
    }

    fn show(&self, kind: &str, data: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match (kind, serde_json::from_str::<Value>(data)) {
            ("exchange", _) if self.remote.json => writeln!(out, "{data}")?,
            ("exchange", Ok(event)) => writeln!(out, "{}", line(&event))?,
            ("lost", Ok(lost)) => eprintln!("{} were not shown: this reads too slowly", lost["count"]),
            _ => {}
        }
        out.flush()
    }
}

/// When, what, what came of it, where it went and how long it took; then what the filters said.
fn line(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or("-").to_owned();
    let time = text("time");
    let time = time.get(11..23).unwrap_or(&time);
    let took = format!("{:.1}ms", event["duration_us"].as_f64().unwrap_or(0.0) / 1000.0);
    let filters = event["filters"].as_array().map_or(&[][..], Vec::as_slice);
    let notable = filters.iter().filter(|hook| hook["verdict"] != "next").map(|hook| {
        let part = |key: &str| hook[key].as_str().unwrap_or("given-up").to_owned();
        format!(" {}:{}", part("name"), part("verdict"))
    });
    let mut line = format!(
        "{time} {} {} {}{} {} {} {} {} {took}",
        text("listener"),
        text("method"),
        text("host"),
        text("path"),
        event["status"],
        text("reason"),
        text("cluster"),
        text("endpoint"),
    );
    line.extend(notable);
    if let Some(error) = event["error"].as_str() {
        line.push_str(&format!(" ({error})"));
    }
    // What came from a client moves no cursor.
    line.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// Server-sent events, as far as this proxy sends them.
struct Events {
    body: Incoming,
    read: BytesMut,
}

impl Events {
    async fn next(&mut self) -> Result<Option<(String, String)>, String> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\n\n") {
                let event = self.read.split_to(end);
                self.read.advance(2);
                let text = String::from_utf8_lossy(&event);
                let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
                match (field("event: "), field("data: ")) {
                    (Some(kind), Some(data)) => return Ok(Some((kind.to_owned(), data.to_owned()))),
                    _ => continue,
                }
            }
            if self.read.len() > EVENT_BYTES_MAX {
                return Err(format!("an event of more than {EVENT_BYTES_MAX} bytes"));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(frame)) => self.read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_tells_what_is_worth_telling() {
        let event = json!({
            "time": "2026-01-01T12:00:00.123Z", "listener": "edge", "method": "GET", "host": "a.example", "path": "/x\u{1b}[2J",
            "status": 503, "reason": "filter", "cluster": null, "endpoint": null, "duration_us": 1500,
            "filters": [{ "name": "gate", "verdict": "replied" }, { "name": "stamp", "verdict": "next" }],
        });
        assert_eq!(line(&event), "12:00:00.123 edge GET a.example/x\u{fffd}[2J 503 filter - - 1.5ms gate:replied");
    }
}
