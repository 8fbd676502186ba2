//! The command line: what can be asked of the binary, and how it answers.

mod check;
mod clusters;
mod config;
mod demo;
mod filter;
mod manual;
mod run;
mod sidecar;
mod tap;
mod top;
mod upgrade;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::app::Keep;
use crate::telemetry::log;

/// What scripts may rely on.
const EXIT_CODES: &str = "\
Exit codes: 0 where it did what was asked (`run` and `demo`: told to leave, and everything finished; `check`: no mistakes); \
1 where it did not start, something was cut on leaving, there are mistakes, or the proxy refused; 2 for wrong arguments. \
With `--with`, the exit code of the application: 128 and the number of the signal that ended it, 127 and 126 where it cannot be started.";

/// A WebAssembly-extensible programmable proxy.
#[derive(Debug, Parser)]
#[command(name = "tamis", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// What the program's own log tells: a level, or directives such as `info,tamis::filter=debug`. Without it `info`, or
    /// `off` for commands that serve nothing: these tell by themselves what happened.
    #[arg(long, global = true, env = "TAMIS_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How the program's own log looks; it goes to standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve what a configuration says, until SIGTERM; SIGHUP and a changed file reload it.
    Run {
        /// The configuration.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// What holds where the file has changed since something was pushed over it through the admin. Without it, such a
        /// proxy does not start.
        #[arg(long, value_enum)]
        state: Option<Holds>,
        #[command(flatten)]
        beside: run::Beside,
    },
    /// Serve beside one service what a short file says: its calls, and those to it.
    Sidecar(Box<sidecar::Sidecar>),
    /// Have another process take over from a running proxy, without a connection that is refused; the old one drains.
    Upgrade(upgrade::Upgrade),
    /// Wait until a proxy is ready.
    Wait(wait::Wait),
    /// List every mistake of a configuration, what its filters say included. Opens no address.
    Check {
        /// The configuration.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// One JSON document instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Write a filter, build it, try it out; show those of a running proxy, replace them, go back.
    #[command(subcommand)]
    Filter(Box<filter::Command>),
    /// Show the clusters of a running proxy: why each endpoint is in or out, what it carries, who was chosen last.
    Clusters(clusters::Clusters),
    /// Show, compare, check, replace the configuration of a running proxy; go back.
    #[command(subcommand)]
    Config(config::Command),
    /// Show exchanges of a running proxy as they end, those that match.
    Tap(tap::Tap),
    /// Watch a running proxy: success, requests a second and latency by listener and cluster, and what filters cost.
    Top(top::Top),
    /// Print the completions of a shell.
    Completions(manual::Completions),
    /// Print the manual page, or write those of all commands into a folder.
    Man(manual::Man),
    /// Serve an embedded example with small upstream services in the same process, and say what to try.
    Demo(demo::Options),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Holds {
    /// What was pushed.
    Pushed,
    /// The file; what was pushed over what has changed is dropped for good.
    File,
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    crate::filter::heap::set_up();
    let arguments = Arguments::parse();
    if let Err(error) = start_log(&arguments) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    match arguments.command {
        Command::Run { config, state, beside } => {
            let keep = match state {
                None => Keep::Ask,
                Some(Holds::Pushed) => Keep::Pushed,
                Some(Holds::File) => Keep::File,
            };
            run::run(&config, keep, beside)
        }
        Command::Check { config, json } => check::check(&config, json),
        Command::Filter(command) => filter::run(*command),
        Command::Clusters(clusters) => clusters.run(),
        Command::Config(command) => config::run(command),
        Command::Tap(tap) => tap.run(),
        Command::Top(top) => top.run(),
        Command::Sidecar(sidecar) => sidecar.run(),
        Command::Upgrade(upgrade) => upgrade.run(),
        Command::Wait(wait) => wait.run(),
        Command::Completions(completions) => completions.run(Arguments::command()),
        Command::Man(man) => man.run(Arguments::command()),
        Command::Demo(options) => demo::demo(&options),
    }
}

fn start_log(arguments: &Arguments) -> Result<(), String> {
    let usual = match arguments.command {
        Command::Run { .. } | Command::Sidecar(_) | Command::Check { .. } | Command::Demo(_) => "info",
        _ => "off",
    };
    let format = match arguments.log_format {
        LogFormat::Text => log::Format::Text { colour: colour_on_stderr() },
        LogFormat::Json => log::Format::Json,
    };
    log::start(arguments.log.as_deref().unwrap_or(usual), format).map_err(|error| format!("--log: {error}"))
}

/// Colours are for people: on a terminal, and where NO_COLOR does not say otherwise.
fn colour_on_stderr() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none()
}
