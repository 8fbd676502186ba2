//! What a filter said of itself while it was configured, as it is kept beside an image.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::filter::{Hook, Setup, Taken};
use crate::telemetry::metrics::Kind;

#[derive(Serialize, Deserialize)]
struct Note {
    wants: Vec<String>,
    keeps_state: bool,
    tick_every_ms: u64,
    /// By id.
    metrics: Vec<Metric>,
}

#[derive(Serialize, Deserialize)]
struct Metric {
    name: String,
    help: String,
    kind: String,
    labels: Vec<String>,
}

const KINDS: [Kind; 3] = [Kind::Counter, Kind::Gauge, Kind::Histogram];

pub fn write(setup: &Setup) -> Vec<u8> {
    let wanted = Hook::ALL.iter().filter(|hook| setup.wants(**hook));
    let metrics = setup.metrics.iter().map(|metric| Metric {
        name: metric.name.to_string(),
        help: metric.help.to_string(),
        kind: metric.kind.name().to_owned(),
        labels: metric.labels.iter().map(|label| label.to_string()).collect(),
    });
    let note = Note {
        wants: wanted.map(|hook| hook.name().to_owned()).collect(),
        keeps_state: setup.keeps_state(),
        tick_every_ms: setup.tick_every().map_or(0, milliseconds),
        metrics: metrics.collect(),
    };
    serde_json::to_vec(&note).unwrap_or_default()
}

fn milliseconds(period: Duration) -> u64 {
    u64::try_from(period.as_millis()).unwrap_or(u64::MAX)
}

/// `None` if it would not be accepted today: other filters may have taken the name of a metric.
pub fn read(note: &[u8], taken: &Taken) -> Option<Setup> {
    let note: Note = serde_json::from_slice(note).ok()?;
    let mut setup = Setup::default();
    for hook in &note.wants {
        setup.want(hook).ok()?;
    }
    if note.keeps_state {
        setup.keep_state();
    }
    setup.tick_every_ms(note.tick_every_ms);
    for metric in &note.metrics {
        let kind = KINDS.into_iter().find(|kind| kind.name() == metric.kind)?;
        setup.metrics.declare(taken, &metric.name, &metric.help, kind, &metric.labels).ok()?;
    }
    Some(setup)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> Setup {
        let mut setup = Setup::default();
        setup.want("request").expect("a hook");
        setup.want("tick").expect("a hook");
        setup.keep_state();
        setup.tick_every_ms(250);
        for (name, kind) in [("hits", Kind::Counter), ("level", Kind::Gauge), ("size", Kind::Histogram)] {
            setup.metrics.declare(&Taken::default(), name, "help", kind, &["a".to_owned()]).expect("a valid metric");
        }
        setup
    }

    #[test]
    fn what_was_said_comes_back() {
        assert_eq!(read(&write(&setup()), &Taken::default()), Some(setup()));
        let mut silent = Setup::default();
        silent.settle(&[Hook::Response]).expect("nothing was wanted");
        assert_eq!(read(&write(&silent), &Taken::default()), Some(silent));
    }

    #[test]
    fn what_would_be_refused_today_is_as_if_it_were_not_there() {
        let mut other = Setup::default();
        other.metrics.declare(&Taken::default(), "hits", "help", Kind::Gauge, &[]).expect("a valid metric");
        let taken = Taken::by([(&"other".into(), &other.metrics)]);
        assert_eq!(read(&write(&setup()), &taken), None);
        assert_eq!(read(b"{}", &Taken::default()), None);
        assert_eq!(read(b"", &Taken::default()), None);
        let odd = String::from_utf8(write(&setup())).expect("JSON").replace("request", "requests");
        assert_eq!(read(odd.as_bytes(), &Taken::default()), None);
    }
}
