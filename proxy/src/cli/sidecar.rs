//! `tamis sidecar`: serve beside one service what a short file says. `rules` are what redirects its connections.

mod rules;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::run::{self, Beside};
use crate::app::{App, Keep};
use crate::config::{self, Loaded, Problems};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Sidecar {
    /// The short file: `[sidecar]`, `[services.NAME]`, and whatever else a configuration may say.
    #[arg(short, long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// Print the configuration that it stands for, and serve nothing.
    #[arg(long, conflicts_with = "with")]
    print: bool,
    #[command(flatten)]
    beside: Beside,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the rules that redirect the connections of a service to its sidecar, apply them, remove them.
    Rules(rules::Rules),
}

impl Sidecar {
    pub fn run(self) -> ExitCode {
        match (self.command, self.config) {
            (Some(Command::Rules(rules)), _) => rules.run(),
            (None, Some(file)) if self.print => print(&file),
            (None, Some(file)) => run::serve(&file, Keep::Ask, self.beside, || load(&file)),
            // clap has asked for one of them.
            (None, None) => ExitCode::from(2),
        }
    }
}

/// A configuration that is about a sidecar.
fn load(file: &Path) -> Result<Loaded, Problems> {
    let loaded = config::examine(file).and_then(App::sound)?;
    if loaded.config.sidecar.is_none() {
        let message = "there is no [sidecar]; expected one with `service`, `port`, `trust-domain` and who the service is";
        return Err(loaded.source.problem_at(&[], message).into());
    }
    Ok(loaded)
}

fn print(file: &Path) -> ExitCode {
    match load(file) {
        Ok(loaded) => {
            print!("{}", loaded.source.written_out());
            ExitCode::SUCCESS
        }
        Err(problems) => {
            eprintln!("{}", problems.render(super::colour_on_stderr()));
            ExitCode::FAILURE
        }
    }
}
