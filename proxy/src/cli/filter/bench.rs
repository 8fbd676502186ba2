//! `tamis filter bench`: what a filter costs, in time a hook, time an instance and memory an instance.
//!
//! Hooks are called as the proxy calls them, without anything around: no connection, no upstream.

mod measure;
mod subject;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::module::Named;
use super::say::{self, Paint, Trouble};
use super::test::Given;
use crate::filter::Hook;
use measure::{Figures, Resident};
use subject::Subject;

/// Calls that are not counted: caches and branch predictors get to know the filter.
const WARM_UP: usize = 200;
/// Instances whose making is measured, one after the other.
const INSTANCES: usize = 200;
/// Instances that are alive at once while memory is measured.
const ALIVE: usize = 100;

#[derive(Debug, Args)]
pub struct Bench {
    /// The module: a file, or a built-in filter such as `builtin:router`.
    #[arg(value_name = "FILE")]
    module: PathBuf,
    #[command(flatten)]
    given: Given,
    /// Exchanges that are measured.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    calls: u32,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
}

/// Everything that was measured.
struct Measured {
    hooks: Vec<(Hook, Figures)>,
    instantiate: Figures,
    configure: Figures,
    /// As the proxy makes one.
    whole: Figures,
    linear_bytes: usize,
    resident_bytes: Option<usize>,
}

impl Bench {
    pub fn run(self) -> ExitCode {
        say::exit_code(self.bench())
    }

    fn bench(&self) -> Result<(), Trouble> {
        let module = Named::read(&self.module)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Trouble::new(format!("no runtime: {error}")))?;
        let progress = Progress::default();
        progress.tell("compiling");
        let subject = Subject::build(&module, &self.given)?;
        let measured = tokio::task::LocalSet::new().block_on(&runtime, self.measure(&subject, &progress));
        progress.clear();
        let measured = measured?;
        if self.json {
            println!("{}", self.to_json(&module, &subject, &measured));
        } else {
            self.print(&module, &subject, &measured);
        }
        Ok(())
    }

    async fn measure(&self, subject: &Subject, progress: &Progress) -> Result<Measured, Trouble> {
        let calls = self.calls as usize;
        // Before anything else has touched the memory of the pool.
        progress.tell("memory");
        let (mut alive, mut resident) = (Vec::with_capacity(ALIVE), Resident::now());
        for _ in 0..ALIVE {
            let mut instance = subject.instance().await?;
            subject.exchange(&mut instance).await?;
            alive.push(instance);
        }
        let resident_bytes = resident.grown().map(|bytes| bytes / ALIVE);
        let linear_bytes = alive.first().map_or(0, |instance| instance.memory_bytes());
        drop(alive);

        let (mut instantiate, mut configure, mut whole) = (Figures::default(), Figures::default(), Figures::default());
        for done in 0..INSTANCES {
            progress.share("instances", done, INSTANCES);
            whole.time(subject.instance()).await?;
            let mut bare = instantiate.time(subject.bare()).await?;
            configure.time(subject.configure(&mut bare)).await?;
        }

        let mut hooks = vec![(Hook::Request, Figures::default()), (Hook::Response, Figures::default())];
        let mut instance = subject.instance().await?;
        for done in 0..WARM_UP + calls {
            progress.share("hooks", done, WARM_UP + calls);
            let took = subject.exchange(&mut instance).await?;
            if done >= WARM_UP {
                hooks[0].1.extend(took.request);
                hooks[1].1.extend(took.response);
            }
        }
        hooks.retain(|(_, figures)| !figures.is_empty());
        Ok(Measured { hooks, instantiate, configure, whole, linear_bytes, resident_bytes })
    }

    fn to_json(&self, module: &Named, subject: &Subject, measured: &Measured) -> Value {
        let hooks: serde_json::Map<_, _> =
            measured.hooks.iter().map(|(hook, figures)| (hook.name().to_owned(), figures.to_json())).collect();
        json!({
            "file": module.shown,
            "optimised": !cfg!(debug_assertions),
            "hooks_ns": hooks,
            "instance_ns": measured.whole.to_json(),
            "instantiate_ns": measured.instantiate.to_json(),
            "configure_ns": measured.configure.to_json(),
            "linear_memory_bytes": measured.linear_bytes,
            "resident_bytes": measured.resident_bytes,
            "unanswered_clusters": subject.unanswered(),
        })
    }

    fn print(&self, module: &Named, subject: &Subject, measured: &Measured) {
        println!("{}  {} {}\n", Paint::stdout().bold(&module.shown), self.given.request.0, self.given.request.1);
        println!("{:<24}{:>12}{:>12}{:>10}", "", "median", "p99", "calls");
        for (hook, figures) in &measured.hooks {
            figures.print(&format!("{} hook", hook.name()));
        }
        measured.whole.print("a fresh instance");
        measured.instantiate.print("  instantiate");
        measured.configure.print("  configure");
        println!();
        println!("{:<24}{:>12}", "linear memory", say::bytes(measured.linear_bytes));
        if let Some(resident) = measured.resident_bytes {
            println!("{:<24}{:>12}   each of {ALIVE} instances alive", "resident memory", say::bytes(resident));
        }
        for cluster in subject.unanswered() {
            println!("\nit calls the cluster {cluster}, which nobody answers here: what comes after that call is not measured");
        }
        if cfg!(debug_assertions) {
            println!("\nthis `tamis` is a debug build: the release build is much faster");
        }
    }
}

/// How far the work is, on a terminal.
struct Progress(bool);

impl Default for Progress {
    fn default() -> Self {
        Self(std::io::stderr().is_terminal())
    }
}

impl Progress {
    fn tell(&self, words: &str) {
        if self.0 {
            eprint!("\r\x1b[2K{words} …");
            let _ = std::io::stderr().flush();
        }
    }

    /// A hundred times in all.
    fn share(&self, words: &str, done: usize, all: usize) {
        if self.0 && done.is_multiple_of(all.div_ceil(100)) {
            self.tell(&format!("{words}: {} of 100", done * 100 / all));
        }
    }

    fn clear(&self) {
        if self.0 {
            eprint!("\r\x1b[2K");
        }
    }
}
