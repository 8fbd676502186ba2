//! What a state directory survives, and what it refuses.

use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use super::*;
use crate::admin::versions::Base;

/// A folder of this test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tamis-state-{}-{test}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self) -> Result<(Directory, AllVersions), StateError> {
        Directory::open(&self.0, None)
    }

    /// The folder of the filter that `pushed` pushes to.
    fn filter(&self) -> PathBuf {
        self.0.join("filters/%2E.f")
    }

    /// With one module pushed.
    fn pushed(&self) -> (Directory, Versions, Blob) {
        let (directory, _) = self.open().expect("it opens");
        let base = Base { module: "builtin:router".into(), config: hash(b"{}").into() };
        let mut versions = Versions::begin(base.clone(), SystemTime::UNIX_EPOCH);
        let blob = Blob { part: Part::Module, hash: hash(b"one").into(), bytes: Bytes::from_static(b"one") };
        versions.push(blob.part, Arc::clone(&blob.hash), &base, SystemTime::UNIX_EPOCH, 2);
        directory.keep("..f", &versions, Some(&blob)).expect("it is kept");
        (directory, versions, blob)
    }

    fn refused(&self) -> String {
        self.open().expect_err("it is refused").to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn what_was_kept_is_there_again() {
    let folder = Folder::new("again");
    let (directory, versions, blob) = folder.pushed();
    assert!(folder.refused().contains("in use"), "by this very process");
    drop(directory);
    let (directory, all) = folder.open().expect("it opens");
    assert_eq!(*all["..f"], versions);
    assert_eq!(directory.read("..f", Part::Module, &blob.hash).expect("the module"), blob.bytes);
    assert_eq!((mode(&folder.0), mode(&folder.filter())), (0o700, 0o700));
    assert_eq!(mode(&folder.filter().join(MANIFEST)), 0o600);
}

#[test]
fn what_no_version_needs_is_removed() {
    let folder = Folder::new("removed");
    let (directory, mut versions, blob) = folder.pushed();
    let base = versions.live().base.clone();
    for module in [b"two".as_slice(), b"three"] {
        let new = Blob { hash: hash(module).into(), bytes: Bytes::copy_from_slice(module), ..blob.clone() };
        versions.push(Part::Module, Arc::clone(&new.hash), &base, SystemTime::UNIX_EPOCH, 2);
        directory.keep("..f", &versions, Some(&new)).expect("it is kept");
    }
    assert_eq!(entries(&folder.filter()).expect("its files").len(), 3, "two modules and the manifest");
    directory.forget("..f").expect("it is forgotten");
    assert!(!folder.filter().exists());
}

#[test]
fn an_interrupted_push_leaves_what_was_before() {
    let folder = Folder::new("interrupted");
    let (directory, versions, _) = folder.pushed();
    drop(directory);
    for left in [format!("{}.wasm", hash(b"two")), "manifest.json.tmp".to_owned(), format!("{}.wasm.tmp", hash(b"two"))] {
        fs::write(folder.filter().join(left), b"tw").expect("a file");
    }
    fs::create_dir(folder.0.join("filters/first")).expect("a folder");
    fs::write(folder.0.join("filters/first").join(format!("{}.wasm", hash(b"x"))), b"x").expect("a file");
    let (_directory, all) = folder.open().expect("it opens");
    assert_eq!((all.len(), &*all["..f"]), (1, &versions));
    assert_eq!(entries(&folder.filter()).expect("its files").len(), 2);
    assert!(!folder.0.join("filters/first").exists());
}

#[test]
fn what_is_not_as_it_was_written_is_refused() {
    let folder = Folder::new("damaged");
    let (directory, versions, blob) = folder.pushed();
    drop(directory);
    let module = folder.filter().join(blob_name(Part::Module, &blob.hash));
    let manifest = folder.filter().join(MANIFEST);
    let good = manifest::write("..f", &versions);
    for (file, content, says) in [
        (&module, "ONE", "SHA-256"),
        (&module, "", "SHA-256"),
        (&manifest, "{", "manifest.json"),
        (&manifest, &good.replace("\"format\": 1", "\"format\": 7"), "\"7\""),
    ] {
        let before = fs::read(file).expect("it is there");
        fs::write(file, content).expect("it can be written");
        let said = folder.refused();
        assert!(said.contains(says) && said.contains(file.to_str().expect("text")), "{said}");
        assert_eq!(fs::read_to_string(file).expect("it is there still"), *content, "nothing is lost");
        fs::write(file, before).expect("it can be written");
    }
    fs::remove_file(&module).expect("it can be removed");
    assert!(folder.refused().contains("missing"));
}

#[test]
fn another_folder_is_refused() {
    let folder = Folder::new("another");
    fs::create_dir(&folder.0).expect("a folder");
    fs::write(folder.0.join("passwd"), "").expect("a file");
    assert!(folder.refused().contains("no state directory"));
    fs::remove_file(folder.0.join("passwd")).expect("it can be removed");
    fs::write(folder.0.join(MARKER), "2\n").expect("a file");
    assert!(folder.refused().contains("format \"2\""));
    fs::write(folder.0.join(MARKER), MARK).expect("a file");
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).expect("its mode can be changed");
    assert!(folder.refused().contains("777"));
}
