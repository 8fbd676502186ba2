//! `tamis filter new`: a project that builds, passes its tests and runs, with the SDK inside.
//!
//! It is written beside its place and moved there whole, so that nothing is left half-written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::say::{self, Trouble};

include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

/// Where the SDK lies inside of the project.
const SDK_FOLDER: &str = "tamis-sdk";
/// Longer names make no readable metrics or logs.
const NAME_MAX: usize = 64;
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
    ("Cargo.toml", include_str!("new/project/cargo.toml")),
    ("rust-toolchain.toml", include_str!("new/project/rust-toolchain.toml")),
    (".gitignore", "/target\n"),
    ("README.md", include_str!("new/project/README.md")),
    ("tamis.toml", include_str!("new/project/tamis.toml")),
    ("src/lib.rs", include_str!("new/project/src/lib.rs")),
    ("tests/filter.rs", include_str!("new/project/tests/filter.rs")),
];

#[derive(Debug, Args)]
pub struct New {
    /// The name of the filter, and of its crate.
    name: String,
    /// The language it is written in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
    /// The folder to write; without it, one with the name of the filter.
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Language {
    Rust,
}

impl New {
    pub fn run(self) -> ExitCode {
        say::exit_code(self.write())
    }

    fn write(&self) -> Result<(), Trouble> {
        check_name(&self.name)?;
        let Language::Rust = self.lang;
        let folder = self.dir.clone().unwrap_or_else(|| PathBuf::from(&self.name));
        check_place(&folder)?;
        let files = FILES.iter().map(|(path, text)| (PathBuf::from(path), fill(text, &self.name)));
        let sdk = SDK.iter().map(|(path, text)| (Path::new(SDK_FOLDER).join(path), (*text).to_owned()));
        let lock = (PathBuf::from("Cargo.lock"), lock(&self.name));
        place(&folder, files.chain(sdk).chain([lock])).map_err(|error| {
            Trouble::new(format!("{} cannot be written: {error}", folder.display()))
                .hint("nothing was left behind; --dir takes another folder")
        })?;
        let crate_name = self.name.replace('-', "_");
        println!("{} is a filter that builds and passes its tests.\n", folder.display());
        println!("  cd {}", folder.display());
        println!("  cargo test                # natively, against the SDK's fake host");
        println!("  tamis filter build        # target/wasm32-unknown-unknown/release/{crate_name}.wasm");
        println!("\nREADME.md says how to try it out and run it.");
        Ok(())
    }
}

/// The rules of cargo, without the names that a build could not tell from others.
fn check_name(name: &str) -> Result<(), Trouble> {
    let sound = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= NAME_MAX
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'));
    if !sound {
        let expected = format!("expected at most {NAME_MAX} lower-case letters, digits, `-` and `_`, a letter first");
        let trouble = Trouble::new(format!("`{name}` is no name for a filter: {expected}"));
        return Err(match suggestion(name) {
            Some(better) => trouble.hint(format!("try `tamis filter new {better}`")),
            None => trouble,
        });
    }
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

/// The nearest name that would do.
fn suggestion(name: &str) -> Option<String> {
    let better: String = name
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .collect();
    let better = better.trim_matches(|c: char| !c.is_ascii_alphabetic() && !c.is_ascii_digit());
    let better = better.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    (!better.is_empty() && better.len() <= NAME_MAX).then(|| better.to_owned())
}

/// Nothing of anybody's is written over.
fn check_place(folder: &Path) -> Result<(), Trouble> {
    let occupied = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            return Err(Trouble::new(format!("{} cannot be used: {error}", folder.display())).hint("--dir takes another folder"));
        }
    };
    if occupied {
        return Err(Trouble::new(format!("{} is there already and not empty", folder.display()))
            .hint("nothing was changed; choose another name, or another folder with --dir"));
    }
    Ok(())
}

fn fill(text: &str, name: &str) -> String {
    text.replace("{name}", name).replace("{crate}", &name.replace('-', "_")).replace("{sdk}", SDK_FOLDER)
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

/// Writes everything into a folder beside the place, and moves it there.
fn place(folder: &Path, files: impl Iterator<Item = (PathBuf, String)>) -> io::Result<()> {
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent)?;
    let name = folder.file_name().ok_or_else(|| io::Error::other("it has no name"))?;
    let draft = parent.join(format!(".{}.{}", name.display(), std::process::id()));
    let written = fill_folder(&draft, files).and_then(|()| fs::rename(&draft, folder));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(&draft);
    }
    written
}

fn fill_folder(folder: &Path, files: impl Iterator<Item = (PathBuf, String)>) -> io::Result<()> {
    fs::create_dir(folder)?;
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_crates() {
        for good in ["a", "hello", "edge-2_b"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "2b", "-a", "A", "a b", "a/b", "ä", "fn", "test", "serde", "tamis-sdk", &"a".repeat(NAME_MAX + 1)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert_eq!(suggestion("My Filter!"), Some("my-filter".to_owned()));
        assert_eq!(suggestion("2"), None);
    }

    #[test]
    fn what_cannot_be_placed_leaves_nothing() {
        let parent = std::env::temp_dir().join(format!("tamis-new-{}", std::process::id()));
        let folder = parent.join("hello");
        fs::create_dir_all(&folder).expect("a folder for the test");
        fs::write(folder.join("mine"), "mine").expect("a file in it");
        assert!(place(&folder, [(PathBuf::from("a"), String::new())].into_iter()).is_err());
        let left: Vec<_> = fs::read_dir(&parent).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["hello"]);
        assert!(folder.join("mine").exists() && !folder.join("a").exists());
        fs::remove_dir_all(parent).expect("it can be removed");
    }
}
