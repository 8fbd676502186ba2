//! The thread that gathers spans and sends them, a batch at a time. While one is sent again and again the next ones wait in the
//! queue, and what has no room there is dropped by whoever brings it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout_at};

use super::link::{Link, SendError};
use super::span::Span;
use super::{Counts, Loss, otlp, zipkin};
use crate::config::{Export, ExportProtocol, Tracing};

/// Between two attempts to send a batch; it doubles, and is shortened by up to a half at random.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub enum Message {
    /// Those of one exchange.
    Spans(Vec<Span>),
    /// Answered when everything before it was sent or given up.
    Flush(SyncSender<()>),
}

pub fn start(tracing: Arc<Tracing>, export: Export, link: Link, queue: Receiver<Message>, counts: Counts) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exporter = Exporter { tracing, export, link, counts, failing: false };
    std::thread::Builder::new().name("traces".to_owned()).spawn(move || runtime.block_on(exporter.run(queue)))?;
    Ok(())
}

struct Exporter {
    tracing: Arc<Tracing>,
    export: Export,
    link: Link,
    counts: Counts,
    /// The log has been told.
    failing: bool,
}

impl Exporter {
    /// Until the tracer is dropped, and the queue is empty.
    async fn run(mut self, mut queue: Receiver<Message>) {
        while let Some(first) = queue.recv().await {
            let (mut spans, mut exchanges, mut flushed) = (Vec::new(), 0, Vec::new());
            let until = Instant::now() + self.export.batch_wait;
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Spans(more) => {
                        spans.extend(more);
                        exchanges += 1;
                    }
                    Message::Flush(done) => flushed.push(done),
                }
                let full = exchanges >= self.export.batch || !flushed.is_empty();
                next = if full { None } else { timeout_at(until, queue.recv()).await.ok().flatten() };
            }
            if !spans.is_empty() {
                // Whoever is about to leave, or is followed by another tracer, waits for nobody.
                let last = !flushed.is_empty() || queue.is_closed();
                self.send(&spans, if last { 1 } else { self.export.attempts }).await;
            }
            for done in flushed {
                let _ = done.send(());
            }
        }
    }

    async fn send(&mut self, spans: &[Span], attempts: u32) {
        let batch = Bytes::from(match self.export.protocol {
            ExportProtocol::OtlpHttp | ExportProtocol::OtlpGrpc => otlp::encode(&self.tracing, spans),
            ExportProtocol::Zipkin => zipkin::encode(&self.tracing, spans),
        });
        let mut made = 1;
        loop {
            match self.link.send(&batch).await {
                Ok((rejected, why)) => return self.sent(spans.len(), rejected.min(spans.len()), &why),
                Err(error) if made < attempts && error.is_passing() => {
                    let pause = PAUSE.saturating_mul(1 << (made - 1).min(8)).min(PAUSE_MAX);
                    tokio::time::sleep(pause.mul_f64(1.0 - fastrand::f64() / 2.0)).await;
                    made += 1;
                }
                Err(error) => return self.lost(spans.len(), &error),
            }
        }
    }

    fn sent(&mut self, spans: usize, rejected: usize, why: &str) {
        self.counts.exported(spans - rejected);
        self.counts.dropped(Loss::Rejected, rejected);
        if rejected > 0 {
            tracing::warn!(rejected, why, "the collector of traces did not take all spans");
        }
        if self.failing {
            tracing::info!(endpoint = %self.export.endpoint, "traces can be sent again");
        }
        self.failing = false;
    }

    fn lost(&mut self, spans: usize, error: &SendError) {
        self.counts.dropped(Loss::Export, spans);
        if !self.failing {
            tracing::warn!(endpoint = %self.export.endpoint, %error, "traces cannot be sent; their spans are lost");
        }
        self.failing = true;
    }
}
