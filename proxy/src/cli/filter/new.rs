//! `tamis filter new`: a project that builds, passes its tests and runs, with the SDK of its language inside.
//!
//! It is written beside its place and moved there whole, so that nothing is left half-written.

mod language;
mod rust;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use self::language::Language;
use super::say::{self, Trouble};

/// Where the SDK lies inside of the project.
const SDK_FOLDER: &str = "tamis-sdk";
/// Longer names make no readable metrics or logs.
const NAME_MAX: usize = 64;

#[derive(Debug, Args)]
pub struct New {
    /// The name of the filter, and of its project.
    name: String,
    /// The language it is written in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
    /// The folder to write; without it, one with the name of the filter.
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
}

impl New {
    pub fn run(self) -> ExitCode {
        say::exit_code(self.write())
    }

    fn write(&self) -> Result<(), Trouble> {
        check_name(&self.name)?;
        if self.lang == Language::Rust {
            rust::check_name(&self.name)?;
        }
        let folder = self.dir.clone().unwrap_or_else(|| PathBuf::from(&self.name));
        check_place(&folder)?;
        let files = self.lang.files(&self.name).into_iter().map(|(path, text)| (PathBuf::from(path), text));
        let sdk = self.lang.sdk().iter().map(|(path, text)| (Path::new(SDK_FOLDER).join(path), (*text).to_owned()));
        place(&folder, files.chain(sdk)).map_err(|error| {
            Trouble::new(format!("{} cannot be written: {error}", folder.display()))
                .hint("nothing was left behind; --dir takes another folder")
        })?;
        println!("{} is a filter that builds and passes its tests.\n", folder.display());
        println!("  cd {}", folder.display());
        for (command, why) in self.lang.first_steps(&self.name) {
            println!("  {command:<29} # {why}");
        }
        println!("\nREADME.md says how to try it out and run it.");
        Ok(())
    }
}

/// A name that is one in every language, and in a configuration.
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
        for bad in ["", "2b", "-a", "A", "a b", "a/b", "ä", &"a".repeat(NAME_MAX + 1)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        for bad in ["fn", "test", "serde", "tamis-sdk"] {
            assert!(check_name(bad).is_ok() && rust::check_name(bad).is_err(), "{bad}");
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
