//! Watches the files that the configuration is made of: itself and its modules.
//!
//! Folders are watched rather than files, because editors and orchestrators replace files by renaming others onto them.
//! What is reported is a hint to look: whoever gets it compares contents.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::control::Event;

/// How long a file has to be quiet before it is read. Whoever writes it in several steps has finished by then.
pub const QUIET: Duration = Duration::from_millis(50);
/// A file that is never quiet is read this long after its first change.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// See the module.
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    /// The names of the files, for the watcher's own thread.
    names: Arc<Mutex<BTreeSet<OsString>>>,
    /// There was no room to report something.
    missed: Arc<AtomicBool>,
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    /// Changed files: when the first change was seen, and when they are due.
    changed: BTreeMap<PathBuf, (Instant, Instant)>,
}

impl Watch {
    /// Starts a watcher that reports to `events`. Where the system has none, reloading takes a signal.
    pub fn new(events: mpsc::Sender<Event>) -> Self {
        let missed = Arc::<AtomicBool>::default();
        let full = Arc::clone(&missed);
        let names = Arc::<Mutex<BTreeSet<OsString>>>::default();
        let wanted = Arc::clone(&names);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_))) {
                return;
            }
            let renamed = !matches!(event.kind, EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any));
            let wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
            let concerns = event.paths.iter().any(|path| path.file_name().is_some_and(|name| wanted.contains(name)));
            // This thread must never wait for the control loop, which sometimes waits for this thread.
            if (concerns || renamed) && events.try_send(Event::Touched { paths: event.paths, renamed }).is_err() {
                full.store(true, Ordering::Relaxed);
            }
        });
        let watcher = watcher.map_err(|error| tracing::warn!(%error, "files cannot be watched; reload with SIGHUP")).ok();
        Self { watcher, names, missed, folders: BTreeSet::new(), files: BTreeSet::new(), changed: BTreeMap::new() }
    }

    /// Replaces the files that are watched.
    pub fn set(&mut self, files: BTreeSet<PathBuf>) {
        let folders: BTreeSet<_> = files.iter().map(|file| folder(file)).collect();
        if let Some(watcher) = &mut self.watcher {
            for gone in self.folders.difference(&folders) {
                let _ = watcher.unwatch(gone);
            }
            for new in folders.difference(&self.folders) {
                if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                    tracing::warn!(folder = %new.display(), %error, "the folder cannot be watched; reload with SIGHUP");
                }
            }
        }
        let names = files.iter().filter_map(|file| file.file_name()).map(OsString::from).collect();
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
        // A file may have changed after it was read and before it was watched: each new one is looked at once.
        let now = Instant::now();
        for file in files.difference(&self.files) {
            self.changed.entry(file.clone()).or_insert((now, now + QUIET));
        }
        self.changed.retain(|file, _| files.contains(file));
        self.folders = folders;
        self.files = files;
    }

    /// Something happened to these paths. What is put where a link leads by stands for the file that is reached by it.
    pub fn touched(&mut self, paths: &[PathBuf], renamed: bool) {
        let now = Instant::now();
        let all = self.missed.swap(false, Ordering::Relaxed);
        for file in &self.files {
            let hit = all
                || paths.iter().any(|path| {
                    path.file_name() == file.file_name() && same_folder(path, file)
                        || renamed && same_folder(path, file) && is_link(file) && leads(path, file)
                });
            if hit {
                let (first, due) = self.changed.entry(file.clone()).or_insert((now, now));
                *due = (now + QUIET).min(*first + QUIET_MAX);
            }
        }
    }

    /// Waits for a file that has changed and is quiet now.
    pub async fn next(&mut self) -> PathBuf {
        let due = self.changed.iter().min_by_key(|(_, (_, due))| *due).map(|(file, (_, due))| (file.clone(), *due));
        match due {
            Some((file, due)) => {
                tokio::time::sleep_until(due).await;
                self.changed.remove(&file);
                file
            }
            None => std::future::pending().await,
        }
    }
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn same_folder(path: &Path, file: &Path) -> bool {
    let (a, b) = (folder(path), folder(file));
    a == b || a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b)
}

/// Whether the way to this file, which is a link, may go by that path: another link, a folder, or what it leads to itself. A log
/// that is begun anew beside it is none of these.
fn leads(path: &Path, file: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(found) if found.is_file() => path.canonicalize().ok() == file.canonicalize().ok(),
        Ok(_) => true,
        // Nothing leads by what is not there, and what comes into its place is told as well.
        Err(_) => false,
    }
}

/// A link somewhere on the way, as ConfigMaps are mounted.
fn is_link(file: &Path) -> bool {
    file.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[tokio::test]
    async fn only_what_the_configuration_is_made_of_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().canonicalize().expect("it is there").join(name);
        for name in ["plain.toml", "real.toml", "access.log"] {
            std::fs::write(at(name), "").expect("written");
        }
        symlink("real.toml", at("linked.toml")).expect("linked");
        symlink("real.toml", at("..data")).expect("linked");
        let (events, _queue) = mpsc::channel(1);
        let mut watch = Watch::new(events);
        watch.set([at("plain.toml"), at("linked.toml")].into());
        watch.changed.clear();
        let mut touched = |name: &str, renamed: bool| {
            watch.touched(&[at(name)], renamed);
            let names = std::mem::take(&mut watch.changed).into_keys();
            names.filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned())).collect::<Vec<_>>().join(" ")
        };
        assert_eq!((touched("access.log", false), touched("access.log", true)), (String::new(), String::new()));
        assert_eq!((&*touched("plain.toml", false), &*touched("real.toml", true)), ("plain.toml", "linked.toml"));
        assert_eq!(touched("..data", true), "linked.toml", "as ConfigMaps are swapped");
        assert_eq!(touched("gone.log", true), "");
    }
}
