//! What of a cluster is in use, over all workers, and the limits that it is held to. What is past one is refused at once, but
//! for connections, which are waited for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::Receiver;

use super::line::Queue;
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
    /// Those who wait because all connections are open: how many, and who is given the next place.
    in_line: AtomicUsize,
    line: Mutex<Queue<Taken>>,
    /// Connections that may be open, as whoever waits was last told.
    connections_max: AtomicUsize,
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

/// Waits in line for a place among the connections.
#[derive(Debug)]
pub struct InLine<'a> {
    load: &'a Load,
    pub given: Receiver<Taken>,
}

impl Load {
    /// One more, unless as many are taken as may be, or others wait for the next.
    pub fn take(self: &Arc<Self>, limit: Limit, breakers: &Breakers) -> Option<Taken> {
        if limit == Limit::Connections && self.is_awaited() {
            return None;
        }
        self.take_up_to(limit, limit.of(breakers))
    }

    fn take_up_to(self: &Arc<Self>, limit: Limit, max: usize) -> Option<Taken> {
        let more = |taken: usize| (taken < max).then_some(taken + 1);
        let gauge = &self.gauges[limit as usize];
        gauge.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
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

    pub fn stand_in_line(self: &Arc<Self>, breakers: &Breakers) -> InLine<'_> {
        self.connections_max.store(breakers.connections, Ordering::SeqCst);
        let given = self.line().join();
        // Before it is looked once more whether there is a place to be had: whoever gives one back after that sees it waiting.
        self.in_line.fetch_add(1, Ordering::SeqCst);
        self.serve();
        InLine { load: self, given }
    }

    /// Gives those in line what there is.
    fn serve(self: &Arc<Self>) {
        let mut line = self.line();
        let mut left = None;
        while left.is_none() && line.is_awaited() {
            let max = self.connections_max.load(Ordering::SeqCst);
            let Some(taken) = self.take_up_to(Limit::Connections, max) else { return };
            left = line.give(taken);
        }
        // Not before: it is given back by way of the line.
        drop(line);
        drop(left);
    }

    fn line(&self) -> MutexGuard<'_, Queue<Taken>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.load.in_line.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.load.gauges[self.limit as usize].taken.fetch_sub(1, Ordering::SeqCst);
        if self.limit == Limit::Connections && self.load.in_line.load(Ordering::SeqCst) > 0 {
            self.load.serve();
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
    async fn who_waits_for_a_connection_is_given_the_next_before_anybody_who_comes_later() {
        let breakers = Breakers { connections: 1, ..Breakers::default() };
        let load = Arc::new(Load::default());
        let open = load.take(Limit::Connections, &breakers).expect("there is room");
        let gone = load.stand_in_line(&breakers);
        let mut first = load.stand_in_line(&breakers);
        let mut second = load.stand_in_line(&breakers);
        drop(gone);
        std::thread::spawn(move || drop(open)).join().expect("no panic");
        assert!(load.take(Limit::Connections, &breakers).is_none(), "others wait");
        let taken = (&mut first.given).await.expect("it is given");
        assert_eq!((load.taken(Limit::Connections), second.given.try_recv().is_err()), (1, true));
        drop((first, taken));
        let taken = (&mut second.given).await.expect("it is given");
        drop(second);
        assert!(!load.is_awaited());
        drop(taken);
        assert!(load.take(Limit::Connections, &breakers).is_some());
    }

    #[test]
    fn what_was_given_to_somebody_who_left_goes_to_the_next() {
        let breakers = Breakers { connections: 1, ..Breakers::default() };
        let load = Arc::new(Load::default());
        let open = load.take(Limit::Connections, &breakers).expect("there is room");
        let (first, mut second) = (load.stand_in_line(&breakers), load.stand_in_line(&breakers));
        drop(open);
        drop(first);
        assert!(second.given.try_recv().is_ok());
    }

    #[test]
    fn a_place_that_was_given_back_unseen_is_had_at_once() {
        let (none, one) =
            (Breakers { connections: 0, ..Breakers::default() }, Breakers { connections: 1, ..Breakers::default() });
        let load = Arc::new(Load::default());
        let mut waits = load.stand_in_line(&none);
        assert!(waits.given.try_recv().is_err());
        // More may be open since a reload.
        let _other = load.stand_in_line(&one);
        assert!(waits.given.try_recv().is_ok());
    }
}
