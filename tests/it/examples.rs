//! Every example that ships is accepted by `tamis check`.

use tamis_tests::command::{output, repository, stderr, stdout};
use tamis_tests::{example, scenario};

/// Examples in languages that are built by their own scenarios, in `author_languages`.
const ELSEWHERE: [&str; 2] = ["assemblyscript", "zig"];

/// Where the examples say that their modules are.
const BUILT: &str = "../target/wasm32-unknown-unknown/release/";

scenario!(every_example_is_valid);
async fn every_example_is_valid() {
    let mut folders: Vec<_> =
        std::fs::read_dir(repository().join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for folder in folders.into_iter().filter(|folder| folder.is_dir() && !folder.ends_with("target")) {
        let file = folder.join("tamis.toml");
        assert!(file.exists() && folder.join("README.md").exists(), "{} has a tamis.toml and a README.md", folder.display());
        if ELSEWHERE.iter().any(|name| folder.ends_with(name)) {
            continue;
        }
        // The modules are built elsewhere for tests.
        let text = std::fs::read_to_string(&file).unwrap();
        let here = tempfile::tempdir().unwrap();
        let file = here.path().join("tamis.toml");
        std::fs::write(&file, text.replace(BUILT, &format!("{}/", example("").display()))).unwrap();
        let checked = output(env!("CARGO_BIN_EXE_tamis-cli"), &["check", "-c", file.to_str().unwrap()]).await;
        assert!(checked.status.success(), "{}:\n{}{}", folder.display(), stdout(&checked), stderr(&checked));
    }
}

scenario!(every_example_of_a_filter_is_valid);
async fn every_example_of_a_filter_is_valid() {
    let filters = repository().join("filters");
    let mut files = Vec::new();
    for filter in std::fs::read_dir(&filters).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(examples) = std::fs::read_dir(filter.join("examples")) else { continue };
        let examples = examples.map(|entry| entry.unwrap().path());
        let examples: Vec<_> = examples.filter(|file| file.extension().is_some_and(|kind| kind == "toml")).collect();
        assert!(examples.len() >= 3, "{} has three examples", filter.display());
        files.extend(examples);
    }
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let checked = output(env!("CARGO_BIN_EXE_tamis-cli"), &["check", "-c", file.to_str().unwrap()]).await;
        assert!(checked.status.success(), "{}:\n{}{}", file.display(), stdout(&checked), stderr(&checked));
    }
}
