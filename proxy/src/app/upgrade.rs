//! Another process takes over from this one, without a moment in which nobody accepts.
//!
//! The present process starts the new one and gives it its sockets over a pair that is the new one's standard input
//! (`wire`). The new one builds everything and says that it is ready; only then it is told to go, and only when it serves
//! does the present one drain (`predecessor`, `successor`). Whatever fails before that changes nothing.

mod predecessor;
mod successor;
mod wire;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use predecessor::{Handing, begin};
pub use successor::{Heir, is_heir};
pub use wire::{Offer, Place};

/// Tells a process that its standard input is a socket of its predecessor, and which words are spoken there.
pub const VARIABLE: &str = "TAMIS_HANDOVER";
/// The words of this version.
const FORMAT: &str = "1";
/// What only concerns the process that was started with it.
pub const OF_ONE_PROCESS: [&str; 4] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// How this process was started, and so how its successor is.
#[derive(Debug, Clone)]
pub struct Launch {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Launch {
    /// As it was called: a link that points elsewhere by now leads to another program.
    pub fn of_this_process() -> Option<Self> {
        let mut arguments = std::env::args_os();
        let called = PathBuf::from(arguments.next()?);
        // A bare name is looked up in PATH again.
        let is_bare = called.components().count() == 1 && !called.as_os_str().as_encoded_bytes().contains(&b'/');
        let program = if is_bare { called } else { std::path::absolute(called).ok()? };
        Some(Self { program, arguments: arguments.collect() })
    }

    /// The same with another program.
    pub fn with_program(&self, program: &Path) -> Self {
        Self { program: program.to_owned(), arguments: self.arguments.clone() }
    }
}

/// Why nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    #[error("{0}")]
    Impossible(&'static str),
    #[error("cannot start `{}`: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("the sockets cannot be handed over: {0}")]
    Handover(io::Error),
    #[error("the new process ended before it was ready: {how}{}", said(.printed))]
    Ended { how: String, printed: String },
    #[error("the new process was not ready within {}, and was ended{}", humantime::format_duration(*.deadline), said(.printed))]
    Late { deadline: Duration, printed: String },
    #[error("the new process was ready and then did not serve, and was ended{}", said(.printed))]
    Silent { printed: String },
}

fn said(printed: &str) -> String {
    let printed = printed.trim_end();
    if printed.is_empty() { String::new() } else { format!("; it printed:\n{printed}") }
}
