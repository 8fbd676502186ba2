//! What the service manager (systemd) is told, where there is one: that the proxy is ready, reloads, leaves, goes on as another
//! process, and that it is alive. It knows no socket; those are `inherited`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior};

use crate::worker::Worker;

/// Of the time after which the manager gives the process up, signs of life come in this part.
const BEATS: u32 = 2;

fn tell(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::warn!(%error, "the service manager is not told what happens");
    }
}

pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())]);
}

pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Another process is the service from now on.
pub fn goes_on_as(process: u32) {
    tell(&[NotifyState::MainPid(process), NotifyState::Ready]);
}

/// Signs of life, as long as every worker does its work.
#[derive(Debug)]
pub struct Watchdog {
    every: Option<Interval>,
    answered: Arc<AtomicU64>,
    asked: u64,
}

impl Watchdog {
    pub fn of_this_process() -> Self {
        Self::every(sd_notify::watchdog_enabled().map(|limit| limit / BEATS))
    }

    fn every(pause: Option<Duration>) -> Self {
        let every = pause.filter(|pause| !pause.is_zero()).map(|pause| {
            let mut every = tokio::time::interval(pause);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            every
        });
        Self { every, answered: Arc::default(), asked: 0 }
    }

    /// Waits for the next one; for ever where nobody wants to know.
    pub async fn due(&mut self) {
        match &mut self.every {
            Some(every) => drop(every.tick().await),
            None => std::future::pending().await,
        }
    }

    /// Tells that all are alive if every worker has answered the last question, and asks again.
    pub fn beat(&mut self, workers: &[Worker]) {
        if self.is_alive() {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("a worker does not answer; the service manager is not told that the proxy is alive");
        }
        for worker in workers {
            let answered = Arc::clone(&self.answered);
            self.asked += 1;
            worker.try_post(move || {
                answered.fetch_add(1, Ordering::Relaxed);
            });
        }
    }

    fn is_alive(&self) -> bool {
        self.answered.load(Ordering::Relaxed) == self.asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_hangs_is_no_sign_of_life() {
        let mut watchdog = Watchdog::every(None);
        let worker = Worker::start(0).unwrap();
        let workers = [worker];
        watchdog.beat(&workers);
        workers[0].ask(|| ()).await;
        assert!(watchdog.is_alive());
        let (free, held) = std::sync::mpsc::channel::<()>();
        workers[0].post(move || drop(held.recv())).await;
        watchdog.beat(&workers);
        assert!(!watchdog.is_alive());
        free.send(()).unwrap();
        workers[0].ask(|| ()).await;
        assert!(watchdog.is_alive(), "it goes on");
        for worker in workers {
            worker.stop();
        }
    }
}
