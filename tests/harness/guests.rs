//! The small filters of `tests/guests`, compiled when this crate was.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::command::repository;
use crate::languages::{is_left_out, path_with_tools};
use crate::proxy::replace;

/// The compiled module of a guest, by the name of its package.
pub fn guest(name: &str) -> Guest {
    let built = [env!("TAMIS_WASI_GUESTS"), env!("TAMIS_GUESTS")];
    let mut files = built.map(|folder| Path::new(folder).join(format!("{}.wasm", name.replace('-', "_"))));
    files.sort_by_key(|file| !file.exists());
    let [file, _] = files;
    assert!(file.exists(), "tests/guests has no guest `{name}` ({} is missing)", file.display());
    Guest(file)
}

/// The compiled module of an example, by the name of its file.
pub fn example(file: &str) -> PathBuf {
    Path::new(env!("TAMIS_EXAMPLES")).join(file)
}

/// A configuration whose listener `edge` sends everything through these guests, in this order, to `origin`: each guest under its
/// own name, with more keys of its table. Tables that go on after it are the scenario's own. The machine may be busy, so the
/// deadline is far away where none is named.
pub fn chain(origin: impl std::fmt::Display, filters: &[(&str, &str)]) -> String {
    let names: Vec<&str> = filters.iter().map(|(name, _)| *name).collect();
    let tables: String = filters
        .iter()
        .map(|(name, more)| {
            let deadline = if more.contains("deadline = ") { "" } else { "deadline = '1s'" };
            format!("[filters.{name}]\nmodule = '{}'\n{deadline}\n{more}\n", guest(name))
        })
        .collect();
    format!("[listeners.edge]\ncluster = 'origin'\nfilters = {names:?}\n{tables}[clusters.origin]\nendpoints = ['{origin}']\n")
}

/// The guest that is compiled with plain Go, if there is a Go that can do it: from 1.24 on functions can be exported.
pub fn go_guest() -> Result<PathBuf, String> {
    if is_left_out("go") {
        return Err("no `go` was found".to_owned());
    }
    let path = path_with_tools();
    let version = Command::new("go").env("PATH", &path).args(["env", "GOVERSION"]).output().map_err(|error| error.to_string())?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let minor = version.strip_prefix("go1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    if minor.is_none_or(|minor| minor < 24) {
        return Err(format!("it takes Go 1.24, and `go` is {version}"));
    }
    let file = module_cache().with_file_name("guests").join("pw_go.wasm");
    let source = repository().join("tests/proxy-wasm/go");
    let mut build = Command::new("go");
    build
        .env("PATH", path)
        .args(["build", "-buildmode=c-shared", "-ldflags=-s -w", "-o"])
        .arg(&file)
        .arg(".")
        .current_dir(source);
    let output = build.env("GOOS", "wasip1").env("GOARCH", "wasm").output().map_err(|error| error.to_string())?;
    assert!(output.status.success(), "the guest in Go does not build: {}", String::from_utf8_lossy(&output.stderr));
    Ok(file)
}

/// FNV-1a as guests compute it.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What all scenarios of all runs compile only once. Nothing of the user's own cache is touched.
pub fn module_cache() -> PathBuf {
    let target =
        Path::new(env!("TAMIS_GUESTS")).ancestors().nth(3).expect("guests are built three folders below the target folder");
    target.join("module-cache")
}

/// Shown as its path.
pub struct Guest(PathBuf);

impl Guest {
    /// A copy of it that may change.
    pub fn watched(&self) -> Watched {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let watched = Watched { file: folder.path().join("module.wasm"), _folder: folder };
        watched.becomes(self);
        watched
    }

    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.0).expect("a guest can be read")
    }
}

impl AsRef<Path> for Guest {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl std::fmt::Display for Guest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(formatter)
    }
}

/// A module on disk that changes while the proxy runs. Shown as its path.
pub struct Watched {
    file: PathBuf,
    _folder: TempDir,
}

impl Watched {
    pub fn becomes(&self, guest: &Guest) {
        self.becomes_bytes(&guest.bytes());
    }

    pub fn becomes_bytes(&self, bytes: &[u8]) {
        replace(&self.file, bytes);
    }

    pub fn goes_away(&self) {
        std::fs::remove_file(&self.file).expect("the module can be removed");
    }
}

impl std::fmt::Display for Watched {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.file.display().fmt(formatter)
    }
}
