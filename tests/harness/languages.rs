//! The conformance guests of the SDKs, each built by its language's own tools, once for each content of its sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::repository;
use crate::guests::{guest, hash, module_cache};

/// Every language that has an SDK. sdk/CONFORMANCE.md tells what its guest does.
pub const LANGUAGES: [&str; 3] = ["js", "python", "rust"];

/// Folders beside the sources that say nothing about them.
const BESIDE: [&str; 5] = ["node_modules", "target", "dist", "__pycache__", ".venv"];

/// The conformance guest of a language: what `sdk/LANGUAGE/conformance/build FILE` leaves there. Takes minutes the first time.
pub fn conformance_guest(language: &str) -> PathBuf {
    if language == "rust" {
        return guest("steps").as_ref().to_path_buf();
    }
    built(language, &repository().join("sdk").join(language).join("conformance/build"))
}

/// What a script makes of its language's SDK.
pub fn built(language: &str, script: &Path) -> PathBuf {
    let folder = module_cache().with_file_name("languages");
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let sources = [repository().join("wit"), repository().join("sdk").join(language)];
    let name = script.strip_prefix(repository()).unwrap_or(script).display().to_string().replace('/', "-");
    let file = folder.join(format!("{name}-{:016x}.wasm", digest(&sources)));
    if file.exists() {
        return file;
    }
    let next = file.with_extension(format!("{}.next", std::process::id()));
    let ran = Command::new(script).arg(&next).output();
    let ran = ran.unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
    let (stdout, stderr) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && next.exists(), "{} fails:\n{stdout}{stderr}", script.display());
    std::fs::rename(&next, &file).expect("what was built can be renamed");
    file
}

/// Of the names and contents of all files.
fn digest(folders: &[PathBuf]) -> u64 {
    let mut files = Vec::new();
    folders.iter().for_each(|folder| collect(folder, &mut files));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        all.extend_from_slice(file.display().to_string().as_bytes());
        all.extend_from_slice(&std::fs::read(&file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display())));
    }
    hash(&all)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    for path in entries.map(|entry| entry.expect("an entry of a folder can be read").path()) {
        let beside = path.file_name().is_some_and(|name| BESIDE.iter().any(|beside| name == *beside));
        match path.is_dir() {
            _ if beside => {}
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}
