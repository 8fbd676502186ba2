//! Signals of an operator, as events of the control loop.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::control::Event;

/// The signals of an operator.
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    user1: Signal,
}

impl Signals {
    /// Until this has been called, a signal ends the process.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for ever where no signals are handled.
    pub async fn next(signals: &mut Option<Self>) -> Event {
        let Some(signals) = signals else { return std::future::pending().await };
        tokio::select! {
            _ = signals.hangup.recv() => Event::Reload,
            _ = signals.terminate.recv() => Event::Drain,
            _ = signals.interrupt.recv() => Event::Drain,
            _ = signals.user1.recv() => Event::ReopenLog,
        }
    }
}
