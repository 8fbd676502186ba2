//! `tamis top`: what a running proxy is doing, at a terminal: success, requests a second and latency by listener and cluster, the
//! filters with what they cost. It only looks, through the admin's `/stats`.

mod report;
mod screen;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::Value;

use super::filter::remote::Remote;
use report::Report;

/// How long a key may wait until it is seen.
const LOOK_FOR_KEYS: Duration = Duration::from_millis(100);
const SECONDS_MAX: u64 = 60;

#[derive(Debug, Args)]
pub struct Top {
    /// Print one table and end; `--json` does so as well.
    #[arg(long)]
    once: bool,
    /// Seconds between two looks; rates and latencies are those of the time between.
    #[arg(long, default_value_t = 1, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    every: u64,
    #[command(flatten)]
    remote: Remote,
}

impl Top {
    pub fn run(&self) -> ExitCode {
        let done = if self.remote.json {
            self.once().map(|report| println!("{:#}", report.to_json()))
        } else if self.once {
            self.once().map(|report| print!("{}", report.to_text()))
        } else if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
            self.watch()
        } else {
            Err("expected a terminal; `--once` prints one table, `--json` one sample".to_owned())
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn every(&self) -> Duration {
        Duration::from_secs(self.every)
    }

    /// Two looks, and what came between.
    fn once(&self) -> Result<Report, String> {
        let first = self.remote.look("/stats")?;
        std::thread::sleep(self.every());
        Ok(Report::between(&first, &self.remote.look("/stats")?))
    }

    fn watch(&self) -> Result<(), String> {
        // An address that is wrong is told before the screen is taken.
        let first = self.remote.look("/stats")?;
        let looks = self.look_again_and_again();
        let failed = |error: std::io::Error| format!("the terminal: {error}");
        let mut terminal = ratatui::try_init().map_err(failed)?;
        // However this ends, a panic included, the terminal is what it was.
        let _restored = Restored;
        let mut shown = screen::State { admin: self.remote.admin().to_owned(), report: None, error: None };
        let mut before = first;
        loop {
            terminal.draw(|frame| screen::draw(frame, &shown)).map_err(failed)?;
            loop {
                match looks.try_recv() {
                    Ok(Ok(now)) => {
                        shown.report = Some(Report::between(&before, &now));
                        shown.error = None;
                        before = now;
                    }
                    Ok(Err(error)) => shown.error = Some(error),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Err("nobody looks any more".to_owned()),
                }
            }
            if event::poll(LOOK_FOR_KEYS).map_err(failed)?
                && let Event::Key(key) = event::read().map_err(failed)?
                && ends(key)
            {
                return Ok(());
            }
        }
    }

    /// On a thread of its own, so that a proxy which does not answer holds up no key.
    fn look_again_and_again(&self) -> Receiver<Result<Value, String>> {
        let (sender, looks) = sync_channel(1);
        let (remote, every) = (self.remote.clone(), self.every());
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(every);
                if sender.send(remote.look("/stats")).is_err() {
                    return;
                }
            }
        });
        looks
    }
}

/// Gives the terminal back when it is dropped.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn ends(key: KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_keys_end_it() {
        let key = |code, modifiers| ends(KeyEvent::new(code, modifiers));
        for (code, modifiers) in [
            (KeyCode::Char('q'), KeyModifiers::NONE),
            (KeyCode::Esc, KeyModifiers::NONE),
            (KeyCode::Char('c'), KeyModifiers::CONTROL),
        ] {
            assert!(key(code, modifiers), "{code:?}");
        }
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE) && !key(KeyCode::Enter, KeyModifiers::NONE));
    }
}
