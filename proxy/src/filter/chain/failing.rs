//! What it means for an exchange that a filter fails, or is left alone because it keeps failing: `on-failure` says it.

use std::time::Duration;

use super::super::{Fault, Filter, Hook};
use super::Step;
use crate::config::OnFailure;
use crate::exchange::{Failure, Kind};

/// How a filter let an exchange pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    Well,
    /// It failed, and its configuration says to go on without it.
    FailedOpen,
}

/// What a fault means for the exchange: nothing where the filter fails open.
pub fn failed(filter: &Filter, hook: Hook, fault: &Fault) -> Result<Passed, Step> {
    let on_failure = match filter.config.on_failure {
        OnFailure::Open => "open",
        OnFailure::Closed => "closed",
    };
    tracing::warn!(filter = %filter.name, hook = hook.name(), on_failure, %fault, "a filter failed");
    match filter.config.on_failure {
        OnFailure::Open => Ok(Passed::FailedOpen),
        OnFailure::Closed => {
            let message = format!("filter `{}` failed", filter.name);
            Err(Step::Failed(Failure::new(Kind::FilterFailed, message).because(first_line(fault))))
        }
    }
}

/// A filter that keeps failing is not called for a while.
pub fn tripped(filter: &Filter, wait: Duration) -> Result<Passed, Step> {
    match filter.config.on_failure {
        OnFailure::Open => Ok(Passed::FailedOpen),
        OnFailure::Closed => {
            let message = format!("filter `{}` keeps failing and is not called", filter.name);
            Err(Step::Failed(Failure::new(Kind::FilterTripped, message).because(format!("it is tried again in {wait:?}"))))
        }
    }
}

/// The access log gets a line, the program's log the whole backtrace.
fn first_line(fault: &Fault) -> String {
    fault.to_string().lines().next().unwrap_or_default().to_owned()
}
