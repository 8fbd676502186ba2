//! `tamis run`: serve a configuration until told to leave.

use std::path::Path;
use std::process::ExitCode;

use crate::app::{App, Keep, Left, StartError};
use crate::config;

pub fn run(file: &Path, keep: Keep) -> ExitCode {
    let loaded = config::examine(file).and_then(App::sound).map_err(StartError::from);
    let bound = match loaded.and_then(|loaded| App::build_with_signals(loaded, keep)) {
        Ok(bound) => bound,
        Err(StartError::Config(problems)) => {
            eprintln!("{}\n", problems.render(super::colour_on_stderr()));
            eprintln!("nothing was started; `tamis check -c {}` repeats this list", file.display());
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(admin) = bound.admin() {
        tracing::info!(address = %admin, "admin");
    }
    exit_code(bound.run())
}

/// 0: left as asked. 1: something was cut, or it could not run.
pub fn exit_code(left: Result<Left, crate::app::RunError>) -> ExitCode {
    match left {
        Ok(Left::Drained) => ExitCode::SUCCESS,
        Ok(Left::Cut) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
