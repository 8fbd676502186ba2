//! The order of the modules in a crate, read from its source text: who mentions whom, by `use` or by a path in code.
//! It knows no macros and no re-exports: a module is the file or the `mod { … }` that the path leads to.

pub mod imports;
pub mod tokens;

use std::path::{Path, PathBuf};

/// The modules of the proxy from the top down. Each imports only those after it.
pub const ORDER: [&str; 19] = [
    "cli",
    "app",
    "admin",
    "listener",
    "http",
    "tcp",
    "udp",
    "snapshot",
    "filter",
    "cluster",
    "trace",
    "exchange",
    "store",
    "tls",
    "telemetry",
    "worker",
    "drain",
    "dial",
    "config",
];

/// Files that are above every module.
const ROOTS: [&str; 2] = ["lib", "main"];

/// An import that the order does not allow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Relative to the folder that was looked at.
    pub file: PathBuf,
    pub line: usize,
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

/// Every Rust file below a folder, in order of its path.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every import in the crate whose source is in `folder` that goes upward in `order`, or to a module that is not in it.
pub fn violations(folder: &Path, order: &[&str]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for path in files(folder) {
        let file = path.strip_prefix(folder).expect("the file is in the folder").to_owned();
        let module = module_path(&file);
        if ROOTS.contains(&module[0].as_str()) {
            continue;
        }
        let Some(own) = rank(order, &module[0]) else {
            violations.push(Violation { file, line: 1, what: format!("module `{}` has no place in the order", module[0]) });
            continue;
        };
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        for import in imports::of(&text, &module) {
            let what = match rank(order, &import.module) {
                Some(other) if other < own => format!("`{}` imports `{}`, which is above it", module[0], import.module),
                None => format!("`{}` imports `crate::{}`, which has no place in the order", module[0], import.module),
                Some(_) => continue,
            };
            violations.push(Violation { file: file.clone(), line: import.line, what });
        }
    }
    violations.dedup();
    violations
}

fn rank(order: &[&str], module: &str) -> Option<usize> {
    order.iter().position(|name| *name == module)
}

/// `http/body.rs` is `["http", "body"]`, and so is `http/body/mod.rs`.
fn module_path(file: &Path) -> Vec<String> {
    let mut path: Vec<String> = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if path.len() > 1 && path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    path
}
