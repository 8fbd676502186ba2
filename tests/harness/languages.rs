//! The conformance guests of the SDKs, each built by its language's own tools, once for each content of its sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::repository;
use crate::guests::{guest, hash, module_cache};

/// Every language that has an SDK. sdk/CONFORMANCE.md tells what its guest does.
pub const LANGUAGES: [&str; 5] = ["c", "go", "js", "python", "rust"];

/// Folders beside the sources that say nothing about them.
const BESIDE: [&str; 11] =
    ["template", "template-ts", "test", "tests", "node_modules", "target", "dist", "build", ".zig-cache", "__pycache__", ".venv"];

/// The conformance guest of a language: what `sdk/LANGUAGE/conformance/build FILE` leaves there. Takes minutes the first time.
pub fn conformance_guest(language: &str) -> PathBuf {
    if language == "rust" {
        return guest("steps").as_ref().to_path_buf();
    }
    built(language, &repository().join("sdk").join(language).join("conformance/build"))
}

/// What a script makes of its language's SDK.
pub fn built(language: &str, script: &Path) -> PathBuf {
    let sources = [repository().join("wit"), repository().join("sdk").join(language)];
    made(script, &sources, &|file| {
        let mut command = Command::new(script);
        command.arg(file);
        command
    })
}

/// What a command makes of an example, with nothing but its own sources.
pub fn built_example(folder: &Path, command: &dyn Fn(&Path) -> Command) -> PathBuf {
    made(folder, &[folder.to_owned()], command)
}

/// The file that a command is told to make, which is kept as long as the sources stay what they are.
fn made(name: &Path, sources: &[PathBuf], command: &dyn Fn(&Path) -> Command) -> PathBuf {
    let folder = module_cache().with_file_name("languages");
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let name = name.strip_prefix(repository()).unwrap_or(name).display().to_string().replace('/', "-");
    let file = folder.join(format!("{name}-{:016x}.wasm", digest(sources)));
    if file.exists() {
        return file;
    }
    let next = file.with_extension(format!("{}.next.wasm", std::process::id()));
    let ran = command(&next).env("PATH", path_with_tools()).output();
    let ran = ran.unwrap_or_else(|error| panic!("cannot run what makes {name}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && next.exists(), "{name} does not build:\n{stdout}{stderr}");
    std::fs::rename(&next, &file).expect("what was built can be renamed");
    file
}

/// The path, and where Go lies: scripts/test-deps installs one where the system's is missing or too old.
pub fn path_with_tools() -> String {
    let (path, own) = (std::env::var("PATH").unwrap_or_default(), repository().join(".venv"));
    let first = if own.join("go.txt").exists() { format!("{}:", own.join("bin").display()) } else { String::new() };
    format!("{first}{path}:/usr/local/go/bin")
}

/// Whether the scenarios of a language are left out, because its tools are missing: only where `TAMIS_TEST_MISSING=skip` asks for
/// it, and with a word about it. Go is the only one that scripts/test-deps cannot install everywhere; all else must be there.
pub fn is_left_out(language: &str) -> bool {
    let go = || Command::new("go").arg("version").env("PATH", path_with_tools()).output();
    if language != "go" || go().is_ok_and(|ran| ran.status.success()) {
        return false;
    }
    let missing = "there is no Go on the path, in .venv or in /usr/local/go: scripts/test-deps tells how to get it";
    let may = std::env::var("TAMIS_TEST_MISSING").is_ok_and(|what| what == "skip");
    assert!(may, "{missing}; TAMIS_TEST_MISSING=skip leaves the scenarios in Go out");
    eprintln!("SKIPPED: {missing}");
    true
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
            true if beside => {}
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}
