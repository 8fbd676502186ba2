//! What of a cluster is in use, over all workers, and the limits that it is held to. What is past one is refused at once, but
//! for connections, which are waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::config::Breakers;
use crate::exchange::{Failure, Kind};

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Open connections.
    Connections,
    /// Exchanges that wait for a connection.
    Pending,
    /// Exchanges under way.
    Requests,
    /// Exchanges in a further attempt.
    Retries,
}

impl Limit {
    pub const ALL: [Limit; 4] = [Limit::Connections, Limit::Pending, Limit::Requests, Limit::Retries];

    pub const fn name(self) -> &'static str {
        match self {
            Limit::Connections => "connections",
            Limit::Pending => "pending",
            Limit::Requests => "requests",
            Limit::Retries => "retries",
        }
    }

    /// How many there may be.
    pub const fn of(self, breakers: &Breakers) -> usize {
        match self {
            Limit::Connections => breakers.connections,
            Limit::Pending => breakers.pending,
            Limit::Requests => breakers.requests,
            Limit::Retries => breakers.retries,
        }
    }

    /// For the client of an exchange that is past it.
    pub fn failure(self) -> Failure {
        Failure::new(
            Kind::ClusterOverloaded,
            match self {
                Limit::Connections => "no connection to the upstream became free in time",
                Limit::Pending => "too many requests wait for a connection to the upstream",
                Limit::Requests | Limit::Retries => "too many requests to the upstream are under way",
            },
        )
    }
}

/// Carried from snapshot to snapshot.
#[derive(Debug, Default)]
pub struct Load {
    gauges: [Gauge; Limit::ALL.len()],
    /// Connections that were opened, and those that could not be.
    opened: AtomicU64,
    unopened: AtomicU64,
    /// Those who wait because all connections are open.
    in_line: AtomicUsize,
    /// A connection was closed while somebody waited.
    closed: Notify,
}

/// On a cache line of its own: workers count side by side.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Gauge {
    taken: AtomicUsize,
    /// How often there was no more.
    overflows: AtomicU64,
}

/// One of what is limited, until it is dropped.
#[derive(Debug)]
pub struct Taken {
    load: Arc<Load>,
    limit: Limit,
}

/// Waits in line for a connection.
#[derive(Debug)]
pub struct InLine<'a>(&'a Load);

impl Load {
    /// One more, unless as many are taken as may be.
    pub fn take(self: &Arc<Self>, limit: Limit, breakers: &Breakers) -> Option<Taken> {
        let max = limit.of(breakers);
        let gauge = &self.gauges[limit as usize];
        let more = |taken: usize| (taken < max).then_some(taken + 1);
        if gauge.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return None;
        }
        Some(Taken { load: Arc::clone(self), limit })
    }

    /// The same; what is past the limit is counted.
    pub fn claim(self: &Arc<Self>, limit: Limit, breakers: &Breakers) -> Option<Taken> {
        let taken = self.take(limit, breakers);
        if taken.is_none() {
            self.overflowed(limit);
        }
        taken
    }

    pub fn overflowed(&self, limit: Limit) {
        self.gauges[limit as usize].overflows.fetch_add(1, Ordering::Relaxed);
    }

    pub fn taken(&self, limit: Limit) -> usize {
        self.gauges[limit as usize].taken.load(Ordering::Relaxed)
    }

    /// Somebody has tried to open a connection.
    pub fn opened(&self, well: bool) {
        if well { &self.opened } else { &self.unopened }.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that went well, or not.
    pub fn openings(&self, well: bool) -> u64 {
        if well { &self.opened } else { &self.unopened }.load(Ordering::Relaxed)
    }

    pub fn overflows(&self, limit: Limit) -> u64 {
        self.gauges[limit as usize].overflows.load(Ordering::Relaxed)
    }

    /// Somebody waits for a connection to be closed.
    pub fn is_awaited(&self) -> bool {
        self.in_line.load(Ordering::Relaxed) > 0
    }

    pub fn stand_in_line(&self) -> InLine<'_> {
        // Before it looks once more whether there is a connection to be had: whoever closes one after that sees it waiting.
        self.in_line.fetch_add(1, Ordering::SeqCst);
        InLine(self)
    }
}

impl InLine<'_> {
    /// Ends when a connection has been closed since this was called.
    pub fn closed(&self) -> Notified<'_> {
        self.0.closed.notified()
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.in_line.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.load.gauges[self.limit as usize].taken.fetch_sub(1, Ordering::SeqCst);
        if self.limit == Limit::Connections && self.load.in_line.load(Ordering::SeqCst) > 0 {
            self.load.closed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_past_a_limit_is_refused_until_something_is_given_back() {
        let breakers = Breakers { connections: 1, pending: 2, requests: 3, retries: 0 };
        let load = Arc::new(Load::default());
        for limit in Limit::ALL {
            let max = limit.of(&breakers);
            let taken: Vec<_> = (0..max).map(|_| load.claim(limit, &breakers).expect("there is room")).collect();
            assert!(load.claim(limit, &breakers).is_none());
            assert_eq!((load.taken(limit), load.overflows(limit)), (max, 1), "{}", limit.name());
            drop(taken);
            assert_eq!((load.taken(limit), load.claim(limit, &breakers).is_some()), (0, max > 0));
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_connection_hears_of_one_that_is_closed() {
        let breakers = Breakers { connections: 1, ..Breakers::default() };
        let load = Arc::new(Load::default());
        let open = load.take(Limit::Connections, &breakers).expect("there is room");
        let line = load.stand_in_line();
        let closed = line.closed();
        assert!(load.is_awaited() && load.take(Limit::Connections, &breakers).is_none());
        std::thread::spawn(move || drop(open)).join().expect("no panic");
        closed.await;
        assert!(load.take(Limit::Connections, &breakers).is_some());
        drop(line);
        assert!(!load.is_awaited());
    }
}
