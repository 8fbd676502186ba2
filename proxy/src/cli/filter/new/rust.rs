//! What a project in Rust has beside its texts: names that cargo can tell apart, and a lock file.

use super::fill;
use crate::cli::filter::say::Trouble;

include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

/// What cargo or rustc keep for themselves.
const RESERVED: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// The files of a project. `{name}`, `{crate}` and `{sdk}` are filled in.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("project/cargo.toml")),
    ("rust-toolchain.toml", include_str!("project/rust-toolchain.toml")),
    (".gitignore", "/target\n"),
    ("README.md", include_str!("project/README.md")),
    ("tamis.toml", include_str!("project/tamis.toml")),
    ("src/lib.rs", include_str!("project/src/lib.rs")),
    ("tests/filter.rs", include_str!("project/tests/filter.rs")),
];

/// Every file but those of the SDK, filled in.
pub fn files(name: &str) -> Vec<(String, String)> {
    let files = FILES.iter().map(|(path, text)| ((*path).to_owned(), fill(text, name)));
    files.chain([("Cargo.lock".to_owned(), lock(name))]).collect()
}

/// Names that cargo would take for something else.
pub fn check_name(name: &str) -> Result<(), Trouble> {
    if RESERVED.contains(&name) {
        return Err(Trouble::new(format!("`{name}` is no name for a filter: Rust keeps it for itself"))
            .hint(format!("try `tamis filter new {name}-filter`")));
    }
    if packages().any(|(known, _)| known == name) {
        return Err(Trouble::new(format!("`{name}` is no name for a filter: a crate that it depends on is called that"))
            .hint(format!("try `tamis filter new {name}-filter`")));
    }
    Ok(())
}

/// Each package of the SDK's lock file: its name, and its lines.
fn packages() -> impl Iterator<Item = (&'static str, &'static str)> {
    SDK_LOCK.split("[[package]]\n").skip(1).filter_map(|package| {
        let name = package.lines().next()?.strip_prefix("name = \"")?.strip_suffix('"')?;
        (name != "tamis-sdk-conformance").then_some((name, package.trim_end()))
    })
}

/// The versions that the SDK was tested with, and the project itself: nothing is left to be looked up.
fn lock(name: &str) -> String {
    let own = format!("name = \"{name}\"\nversion = \"0.1.0\"\ndependencies = [\n \"serde\",\n \"tamis-sdk\",\n]");
    let mut all: Vec<(&str, &str)> = packages().collect();
    all.push((name, &own));
    all.sort_by_key(|(name, _)| *name);
    let head = SDK_LOCK.split("[[package]]\n").next().unwrap_or_default();
    let packages: Vec<_> = all.into_iter().map(|(_, package)| format!("[[package]]\n{package}\n")).collect();
    format!("{head}{}", packages.join("\n"))
}
