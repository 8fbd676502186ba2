//! `tamis filter build`: cargo builds the module, the proxy's own checks say whether it is a filter.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use serde_json::{Value, json};

use super::module::{self, Named};
use super::say::{self, Paint, Trouble};
use crate::filter::Hook;
use crate::filter::source::Modules;

pub const TARGET: &str = "wasm32-unknown-unknown";
/// Checking a module takes one instance of nothing.
const INSTANCES: usize = 1;

#[derive(Debug, Args)]
pub struct Build {
    /// The project's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Its Cargo.toml, instead of a folder.
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
        let manifest = self.manifest_path.clone().unwrap_or_else(|| self.folder.join("Cargo.toml"));
        let manifest = std::path::absolute(&manifest).unwrap_or(manifest);
        if !manifest.is_file() {
            return Err(Trouble::new(format!("there is no {}", manifest.display()))
                .hint("`tamis filter new NAME` writes a project; `tamis filter build DIR` builds the one in another folder"));
        }
        let modules: Vec<PathBuf> = cargo(&manifest)?;
        let file = match modules.as_slice() {
            [file] => file,
            [] => {
                return Err(Trouble::new("cargo built no module")
                    .hint(format!("{} needs: [lib] crate-type = [\"cdylib\", \"rlib\"]", manifest.display())));
            }
            several => {
                let names: Vec<_> = several.iter().map(|file| file.display().to_string()).collect();
                return Err(Trouble::new(format!("cargo built several modules: {}", names.join(", ")))
                    .hint("--manifest-path takes the Cargo.toml of one of them"));
            }
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

/// Loads it as the proxy would.
fn check(file: &Path) -> Result<Built, Trouble> {
    let bytes = Named::read(file)?.bytes;
    let module = Modules::new(module::engine(INSTANCES)?).take(&bytes).map_err(|error| {
        Trouble::new(format!("{} was built, and the proxy does not take it: {error}", file.display()))
            .hint(format!("`tamis filter inspect {}` says more", file.display()))
    })?;
    let hooks = module.prepared.hooks().into_iter().map(Hook::name).collect();
    Ok(Built { bytes: bytes.len(), hash: module.hash.to_string(), hooks })
}

/// Runs cargo with its progress on standard error, and returns the modules that came of it.
fn cargo(manifest: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let folder = manifest.parent().unwrap_or(Path::new("."));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder).args(["build", "--release", "--lib", "--target", TARGET]);
    cargo.args(["--message-format", "json-render-diagnostics", "--manifest-path"]).arg(manifest);
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|error| {
        Trouble::new(format!("cargo cannot be run: {error}")).hint("Rust and cargo come with rustup: https://rustup.rs")
    })?;
    if !output.status.success() {
        let trouble = Trouble::new("the filter does not build; cargo says why above");
        return Err(match target_is_missing(folder) {
            true => trouble.hint(format!("the target is missing; install it with: rustup target add {TARGET}")),
            false => trouble,
        });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_this = messages.filter(|message| {
        message["reason"] == "compiler-artifact"
            && message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest)
    });
    let files = of_this.flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
    let paths = files.filter_map(|file| file.as_str().map(PathBuf::from));
    Ok(paths.filter(|file| file.extension().is_some_and(|kind| kind == "wasm")).collect())
}

/// Whether the compiler of this folder has no standard library for the target.
fn target_is_missing(folder: &Path) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc).current_dir(folder).args(["--print", "target-libdir", "--target", TARGET]).output();
    asked.is_ok_and(|said| said.status.success() && !Path::new(String::from_utf8_lossy(&said.stdout).trim()).is_dir())
}

/// Relative to where the user stands, if it lies below.
fn nearby(file: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    file.strip_prefix(here).unwrap_or(file).to_owned()
}
