//! A way to tell a running proxy what signals tell it.

use tokio::sync::mpsc;

use super::control::Event;

/// Speaks to a running proxy from any thread. What is said to one that has ended is lost.
#[derive(Debug, Clone)]
pub struct Handle(mpsc::Sender<Event>);

impl Handle {
    pub(super) fn new(events: mpsc::Sender<Event>) -> Self {
        Self(events)
    }

    /// Like SIGHUP: reads the configuration and every module again.
    pub fn reload(&self) {
        let _ = self.0.try_send(Event::Reload);
    }

    /// Like SIGUSR1: opens the access log's file anew.
    pub fn reopen_log(&self) {
        let _ = self.0.try_send(Event::ReopenLog);
    }

    /// Like SIGTERM: takes nothing new and ends when everything under way has.
    pub fn drain(&self) {
        let _ = self.0.try_send(Event::Drain);
    }

    /// Ends at once.
    pub fn stop(&self) {
        let _ = self.0.try_send(Event::Stop);
    }
}
