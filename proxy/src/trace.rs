//! Traces: what sampled exchanges have to tell, as spans, sent to a collector.
//!
//! `span` makes the spans of an exchange that is over; `otlp` and `zipkin` know the words of collectors; `link` speaks with
//! one; `export` is the thread that gathers spans and sends them. A worker makes the spans and puts them into a bounded queue; it
//! never waits.

mod export;
mod link;
pub mod otlp;
pub mod span;
pub mod zipkin;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::config::Tracing;
use crate::exchange::{Exchange, Onlooker, Over};
use crate::telemetry::metrics::{Family, Registry};
use crate::telemetry::redact::Redact;
use crate::tls::client::TrustError;
use export::Message;
use link::Link;

/// How often a full queue is looked at when the proxy leaves.
const FLUSH_LOOK: Duration = Duration::from_millis(5);

/// Looks at sampled exchanges and has their spans sent. When it is dropped, what is queued is still sent, once.
#[derive(Debug)]
pub struct Tracer {
    config: Arc<Tracing>,
    redact: Arc<Redact>,
    queue: Sender<Message>,
    counts: Counts,
}

/// Spans by what became of them.
#[derive(Debug, Clone)]
pub struct Counts {
    exported: Arc<Family>,
    dropped: Arc<Family>,
}

/// Why a span was lost.
#[derive(Debug, Clone, Copy)]
pub enum Loss {
    /// Too many were waiting.
    Queue,
    /// The collector could not be reached, or did not take them.
    Export,
    /// It took the others of the batch.
    Rejected,
}

impl Counts {
    pub fn of(metrics: &Registry) -> Self {
        let exported = "Spans that a collector has taken.";
        let dropped = "Spans that were lost, by why: the queue was full, the export failed, or the collector rejected them.";
        let counts = Self {
            exported: metrics.counter("tamis_trace_spans_exported_total", exported, &[]),
            dropped: metrics.counter("tamis_trace_spans_dropped_total", dropped, &["reason"]),
        };
        counts.exported(0);
        [Loss::Queue, Loss::Export, Loss::Rejected].into_iter().for_each(|loss| counts.dropped(loss, 0));
        counts
    }

    fn exported(&self, spans: usize) {
        // A count is a number, and there are no labels.
        let _ = self.exported.observe::<&str>(&[], spans as f64);
    }

    fn dropped(&self, loss: Loss, spans: usize) {
        let reason = match loss {
            Loss::Queue => "queue",
            Loss::Export => "export",
            Loss::Rejected => "rejected",
        };
        let _ = self.dropped.observe(&[reason], spans as f64);
    }
}

/// Why there can be no tracer.
#[derive(Debug, thiserror::Error)]
pub enum TracerError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("a thread for spans cannot be started: {0}")]
    Thread(#[from] io::Error),
}

impl Tracer {
    /// `None`: spans go nowhere. Nobody is connected to yet.
    pub fn start(config: &Arc<Tracing>, redact: &Arc<Redact>, metrics: &Registry) -> Result<Option<Self>, TracerError> {
        let Some(export) = &config.export else { return Ok(None) };
        let counts = Counts::of(metrics);
        let link = Link::to(export)?;
        let (queue, waiting) = tokio::sync::mpsc::channel(export.queue);
        export::start(Arc::clone(config), export.clone(), link, waiting, counts.clone())?;
        Ok(Some(Self { config: Arc::clone(config), redact: Arc::clone(redact), queue, counts }))
    }

    /// Whether it does what this configuration says.
    pub fn serves(&self, tracing: &Tracing, redact: &Redact) -> bool {
        let Tracing { service, attributes, export, .. } = &*self.config;
        *self.redact == *redact && (service, attributes, export) == (&tracing.service, &tracing.attributes, &tracing.export)
    }

    /// Waits until what is queued has been sent or given up, for so long at most. False: it has not.
    pub fn flush(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let (done, sent) = sync_channel(1);
        let mut message = Message::Flush(done);
        // A queue that is full gets its chance as well.
        while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(FLUSH_LOOK);
            message = back;
        }
        sent.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok()
    }
}

impl Onlooker for Tracer {
    fn wants(&self, exchange: &Exchange, _: &str) -> bool {
        exchange.trace.is_some_and(|trace| trace.context.sampled)
    }

    fn ended(&self, over: &Over<'_>) {
        let Ok(place) = self.queue.try_reserve() else {
            // One for the exchange, and one for each step.
            return self.counts.dropped(Loss::Queue, over.trail.steps().len() + 1);
        };
        place.send(Message::Spans(span::of(over, &self.redact)));
    }
}
