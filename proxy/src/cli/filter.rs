//! `tamis filter`: what is done with filters, one file a kind of work. Here stands what there is.

mod client;
mod remote;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the filters of a running proxy: what is live, where it came from, what failed.
    List(remote::List),
    /// Let a running proxy take another module for a filter. It is live when this succeeds, and nothing has changed when
    /// it does not.
    Load(remote::Load),
    /// Let a running proxy take another configuration for a filter.
    Config(remote::Config),
    /// Go back to the version that was live before, or to any that is remembered.
    Rollback(remote::Rollback),
    /// Take back everything that was pushed for a filter, its history included; what the file says holds again.
    Reset(remote::Reset),
}

pub fn run(command: Command) -> ExitCode {
    match command {
        Command::List(list) => list.run(),
        Command::Load(load) => load.run(),
        Command::Config(config) => config.run(),
        Command::Rollback(rollback) => rollback.run(),
        Command::Reset(reset) => reset.run(),
    }
}
