//! `tamis run`: serve a configuration until told to leave.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::app::{App, Inherited, Keep, Launch, Left, Own, StartError};
use crate::config::{self, Loaded, Problems};

/// A program that runs as the child of the proxy.
#[derive(Debug, Default, Args)]
pub struct Beside {
    /// Run an application when the proxy is ready: what follows `--`. It is told what the proxy is told, and when it ends the
    /// proxy drains and leaves with its exit code.
    #[arg(long, requires = "application")]
    with: bool,
    /// The application and its arguments.
    #[arg(last = true, requires = "with", value_name = "COMMAND")]
    application: Vec<OsString>,
}

pub fn run(file: &Path, keep: Keep, beside: Beside) -> ExitCode {
    serve(file, keep, beside, || config::examine(file).and_then(App::sound))
}

/// Serves what `load` finds; `file` is what its mistakes are told of.
pub fn serve(file: &Path, keep: Keep, beside: Beside, load: impl FnOnce() -> Result<Loaded, Problems>) -> ExitCode {
    // While there is one thread, for the environment is changed by it.
    let inherited = match Inherited::take() {
        Ok(inherited) => inherited,
        Err(error) => {
            eprintln!("error: what this process was started with cannot be used: {error}");
            return ExitCode::FAILURE;
        }
    };
    let with = Some(beside.application).filter(|_| beside.with);
    let own = Own { keep, inherited, launch: Launch::of_this_process(), with };
    let bound = match load().map_err(StartError::from).and_then(|loaded| App::build_with_signals(loaded, own)) {
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

/// 0: left as asked. 1: something was cut, or it could not run. What the application left with, where there was one.
pub fn exit_code(left: Result<Left, crate::app::RunError>) -> ExitCode {
    match left {
        Ok(Left::Drained) => ExitCode::SUCCESS,
        Ok(Left::Cut) => ExitCode::FAILURE,
        Ok(Left::With(code)) => code.into(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
