//! What the proxies of this process have logged, and where it goes. There is one log for all scenarios.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, Once, PoisonError};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Lines that are kept: far more than come while one scenario looks for its own.
const KEPT_MAX: usize = 20_000;

/// Under it stands what filters write. Their level is one lower than everybody else's, so that four of five severities show.
const OF_FILTERS: &str = "tamis::filter_log";

static KEPT: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Somebody listens, as in a real process. `TAMIS_TEST_LOG=debug` shows what is logged.
pub(crate) fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let shown = std::env::var("TAMIS_TEST_LOG").ok().and_then(|level| level.parse::<LevelFilter>().ok());
        let level = shown.unwrap_or(LevelFilter::INFO);
        let levels = Targets::new().with_default(level).with_target(OF_FILTERS, level.max(LevelFilter::DEBUG));
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || Lines { shown: shown.is_some() });
        tracing_subscriber::registry().with(lines).with(levels).init();
    });
}

/// The lines with these words in them, oldest first.
pub fn lines_with(words: &[&str]) -> Vec<String> {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.iter().filter(|line| words.iter().all(|word| line.contains(word))).cloned().collect()
}

struct Lines {
    shown: bool,
}

impl Write for Lines {
    /// The log writes each line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.shown {
            io::stderr().write_all(line)?;
        }
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(String::from_utf8_lossy(line).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
