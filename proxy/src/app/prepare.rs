//! The slow half of a change: reading, compiling, configuring, building the snapshot and keeping what was pushed.
//!
//! It works on a copy of everything ([`Ground`]) beside the control loop, which hears signals meanwhile, and never touches
//! what serves. There is one at a time, so that what it was built on is still what serves when it is done.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::state::{AllVersions, Shelf};
use super::trial::Failed;
use super::{inputs, push, reload};
use crate::admin::api::{Change as Wanted, Done, Refused};
use crate::admin::config::{Reconfigured, Wanted as Text};
use crate::admin::configs::Configs;
use crate::admin::versions::Target;
use crate::cluster::discovery::{Answer, Query, Resolver};
use crate::config::{Input, ModuleSource, Problems};
use crate::filter::source::Modules;
use crate::snapshot::{Parts, Snapshot};

/// What a change starts from.
pub struct Ground {
    pub parts: Parts,
    pub modules: Modules,
    pub live: Arc<Snapshot>,
    pub resolver: Option<Resolver>,
    pub versions: AllVersions,
    pub shelf: Arc<Shelf>,
    pub configs: Arc<Configs>,
    /// The configuration, if it was read from a file.
    pub file: Option<PathBuf>,
    /// Who resolves the names of what is being prepared.
    pub asking: Option<Resolver>,
}

/// What is to be done.
#[derive(Debug)]
pub enum Task {
    Reload { if_changed: bool },
    Module(PathBuf),
    Input(Input, Option<Arc<[u8]>>),
    Certificates,
    GoBack(Failed),
    Found(Query, Answer),
    Push { filter: Arc<str>, wanted: Wanted, over_file: bool },
    Configure { wanted: Text, expected: Option<u64>, dry_run: bool },
}

/// All that going live takes.
pub struct Ready {
    pub parts: Parts,
    pub snapshot: Snapshot,
    pub versions: AllVersions,
    /// Names are resolved in another way from now on.
    pub resolver: Option<Resolver>,
    /// What whoever asked for it is told.
    pub done: Option<Done>,
    pub reconfigured: Option<Reconfigured>,
    /// `None`: the configuration is the one that was live.
    pub configs: Option<Arc<Configs>>,
}

/// Why nothing goes live.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("{0}")]
    Problems(#[from] Problems),
    #[error("{0}")]
    Module(#[from] crate::filter::LoadError),
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It would have gone live.
    #[error("it was only tried")]
    Tried(Box<Reconfigured>),
    #[error("the input cannot be read: {0}")]
    Input(String),
    #[error("it did not finish: {0}")]
    Unfinished(#[from] tokio::task::JoinError),
}

/// What came of it: `None` if there is nothing to do.
pub struct Outcome {
    pub built: Result<Option<Ready>, NotReady>,
    /// With what has been compiled, even if it was of no use.
    pub modules: Option<Modules>,
}

/// Does it, on threads that may block.
pub async fn prepare(task: Task, ground: Ground) -> Outcome {
    match task {
        Task::Reload { if_changed } => reload::reload(ground, if_changed).await,
        Task::Configure { wanted, expected, dry_run } => reload::configure(ground, wanted, expected, dry_run).await,
        Task::Module(file) => blocking(ground, move |ground| module(ground, &file)).await,
        Task::Input(changed, content) => blocking(ground, move |ground| input(ground, changed, content)).await,
        Task::Certificates => blocking(ground, certificates).await,
        Task::GoBack(failed) => blocking(ground, move |ground| go_back(ground, &failed)).await,
        Task::Found(query, answer) => blocking(ground, move |ground| found(ground, &query, answer)).await,
        Task::Push { filter, wanted, over_file } => {
            let push = move |ground: &mut Ground| {
                let (snapshot, done) = push::push(ground, &filter, wanted, over_file)?;
                Ok(Some(ready(ground, snapshot, Some(done))))
            };
            blocking(ground, push).await
        }
    }
}

pub async fn blocking<F>(mut ground: Ground, work: F) -> Outcome
where
    F: FnOnce(&mut Ground) -> Result<Option<Ready>, NotReady> + Send + 'static,
{
    let work = tokio::task::spawn_blocking(move || {
        let built = work(&mut ground);
        Outcome { built, modules: Some(ground.modules) }
    });
    work.await.unwrap_or_else(|error| Outcome { built: Err(error.into()), modules: None })
}

pub fn ready(ground: &mut Ground, snapshot: Snapshot, done: Option<Done>) -> Ready {
    let (parts, versions) = (ground.parts.clone(), std::mem::take(&mut ground.versions));
    Ready { parts, snapshot, versions, resolver: None, done, reconfigured: None, configs: None }
}

/// Another build of a module takes the place of the present one, in every filter that names its file.
fn module(ground: &mut Ground, file: &Path) -> Result<Option<Ready>, NotReady> {
    let named = ground.parts.config.filters.values().flat_map(|filter| filter.modules());
    // One source for each hash that somebody expects of the file.
    let sources: HashSet<_> =
        named.filter(|source| matches!(source, ModuleSource::Path { path, .. } if path == file)).cloned().collect();
    let mut changed = false;
    for source in sources {
        let module = ground.modules.load(&source)?;
        changed |= ground.parts.modules.get(&source).is_none_or(|present| present.hash != module.hash);
        ground.parts.modules.insert(source, module);
    }
    if !changed {
        // The same bytes, or a file that no filter names any more.
        return Ok(None);
    }
    let snapshot = Snapshot::build(&ground.parts, Some(&ground.live), false)?;
    Ok(Some(ready(ground, snapshot, None)))
}

/// An input is read again; the filters that have it are configured anew.
fn input(ground: &mut Ground, input: Input, content: Option<Arc<[u8]>>) -> Result<Option<Ready>, NotReady> {
    let Some(known) = ground.parts.inputs.get(&input) else { return Ok(None) };
    let content = match content {
        Some(content) => content,
        None => inputs::read(&input, &ground.parts.config, &ground.parts.resolved).map_err(NotReady::Input)?,
    };
    if *known == content {
        return Ok(None);
    }
    ground.parts.inputs.insert(input, content);
    let snapshot = Snapshot::build(&ground.parts, Some(&ground.live), false)?;
    Ok(Some(ready(ground, snapshot, None)))
}

/// The version before takes the place of one that keeps failing.
fn go_back(ground: &mut Ground, failed: &Failed) -> Result<Option<Ready>, NotReady> {
    let live = ground.live.filters.get(&failed.filter);
    if live.is_none_or(|live| live.module.hash != failed.module.hash) {
        // Somebody was quicker.
        return Ok(None);
    }
    let pushed = ground.parts.overrides.get(&failed.filter).is_some_and(|over| over.module.is_some());
    if pushed {
        let (snapshot, done) = push::push(ground, &failed.filter, Wanted::Rollback(Target::Before), true)?;
        return Ok(Some(ready(ground, snapshot, Some(done))));
    }
    let Some(config) = ground.parts.config.filters.get(&failed.filter) else { return Ok(None) };
    ground.parts.modules.insert(config.module.clone(), Arc::clone(&failed.before));
    let snapshot = Snapshot::build(&ground.parts, Some(&ground.live), false)?;
    Ok(Some(ready(ground, snapshot, None)))
}

/// Files that certificates are read from may have changed.
fn certificates(ground: &mut Ground) -> Result<Option<Ready>, NotReady> {
    let renewed = Snapshot::renew(&ground.parts, &ground.live)?;
    Ok(renewed.map(|snapshot| ready(ground, snapshot, None)))
}

fn found(ground: &mut Ground, query: &Query, answer: Answer) -> Result<Option<Ready>, NotReady> {
    let endpoints = answer.len();
    if !ground.parts.resolved.learn(query, answer) {
        return Ok(None);
    }
    tracing::info!(endpoints, "{query} has another answer");
    let snapshot = Snapshot::build(&ground.parts, Some(&ground.live), false)?;
    Ok(Some(ready(ground, snapshot, None)))
}
