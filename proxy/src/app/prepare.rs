//! The slow half of a change: reading, compiling, configuring, building the snapshot and keeping what was pushed.
//!
//! It works on a copy of everything ([`Ground`]) beside the control loop, which hears signals meanwhile, and never touches
//! what serves. There is one at a time, so that what it was built on is still what serves when it is done.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::state::{AllVersions, Shelf};
use super::trial::Failed;
use super::{App, inputs, load_modules, push};
use crate::admin::api::{Change as Wanted, Done, Refused};
use crate::admin::versions::Target;
use crate::cluster::discovery::{self, Answer, Query, Resolver};
use crate::config::{self, Config, Input, ModuleSource, Problems};
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
        Task::Reload { if_changed } => reload(ground, if_changed).await,
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

async fn blocking<F>(mut ground: Ground, work: F) -> Outcome
where
    F: FnOnce(&mut Ground) -> Result<Option<Ready>, NotReady> + Send + 'static,
{
    let work = tokio::task::spawn_blocking(move || {
        let built = work(&mut ground);
        Outcome { built, modules: Some(ground.modules) }
    });
    work.await.unwrap_or_else(|error| Outcome { built: Err(error.into()), modules: None })
}

fn ready(ground: &mut Ground, snapshot: Snapshot, done: Option<Done>) -> Ready {
    let (parts, versions) = (ground.parts.clone(), std::mem::take(&mut ground.versions));
    Ready { parts, snapshot, versions, resolver: None, done }
}

/// The configuration and every module are read again.
async fn reload(mut ground: Ground, if_changed: bool) -> Outcome {
    let read = tokio::task::spawn_blocking(move || {
        let read = read(&mut ground, if_changed);
        (ground, read)
    });
    let (mut ground, resolver) = match read.await {
        Ok((ground, Ok(true))) => {
            let resolver = other_resolver(&ground.parts.config, &ground.live.config, ground.resolver.as_ref());
            (ground, resolver)
        }
        Ok((ground, Ok(false))) => return Outcome { built: Ok(None), modules: Some(ground.modules) },
        Ok((ground, Err(problems))) => return Outcome { built: Err(problems.into()), modules: Some(ground.modules) },
        Err(error) => return Outcome { built: Err(error.into()), modules: None },
    };
    let known = std::mem::take(&mut ground.parts.resolved);
    let asking = resolver.as_ref().or(ground.resolver.as_ref());
    ground.parts.resolved = discovery::find_new(asking, &ground.parts.config, known).await;
    let build = move |ground: &mut Ground| {
        let snapshot = Snapshot::build(&ground.parts, Some(&ground.live), true)?;
        Ok(Some(Ready { resolver, ..ready(ground, snapshot, None) }))
    };
    blocking(ground, build).await
}

/// False if only a changed file was to be read, and it has not changed.
fn read(ground: &mut Ground, if_changed: bool) -> Result<bool, Problems> {
    let (source, present) = (&ground.parts.source, &ground.parts.config);
    // Touched but the same: nothing to do, and nothing to say.
    if if_changed && std::fs::read_to_string(source.file()).is_ok_and(|text| text == source.text()) {
        return Ok(false);
    }
    let mut loaded = App::sound(config::examine(source.file())?)?;
    let workers = present.workers;
    let fixed =
        loaded.config.admin == present.admin && loaded.config.state == present.state && loaded.config.spiffe == present.spiffe;
    if loaded.config.workers.is_some_and(|wanted| Some(wanted) != workers) || !fixed {
        tracing::warn!("`workers`, `admin`, `state` and `spiffe` take effect at the next start");
    }
    loaded.config.workers = workers;
    let (built, mut failed) = load_modules(&mut ground.modules, &loaded.config, &loaded.source);
    let (inputs, unread) = inputs::load(&loaded.config, &loaded.source, &ground.parts.resolved, &ground.parts.inputs);
    failed.merge(unread);
    let mut resolved = ground.parts.resolved.clone();
    failed.merge(inputs::load_endpoints(&loaded.config, &loaded.source, &mut resolved));
    if !failed.is_empty() {
        return Err(failed);
    }
    ground.parts.config = Arc::new(loaded.config);
    ground.parts.source = loaded.source;
    ground.parts.modules = built;
    ground.parts.inputs = inputs;
    ground.parts.resolved = resolved;
    Ok(true)
}

/// Another way to ask is taken before anything is asked for the new configuration.
fn other_resolver(config: &Config, before: &Config, present: Option<&Resolver>) -> Option<Resolver> {
    if present.is_some() && config.dns == before.dns || !discovery::needs_dns(config) {
        return None;
    }
    Resolver::build(&config.dns).map_err(|error| tracing::error!(%error, "names cannot be resolved as `dns` says")).ok()
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
