//! The way out: nothing new is begun, what is under way may finish, and what has not at the deadline is cut.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::under_way::{About, Running};
use super::{Control, End, Event};
use crate::app::Left;
use crate::app::signals::Signals;
use crate::drain;
use crate::exchange;

/// How long exchanges that are cut are given to tell the log.
const CUT: Duration = Duration::from_millis(200);

impl Control {
    /// A change that is not live by now never is in this process. Its thread cannot be stopped, but a configuration that it keeps is
    /// gone with it: who is answered that the proxy leaves shall not find it live after the next start. What a command has kept of a
    /// filter by then stays.
    pub(super) async fn give_up(&self, running: Running) {
        let Running { about, task } = running;
        task.abort();
        let configs = matches!(about, About::Configure { .. } | About::Reload).then(|| Arc::clone(&self.configs));
        let shelf = Arc::clone(&self.shelf);
        let closed = tokio::task::spawn_blocking(move || shelf.close(configs.as_deref())).await;
        if let Ok(Err(error)) = closed {
            tracing::error!(%error, "the state directory may have a configuration that did not go live");
        }
    }

    /// Fails readiness, waits until others have noticed, closes the listeners and lets what is under way finish.
    pub(super) async fn drain(&mut self, end: End, mut queue: mpsc::Receiver<Event>, mut signals: Option<Signals>) -> Left {
        let drain = self.parts.config.drain.clone();
        // Behind a successor, nobody has to notice anything, and nobody has told this process to leave yet.
        let (pre_stop, mut told) = match end {
            End::HandedOver => (Duration::ZERO, false),
            End::Told => (drain.pre_stop, true),
        };
        tracing::info!(?pre_stop, timeout = ?drain.timeout, "draining; a second signal stops at once");
        let mut triggers = std::mem::take(&mut self.leaving);
        let (listeners, live) = (&mut self.listeners, &self.live);
        let calmly = async {
            tokio::time::sleep(pre_stop).await;
            triggers.extend(if end == End::HandedOver { listeners.hand_over() } else { listeners.drain() });
            let all = async {
                for trigger in &triggers {
                    trigger.finished().await;
                }
            };
            tokio::time::timeout(drain.timeout, all).await.is_ok()
        };
        let told_again = async {
            loop {
                let event = tokio::select! {
                    Some(event) = queue.recv() => event,
                    event = Signals::next(&mut signals) => event,
                };
                match event {
                    Event::Drain if !told => told = true,
                    Event::Stop | Event::Drain => return,
                    Event::ReopenLog => live.load().access_log.reopen(),
                    _ => {}
                }
            }
        };
        let drained = tokio::select! {
            drained = calmly => drained,
            () = told_again => false,
        };
        if drained {
            tracing::info!("drained");
            return Left::Drained;
        }
        triggers.extend(self.listeners.drain());
        let remaining: usize = triggers.iter().map(drain::Trigger::remaining).sum();
        tracing::warn!(connections = remaining, "not everything finished in time; the rest is cut");
        self.cut(&triggers).await;
        Left::Cut
    }

    /// Ends what is under way, and lets the log say so.
    pub(super) async fn cut(&self, triggers: &[drain::Trigger]) {
        for worker in &self.workers {
            worker.post(exchange::cutting).await;
        }
        triggers.iter().for_each(drain::Trigger::cut);
        let finished = async {
            for trigger in triggers {
                trigger.finished().await;
            }
        };
        let _ = tokio::time::timeout(CUT, finished).await;
    }
}
