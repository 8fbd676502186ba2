//! Every example that ships is accepted by `tamis check`.

use tamis_tests::command::{output, repository, stderr, stdout};
use tamis_tests::scenario;

scenario!(every_example_is_valid);
async fn every_example_is_valid() {
    let mut folders: Vec<_> =
        std::fs::read_dir(repository().join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
        let file = folder.join("tamis.toml");
        assert!(file.exists() && folder.join("README.md").exists(), "{} has a tamis.toml and a README.md", folder.display());
        let checked = output(env!("CARGO_BIN_EXE_tamis-cli"), &["check", "-c", file.to_str().unwrap()]).await;
        assert!(checked.status.success(), "{}:\n{}{}", file.display(), stdout(&checked), stderr(&checked));
    }
}
