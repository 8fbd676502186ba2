//! Signals of an operator, as events of the control loop, and passed on to the application where there is one.

use std::io::IsTerminal;

use rustix::process::{Pid, Signal as Number};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::application::pass_on;
use super::control::Event;

/// The signals of an operator.
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    /// Only where there is an application that may want it.
    quit: Option<Signal>,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    /// Until this has been called, a signal ends the process.
    pub fn new(has_application: bool) -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: has_application.then(|| signal(SignalKind::quit())).transpose()?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for ever where no signals are handled.
    pub async fn next(signals: &mut Option<Self>) -> Event {
        Self::received(signals).await.0
    }

    /// The same where an application runs: it hears them first, and while it runs the proxy goes on.
    pub async fn next_with(signals: &mut Option<Self>, application: Option<Pid>) -> Event {
        let (event, number) = Self::received(signals).await;
        let Some(application) = application else { return event };
        // At a terminal these two go to everybody.
        let heard = matches!(number, Number::INT | Number::QUIT) && std::io::stdin().is_terminal();
        if !heard {
            pass_on(application, number);
        }
        match event {
            Event::Drain => Event::PassedOn { asks_to_end: !heard },
            Event::Upgrade => Event::PassedOn { asks_to_end: false },
            event => event,
        }
    }

    async fn received(signals: &mut Option<Self>) -> (Event, Number) {
        let Some(signals) = signals else { return std::future::pending().await };
        let quit = async {
            match &mut signals.quit {
                Some(quit) => quit.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = signals.hangup.recv() => (Event::Reload, Number::HUP),
            _ = signals.terminate.recv() => (Event::Drain, Number::TERM),
            _ = signals.interrupt.recv() => (Event::Drain, Number::INT),
            _ = quit => (Event::Drain, Number::QUIT),
            _ = signals.user1.recv() => (Event::ReopenLog, Number::USR1),
            _ = signals.user2.recv() => (Event::Upgrade, Number::USR2),
        }
    }
}
