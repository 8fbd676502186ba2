//! The order of ARCHITECTURE.md holds in proxy/src, and a source that breaks it is found out.

use std::path::{Path, PathBuf};

use tamis_order::{ORDER, Violation, files, violations};

fn proxy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proxy/src")
}

fn told(violations: &[Violation]) -> String {
    violations.iter().map(|violation| format!("\n  {violation}")).collect()
}

#[test]
fn a_module_imports_only_modules_below_it() {
    let found = violations(&proxy(), &ORDER);
    assert!(found.is_empty(), "the order is {}{}", ORDER.join(" > "), told(&found));
}

#[test]
fn an_upward_import_is_found() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixture/upward");
    let expected = [
        ("exchange.rs", 5, "`exchange` imports `http`, which is above it"),
        ("gossip.rs", 1, "module `gossip` has no place in the order"),
        ("http/body.rs", 3, "`http` imports `listener`, which is above it"),
        ("http/body.rs", 7, "`http` imports `crate::gossip`, which has no place in the order"),
    ];
    let expected: Vec<Violation> =
        expected.map(|(file, line, what)| Violation { file: file.into(), line, what: what.to_owned() }).into();
    assert_eq!(violations(&fixture, &ORDER), expected);
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<PathBuf> = files(&proxy())
        .into_iter()
        .filter(|file| !std::fs::read_to_string(file).is_ok_and(|text| text.starts_with("//!")))
        .collect();
    assert!(silent.is_empty(), "these files do not begin with `//!`: {silent:#?}");
}
