//! The access log: one JSON line an exchange, written by a thread of its own.
//!
//! A worker never waits for the output: lines go through a bounded queue, and what does not fit is counted and dropped.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::propagation::Hex;
use crate::config;

/// One exchange as the log tells it. `None` fields are left out of the line.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    pub listener: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'a str>,
    pub protocol: &'a str,
    /// 0 where no status was sent.
    pub status: u16,
    /// `upstream`, or one word for every answer of the proxy's own.
    pub reason: &'a str,
    /// What went wrong in words, where something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    pub attempts: u32,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub duration_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_hex")]
    pub trace_id: Option<Hex<u128>>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_hex")]
    pub span_id: Option<Hex<u64>>,
    /// The client as far as trusted hops tell.
    pub source: IpAddr,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "as_map")]
    pub notes: &'a [(String, String)],
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

fn as_hex<T, S: Serializer>(id: &Option<Hex<T>>, serializer: S) -> Result<S::Ok, S::Error>
where
    Hex<T>: std::fmt::Display,
{
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

fn as_map<S: Serializer>(notes: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(notes.len()))?;
    for (key, value) in notes {
        map.serialize_entry(key, value)?;
    }
    map.end()
}

/// The running log. When it is dropped, what is queued is still written.
#[derive(Debug)]
pub struct AccessLog {
    lines: Option<SyncSender<Message>>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Answered when everything before it has been written.
    Flush(SyncSender<()>),
}

impl AccessLog {
    /// Opens the output. An unwritable file is an error here, never later.
    pub fn open(config: &config::AccessLog) -> io::Result<Self> {
        let dropped = Arc::<AtomicU64>::default();
        let output: Box<dyn Write + Send> = match &config.output {
            config::AccessLogOutput::Off => return Ok(Self { lines: None, dropped }),
            config::AccessLogOutput::Stdout => Box::new(io::stdout()),
            config::AccessLogOutput::File(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        };
        let (lines, queue) = sync_channel(config.queue);
        let counter = Arc::clone(&dropped);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write_lines(&queue, output, &counter))?;
        Ok(Self { lines: Some(lines), dropped })
    }

    /// Queues one line. Never waits.
    pub fn write(&self, entry: &Entry<'_>) {
        let Some(lines) = &self.lines else { return };
        let mut line = Vec::with_capacity(512);
        if serde_json::to_writer(&mut line, entry).is_ok() {
            line.push(b'\n');
            if lines.try_send(Message::Line(line)).is_err() {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits until what is queued has been written, for so long at most. False: the output does not take it.
    pub fn flush(&self, within: Duration) -> bool {
        let Some(lines) = &self.lines else { return true };
        let (done, written) = sync_channel(1);
        lines.try_send(Message::Flush(done)).is_ok() && written.recv_timeout(within).is_ok()
    }
}

/// Bytes that are written at once.
const BATCH_BYTES: usize = 64 * 1024;

/// Writes what is queued, as much at once as there is. An output that fails is reported once and tried again.
fn write_lines(queue: &Receiver<Message>, mut output: Box<dyn Write + Send>, dropped: &AtomicU64) {
    let mut failing = false;
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    while let Ok(first) = queue.recv() {
        batch.clear();
        let mut flushed = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Line(line) => batch.extend_from_slice(&line),
                Message::Flush(done) => flushed.push(done),
            }
            next = if batch.len() < BATCH_BYTES { queue.try_recv().ok() } else { None };
        }
        let result = output.write_all(&batch).and_then(|()| output.flush());
        match &result {
            Err(error) if !failing => tracing::error!(%error, "the access log cannot be written; its lines are lost"),
            Ok(()) if failing && !batch.is_empty() => tracing::info!("the access log can be written again"),
            _ => {}
        }
        failing = if batch.is_empty() { failing } else { result.is_err() };
        for done in flushed {
            let _ = done.send(());
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lines = lost, "the access log's output was too slow; these lines are lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_with_the_documented_names() {
        let entry = Entry {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1500),
            listener: "edge",
            method: Some("GET"),
            host: None,
            path: Some("/\"quoted\""),
            protocol: "h2",
            status: 200,
            reason: "upstream",
            error: None,
            cluster: Some("users"),
            endpoint: Some(([127, 0, 0, 1], 80).into()),
            route: None,
            attempts: 1,
            request_bytes: 0,
            response_bytes: 5,
            duration_us: 12,
            request_id: Some("1"),
            trace_id: Some(Hex(0xab)),
            span_id: Some(Hex(0xcd)),
            source: [127, 0, 0, 1].into(),
            notes: &[("a".to_owned(), "b".to_owned())],
        };
        let line = serde_json::to_string(&entry).expect("plain data");
        assert_eq!(
            line,
            r#"{"time":"1970-01-01T00:00:01.500Z","listener":"edge","method":"GET","path":"/\"quoted\"","protocol":"h2","status":200,"reason":"upstream","cluster":"users","endpoint":"127.0.0.1:80","attempts":1,"request_bytes":0,"response_bytes":5,"duration_us":12,"request_id":"1","trace_id":"000000000000000000000000000000ab","span_id":"00000000000000cd","source":"127.0.0.1","notes":{"a":"b"}}"#
        );
    }
}
