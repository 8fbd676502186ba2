//! How many copies may be under way on a worker: so many in all, and of one cluster as many as it has shown to answer.
//!
//! A cluster that leaves copies unanswered is sent half as many at once, down to one; each that it answers makes room for one more
//! (additive increase, multiplicative decrease: Chiu and Jain 1989). Otherwise a cluster that hangs would keep its full number, whose
//! time is up all at once, so that as many connections were opened in one go.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// Past this a slow cluster of copies would eat the memory of the proxy.
pub const UNDER_WAY_MAX: usize = 256;

#[derive(Debug, Default)]
struct Rooms {
    under_way: usize,
    /// Those that have copies under way, or less than all the room.
    clusters: HashMap<Arc<str>, Cluster>,
}

#[derive(Debug)]
struct Cluster {
    under_way: usize,
    most: usize,
}

const WHOLE: Cluster = Cluster { under_way: 0, most: UNDER_WAY_MAX };

thread_local! {
    static ROOMS: RefCell<Rooms> = RefCell::default();
}

impl Rooms {
    fn has(&self, cluster: &str) -> bool {
        let Cluster { under_way, most } = self.clusters.get(cluster).unwrap_or(&WHOLE);
        self.under_way < UNDER_WAY_MAX && under_way < most
    }
}

/// Whether one more may be under way.
pub fn has(cluster: &str) -> bool {
    ROOMS.with_borrow(|rooms| rooms.has(cluster))
}

/// How many are under way to a cluster, and how many may be.
pub fn of(cluster: &str) -> (usize, usize) {
    ROOMS.with_borrow(|rooms| {
        let Cluster { under_way, most } = rooms.clusters.get(cluster).unwrap_or(&WHOLE);
        (*under_way, *most)
    })
}

/// The place of one copy; one that is dropped before its end has shown nothing.
#[derive(Debug)]
pub struct Room {
    cluster: Arc<str>,
    answered: Option<bool>,
}

impl Room {
    /// `None`: there is none.
    pub fn take(cluster: &Arc<str>) -> Option<Self> {
        ROOMS.with_borrow_mut(|rooms| {
            if !rooms.has(cluster) {
                return None;
            }
            rooms.under_way += 1;
            rooms.clusters.entry(Arc::clone(cluster)).or_insert(WHOLE).under_way += 1;
            Some(Self { cluster: Arc::clone(cluster), answered: None })
        })
    }

    pub fn end(mut self, answered: bool) {
        self.answered = Some(answered);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        ROOMS.with_borrow_mut(|rooms| {
            rooms.under_way -= 1;
            let Some(cluster) = rooms.clusters.get_mut(&self.cluster) else { return };
            cluster.under_way -= 1;
            cluster.most = match self.answered {
                Some(true) => (cluster.most + 1).min(UNDER_WAY_MAX),
                Some(false) => (cluster.most / 2).max(1),
                None => cluster.most,
            };
            if cluster.under_way == 0 && cluster.most == UNDER_WAY_MAX {
                rooms.clusters.remove(&self.cluster);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(cluster: &str) -> Option<Room> {
        Room::take(&Arc::from(cluster))
    }

    #[test]
    fn a_cluster_that_answers_nothing_gets_one_at_a_time_until_it_answers() {
        let all: Vec<_> = (0..UNDER_WAY_MAX).map(|_| take("hangs").expect("there is room")).collect();
        assert!(take("hangs").is_none() && take("other").is_none(), "they share what a worker holds");
        all.into_iter().for_each(|room| room.end(false));
        assert_eq!(of("hangs"), (0, 1));
        let one = take("hangs").expect("one");
        assert!(!has("hangs") && has("other"), "the other one has done nothing");
        one.end(true);
        assert_eq!((of("hangs"), of("other")), ((0, 2), (0, UNDER_WAY_MAX)));
        for _ in 0..UNDER_WAY_MAX {
            take("hangs").expect("room").end(true);
        }
        assert_eq!(of("hangs"), (0, UNDER_WAY_MAX));
        ROOMS.with_borrow(|rooms| assert!(rooms.clusters.is_empty(), "nothing is left to be known"));
    }

    #[test]
    fn what_is_given_up_shows_nothing() {
        drop(take("a"));
        assert_eq!(of("a"), (0, UNDER_WAY_MAX));
    }
}
