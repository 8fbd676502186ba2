//! What an operator wants of a filter: judged, built, kept, in this order, so that nothing goes live that is not kept and
//! nothing is kept that cannot go live.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::canary;
use super::prepare::Ground;
use super::state::{Blob, Shelf, StateError};
use crate::admin::api::{Change, Done, Hashes, Refused};
use crate::admin::versions::{Base, Part, Versions};
use crate::config::{ModuleSource, Problems};
use crate::filter::module::hash;
use crate::filter::source::Modules;
use crate::filter::{Filter, LoadError, Role};
use crate::snapshot::{Override, Parts, Snapshot};

/// What the file says of a filter; `None` if it does not have it.
pub fn base(parts: &Parts, filter: &str) -> Option<Base> {
    let config = parts.config.filters.get(filter)?;
    let module = match &config.module {
        ModuleSource::Builtin(_) => config.module.to_string().into(),
        source => Arc::clone(&parts.modules.get(source)?.hash),
    };
    Some(Base { module, config: hash(config.config.to_string().as_bytes()).into() })
}

/// What a version puts over the file; `None` if nothing.
pub fn over(shelf: &Shelf, modules: &mut Modules, filter: &Arc<str>, versions: &Versions) -> Result<Option<Override>, OverError> {
    let live = versions.live();
    if live.is_the_files() {
        return Ok(None);
    }
    let mut over = Override::default();
    if let Some(hash) = &live.module {
        over.module = Some(modules.take(&shelf.read(filter, Part::Module, hash)?)?);
    }
    if let Some(hash) = &live.config {
        over.config = Some(Arc::new(serde_json::from_slice(&shelf.read(filter, Part::Config, hash)?)?));
    }
    Ok(Some(over))
}

/// Why a version that was pushed once cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum OverError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the module that was pushed: {0}")]
    Module(#[from] LoadError),
    #[error("the configuration that was pushed: {0}")]
    Config(#[from] serde_json::Error),
}

/// Changes the ground, and builds what is to go live.
pub fn push(ground: &mut Ground, filter: &Arc<str>, change: Change, over_file: bool) -> Result<(Snapshot, Done), Refused> {
    let change = match change {
        Change::Canary(bytes, percent) => return canary::begin(ground, filter, bytes, percent),
        Change::Abort => return canary::abort(ground, filter),
        Change::Promote => Change::Module(canary::take(ground, filter)?.bytes),
        other => other,
    };
    let previous = hashes(ground.live.filters.get(filter));
    let (versions, new) = match (change, base(&ground.parts, filter)) {
        (Change::Reset, file) => {
            if file.is_none() && !ground.versions.contains_key(filter) {
                return Err(unknown(ground, filter));
            }
            ground.parts.overrides.remove(filter);
            (None, None)
        }
        (_, None) => return Err(unknown(ground, filter)),
        (change, Some(file)) => {
            let mut versions = match ground.versions.get(filter) {
                Some(versions) => Versions::clone(versions),
                None => Versions::begin(file.clone(), SystemTime::now()),
            };
            versions.follow(&file);
            if !over_file {
                undisputed(filter, &versions, &file)?;
            }
            let (versions, new) = versions_after(ground, filter, change, versions, &file, over_file)?;
            (Some(versions), new)
        }
    };
    let snapshot = Snapshot::build(&ground.parts, Some(&ground.live), false).map_err(|problems| unusable(&problems))?;
    match &versions {
        Some(versions) => ground.shelf.keep(filter, versions, new.as_ref()).map_err(not_kept)?,
        None => ground.shelf.forget(filter).map_err(not_kept)?,
    }
    let done = Done {
        version: versions.as_ref().map(|versions| versions.live().number),
        live: hashes(snapshot.filters.get(filter)),
        previous,
        canary: snapshot.filters.get(filter).and_then(beside),
        kept: ground.shelf.lasts(),
    };
    match versions {
        Some(versions) => drop(ground.versions.insert(Arc::clone(filter), Arc::new(versions))),
        None => drop(ground.versions.remove(filter)),
    }
    Ok((snapshot, done))
}

/// Puts over the file what is wanted.
fn versions_after(
    ground: &mut Ground,
    filter: &Arc<str>,
    change: Change,
    mut versions: Versions,
    file: &Base,
    over_file: bool,
) -> Result<(Versions, Option<Blob>), Refused> {
    let (now, keep) = (SystemTime::now(), ground.parts.config.state.versions);
    let blob = match change {
        Change::Module(bytes) => {
            let module = ground.modules.take(&bytes).map_err(|error| Refused::Unusable(error.to_string()))?;
            let blob = Blob { part: Part::Module, hash: Arc::clone(&module.hash), bytes };
            ground.parts.overrides.entry(Arc::clone(filter)).or_default().module = Some(module);
            blob
        }
        Change::Config(config) => {
            let bytes = Bytes::from(config.to_string());
            ground.parts.overrides.entry(Arc::clone(filter)).or_default().config = Some(config);
            Blob { part: Part::Config, hash: hash(&bytes).into(), bytes }
        }
        Change::Rollback(target) => {
            let version = versions.find(&target).map_err(|error| Refused::Conflict(error.to_string()))?;
            let moved = Versions::moved(version, file);
            if !over_file && !moved.is_empty() {
                return Err(Refused::Conflict(format!(
                    "version {} of filter `{filter}` had the {} of the file, which says something else now; ?over=file takes it \
                     as it is now",
                    version.number,
                    listed(&moved)
                )));
            }
            let number = version.number;
            versions.go(number, file);
            let over = over(&ground.shelf, &mut ground.modules, filter, &versions).map_err(|error| match error {
                OverError::State(error) => not_kept(error),
                other => Refused::Unusable(other.to_string()),
            })?;
            // What is tried out beside it goes on being tried out.
            let canary = ground.parts.overrides.remove(filter).and_then(|over| over.canary);
            if over.is_some() || canary.is_some() {
                ground.parts.overrides.insert(Arc::clone(filter), Override { canary, ..over.unwrap_or_default() });
            }
            return Ok((versions, None));
        }
        Change::Reset | Change::Canary(..) | Change::Promote | Change::Abort => return Ok((versions, None)),
    };
    versions.push(blob.part, Arc::clone(&blob.hash), file, now, keep);
    Ok((versions, Some(blob)))
}

/// Nothing is pushed over a change of the file that nobody has decided about.
fn undisputed(filter: &str, versions: &Versions, file: &Base) -> Result<(), Refused> {
    let conflicts = versions.conflicts(file);
    if conflicts.is_empty() {
        return Ok(());
    }
    Err(Refused::Conflict(format!(
        "the file says something else of the {} of filter `{filter}` than when it was pushed; ?over=file pushes over that as \
         well, DELETE /filters/{filter} takes what the file says",
        listed(&conflicts)
    )))
}

pub fn listed(parts: &[Part]) -> String {
    parts.iter().map(|part| part.name()).collect::<Vec<_>>().join(" and the ")
}

pub fn hashes(filter: Option<&Arc<Filter>>) -> Option<Hashes> {
    let filter = filter?;
    Some(Hashes { module: Arc::clone(&filter.module.hash), config: hash(filter.config_json.as_bytes()).into() })
}

/// The share and the module of what is tried out beside it.
pub fn beside(filter: &Arc<Filter>) -> Option<(u32, Arc<str>)> {
    match &filter.beside {
        Some((canary, Role::Canary(percent))) => Some((*percent, Arc::clone(&canary.module.hash))),
        _ => None,
    }
}

pub fn unknown(ground: &Ground, filter: &str) -> Refused {
    let known: Vec<_> = ground.parts.config.filters.keys().map(|name| format!("`{name}`")).collect();
    Refused::NotFound(format!("the configuration has no filter `{filter}`; there are {}", known.join(", ")))
}

/// Whoever pushed has no use for places in the file.
pub fn unusable(problems: &Problems) -> Refused {
    let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    Refused::Unusable(messages.join("; "))
}

pub fn not_kept(error: StateError) -> Refused {
    if error.is_full() {
        return Refused::Full(format!("there is no room to keep it, so it does not go live: {error}"));
    }
    Refused::Failed(format!("it cannot be kept, so it does not go live: {error}"))
}
