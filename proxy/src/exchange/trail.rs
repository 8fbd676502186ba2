//! What happened in an exchange that somebody looks at: each hook of a filter and each attempt upstream, with its times.
//!
//! An exchange nobody looks at has no trail, and pays a branch for that. A trail is written by whoever does a thing: [`begin`]
//! gives a [`Running`], which tells how it ended, or, where it is dropped before, that it was given up.
//!
//! [`begin`]: Trail::begin

use std::cell::{Cell, Ref, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use super::onlooker::Onlooker;
use super::{Failure, Kind};
use crate::telemetry::access_log;
use crate::telemetry::propagation::Trace;

/// See the module.
#[derive(Debug)]
pub struct Trail {
    steps: RefCell<Vec<Step>>,
    steps_max: usize,
    left_out: Cell<u32>,
    /// Hooks for pieces that are among these: a further piece is no further one.
    pieces_left_out: RefCell<Vec<(Arc<str>, &'static str)>>,
    /// Who is told when the exchange is over.
    onlookers: RefCell<Vec<Arc<dyn Onlooker>>>,
    /// Of a sampled exchange.
    trace: Option<Sampled>,
}

/// A trace that this exchange is told of in.
#[derive(Debug)]
pub struct Sampled {
    pub trace: Trace,
    /// What vendors say beside it, for the spans.
    pub state: Option<String>,
}

/// One thing that was done.
#[derive(Debug, Clone)]
pub struct Step {
    /// A random number by which others refer to it; the id of its span in a trace.
    pub id: u64,
    pub began: Instant,
    /// `None`: it is not over.
    pub took: Option<Duration>,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    Hook(Hook),
    Attempt(Attempt),
}

/// A hook of one filter. The calls for the pieces of one body are one step: there is no telling how many there are.
#[derive(Debug, Clone)]
pub struct Hook {
    pub filter: Arc<str>,
    /// The hash of its module.
    pub module: Arc<str>,
    pub hook: &'static str,
    pub calls: u32,
    /// The sum over all calls, waiting for an instance included.
    pub busy: Duration,
    /// Of the last call: `next`, `replied`, `reset`, `tripped`, or the kind of a fault. `None`: it was given up, because
    /// the client had left.
    pub result: Option<&'static str>,
    pub failed: bool,
}

/// One attempt to have a request answered by an endpoint. It is over with the head of the answer.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The step of the hook that made the request; `None`: it is the client's.
    pub by: Option<u64>,
    pub method: Method,
    /// As it stood in the head; of HTTP/1 the path and the query.
    pub target: Uri,
    /// Where the target does not say it.
    pub host: Option<HeaderValue>,
    pub is_tls: bool,
    pub cluster: Arc<str>,
    pub endpoint: SocketAddr,
    /// From 1 on.
    pub number: u32,
    /// Made beside another one that took long.
    pub hedged: bool,
    /// `None`: it was given up.
    pub result: Option<Result<StatusCode, Kind>>,
}

impl access_log::Trail for Trail {
    fn each_hook(&self, tell: &mut dyn FnMut(&access_log::HookStep<'_>)) {
        for step in self.steps.borrow().iter() {
            if let What::Hook(hook) = &step.what {
                let result = hook.result.unwrap_or("given-up");
                tell(&access_log::HookStep { filter: &hook.filter, hook: hook.hook, result, took: hook.busy });
            }
        }
    }

    fn each_attempt(&self, tell: &mut dyn FnMut(&access_log::AttemptStep<'_>)) {
        for step in self.steps.borrow().iter() {
            // Those of requests that filters made are not the exchange's own.
            if let What::Attempt(attempt) = &step.what
                && attempt.by.is_none()
            {
                let (status, reason) = match attempt.result {
                    Some(Ok(status)) => (Some(status.as_u16()), None),
                    Some(Err(kind)) => (None, Some(kind.reason())),
                    None => (None, Some("given-up")),
                };
                let took = step.took.unwrap_or_default();
                let cluster = &attempt.cluster;
                tell(&access_log::AttemptStep { cluster, endpoint: attempt.endpoint, status, reason, took });
            }
        }
    }
}

impl Trail {
    pub fn new(steps_max: usize, trace: Option<Sampled>) -> Self {
        Self {
            steps: RefCell::default(),
            steps_max,
            left_out: Cell::new(0),
            pieces_left_out: RefCell::default(),
            onlookers: RefCell::default(),
            trace,
        }
    }

    pub fn sampled(&self) -> Option<&Sampled> {
        self.trace.as_ref()
    }

    /// What an attempt that is written down sends on lies below its own span, which lies below that of who makes it.
    pub fn stamp(&self, attempt: &Running, by: Option<u64>, headers: &mut HeaderMap) {
        if let (Some(sampled), Some(id)) = (&self.trace, attempt.id()) {
            sampled.trace.child(id, by.unwrap_or(sampled.trace.context.span)).write(headers);
        }
    }

    /// The steps in the order in which they began.
    pub fn steps(&self) -> Ref<'_, [Step]> {
        Ref::map(self.steps.borrow(), Vec::as_slice)
    }

    /// How many there were beyond those that are kept.
    pub fn left_out(&self) -> u32 {
        self.left_out.get()
    }

    /// Somebody wants to be told when the exchange is over.
    pub fn show(&self, onlooker: Arc<dyn Onlooker>) {
        self.onlookers.borrow_mut().push(onlooker);
    }

    pub(super) fn take_onlookers(&self) -> Vec<Arc<dyn Onlooker>> {
        self.onlookers.take()
    }

    /// A hook is called. A further piece of a body goes on with the step of the first.
    pub fn begin_hook(self: &Rc<Self>, filter: &Arc<str>, module: &Arc<str>, hook: &'static str, pieces: bool) -> Running {
        if pieces {
            let known = |step: &Step| matches!(&step.what, What::Hook(at) if at.hook == hook && at.filter == *filter);
            let place = self.steps.borrow().iter().position(known);
            let is_left_out = self.steps.borrow().len() >= self.steps_max && {
                let mut left_out = self.pieces_left_out.borrow_mut();
                let is_known = left_out.iter().any(|known| known.1 == hook && known.0 == *filter);
                if !is_known && place.is_none() {
                    left_out.push((Arc::clone(filter), hook));
                }
                is_known
            };
            if place.is_some() || is_left_out {
                return Running { trail: Rc::clone(self), place, began: Instant::now() };
            }
        }
        self.begin(What::Hook(Hook {
            filter: Arc::clone(filter),
            module: Arc::clone(module),
            hook,
            calls: 0,
            busy: Duration::ZERO,
            result: None,
            failed: false,
        }))
    }

    pub fn begin(self: &Rc<Self>, what: What) -> Running {
        let mut steps = self.steps.borrow_mut();
        let began = Instant::now();
        let place = (steps.len() < self.steps_max).then_some(steps.len());
        if place.is_some() {
            // Zero is no id of a span.
            steps.push(Step { id: fastrand::u64(1..), began, took: None, what });
        } else {
            self.left_out.set(self.left_out.get().saturating_add(1));
        }
        Running { trail: Rc::clone(self), place, began }
    }
}

/// A step that is not over.
#[derive(Debug)]
pub struct Running {
    trail: Rc<Trail>,
    /// `None`: there was no room for it.
    place: Option<usize>,
    began: Instant,
}

impl Running {
    /// The id of its step.
    pub fn id(&self) -> Option<u64> {
        self.place.map(|place| self.trail.steps.borrow()[place].id)
    }

    /// A hook has said something, or failed.
    pub fn said(self, result: &'static str, failed: bool) {
        self.end(|what| {
            if let What::Hook(hook) = what {
                (hook.result, hook.failed) = (Some(result), failed);
            }
        });
    }

    /// An attempt was answered, or failed.
    pub fn came(self, result: Result<StatusCode, &Failure>) {
        self.end(|what| {
            if let What::Attempt(attempt) = what {
                attempt.result = Some(result.map_err(|failure| failure.kind));
            }
        });
    }

    fn end(mut self, how: impl FnOnce(&mut What)) {
        self.over(how);
    }

    fn over(&mut self, how: impl FnOnce(&mut What)) {
        let Some(place) = self.place.take() else { return };
        if let Some(step) = self.trail.steps.borrow_mut().get_mut(place) {
            step.took = Some(step.began.elapsed());
            if let What::Hook(hook) = &mut step.what {
                hook.calls = hook.calls.saturating_add(1);
                hook.busy += self.began.elapsed();
                hook.result = None;
            }
            how(&mut step.what);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.over(|_| {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32) -> What {
        let (cluster, endpoint) = ("users".into(), ([127, 0, 0, 1], 80).into());
        let (target, host, is_tls) = (Uri::from_static("/a"), None, false);
        let (method, hedged) = (Method::GET, number > 1);
        What::Attempt(Attempt { by: None, method, target, host, is_tls, cluster, endpoint, number, hedged, result: None })
    }

    fn result(trail: &Trail, place: usize) -> Option<Result<StatusCode, Kind>> {
        match &trail.steps()[place].what {
            What::Attempt(attempt) => attempt.result,
            What::Hook(_) => None,
        }
    }

    #[test]
    fn attempts_beside_each_other_end_each_by_itself() {
        let trail = Rc::new(Trail::new(8, None));
        let (first, second) = (trail.begin(attempt(1)), trail.begin(attempt(2)));
        assert_ne!(first.id(), second.id());
        second.came(Ok(StatusCode::OK));
        assert!(trail.steps()[0].took.is_none() && trail.steps()[1].took.is_some());
        drop(first);
        assert!(trail.steps()[0].took.is_some());
        assert_eq!((result(&trail, 0), result(&trail, 1)), (None, Some(Ok(StatusCode::OK))));
        trail.begin(attempt(3)).came(Err(&Failure::new(Kind::Timeout, "late")));
        assert_eq!(result(&trail, 2), Some(Err(Kind::Timeout)));
    }

    #[test]
    fn the_pieces_of_a_body_are_one_step_and_calls_of_hooks_are_not() {
        let trail = Rc::new(Trail::new(8, None));
        let (filter, module) = (Arc::from("gate"), Arc::from("ab12"));
        for hook in ["request", "response"] {
            trail.begin_hook(&filter, &module, hook, false).said("next", false);
        }
        for _ in 0..3 {
            trail.begin_hook(&filter, &module, "response-chunk", true).said("next", false);
        }
        trail.begin_hook(&filter, &module, "response-chunk", true).said("trap", true);
        trail.begin_hook(&"other".into(), &module, "response-chunk", true).said("next", false);
        let steps = trail.steps();
        let hooks = steps.iter().map(|step| match &step.what {
            What::Hook(hook) => (&*hook.filter, hook.hook, hook.calls, hook.result, hook.failed),
            What::Attempt(_) => unreachable!("there is none"),
        });
        let expected = [
            ("gate", "request", 1, Some("next"), false),
            ("gate", "response", 1, Some("next"), false),
            ("gate", "response-chunk", 4, Some("trap"), true),
            ("other", "response-chunk", 1, Some("next"), false),
        ];
        assert_eq!(hooks.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let trail = Rc::new(Trail::new(2, None));
        let running: Vec<_> = (1..=5).map(|number| trail.begin(attempt(number))).collect();
        assert_eq!(running.iter().map(|running| running.id().is_some()).collect::<Vec<_>>(), [true, true, false, false, false]);
        drop(running);
        assert_eq!((trail.steps().len(), trail.left_out()), (2, 3));
        for (filter, hook) in [("gate", "request-chunk"), ("gate", "response-chunk"), ("other", "request-chunk")] {
            (0..4).for_each(|_| trail.begin_hook(&filter.into(), &"ab12".into(), hook, true).said("next", false));
        }
        assert_eq!(trail.left_out(), 6, "the pieces of a body are one step here as well");
    }
}
