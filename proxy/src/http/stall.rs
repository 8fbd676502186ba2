//! HTTP/2 streams whose client opens no window: nobody polls their bodies, so nobody would notice.
//!
//! hyper runs each stream as a task of its own. [`Streams`] wraps that task: a body tells when it has handed a part out
//! and when the next one is asked for, and a part that is not taken for too long ends the task, which resets the stream.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

tokio::task_local! {
    static STALL: Rc<Stall>;
}

/// Spawns the streams of HTTP/2 connections on this worker.
#[derive(Debug, Clone, Copy)]
pub struct Streams;

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, stream: F) {
        let stall = Rc::new(Stall::default());
        let watched = Rc::clone(&stall);
        tokio::task::spawn_local(STALL.scope(stall, async move {
            tokio::select! {
                biased;
                _ = stream => {}
                () = watched.for_too_long() => {}
            }
        }));
    }
}

/// What one stream waits for.
#[derive(Debug, Default)]
pub struct Stall {
    limit: Cell<Duration>,
    /// Since when the client has not taken what is there for it.
    since: Cell<Option<Instant>>,
    /// The stream is being ended because of it.
    gave_up: Cell<bool>,
    armed: Notify,
}

impl Stall {
    /// That of the stream whose task this is; none on HTTP/1, where the socket itself is watched.
    pub fn of_this_stream(limit: Duration) -> Option<Rc<Self>> {
        if limit.is_zero() {
            return None;
        }
        let stall = STALL.try_with(Rc::clone).ok()?;
        stall.limit.set(limit);
        stall.handed_out();
        Some(stall)
    }

    /// Something is there for the client.
    pub fn handed_out(&self) {
        self.since.set(Some(Instant::now()));
        self.armed.notify_one();
    }

    /// The client has room for more.
    pub fn asked(&self) {
        self.since.set(None);
    }

    pub fn gave_up(&self) -> bool {
        self.gave_up.get()
    }

    async fn for_too_long(&self) {
        loop {
            match self.since.get() {
                None => self.armed.notified().await,
                // Said before the stream is dropped, for its body to hear.
                Some(since) if since + self.limit.get() <= Instant::now() => return self.gave_up.set(true),
                Some(since) => sleep_until(since + self.limit.get()).await,
            }
        }
    }
}
