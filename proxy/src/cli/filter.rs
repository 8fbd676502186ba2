//! `tamis filter`: what is done with filters, one file a kind of work. Here stands what there is.

mod bench;
mod build;
mod canary;
pub(super) mod client;
mod inspect;
mod module;
mod new;
pub(super) mod remote;
mod say;
mod test;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a project for a new filter, which builds and passes its own tests.
    New(new::New),
    /// Build a project into a module, and check that the proxy takes it.
    Build(build::Build),
    /// Say what a module offers, what it wants granted, and whether the proxy takes it.
    Inspect(inspect::Inspect),
    /// Send one exchange through a module, and show everything that it does. Needs no proxy and no service.
    Test(test::Test),
    /// Measure what a module costs: time a hook, time and memory an instance.
    Bench(bench::Bench),
    /// Show the filters of a running proxy: what is live, where it came from, what failed.
    List(remote::List),
    /// Let a running proxy take another module for a filter. It is live when this succeeds, and nothing has changed when
    /// it does not.
    Load(remote::Load),
    /// Let a running proxy take another configuration for a filter.
    Config(remote::Config),
    /// Go back to the version that was live before, or to any that is remembered.
    Rollback(remote::Rollback),
    /// Let what was loaded with `--canary` become the live version.
    Promote(canary::Canary),
    /// Take back what was loaded with `--canary`.
    Abort(canary::Canary),
    /// Take back everything that was pushed for a filter, its history included; what the file says holds again.
    Reset(remote::Reset),
}

pub fn run(command: Command) -> ExitCode {
    match command {
        Command::New(new) => new.run(),
        Command::Build(build) => build.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Test(test) => test.run(),
        Command::Bench(bench) => bench.run(),
        Command::List(list) => list.run(),
        Command::Load(load) => load.run(),
        Command::Config(config) => config.run(),
        Command::Rollback(rollback) => rollback.run(),
        Command::Promote(canary) => canary.promote(),
        Command::Abort(canary) => canary.abort(),
        Command::Reset(reset) => reset.run(),
    }
}
