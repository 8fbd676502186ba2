//! A filter in Rust: cargo says itself what it built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::filter::say::Trouble;

const TARGET: &str = "wasm32-unknown-unknown";

/// The module that comes of a manifest.
pub fn build(manifest: &Path) -> Result<PathBuf, Trouble> {
    let modules = cargo(manifest)?;
    match modules.as_slice() {
        [file] => Ok(file.clone()),
        [] => Err(Trouble::new("cargo built no module")
            .hint(format!("{} needs: [lib] crate-type = [\"cdylib\", \"rlib\"]", manifest.display()))),
        several => {
            let names: Vec<_> = several.iter().map(|file| file.display().to_string()).collect();
            Err(Trouble::new(format!("cargo built several modules: {}", names.join(", ")))
                .hint("--manifest-path takes the Cargo.toml of one of them"))
        }
    }
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
