//! How many copies may be under way on a worker: so many in all, and of one cluster as many as it has shown to answer.
//!
//! A cluster that leaves copies unanswered is sent half as many at once, down to one; each that it answers makes room for one more
//! (additive increase, multiplicative decrease: Chiu and Jain 1989). It begins with few, which doubles with each round of answers (slow
//! start). Otherwise a cluster that hangs would keep its full number, whose time is up all at once, so that as many connections were
//! opened in one go.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// Past this a slow cluster of copies would eat the memory of the proxy.
pub const UNDER_WAY_MAX: usize = 256;
/// What a cluster gets at once of which nothing is known yet: a burst of as many connections is no stall.
pub const AT_FIRST: usize = 16;

#[derive(Debug, Default)]
struct Rooms {
    under_way: usize,
    /// Those that copies were sent to.
    clusters: HashMap<Arc<str>, Cluster>,
}

#[derive(Debug)]
struct Cluster {
    under_way: usize,
    most: usize,
}

const UNKNOWN: Cluster = Cluster { under_way: 0, most: AT_FIRST };

thread_local! {
    static ROOMS: RefCell<Rooms> = RefCell::default();
}

impl Rooms {
    fn has(&self, cluster: &str) -> bool {
        let Cluster { under_way, most } = self.clusters.get(cluster).unwrap_or(&UNKNOWN);
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
        let Cluster { under_way, most } = rooms.clusters.get(cluster).unwrap_or(&UNKNOWN);
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
            match rooms.clusters.get_mut(cluster) {
                Some(known) => known.under_way += 1,
                None => {
                    // A name that nobody else has is of a cluster that has left the configuration.
                    rooms.clusters.retain(|name, known| known.under_way > 0 || Arc::strong_count(name) > 1);
                    rooms.clusters.insert(Arc::clone(cluster), Cluster { under_way: 1, ..UNKNOWN });
                }
            }
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
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(cluster: &Arc<str>) -> Option<Room> {
        Room::take(cluster)
    }

    fn answers(cluster: &Arc<str>, copies: usize) {
        (0..copies).for_each(|_| take(cluster).expect("room").end(true));
    }

    #[test]
    fn a_cluster_gets_few_at_first_and_more_as_it_answers() {
        let slow = Arc::from("slow");
        let first: Vec<_> = (0..AT_FIRST).map(|_| take(&slow).expect("there is room")).collect();
        assert!(take(&slow).is_none() && has("other"));
        first.into_iter().for_each(|room| room.end(true));
        assert_eq!(of("slow"), (0, 2 * AT_FIRST));
        answers(&slow, UNDER_WAY_MAX);
        assert_eq!(of("slow"), (0, UNDER_WAY_MAX));
        let all: Vec<_> = (0..UNDER_WAY_MAX).map(|_| take(&slow).expect("there is room")).collect();
        assert!(!has("slow") && !has("other"), "they share what a worker holds");
        drop(all);
    }

    #[test]
    fn a_cluster_that_answers_nothing_gets_one_at_a_time_until_it_answers() {
        let hangs = Arc::from("hangs");
        let all: Vec<_> = (0..AT_FIRST).map(|_| take(&hangs).expect("there is room")).collect();
        all.into_iter().for_each(|room| room.end(false));
        assert_eq!(of("hangs"), (0, 1));
        let one = take(&hangs).expect("one");
        assert!(!has("hangs") && has("other"), "the other one has done nothing");
        one.end(true);
        assert_eq!((of("hangs"), of("other")), ((0, 2), (0, AT_FIRST)));
    }

    #[test]
    fn what_is_given_up_shows_nothing() {
        let given_up = Arc::from("a");
        drop(take(&given_up));
        assert_eq!(of("a"), (0, AT_FIRST));
    }

    #[test]
    fn a_cluster_that_has_left_the_configuration_is_forgotten() {
        answers(&Arc::from("gone"), 1);
        let stays = Arc::from("stays");
        answers(&stays, 1);
        answers(&Arc::from("new"), 1);
        assert_eq!((of("gone"), of("stays")), ((0, AT_FIRST), (0, AT_FIRST + 1)));
    }
}
