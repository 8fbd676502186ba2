//! Who waits because all connections of a cluster are open: whoever came first is given the next thing there is, so that
//! nobody who comes later is served before. A line is one of exchanges that wait for the same kind of thing.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::time::Instant;

/// The front is served first. Those who have left are passed over.
#[derive(Debug)]
pub struct Queue<T>(VecDeque<Sender<T>>);

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Queue<T> {
    pub fn join(&mut self) -> Receiver<T> {
        self.forget_those_who_left();
        let (seat, given) = oneshot::channel();
        self.0.push_back(seat);
        given
    }

    /// Somebody still waits.
    pub fn is_awaited(&self) -> bool {
        self.0.iter().any(|seat| !seat.is_closed())
    }

    /// To whoever is first; back if nobody waits.
    pub fn give(&mut self, mut thing: T) -> Option<T> {
        while let Some(seat) = self.0.pop_front() {
            match seat.send(thing) {
                Ok(()) => return None,
                Err(back) => thing = back,
            }
        }
        Some(thing)
    }

    /// Most leave in the order in which they came, for all wait as long.
    fn forget_those_who_left(&mut self) {
        while self.0.front().is_some_and(Sender::is_closed) {
            self.0.pop_front();
        }
    }
}

/// Those of one pool, on one thread.
#[derive(Debug)]
pub struct Line<T>(RefCell<Queue<T>>);

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T> Line<T> {
    pub fn join(&self) -> Receiver<T> {
        self.0.borrow_mut().join()
    }

    pub fn is_awaited(&self) -> bool {
        self.0.borrow().is_awaited()
    }

    /// To whoever is first; back if nobody waits.
    pub fn give(&self, thing: T) -> Option<T> {
        self.0.borrow_mut().give(thing)
    }
}

/// How long an attempt has stood in lines: no endpoint is to blame for that time.
#[derive(Debug, Default)]
pub struct Stood {
    since: Cell<Option<Instant>>,
    before: Cell<Duration>,
}

impl Stood {
    pub fn begin(&self) {
        self.since.set(Some(Instant::now()));
    }

    /// Not by a drop: who is given up in line still stands in it.
    pub fn end(&self) {
        self.before.set(self.total());
        self.since.set(None);
    }

    pub fn is_standing(&self) -> bool {
        self.since.get().is_some()
    }

    pub fn total(&self) -> Duration {
        self.before.get() + self.since.get().map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_first_is_served_first_and_who_left_is_passed_over() {
        let line = Line::default();
        assert_eq!((line.is_awaited(), line.give(0)), (false, Some(0)));
        let (mut first, second, mut third) = (line.join(), line.join(), line.join());
        drop(second);
        assert_eq!((line.give(1), line.give(2), line.is_awaited()), (None, None, false));
        assert_eq!((first.try_recv(), third.try_recv()), (Ok(1), Ok(2)));
        assert_eq!(line.give(3), Some(3));
    }

    #[test]
    fn those_who_left_take_no_memory() {
        let line = Line::<u8>::default();
        for _ in 0..1000 {
            drop(line.join());
        }
        assert!(!line.is_awaited() && line.0.borrow().0.len() == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_lines_is_added_up() {
        let (stood, second) = (Stood::default(), Duration::from_secs(1));
        for round in 1..=2 {
            stood.begin();
            tokio::time::advance(second).await;
            assert_eq!((stood.is_standing(), stood.total()), (true, second * round));
            stood.end();
            tokio::time::advance(second).await;
        }
        assert_eq!((stood.is_standing(), stood.total()), (false, second * 2));
    }
}
