//! The watchdog of a downstream connection: why it ends, or rests, beside what is served on it.

use std::future::poll_fn;
use std::ops::DerefMut;
use std::pin::Pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, sleep_until};

use super::rest;
use super::serve::{Served, UNUSED_DRAIN};

/// A connection that has been told to end and has nothing under way is given this long to close.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why the wait for a connection ended.
pub enum Watch<T> {
    Ended(T),
    /// It shall end after what is under way.
    Drain,
    /// It shall end now.
    Cut,
    Stalled,
    HeadLate,
    /// It has been idle for a while.
    Rest,
}

/// What a watchdog looks after is due at this time.
struct Due<T> {
    at: Instant,
    what: Watch<T>,
}

/// Waits for the connection to end, or for a reason to end it.
pub async fn watch<T>(served: &Served, mut connection: Pin<impl DerefMut<Target = impl Future<Output = T>>>) -> Watch<T> {
    let mut drain = served.drain.clone();
    let mut signal = served.drain.clone();
    let mut cut = std::pin::pin!(signal.cut());
    let told = served.drained.get().is_some();
    let serving = !served.drain.is_draining();
    let leave = async {
        drain.draining().await;
        // A request may be on its way, and HTTP/1 has no word for one that comes too late; whatever is answered now ends the
        // connection, with a field that says so.
        if !served.http2 || served.exchanges.get() == 0 {
            tokio::time::sleep(UNUSED_DRAIN).await;
        }
    };
    let mut leave = std::pin::pin!(leave);
    loop {
        let due = due::<T>(served, Instant::now());
        let mut timer = std::pin::pin!(sleep_until(due.at));
        let mut told_whom: Option<Waker> = None;
        let ended = poll_fn(|context| {
            if let Poll::Ready(outcome) = connection.as_mut().poll(context) {
                return Poll::Ready(Some(Watch::Ended(outcome)));
            }
            // The connection is polled several times an exchange, and to ask all that follows takes locks: it is left alone as long as
            // it knows whom to wake, and nothing of it has come about.
            let is_told = told_whom.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
            if is_told && serving && !served.drain.has_news() && !timer.is_elapsed() {
                return Poll::Pending;
            }
            // Without a budget nobody is told anything.
            told_whom = has_budget_remaining().then(|| context.waker().clone());
            if cut.as_mut().poll(context).is_ready() {
                return Poll::Ready(Some(Watch::Cut));
            }
            if !told && leave.as_mut().poll(context).is_ready() {
                served.drained.set(Some(Instant::now()));
                return Poll::Ready(Some(Watch::Drain));
            }
            timer.as_mut().poll(context).map(|()| None)
        });
        if let Some(why) = ended.await {
            return why;
        }
        let now = Instant::now();
        let due = self::due(served, now);
        if due.at <= now {
            match due.what {
                Watch::Drain => {
                    served.drained.set(Some(now));
                    return Watch::Drain;
                }
                what => return what,
            }
        }
    }
}

/// The next thing that could be due. Never later than the shortest timeout from now, for what it looks at changes
/// without a word.
fn due<T>(served: &Served, now: Instant) -> Due<T> {
    let timeouts = &served.listener.borrow().config.timeouts;
    let mut next = Due { at: now + Duration::from_secs(3600), what: Watch::Drain };
    let mut consider = |since: Option<std::time::Instant>, limit: Duration, what: Watch<T>| {
        if limit.is_zero() {
            return;
        }
        let at = since.map_or(now + limit, |since| Instant::from_std(since) + limit);
        if at < next.at {
            next = Due { at, what: if since.is_some() { what } else { Watch::Drain } };
        }
    };
    let pulse = &served.pulse;
    consider(pulse.blocked_since(), timeouts.progress, Watch::Stalled);
    if !served.http2 {
        // Between the exchanges of HTTP/2 there are frames that are no heads.
        consider(pulse.head_since(), timeouts.request_headers, Watch::HeadLate);
    }
    match served.drained.get() {
        None => {
            consider(pulse.idle_since(), timeouts.idle, Watch::Drain);
            consider(Some(pulse.opened()), timeouts.connection_age, Watch::Drain);
            if !served.http2 && !served.resting.get() {
                consider(pulse.idle_since().filter(|_| is_between(served)), rest::after(served, timeouts), Watch::Rest);
            }
        }
        // A client that does not take part in its own farewell.
        Some(drained) => {
            let since = pulse.idle_since().map(|idle| idle.max(drained.into_std()));
            consider(since, FAREWELL, Watch::Cut);
        }
    }
    next
}

/// Between two exchanges, with nothing of the last one on its way and nothing of the next one here.
fn is_between(served: &Served) -> bool {
    let pulse = &served.pulse;
    let is_quiet = pulse.is_idle() && pulse.head_since().is_none() && pulse.blocked_since().is_none();
    is_quiet && served.request.borrow().as_ref().is_some_and(|request| request.is_complete())
}
