//! A chain: filters in order for requests, in reverse for responses.
//!
//! The chain only walks. It stops where a filter decides something and says what; what becomes of that is for the
//! exchange to see to, which then goes on walking.

use std::sync::Arc;

use super::abi::component::Instance;
use super::{Fault, Filter, Hook, Verdict, pool};
use crate::config::OnFailure;
use crate::exchange::{Failure, Kind, Record};

/// Filters in one chain: one bit each in [`Chain::entered`].
pub const FILTERS_MAX: usize = 64;

/// Where the walk stopped.
#[derive(Debug)]
pub enum Step {
    /// `reply.set` was called: `exchange.reply` has the answer.
    Replied,
    /// The exchange ends without an answer.
    Reset,
    /// A filter that fails closed did.
    Failed(Failure),
}

/// The walk of one exchange through the filters of its listener.
#[derive(Debug)]
pub struct Chain {
    filters: Arc<[Arc<Filter>]>,
    /// The filters whose request hook succeeded, a bit each: only these see the response.
    entered: u64,
    /// Instances of filters that keep state between their hooks.
    held: Vec<(u64, Instance)>,
}

impl Chain {
    pub fn new(filters: Arc<[Arc<Filter>]>) -> Self {
        debug_assert!(filters.len() <= FILTERS_MAX);
        Self { filters, entered: 0, held: Vec::new() }
    }

    /// The request hooks, first to last. `None`: all said `next`.
    pub fn request(&mut self, record: &mut Record) -> Option<Step> {
        for index in 0..self.filters.len() {
            let filter = Arc::clone(&self.filters[index]);
            let verdict = self.call(&filter, Hook::Request, record);
            match verdict {
                Ok(Verdict::Next) => self.entered |= 1 << index,
                Ok(Verdict::Replied) => return Some(Step::Replied),
                Ok(Verdict::Reset) => return Some(Step::Reset),
                Err(fault) => {
                    if let Some(failure) = failed(&filter, Hook::Request, &fault) {
                        return Some(Step::Failed(failure));
                    }
                }
            }
        }
        None
    }

    /// The response hooks of the filters that were entered, last to first, from where the last call stopped. `None`:
    /// all are done.
    pub fn response(&mut self, record: &mut Record) -> Option<Step> {
        while let Some(index) = self.entered.checked_ilog2() {
            self.entered &= !(1 << index);
            let filter = Arc::clone(&self.filters[index as usize]);
            match self.call(&filter, Hook::Response, record) {
                Ok(Verdict::Next) => {}
                Ok(Verdict::Replied) => return Some(Step::Replied),
                Ok(Verdict::Reset) => return Some(Step::Reset),
                Err(fault) => {
                    if let Some(failure) = failed(&filter, Hook::Response, &fault) {
                        return Some(Step::Failed(failure));
                    }
                }
            }
        }
        None
    }

    /// Whether a filter is still to see the response.
    pub fn wants_response(&self) -> bool {
        let entered = |index: &usize| self.entered & (1 << index) != 0;
        (0..self.filters.len()).filter(entered).any(|index| self.filters[index].setup.wants(Hook::Response))
    }

    fn call(&mut self, filter: &Arc<Filter>, hook: Hook, record: &mut Record) -> Result<Verdict, Fault> {
        if !filter.setup.wants(hook) {
            return Ok(Verdict::Next);
        }
        let held = self.held.iter().position(|(id, _)| *id == filter.id);
        let mut instance = match held {
            Some(position) => self.held.swap_remove(position).1,
            None => pool::take(filter)?,
        };
        let verdict = record.lend(|exchange| instance.call(hook, filter.config.deadline, exchange));
        match verdict {
            Err(Fault::Deadline(_) | Fault::Memory(..) | Fault::Trap(_)) => {}
            _ if filter.setup.keeps_state() => self.held.push((filter.id, instance)),
            _ => pool::give_back(filter, instance),
        }
        verdict
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        for (id, instance) in self.held.drain(..) {
            if let Some(filter) = self.filters.iter().find(|filter| filter.id == id) {
                pool::give_back(filter, instance);
            }
        }
    }
}

/// What a fault means for the exchange: nothing where the filter fails open.
fn failed(filter: &Filter, hook: Hook, fault: &Fault) -> Option<Failure> {
    let on_failure = match filter.config.on_failure {
        OnFailure::Open => "open",
        OnFailure::Closed => "closed",
    };
    tracing::warn!(filter = %filter.name, hook = hook.name(), on_failure, %fault, "a filter failed");
    match filter.config.on_failure {
        OnFailure::Open => None,
        OnFailure::Closed => {
            let message = format!("filter `{}` failed", filter.name);
            Some(Failure::new(Kind::FilterFailed, message).because(first_line(fault)))
        }
    }
}

/// The access log gets a line, the program's log the whole backtrace.
fn first_line(fault: &Fault) -> String {
    fault.to_string().lines().next().unwrap_or_default().to_owned()
}
