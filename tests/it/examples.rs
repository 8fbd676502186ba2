//! Every example that ships is accepted by `tamis check`.

use std::path::Path;

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
        if text.contains("[sidecar]") {
            identities(here.path()).await;
        }
        let checked = output(env!("CARGO_BIN_EXE_tamis-cli"), &["check", "-c", file.to_str().unwrap()]).await;
        assert!(checked.status.success(), "{}:\n{}{}", folder.display(), stdout(&checked), stderr(&checked));
    }
}

/// The certificates that examples of sidecars name.
async fn identities(folder: &Path) {
    let script = repository().join("examples/sidecar/certificates.sh");
    let made = tokio::process::Command::new(script).current_dir(folder).output().await.unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
}

scenario!(what_stands_beside_the_other_service_is_valid);
async fn what_stands_beside_the_other_service_is_valid() {
    let here = tempfile::tempdir().unwrap();
    identities(here.path()).await;
    let file = here.path().join("users.toml");
    std::fs::copy(repository().join("examples/sidecar/users.toml"), &file).unwrap();
    let checked = output(env!("CARGO_BIN_EXE_tamis-cli"), &["check", "-c", file.to_str().unwrap()]).await;
    assert!(checked.status.success(), "{}{}", stdout(&checked), stderr(&checked));
}

scenario!(the_manifests_are_what_kubernetes_knows);
async fn the_manifests_are_what_kubernetes_knows() {
    let manifests = repository().join("examples/kubernetes/sidecar.yaml");
    let text = std::fs::read_to_string(&manifests).unwrap();
    let check = async |file: &Path| {
        let python = ["-m", "kubernetes_validate", "--strict", file.to_str().unwrap()];
        output(tamis_tests::command::python(), &python).await
    };
    let checked = check(&manifests).await;
    assert!(checked.status.success(), "{}{}", stdout(&checked), stderr(&checked));
    let here = tempfile::tempdir().unwrap();
    let wrong = here.path().join("wrong.yaml");
    std::fs::write(&wrong, text.replace("restartPolicy: Always", "restartPolice: Always")).unwrap();
    assert!(!check(&wrong).await.status.success(), "the schemas are looked at");
    // What the ConfigMap holds is the file beside it.
    let file = std::fs::read_to_string(repository().join("examples/kubernetes/tamis.toml")).unwrap();
    let indented: String =
        file.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }).collect();
    assert!(text.contains(&indented), "the ConfigMap holds tamis.toml:\n{indented}");
}

scenario!(the_units_are_what_systemd_knows);
async fn the_units_are_what_systemd_knows() {
    let here = tempfile::tempdir().unwrap();
    for unit in ["tamis.service", "tamis.socket"] {
        let text = std::fs::read_to_string(repository().join("packaging").join(unit)).unwrap();
        let text = text.replace("/usr/bin/tamis", env!("CARGO_BIN_EXE_tamis-cli")).replace("Documentation=man:tamis(1)\n", "");
        std::fs::write(here.path().join(unit), text).unwrap();
    }
    let units = ["tamis.service", "tamis.socket"].map(|unit| here.path().join(unit).to_str().unwrap().to_owned());
    let Ok(checked) = tokio::process::Command::new("systemd-analyze").arg("verify").arg("--man=no").args(&units).output().await
    else {
        eprintln!("SKIPPED: there is no systemd-analyze");
        return;
    };
    assert!(checked.status.success() && stderr(&checked).is_empty(), "{}", stderr(&checked));
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
