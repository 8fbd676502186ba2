//! `tamis filter build`: the tools of its language build the module, the proxy's own checks say whether it is a filter.

mod cargo;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use self::toolchain::Toolchain;

use super::module::{self, Named};
use super::say::{self, Paint, Trouble};
use crate::filter::Hook;

/// Checking a module takes one instance of nothing.
const INSTANCES: usize = 1;

#[derive(Debug, Args)]
pub struct Build {
    /// The project's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The Cargo.toml of a project in Rust, instead of a folder.
    #[arg(long, value_name = "FILE", conflicts_with = "folder")]
    manifest_path: Option<PathBuf>,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
}

impl Build {
    pub fn run(self) -> ExitCode {
        say::exit_code(self.build())
    }

    fn build(&self) -> Result<(), Trouble> {
        let file = &match &self.manifest_path {
            Some(manifest) => cargo::build(&absolute(manifest))?,
            None => project(&absolute(&self.folder))?,
        };
        let built = check(file)?;
        let file = nearby(file);
        if self.json {
            println!("{}", json!({ "file": file, "bytes": built.bytes, "sha256": built.hash, "hooks": built.hooks }));
            return Ok(());
        }
        println!("{}", Paint::stdout().bold(&file.display().to_string()));
        say::row("size", say::bytes(built.bytes));
        say::row("sha256", &built.hash);
        say::row("hooks", built.hooks.join(", "));
        Ok(())
    }
}

struct Built {
    bytes: usize,
    hash: String,
    hooks: Vec<&'static str>,
}

/// Whether there is a project in a folder.
pub fn is_project(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file() || Toolchain::of(folder).is_some()
}

/// Builds the project in a folder with the tools of its language, which shows by its files.
fn project(folder: &Path) -> Result<PathBuf, Trouble> {
    let manifest = folder.join("Cargo.toml");
    if manifest.is_file() {
        return cargo::build(&manifest);
    }
    match Toolchain::of(folder) {
        Some(toolchain) => toolchain.build(folder),
        None => Err(Trouble::new(format!("there is no project in {}: expected {}", folder.display(), toolchain::markers()))
            .hint("`tamis filter new NAME` writes a project; `tamis filter build DIR` builds the one in another folder")),
    }
}

fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // `.` at the end is no part of a project's name.
    path.components().collect()
}

/// Loads it as the proxy would.
fn check(file: &Path) -> Result<Built, Trouble> {
    let bytes = Named::read(file)?.bytes;
    let module = module::modules(INSTANCES)?.take(&bytes).map_err(|error| {
        Trouble::new(format!("{} was built, and the proxy does not take it: {error}", file.display()))
            .hint(format!("`tamis filter inspect {}` says more", file.display()))
    })?;
    let hooks = module.prepared.hooks().into_iter().map(Hook::name).collect();
    Ok(Built { bytes: bytes.len(), hash: module.hash.to_string(), hooks })
}

/// Relative to where the user stands, if it lies below.
fn nearby(file: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    file.strip_prefix(here).unwrap_or(file).to_owned()
}
