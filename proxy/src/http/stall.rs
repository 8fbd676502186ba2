//! HTTP/2 streams whose client opens no window: nobody polls their bodies, so nobody would notice.
//!
//! hyper runs each stream as a task of its own. [`Streams`] wraps that task: a body tells when it has handed a part out
//! and when the next one is asked for, and a part that is not taken for too long ends the task, which resets the stream.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
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
        let stalled = async move { watched.for_too_long().await };
        tokio::task::spawn_local(STALL.scope(stall, Watched { stream, stalled }));
    }
}

pin_project! {
    /// A stream until it is over or stalls. Written out because a `select` in an `async` block would have room for the
    /// stream twice: once as what was handed in, once as what is polled.
    struct Watched<F, S> {
        #[pin]
        stream: F,
        #[pin]
        stalled: S,
    }
}

impl<F: Future, S: Future<Output = ()>> Future for Watched<F, S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(context).is_ready() { Poll::Ready(()) } else { this.stalled.poll(context) }
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
