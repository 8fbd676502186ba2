//! What a cache does with files that are not what they should be, and with folders that cannot be used.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use wasmtime::component::Component;

use super::entry::{Damage, HEADER_BYTES};
use super::*;
use crate::config::defaults::MODULE_CACHE_BYTES;

/// A component that is quickly compiled. `which` makes another one.
fn source(which: u32) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    let note = format!("{which:08}");
    bytes.extend([0, 1 + 1 + note.len() as u8, 1, b'n']);
    bytes.extend(note.as_bytes());
    bytes
}

fn engine() -> wasmtime::Engine {
    let mut config = wasmtime::Config::new();
    config.concurrency_support(false);
    wasmtime::Engine::new(&config).unwrap()
}

fn cache(folder: &Path) -> Cache {
    cache_of(folder, MODULE_CACHE_BYTES)
}

fn cache_of(folder: &Path, cache_bytes: u64) -> Cache {
    let cache = ModuleCache::Folder(folder.to_owned());
    Cache::new(&config::Modules { cache, cache_bytes, ..config::Modules::default() })
}

fn get(cache: &Cache, engine: &wasmtime::Engine, which: u32) -> Compiled {
    let source = source(which);
    let key = Key::of(&[b"component", &source]);
    cache.code(engine, key, || Component::from_binary(engine, &source)).unwrap().1
}

fn told(cache: &Cache) -> Vec<String> {
    cache.told.lock().unwrap().iter().cloned().collect()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The one file with this ending.
fn only(folder: &Path, kind: &str) -> PathBuf {
    let mut found: Vec<_> =
        files(folder).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == kind)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_was_compiled_is_not_compiled_again() {
    let (folder, engine) = (folder(), engine());
    assert_eq!(get(&cache(folder.path()), &engine, 1), Compiled::Now);
    let later = cache(folder.path());
    assert_eq!((get(&later, &engine, 1), get(&later, &engine, 2)), (Compiled::Cache, Compiled::Now));
    assert_eq!(told(&later), [] as [&str; 0]);
    for file in files(folder.path()) {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn another_engine_is_another_key() {
    let folder = folder();
    assert_eq!(get(&cache(folder.path()), &engine(), 1), Compiled::Now);
    let other = wasmtime::Engine::new(wasmtime::Config::new().concurrency_support(false).epoch_interruption(true)).unwrap();
    assert_eq!(get(&cache(folder.path()), &other, 1), Compiled::Now);
    assert_eq!(get(&cache(folder.path()), &engine(), 1), Compiled::Cache);
    assert_eq!(get(&cache(folder.path()), &other, 1), Compiled::Cache);
}

#[test]
fn parts_are_not_run_together() {
    let keys = [Key::of(&[b"ab", b"c"]), Key::of(&[b"a", b"bc"]), Key::of(&[b"abc"]), Key::of(&[b"abc", b""]), Key::of(&[])];
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(keys.iter().position(|other| other == key), Some(at));
    }
}

/// One bit of every byte of the header, and bits all over the code: none goes unnoticed, and each file is replaced.
#[test]
fn a_damaged_file_is_ignored_and_replaced() {
    let (folder, engine) = (folder(), engine());
    get(&cache(folder.path()), &engine, 1);
    let file = only(folder.path(), CODE);
    let good = std::fs::read(&file).unwrap();
    let step = (good.len() - HEADER_BYTES) / 40;
    let places = (0..HEADER_BYTES).chain((HEADER_BYTES..good.len()).step_by(step)).chain([good.len() - 1]);
    for place in places {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        std::fs::write(&file, &bad).unwrap();
        let cache = cache(folder.path());
        assert_eq!(get(&cache, &engine, 1), Compiled::Now, "a flipped bit at {place}");
        assert_eq!(told(&cache).len(), 1, "{:?}", told(&cache));
        assert_eq!(std::fs::read(&file).unwrap(), good, "it is replaced");
    }
    let longer = [&good[..], b"x"].concat();
    let halves = [0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 1, good.len() / 2, good.len() - 1];
    for bad in halves.map(|length| &good[..length]).into_iter().chain([&longer[..], b"something else".as_slice()]) {
        std::fs::write(&file, bad).unwrap();
        let cache = cache(folder.path());
        assert_eq!((get(&cache, &engine, 1), get(&cache, &engine, 1)), (Compiled::Now, Compiled::Cache), "{} bytes", bad.len());
        assert_eq!(told(&cache).len(), 1, "{:?}", told(&cache));
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let (folder, engine) = (folder(), engine());
    get(&cache(folder.path()), &engine, 1);
    let file = only(folder.path(), CODE);
    let good = std::fs::read(&file).unwrap();
    let key = Key::of(&[b"component", &source(1)]).made_by(&engine);
    let judge = |key, bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let read = Folder::open(folder.path()).unwrap().read(name, u64::MAX).unwrap().unwrap();
        entry::verify(key, &read).map(drop)
    };
    let with = |place: usize, byte| {
        let mut bad = good.clone();
        bad[place] = byte;
        bad
    };
    assert_eq!(judge(key, &good), Ok(()));
    assert_eq!(judge(key, b"short"), Err(Damage::Foreign));
    assert_eq!(judge(key, &with(0, 0)), Err(Damage::Foreign));
    assert_eq!(judge(key, &with(8, 9)), Err(Damage::Version(9)));
    assert_eq!(judge(Key::of(&[]), &good), Err(Damage::Key));
    let expected = (good.len() - HEADER_BYTES) as u64;
    assert_eq!(judge(key, &good[..good.len() - 1]), Err(Damage::Length { found: expected - 1, expected }));
    assert_eq!(judge(key, &with(good.len() - 1, !good[good.len() - 1])), Err(Damage::Checksum));
}

/// A file with the right checksum that wasmtime itself does not take.
#[test]
fn code_that_is_none_is_ignored_and_replaced() {
    let (folder, engine) = (folder(), engine());
    let key = Key::of(&[b"component", &source(1)]);
    let code = b"no code at all";
    let (whole, there) = (key.made_by(&engine), cache(folder.path()));
    there.write(&name(&whole.0, CODE), &[&entry::header(whole, &[code]), code]);
    assert_eq!((get(&there, &engine, 1), get(&there, &engine, 1)), (Compiled::Now, Compiled::Cache));
    assert_eq!(told(&there).len(), 1);
}

#[test]
fn an_image_is_kept_with_its_note() {
    let (folder, engine) = (folder(), engine());
    let key = Key::of(&[b"image", &source(1)]);
    let component = Component::from_binary(&engine, &source(1)).unwrap();
    let kept = |cache: &Cache| cache.image::<Component>(&engine, key).map(|(_, note)| note);
    assert_eq!(kept(&cache(folder.path())), None);
    for note in [b"what it said".as_slice(), b""] {
        cache(folder.path()).keep_image(&engine, key, &component.serialize().unwrap(), note);
        assert_eq!(kept(&cache(folder.path())).as_deref(), Some(note));
    }
    assert_eq!(get(&cache(folder.path()), &engine, 1), Compiled::Now, "an image is no module");
    // The length of the note, the note and the code are under the checksum; a length that is none would still be noticed.
    let file = only(folder.path(), IMAGE);
    let good = std::fs::read(&file).unwrap();
    for place in [HEADER_BYTES, HEADER_BYTES + 7, HEADER_BYTES + 8, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        std::fs::write(&file, &bad).unwrap();
        let cache = cache(folder.path());
        assert_eq!((kept(&cache), told(&cache).len()), (None, 1), "a flipped bit at {place}");
    }
    let there = cache(folder.path());
    for code in [&b""[..], &[9; 8], &[0; 7], &[0; 8], &[1, 0, 0, 0, 0, 0, 0, 0]] {
        let whole = key.made_by(&engine);
        there.write(&name(&whole.0, IMAGE), &[&entry::header(whole, &[code]), code]);
        assert_eq!(kept(&there), None, "{code:?}");
    }
    assert_eq!(Cache::off().image::<Component>(&engine, key).map(|(_, note)| note), None);
}

#[test]
fn a_file_that_others_could_have_written_is_replaced() {
    let (folder, engine) = (folder(), engine());
    get(&cache(folder.path()), &engine, 1);
    let file = only(folder.path(), CODE);
    for mode in [0o620, 0o602, 0o666] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let cache = cache(folder.path());
        assert_eq!((get(&cache, &engine, 1), get(&cache, &engine, 1)), (Compiled::Now, Compiled::Cache), "{mode:o}");
        assert!(told(&cache)[0].contains(&format!("its mode is {mode:o}")), "{:?}", told(&cache));
    }
    // Not even a link to a good file.
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    let cache = cache(folder.path());
    assert_eq!((get(&cache, &engine, 1), get(&cache, &engine, 1)), (Compiled::Now, Compiled::Cache));
    assert!(file.symlink_metadata().unwrap().is_file() && elsewhere.exists());
}

#[test]
fn what_belongs_to_another_user_is_not_used() {
    let folder = folder();
    let us = rustix::process::geteuid().as_raw();
    let said = Folder::open_as(folder.path(), us + 1).unwrap_err().to_string();
    assert_eq!(said, format!("it belongs to the user {us}, expected {}", us + 1));
    // The owner of a file is looked at, too.
    Folder::open(folder.path()).unwrap().write("a", &[b"x"]).unwrap();
    let mut others = Folder::open(folder.path()).unwrap();
    others.owner = us + 1;
    assert!(matches!(others.read("a", 10), Err(Distrust::Owner { .. })));
}

#[test]
fn a_folder_that_others_may_write_to_is_not_used_and_told_once() {
    let (folder, engine) = (folder(), engine());
    for mode in [0o720, 0o702, 0o777, 0o1777] {
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).unwrap();
        let cache = cache(folder.path());
        assert_eq!((get(&cache, &engine, 1), get(&cache, &engine, 1)), (Compiled::Now, Compiled::Now));
        assert_eq!(told(&cache), [format!("it is not used: others may write to it: its mode is {mode:o}")]);
        assert!(files(folder.path()).is_empty());
    }
}

#[test]
fn a_folder_is_made_for_us_alone() {
    let folder = folder();
    let deep = folder.path().join("a/b");
    get(&cache(&deep), &engine(), 1);
    assert_eq!(deep.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(files(&deep).len(), 1);
}

#[test]
fn a_folder_that_cannot_be_made_costs_the_cache_only() {
    let (folder, engine) = (folder(), engine());
    std::fs::write(folder.path().join("file"), "").unwrap();
    let cache = cache(&folder.path().join("file/folder"));
    assert_eq!((get(&cache, &engine, 1), get(&cache, &engine, 2)), (Compiled::Now, Compiled::Now));
    cache.keep_module(&digest(b"x"), b"x");
    assert_eq!(cache.module(&digest(b"x")), None);
    assert_eq!(told(&cache).len(), 1, "{:?}", told(&cache));
}

/// A name that a file cannot be renamed to stands for every write that fails late.
#[test]
fn a_write_that_fails_leaves_nothing_behind() {
    let (folder, engine) = (folder(), engine());
    let key = Key::of(&[b"component", &source(1)]).made_by(&engine);
    std::fs::create_dir(folder.path().join(name(&key.0, CODE))).unwrap();
    let cache = cache(folder.path());
    assert_eq!((get(&cache, &engine, 1), get(&cache, &engine, 1)), (Compiled::Now, Compiled::Now));
    assert_eq!(files(folder.path()).len(), 1, "no temporary file is left");
    assert_eq!(told(&cache).len(), 2, "what is there, and that it cannot be replaced, each once: {:?}", told(&cache));
}

/// A file system of 64 KiB, where the system lets us mount one.
#[test]
fn a_full_disk_costs_the_cache_only() {
    struct Mounted(TempDir);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
        }
    }
    let folder = folder();
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=64k,mode=700", "tamis-test"]).arg(folder.path());
    if !mount.output().is_ok_and(|output| output.status.success()) {
        return eprintln!("no file system can be mounted here; `a_write_that_fails_leaves_nothing_behind` has to do");
    }
    let folder = Mounted(folder);
    let cache = cache(folder.0.path());
    let big = vec![7; 200 << 10];
    for _ in 0..2 {
        cache.keep_module(&digest(&big), &big);
        assert_eq!(cache.module(&digest(&big)), None);
    }
    assert!(files(folder.0.path()).is_empty(), "what did not fit is gone: {:?}", files(folder.0.path()));
    let said = told(&cache);
    assert!(said.len() == 1 && said[0].contains("No space left"), "{said:?}");
    cache.keep_module(&digest(b"small"), b"small");
    assert_eq!(cache.module(&digest(b"small")).as_deref(), Some(b"small".as_slice()));
}

#[test]
fn bytes_are_kept_by_their_hash() {
    let (folder, bytes) = (folder(), b"some module");
    let hash = digest(bytes);
    assert_eq!(cache(folder.path()).module(&hash), None);
    cache(folder.path()).keep_module(&hash, bytes);
    assert_eq!(cache(folder.path()).module(&hash).as_deref(), Some(bytes.as_slice()));
    let file = only(folder.path(), MODULE);
    for bad in [b"some modul".as_slice(), b"", b"some modulE", b"some module."] {
        std::fs::write(&file, bad).unwrap();
        let cache = cache(folder.path());
        assert_eq!((cache.module(&hash), told(&cache).len()), (None, 1));
    }
    Cache::off().keep_module(&hash, bytes);
    assert_eq!(Cache::off().module(&hash), None);
}

#[test]
fn the_oldest_used_goes_first_and_what_is_not_ours_stays() {
    let folder = folder();
    let modules: Vec<Vec<u8>> = (0..4u8).map(|byte| vec![byte; 1000]).collect();
    let cache = cache_of(folder.path(), 3000);
    let age = |bytes: &[u8], seconds| {
        let file = std::fs::File::open(folder.path().join(name(&digest(bytes).0, MODULE))).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    };
    for (bytes, seconds) in modules[..3].iter().zip([300, 200, 100]) {
        cache.keep_module(&digest(bytes), bytes);
        age(bytes, seconds);
    }
    let foreign = [folder.path().join("photos.tar"), folder.path().join(format!("{}.jpg", "0".repeat(64)))];
    for file in &foreign {
        std::fs::write(file, vec![0; 5000]).unwrap();
        std::fs::File::open(file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    let temporary = |seconds| {
        let file = folder.path().join(format!(".{}.1-{seconds}.tmp", name(&[0; 32], CODE)));
        std::fs::write(&file, "half").unwrap();
        std::fs::File::open(&file).unwrap().set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        file
    };
    let (abandoned, under_way) = (temporary(2 * 3600), temporary(60));
    // Asking makes the oldest the one that was used last.
    assert!(cache.module(&digest(&modules[0])).is_some());
    cache.keep_module(&digest(&modules[3]), &modules[3]);
    let there: Vec<_> = modules.iter().map(|bytes| cache.module(&digest(bytes)).is_some()).collect();
    assert_eq!(there, [true, false, true, true]);
    assert!(foreign.iter().all(|file| file.exists()));
    assert_eq!((abandoned.exists(), under_way.exists()), (false, true));
    let large = vec![9; 3001];
    cache.keep_module(&digest(&large), &large);
    assert_eq!(cache.module(&digest(&large)), None, "what is larger than the cache does not empty it");
    assert!(cache.module(&digest(&modules[3])).is_some());
    assert!(told(&cache)[0].contains("3001"), "{:?}", told(&cache));
}

/// As two processes: each has a cache of its own on the same folder, which only ever has room for a few.
#[test]
fn writers_at_once_are_safe() {
    let (folder, engine) = (folder(), engine());
    let one = {
        let probe = tempfile::tempdir().unwrap();
        get(&cache(probe.path()), &engine, 0);
        only(probe.path(), CODE).metadata().unwrap().len()
    };
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for round in 0..20 {
                    let cache = cache_of(folder.path(), one * 3);
                    get(&cache, &engine, round % 5);
                    let bytes = vec![round as u8 % 3; 100];
                    cache.keep_module(&digest(&bytes), &bytes);
                    assert!(cache.module(&digest(&bytes)).is_none_or(|found| found == bytes));
                    assert_eq!(told(&cache), [] as [&str; 0]);
                }
            });
        }
    });
    assert!(files(folder.path()).iter().all(|file| is_name(file.file_name().unwrap().to_str().unwrap())), "no half file is left");
    let bytes: u64 = files(folder.path()).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes <= one * 3, "{bytes}");
}

#[test]
fn the_users_folder_is_where_it_belongs() {
    let some = |path: &str| Some(OsString::from(path));
    assert_eq!(users_folder(some("/cache"), some("/home/me")), Some("/cache/tamis".into()));
    assert_eq!(users_folder(None, some("/home/me")), Some("/home/me/.cache/tamis".into()));
    assert_eq!(users_folder(some("relative"), some("/home/me")), Some("/home/me/.cache/tamis".into()));
    assert_eq!(users_folder(some(""), None), None);
    assert_eq!(users_folder(None, some("")), None);
}
