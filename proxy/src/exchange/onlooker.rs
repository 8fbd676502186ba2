//! Whoever looks at exchanges from outside: the tracer, a tap. They are asked when a request has come, and told when it is over.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{Attempt, Exchange, Origin, Trail};

/// Called on workers, so it never waits: what takes time goes into a bounded queue.
pub trait Onlooker: std::fmt::Debug + Send + Sync {
    /// Whether it wants to be told of this exchange, which has just come, with its path as the client wrote it. If so, there will be a
    /// trail.
    fn wants(&self, exchange: &Exchange, path: &str) -> bool;

    /// It is over. Complete hooks are still to run.
    fn ended(&self, over: &Over<'_>);
}

/// An exchange that is over. The request is told as it came, whatever filters made of it.
#[derive(Debug)]
pub struct Over<'a> {
    pub exchange: &'a Exchange,
    pub trail: &'a Trail,
    pub time: SystemTime,
    pub started: Instant,
    pub duration: Duration,
    pub method: &'a http::Method,
    pub path: &'a str,
    pub host: &'a str,
    /// Zero: the client got nothing.
    pub status: u16,
    pub origin: Origin,
    /// The first failure, in words.
    pub error: Option<&'a str>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub attempt: &'a Attempt,
}

impl Exchange {
    /// Asks everybody whether they want to look at it. `steps_max`: of the trail, if one does.
    pub fn offer(&mut self, onlookers: &[Arc<dyn Onlooker>], path: &str, steps_max: usize) {
        for onlooker in onlookers {
            if onlooker.wants(self, path) {
                self.keep_trail(steps_max).show(Arc::clone(onlooker));
            }
        }
    }

    /// From now on what happens is kept.
    pub fn keep_trail(&mut self, steps_max: usize) -> &Rc<Trail> {
        self.trail.get_or_insert_with(|| Rc::new(Trail::new(steps_max, None)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::tests::exchange;
    use super::super::{Inflow, Record};
    use super::*;
    use crate::telemetry::access_log::AccessLog;
    use crate::telemetry::traffic::Traffic;

    #[derive(Debug, Default)]
    struct Picky {
        wants: bool,
        seen: Mutex<Vec<String>>,
    }

    impl Onlooker for Picky {
        fn wants(&self, _: &Exchange, _: &str) -> bool {
            self.wants
        }

        fn ended(&self, over: &Over<'_>) {
            let line = format!("{} {} {} {}", over.method, over.path, over.status, over.origin.reason());
            self.seen.lock().expect("nobody panics").push(line);
        }
    }

    #[test]
    fn those_who_want_to_look_are_told_once() {
        let (curious, bored) = (Arc::new(Picky { wants: true, ..Picky::default() }), Arc::new(Picky::default()));
        let config = crate::config::AccessLog { output: crate::config::AccessLogOutput::Off, ..Default::default() };
        let log = Arc::new(AccessLog::open(&config, &Arc::default(), None).expect("nothing to open"));
        let traffic = Arc::new(Traffic::new(&"edge".into(), [].iter(), 1, &[], None));
        let mut record = Record::new(exchange(), Rc::new(Inflow::new(true)), log, traffic);
        record.exchange_mut().offer(&[bored.clone(), curious.clone()], "/", 8);
        assert!(record.exchange().trail.is_some());
        record.status = Some(http::StatusCode::NOT_FOUND);
        record.complete = true;
        let shared = Rc::clone(record.shared());
        drop(record);
        assert!(shared.borrow().trail.is_none(), "complete hooks leave no trail");
        assert_eq!(*curious.seen.lock().expect("nobody panics"), ["GET / 404 upstream"]);
        assert!(bored.seen.lock().expect("nobody panics").is_empty());
        let mut unseen = exchange();
        unseen.offer(&[bored], "/", 8);
        assert!(unseen.trail.is_none());
    }
}
