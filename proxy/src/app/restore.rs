//! What was pushed in an earlier life of the proxy is put over the file again. Where the file has changed since, nobody
//! guesses which of the two is meant.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::push::{self, OverError};
use super::state::{AllVersions, Shelf, StateError};
use super::{App, StartError, reload};
use crate::admin::configs::{Configs, From};
use crate::admin::ledger::Standing;
use crate::admin::versions::Versions;
use crate::config::{self, Loaded};
use crate::filter::module::hash;
use crate::filter::source::Modules;
use crate::snapshot::Parts;

/// What holds where the file has changed since something was pushed over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// The proxy does not start.
    #[default]
    Ask,
    Pushed,
    /// What was pushed for such a filter is gone for good.
    File,
}

/// Why what was pushed cannot be put over the file.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("filter `{filter}`: {error}{}", way_out(.place))]
    Unusable { filter: Arc<str>, error: OverError, place: Option<PathBuf> },
    #[error(
        "the file has changed since these were pushed through the admin: {}\nwhich of the two is meant? `--state=pushed` goes on \
         with what was pushed, `--state=file` drops it",
        .0.join("; ")
    )]
    Conflict(Vec<String>),
}

fn way_out(place: &Option<PathBuf>) -> String {
    match place {
        Some(place) => format!("; move `{}` away to begin with what the file says", place.display()),
        None => String::new(),
    }
}

/// What is live at the start: what the file says or, where it has not changed since, what was put over it through the admin.
pub fn configuration(loaded: Loaded, shelf: &Shelf) -> Result<(Loaded, Configs), StartError> {
    let said: Arc<str> = hash(loaded.source.text().as_bytes()).into();
    let (text, keep, now) = (loaded.source.text(), loaded.config.state.versions, SystemTime::now());
    let kept = shelf.configs().map_err(RestoreError::from)?;
    let Some(mut configs) = kept else { return Ok((loaded.clone(), Configs::begin(text.into(), said, now))) };
    if configs.over() == Some(&said) {
        let folder = reload::folder(loaded.source.file());
        let put = config::examine_as(&configs.live().text, Path::new(reload::PUT), folder).and_then(App::sound)?;
        tracing::info!(version = configs.live().number, "the configuration that was put through the admin holds over the file");
        return Ok((put, configs));
    }
    if configs.over().is_some() {
        tracing::warn!("the file has changed, and holds again over the configuration that was put through the admin");
    }
    if configs.over().is_some() || configs.live().hash != said {
        configs.add(From::File, text.into(), Arc::clone(&said), &said, now, keep);
        if let Err(error) = shelf.keep_configs(&configs) {
            tracing::warn!(%error, "the file holds, but the history of configurations cannot be written");
        }
    }
    Ok((loaded, configs))
}

/// Puts what was pushed for filters over `parts`.
pub fn restore(
    parts: &mut Parts,
    modules: &mut Modules,
    keep: Keep,
    shelf: &Shelf,
    mut all: AllVersions,
) -> Result<AllVersions, RestoreError> {
    let mut undecided = Vec::new();
    for name in all.keys().cloned().collect::<Vec<_>>() {
        let Some(versions) = all.get_mut(&name) else { continue };
        let file = push::base(parts, &name);
        let conflicts = file.as_ref().map_or_else(Vec::new, |file| versions.conflicts(file));
        match (&file, keep) {
            (None, _) => tracing::warn!(filter = %name, "what was pushed waits for a filter that the file does not have"),
            (Some(_), _) if conflicts.is_empty() => {}
            (Some(_), Keep::Ask) => {
                undecided.push(format!("the {} of filter `{name}`", push::listed(&conflicts)));
                continue;
            }
            (Some(file), Keep::Pushed) => {
                let what = push::listed(&conflicts);
                tracing::warn!(filter = %name, "the file has changed the {what}; what was pushed holds");
                Arc::make_mut(versions).hold(file);
                shelf.keep(&name, versions, None)?;
            }
            (Some(_), Keep::File) => {
                let what = push::listed(&conflicts);
                tracing::warn!(filter = %name, "the file has changed the {what}; what was pushed is dropped");
                shelf.forget(&name)?;
                all.remove(&name);
                continue;
            }
        }
        let over = push::over(shelf, modules, &name, versions);
        let unusable = |error| RestoreError::Unusable { filter: Arc::clone(&name), error, place: shelf.place(&name) };
        if let Some(over) = over.map_err(unusable)? {
            tracing::info!(filter = %name, version = versions.live().number, "what was pushed holds over the file");
            parts.overrides.insert(name, over);
        }
    }
    if undecided.is_empty() { Ok(all) } else { Err(RestoreError::Conflict(undecided)) }
}

/// How what is pushed stands to the file.
pub fn standings(parts: &Parts, versions: &AllVersions) -> BTreeMap<Arc<str>, Standing> {
    let standing = |(name, versions): (&Arc<str>, &Arc<Versions>)| {
        (Arc::clone(name), Standing { versions: Arc::clone(versions), file: push::base(parts, name) })
    };
    versions.iter().map(standing).collect()
}
