//! Builds the filters that ship inside the binary, once, as the Wasm modules that anybody could build, and embeds the
//! sources of the SDK, which `tamis filter new` writes into a new project. Writes down what wit/ means for core modules.
//!
//! They go into a target folder of their own beside the outer one (cargo inside cargo on the same folder would wait for
//! itself), always optimised, whatever the outer profile is.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Resolve, WorldItem};

#[path = "src/filter/abi/direct/words.rs"]
mod words;

const TARGET: &str = "wasm32-unknown-unknown";
/// The names after `builtin:`, each a package of that name in filters/.
const FILTERS: [&str; 10] = ["router", "headers", "cors", "acl", "jwt", "rewrite-body", "attributes", "shadow", "fault", "quota"];
/// The folders of sdk/ beside Rust's.
const LANGUAGES: [&str; 4] = ["c", "go", "js", "python"];
/// Those whose tools read the interface, and where they look for it.
const WITH_WIT: [(&str, &str); 2] = [("js", "wit"), ("python", "src/tamis_sdk/wit")];
/// What lies in an SDK's folder for the sake of this repository.
const NOT_OF_THE_SDK: [&str; 5] = ["conformance", "generate", "package-lock.json", "test", "tests"];
/// What tools leave behind.
const BUILT: [&str; 6] = ["node_modules", "target", "dist", "build", "__pycache__", ".venv"];

fn main() {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("..");
    let out = PathBuf::from(variable("OUT_DIR"));
    for watched in ["filters", "sdk", "wit"] {
        watch(&root.join(watched));
    }
    println!("cargo:rerun-if-changed={}", root.join("LICENSE").display());
    // OUT_DIR is TARGET/PROFILE/build/tamis-HASH/out.
    let target = out.ancestors().nth(4).unwrap_or(&out).join("filters");
    build(&root.join("filters"), &target);

    let mut table = String::from(
        "/// The filters that ship inside this binary: name and module.\npub const BUILT_IN: &[(&str, &[u8])] = &[\n",
    );
    for name in FILTERS {
        let module = target.join(TARGET).join("release").join(format!("{}.wasm", name.replace('-', "_")));
        let copy = out.join(format!("{name}.wasm"));
        if let Err(error) = fs::copy(&module, &copy) {
            fail(&format!("the filter `{name}` was built, but {} cannot be read: {error}", module.display()));
        }
        let _ = writeln!(table, "    ({name:?}, include_bytes!({:?})),", copy.display().to_string());
    }
    table.push_str("];\n");
    if let Err(error) = fs::write(out.join("built_in.rs"), table) {
        fail(&format!("cannot write the table of filters: {error}"));
    }
    embed_sdk(&root, &out);
    embed_languages(&root, &out);
    embed_wit(&root, &out);
    assemble(&root, &out);
    if let Err(error) = fs::write(out.join("contract.rs"), contract(&root.join("wit"))) {
        fail(&format!("cannot write the contract: {error}"));
    }
}

/// The functions of wit/ with what they are for a core module, which the canonical ABI says.
fn contract(wit: &Path) -> String {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).unwrap_or_else(|error| fail(&format!("wit/ cannot be read: {error:#}")));
    let version = resolve.packages[package].name.version.as_ref().map(ToString::to_string);
    let mut text = format!("/// The version of wit/.\npub const VERSION: &str = {:?};\n", version.unwrap_or_default());
    for (name, doc, variant, exported) in [
        ("IMPORTS", "What filters may import.", AbiVariant::GuestImport, false),
        ("EXPORTS", "What filters may export.", AbiVariant::GuestExport, true),
    ] {
        let worlds = resolve.packages[package].worlds.values().map(|world| &resolve.worlds[*world]);
        let items = worlds.flat_map(|world| if exported { world.exports.values() } else { world.imports.values() });
        let mut lines = std::collections::BTreeSet::new();
        for item in items {
            let WorldItem::Interface { id, .. } = item else { continue };
            let interface = &resolve.interfaces[*id];
            for function in interface.functions.values() {
                let core = resolve.wasm_signature(variant, function);
                lines.insert(format!(
                    "    Function {{ interface: {:?}, name: {:?}, words: {:?}, params: &[{}], results: &[{}] }},\n",
                    interface.name.as_deref().unwrap_or_default(),
                    function.name,
                    words::function(&resolve, function),
                    numbers(&core.params),
                    numbers(&core.results),
                ));
            }
        }
        let lines: String = lines.into_iter().collect();
        let _ = write!(text, "/// {doc}\npub const {name}: &[Function] = &[\n{lines}];\n");
    }
    text
}

fn numbers(types: &[WasmType]) -> String {
    let numbers = types.iter().map(|ty| match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "Number::I32",
        WasmType::I64 | WasmType::PointerOrI64 => "Number::I64",
        WasmType::F32 => "Number::F32",
        WasmType::F64 => "Number::F64",
    });
    numbers.collect::<Vec<_>>().join(", ")
}

/// The SDKs of other languages, each as one folder, and the templates of projects: `template` in a language's folder, or
/// `template-NAME` for a further language of the same SDK.
fn embed_languages(root: &Path, out: &Path) {
    let mut sdks = String::from("/// By language: path and text of the SDK's files.\nconst SDKS: &[(&str, Files)] = &[\n");
    let mut templates = String::from("/// The same of a project's own files.\nconst TEMPLATES: &[(&str, Files)] = &[\n");
    for language in LANGUAGES {
        let folder = root.join("sdk").join(language);
        let mut files = vec![("LICENSE".to_owned(), root.join("LICENSE"))];
        for entry in entries(&folder) {
            let name = entry.file_name().unwrap_or_default().display().to_string();
            if name == "template" || name.starts_with("template-") {
                let mut own = Vec::new();
                entries(&entry).into_iter().for_each(|path| collect_all(&path, "", &mut own));
                let language = name.strip_prefix("template-").unwrap_or(language);
                let _ = writeln!(templates, "    ({language:?}, {}),", table_of(own));
            } else if !NOT_OF_THE_SDK.contains(&name.as_str()) {
                collect_all(&entry, "", &mut files);
            }
        }
        for (_, place) in WITH_WIT.iter().filter(|(known, _)| *known == language) {
            collect(&root.join("wit"), place, &mut files);
        }
        let _ = writeln!(sdks, "    ({language:?}, {}),", table_of(files));
    }
    let table = format!("{sdks}];\n{templates}];\n");
    if let Err(error) = fs::write(out.join("languages.rs"), table) {
        fail(&format!("cannot write the sources of the SDKs: {error}"));
    }
}

fn table_of(mut files: Vec<(String, PathBuf)>) -> String {
    files.sort();
    let rows: String = files.iter().map(|(path, file)| format!("({path:?}, {:?}), ", read(file))).collect();
    format!("&[{rows}]")
}

/// A file, or all below a folder but what tools leave there.
fn collect_all(path: &Path, before: &str, files: &mut Vec<(String, PathBuf)>) {
    let name = path.file_name().unwrap_or_default().display().to_string();
    if BUILT.contains(&name.as_str()) {
        return;
    }
    let inside = format!("{before}{name}");
    if path.is_dir() {
        entries(path).iter().for_each(|path| collect_all(path, &format!("{inside}/"), files));
    } else {
        files.push((inside, path.to_owned()));
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { fail(&format!("{} cannot be read", folder.display())) };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The interface, for modules that do not say which world they are for.
fn embed_wit(root: &Path, out: &Path) {
    let mut files = Vec::new();
    collect(&root.join("wit"), "wit", &mut files);
    files.sort();
    let mut table = String::from("/// The files of wit/: path and text.\nconst WIT: &[(&str, &str)] = &[\n");
    for (path, file) in files {
        let _ = writeln!(table, "    ({path:?}, {:?}),", read(&file));
    }
    table.push_str("];\n");
    if let Err(error) = fs::write(out.join("wit.rs"), table) {
        fail(&format!("cannot write the interface: {error}"));
    }
}

/// What core modules are given, from text.
fn assemble(root: &Path, out: &Path) {
    for name in ["wasip1", "arena"] {
        let file = root.join("proxy/src/filter/abi/component/encode").join(format!("{name}.wat"));
        println!("cargo:rerun-if-changed={}", file.display());
        let text = read(&file);
        let mut variants = vec![(name.to_owned(), text.clone())];
        if name == "wasip1" {
            // Go's linker leaves the bytes from 4096 to 12288 free, and its runtime bears nobody else who grows the memory.
            let line = "(global $line (mut i32) (i32.const 0))";
            variants.push(("wasip1_go".to_owned(), changed(&file, &text, line, "(global $line (mut i32) (i32.const 4096))")));
        }
        for (name, text) in variants {
            match wat::parse_str(&text) {
                Ok(module) => {
                    if let Err(error) = fs::write(out.join(format!("{name}.wasm")), module) {
                        fail(&format!("cannot write {name}.wasm: {error}"));
                    }
                }
                Err(error) => fail(&format!("{} does not assemble: {error}", file.display())),
            }
        }
    }
}

/// The SDK as one folder that needs nothing beside it: the interface lies inside, and the workspace has one member.
fn embed_sdk(root: &Path, out: &Path) {
    let sdk = root.join("sdk/rust");
    let mut files = vec![("Cargo.toml".to_owned(), sdk.join("Cargo.toml")), ("README.md".to_owned(), sdk.join("README.md"))];
    files.push(("LICENSE".to_owned(), root.join("LICENSE")));
    collect(&sdk.join("src"), "src", &mut files);
    collect(&root.join("wit"), "wit", &mut files);
    files.sort();
    let mut table = String::from("/// The sources of the SDK: path and text.\npub const SDK: &[(&str, &str)] = &[\n");
    for (path, file) in files {
        let text = read(&file);
        let text = match path.as_str() {
            "Cargo.toml" => changed(&file, &text, "members = [\"conformance\"]\n", ""),
            "src/abi.rs" => changed(&file, &text, "\"../../wit\"", "\"wit\""),
            _ => text,
        };
        let _ = writeln!(table, "    ({path:?}, {text:?}),");
    }
    let _ = writeln!(
        table,
        "];\n/// The versions that it was tested with.\npub const SDK_LOCK: &str = {:?};",
        read(&sdk.join("Cargo.lock"))
    );
    if let Err(error) = fs::write(out.join("sdk.rs"), table) {
        fail(&format!("cannot write the sources of the SDK: {error}"));
    }
}

/// Rust and WIT below a folder, with paths that begin with `name`.
fn collect(folder: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) {
    let Ok(entries) = fs::read_dir(folder) else { fail(&format!("{} cannot be read", folder.display())) };
    for entry in entries.flatten() {
        let path = entry.path();
        let inside = format!("{name}/{}", entry.file_name().display());
        if path.is_dir() {
            collect(&path, &inside, files);
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "wit") {
            files.push((inside, path));
        }
    }
}

fn changed(file: &Path, text: &str, from: &str, to: &str) -> String {
    if !text.contains(from) {
        fail(&format!("{} has no `{}`, which the embedded SDK changes", file.display(), from.trim()));
    }
    text.replace(from, to)
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| fail(&format!("{} cannot be read: {error}", file.display())))
}

fn build(workspace: &Path, target: &Path) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.current_dir(workspace).args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"]).arg(target);
    // What is set for the host must not leak into the guests.
    for leak in
        ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS", "CARGO_TARGET_DIR"]
    {
        cargo.env_remove(leak);
    }
    match cargo.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let hint = if text.contains("target may not be installed") {
                format!("\nthe target is missing; install it with: rustup target add {TARGET}")
            } else {
                String::new()
            };
            fail(&format!("the filters do not build:\n{text}{hint}"));
        }
        Err(error) => fail(&format!("cargo cannot be run for the filters: {error}")),
    }
}

/// Watches sources, not what was built from them.
fn watch(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.file_name().is_some_and(|name| BUILT.iter().any(|built| name == *built)) {
            continue;
        }
        if path.is_dir() { watch(&path) } else { println!("cargo:rerun-if-changed={}", path.display()) }
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("{name} is not set; this runs under cargo")))
}

fn fail(message: &str) -> ! {
    for line in message.lines() {
        println!("cargo:warning={line}");
    }
    eprintln!("{message}");
    exit(1)
}
