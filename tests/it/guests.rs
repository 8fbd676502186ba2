//! Each guest made for tests has a test.

use tamis_tests::command::repository;

#[test]
fn every_guest_is_used() {
    let tests = repository().join("tests");
    let files = std::fs::read_dir(tests.join("it")).unwrap().map(|entry| entry.unwrap().path());
    let sources: String = files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for entry in std::fs::read_dir(tests.join("guests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.join("Cargo.toml").exists() {
            assert!(sources.contains(&format!("\"{name}\"")), "no scenario uses the guest `{name}`");
        }
    }
}
