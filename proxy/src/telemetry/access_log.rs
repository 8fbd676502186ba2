//! The access log: one line an exchange, written by a thread of its own.
//!
//! A worker never waits for the output: it appends lines to a bounded place of its own, and what does not fit is counted and dropped.
//! Nothing is allocated for a line.

mod entry;
mod escape;
mod line;
mod plain;
mod trail;
mod value;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};

use super::metrics::{Exposition, Kind};
use super::redact::Redact;
use crate::config::{self, LogValue};
pub use entry::{Entry, Fields};
use line::Format;
pub use trail::{AttemptStep, HookStep, Trail};
use writer::{Counts, Writer};

/// The running log. When the last one of an output is dropped, what is queued is still written.
#[derive(Debug)]
pub struct AccessLog {
    config: config::AccessLog,
    format: Format,
    redact: Arc<Redact>,
    /// Fields that the lines show, of requests and of responses.
    request_fields: Box<[HeaderName]>,
    response_fields: Box<[HeaderName]>,
    /// The lines tell of hooks or attempts.
    wants_trail: bool,
    writer: Option<Arc<Writer>>,
    counts: Arc<Counts>,
}

impl AccessLog {
    /// Opens the output. An unwritable file is an error here, never later. Where `previous` writes to the same output, it is
    /// written to by one thread; its counts go on.
    pub fn open(config: &config::AccessLog, redact: &Arc<Redact>, previous: Option<&Self>) -> io::Result<Self> {
        let counts = previous.map(|previous| Arc::clone(&previous.counts)).unwrap_or_default();
        let same = |known: &&Self| known.config.output == config.output && known.config.queue == config.queue;
        let writer = match previous.filter(same) {
            Some(previous) => previous.writer.clone(),
            None => Writer::open(&config.output, config.queue, &counts)?.map(Arc::new),
        };
        Ok(Self::new(config, redact, writer, counts))
    }

    fn new(config: &config::AccessLog, redact: &Arc<Redact>, writer: Option<Arc<Writer>>, counts: Arc<Counts>) -> Self {
        let shown = |of: fn(&LogValue) -> Option<HeaderName>| {
            let mut names: Vec<HeaderName> = config.format.values().into_iter().filter_map(of).collect();
            names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            names.dedup();
            if writer.is_some() { names.into() } else { Box::default() }
        };
        let request_fields = shown(|value| match value {
            LogValue::Header(name) => Some(name.clone()),
            LogValue::Cookie(_) => Some(http::header::COOKIE),
            _ => None,
        });
        let response_fields = shown(|value| match value {
            LogValue::ResponseHeader(name) => Some(name.clone()),
            _ => None,
        });
        let wants_trail = |value: &&LogValue| matches!(value, LogValue::Filters | LogValue::UpstreamAttempts);
        let wants_trail = writer.is_some() && config.format.values().iter().any(wants_trail);
        let (format, config, redact) = (Format::new(&config.format), config.clone(), Arc::clone(redact));
        Self { config, format, redact, request_fields, response_fields, wants_trail, writer, counts }
    }

    /// The same log for a listener that has no lines in it.
    #[must_use]
    pub fn silent(&self) -> Self {
        Self::new(&self.config, &self.redact, None, Arc::clone(&self.counts))
    }

    /// Whether it was opened for this.
    pub fn is_of(&self, config: &config::AccessLog, redact: &Redact) -> bool {
        self.config == *config && *self.redact == *redact
    }

    /// Whether exchanges have to keep what happens in them.
    pub const fn wants_trail(&self) -> bool {
        self.wants_trail
    }

    /// What is to be kept of a request's fields until its line is written.
    pub fn of_request(&self, headers: &HeaderMap) -> Fields {
        Fields::of(&self.request_fields, headers)
    }

    /// The same of an answer's.
    pub fn of_response(&self, headers: &HeaderMap) -> Fields {
        Fields::of(&self.response_fields, headers)
    }

    /// Queues one line, if the exchange is to have one. Never waits.
    pub fn write(&self, entry: &Entry<'_>) {
        let Some(writer) = self.writer.as_ref().filter(|_| self.is_for(entry)) else { return };
        let ended = entry.time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default() + entry.duration;
        writer.append(&self.counts, ended, |line| self.format.write(line, entry, &self.redact));
    }

    fn is_for(&self, entry: &Entry<'_>) -> bool {
        let when = &self.config.when;
        when.failures && entry.is_failure()
            || when.status_min.is_some_and(|least| entry.status >= least)
            || when.slower_than.is_some_and(|limit| entry.duration > limit)
            || when.retried && entry.attempts > 1
            || self.config.sample >= 1.0
            || self.config.sample > 0.0 && fastrand::f64() < self.config.sample
    }

    /// Opens its file anew, which somebody has moved away. Returns at once.
    pub fn reopen(&self) {
        if let Some(writer) = &self.writer {
            writer.reopen();
        }
    }

    /// Waits until what is queued has been written, for so long at most. False: the output does not take it.
    pub fn flush(&self, within: Duration) -> bool {
        self.writer.as_ref().is_none_or(|writer| writer.flush(within))
    }

    pub fn render(&self, exposition: &mut Exposition) {
        let help = "Lines of the access log that were written.";
        let mut lines = exposition.metric("tamis_access_log_lines_total", help, Kind::Counter);
        lines.sample("", &[], None, Counts::get(&self.counts.written) as f64);
        let help = "Lines of the access log that were lost: the queue was full, or the output did not take them.";
        let mut lines = exposition.metric("tamis_access_log_dropped_total", help, Kind::Counter);
        for (why, count) in [("queue", &self.counts.no_room), ("output", &self.counts.unwritten)] {
            lines.sample("", &[("why", why)], None, Counts::get(count) as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogWhen;

    /// Makes an exchange meet a condition.
    type Meet = fn(&mut Entry<'_>);

    fn log(sample: f64, when: LogWhen) -> AccessLog {
        let config = config::AccessLog { output: config::AccessLogOutput::Off, sample, when, ..config::AccessLog::default() };
        AccessLog::open(&config, &Arc::default(), None).expect("nothing to open")
    }

    #[test]
    fn one_condition_is_enough_and_the_others_are_drawn() {
        let none = LogWhen { failures: false, status_min: None, slower_than: None, retried: false };
        let fields = Fields::default();
        let plain = entry::example(&fields);
        assert!(log(1.0, none.clone()).is_for(&plain) && !log(0.0, none.clone()).is_for(&plain));
        let cases: [(LogWhen, Meet); 4] = [
            (LogWhen { status_min: Some(500), ..none.clone() }, |entry| entry.status = 500),
            (LogWhen { slower_than: Some(Duration::from_millis(20)), ..none.clone() }, |entry| {
                entry.duration = Duration::from_millis(21);
            }),
            (LogWhen { retried: true, ..none.clone() }, |entry| entry.attempts = 2),
            (LogWhen { failures: true, ..none.clone() }, |entry| (entry.failed, entry.status) = (true, 502)),
        ];
        for (when, meets) in cases {
            let mut entry = entry::example(&fields);
            let log = log(0.0, when);
            assert!(!log.is_for(&entry), "{log:?}");
            meets(&mut entry);
            assert!(log.is_for(&entry), "{log:?}");
        }
        let half = log(0.5, none);
        let kept = (0..1000).filter(|_| half.is_for(&plain)).count();
        assert!((300..700).contains(&kept), "{kept} of 1000");
    }

    #[test]
    fn an_answer_that_blames_the_client_is_no_failure_but_a_broken_exchange_is() {
        let fields = Fields::default();
        for (status, failed, is_failure) in
            [(404, true, false), (503, true, true), (503, false, false), (0, true, true), (200, true, true)]
        {
            let entry = Entry { status, failed, ..entry::example(&fields) };
            assert_eq!(entry.is_failure(), is_failure, "{status} {failed}");
        }
    }
}
