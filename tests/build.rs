//! Builds the guests of `tests/guests` and `tests/proxy-wasm` and the filters of `examples` once, for every scenario that loads one. The folder is the
//! same for every outer profile, and not the outer one: a cargo inside a cargo would wait forever for its lock.

use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// Guests that bring WASI along, for a target of their own.
const WASI_TARGET: &str = "wasm32-wasip2";
const WASI_GUESTS: &str = "guest-wasi";

/// What the outer cargo or clippy tells its own rustc and the inner one must not hear.
const OUTER: [&str; 8] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_RUSTFLAGS",
];

fn main() {
    let guests = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("guests");
    watch(&guests);
    let out_dir = variable("OUT_DIR");
    let target_dir = target_root(Path::new(&out_dir)).join("guests");
    build(&guests, &target_dir, TARGET, &["--workspace", "--exclude", WASI_GUESTS]);
    build(&guests, &target_dir, WASI_TARGET, &["--package", WASI_GUESTS]);
    let proxy_wasm = guests.with_file_name("proxy-wasm");
    watch(&proxy_wasm);
    build(&proxy_wasm, &target_dir, TARGET, &["--workspace"]);
    println!("cargo::rustc-env=TAMIS_GUESTS={}", target_dir.join(TARGET).join("release").display());
    println!("cargo::rustc-env=TAMIS_WASI_GUESTS={}", target_dir.join(WASI_TARGET).join("release").display());
    let examples = guests.ancestors().nth(2).expect("tests/guests is two folders below the repository").join("examples");
    watch(&examples);
    let target_dir = target_root(Path::new(&out_dir)).join("examples");
    build(&examples, &target_dir, TARGET, &[]);
    println!("cargo::rustc-env=TAMIS_EXAMPLES={}", target_dir.join(TARGET).join("release").display());
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for a build script"))
}

/// `<root>/<profile>/build/<package>-<hash>/out` is where cargo lets a build script write.
fn target_root(out_dir: &Path) -> &Path {
    out_dir.ancestors().nth(4).unwrap_or_else(|| panic!("OUT_DIR {} is four folders below the target folder", out_dir.display()))
}

fn watch(guests: &Path) {
    println!("cargo::rerun-if-changed=build.rs");
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let root = manifest.parent().expect("tests is a folder of the repository");
    for shared in ["wit", "sdk/rust/Cargo.toml", "sdk/rust/src", "sdk/rust/macros"] {
        if root.join(shared).exists() {
            println!("cargo::rerun-if-changed={}", root.join(shared).display());
        }
    }
    for entry in std::fs::read_dir(guests).unwrap_or_else(|error| panic!("cannot read {}: {error}", guests.display())) {
        let path = entry.expect("an entry of a folder can be read").path();
        // A folder that is no package is not built here.
        if !path.is_dir() || path.join("Cargo.toml").exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
}

fn build(guests: &Path, target_dir: &Path, target: &str, packages: &[&str]) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args(["build", "--release", "--locked", "--target", target]).args(packages);
    cargo.arg("--target-dir").arg(target_dir).current_dir(guests);
    for name in OUTER {
        cargo.env_remove(name);
    }
    let output = cargo.output().unwrap_or_else(|error| panic!("cannot run cargo for {}: {error}", guests.display()));
    if output.status.success() {
        return;
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("target may not be installed") {
        panic!("the filters of the tests need the target {target}: run `rustup target add {target}`");
    }
    panic!("the filters in {} do not build:\n{stderr}", guests.display());
}
