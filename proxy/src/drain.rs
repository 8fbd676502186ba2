//! How something that serves learns that it should leave, and how whoever asked learns that it has left.
//!
//! A [`Trigger`] belongs to who decides, a [`Signal`] is cloned by everything that serves. This module has no idea
//! what is served, and no deadline of its own.

use tokio::sync::watch;

/// Makes a pair that knows of each other.
pub fn channel() -> (Trigger, Signal) {
    let (sender, receiver) = watch::channel(Phase::Serving);
    (Trigger(sender), Signal(receiver))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Draining,
    /// The same, while another process serves the same sockets.
    Succeeded,
    Cut,
}

/// Tells every [`Signal`] to leave.
#[derive(Debug)]
pub struct Trigger(watch::Sender<Phase>);

impl Trigger {
    /// Nothing new is begun; what is under way may finish.
    pub fn drain(&self) {
        self.to(Phase::Draining);
    }

    /// The same; what comes to sockets from now on is for the process that has taken them over.
    pub fn hand_over(&self) {
        self.to(Phase::Succeeded);
    }

    fn to(&self, next: Phase) {
        self.0.send_if_modified(|phase| std::mem::replace(phase, (*phase).max(next)) < next);
    }

    /// What is still under way ends now.
    pub fn cut(&self) {
        self.0.send_replace(Phase::Cut);
    }

    /// Waits until every signal has been dropped.
    pub async fn finished(&self) {
        self.0.closed().await;
    }

    /// How many still hold a signal.
    pub fn remaining(&self) -> usize {
        self.0.receiver_count()
    }
}

/// Held for as long as its holder serves.
#[derive(Debug, Clone)]
pub struct Signal(watch::Receiver<Phase>);

impl Signal {
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() >= Phase::Draining
    }

    /// Whether anything was said since whoever this signal was cloned from last waited: it costs no lock to ask.
    pub fn has_news(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }

    /// Whether another process serves the same sockets.
    pub fn is_succeeded(&self) -> bool {
        *self.0.borrow() >= Phase::Succeeded
    }

    /// Waits for [`Trigger::drain`]. A trigger that is gone without a word means the same.
    pub async fn draining(&mut self) {
        let _ = self.0.wait_for(|phase| *phase >= Phase::Draining).await;
    }

    /// Waits for [`Trigger::cut`].
    pub async fn cut(&mut self) {
        let _ = self.0.wait_for(|phase| *phase >= Phase::Cut).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_trigger_waits_for_every_signal() {
        let (trigger, mut first) = channel();
        let second = first.clone();
        trigger.drain();
        first.draining().await;
        assert!(second.is_draining());
        drop(first);
        assert_eq!(trigger.remaining(), 1);
        drop(second);
        trigger.finished().await;
    }

    #[tokio::test]
    async fn who_hands_over_drains() {
        let (trigger, mut signal) = channel();
        trigger.hand_over();
        trigger.drain();
        signal.draining().await;
        assert!(signal.is_succeeded());
        let (trigger, signal) = channel();
        trigger.drain();
        assert!(signal.is_draining() && !signal.is_succeeded());
    }

    #[tokio::test]
    async fn a_cut_is_never_taken_back_by_a_drain() {
        let (trigger, mut signal) = channel();
        trigger.cut();
        trigger.drain();
        signal.cut().await;
        assert!(signal.is_draining());
    }
}
