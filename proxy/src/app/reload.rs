//! The slow half of another configuration: the file's, when it is read again, or one that an operator wants.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::prepare::{Ground, NotReady, Outcome, Ready, blocking, ready};
use super::push::not_kept;
use super::{App, inputs, load_modules};
use crate::admin::api::Refused;
use crate::admin::config::{Changes, Reconfigured, Wanted};
use crate::admin::configs::{Configs, From};
use crate::cluster::discovery::{self, Resolver};
use crate::config::{self, Config, Examined, Loaded, Problems};
use crate::filter::module::hash;
use crate::snapshot::Snapshot;

/// What a configuration that came through the admin is called where its mistakes are told.
pub const PUT: &str = "(put through the admin)";

/// A configuration on its way, and what is remembered of it.
struct Next {
    loaded: Loaded,
    /// `None`: it is the one that is live, read again.
    configs: Option<Configs>,
}

/// What the file says, or where something else holds over it, that with everything it names.
pub async fn reload(ground: Ground, if_changed: bool) -> Outcome {
    let (ground, resolver, configs) = match begin(ground, move |ground| again(ground, if_changed)).await {
        Ok((ground, resolver, configs)) => (ground, resolver, configs),
        Err(outcome) => return *outcome,
    };
    let build = move |ground: &mut Ground| {
        let snapshot = Snapshot::build(&ground.parts, Some(&ground.live), true)?;
        if let Some(configs) = &configs
            && let Err(error) = ground.shelf.keep_configs(configs)
        {
            tracing::warn!(%error, "the versions of the configuration are not kept; the next start knows none of this one");
        }
        let configs = configs.map(Arc::new);
        Ok(Some(Ready { resolver, configs, ..ready(ground, snapshot, None) }))
    };
    blocking(resolved(ground).await, build).await
}

/// What an operator wants, or only tries out.
pub async fn configure(ground: Ground, wanted: Wanted, expected: Option<u64>, dry_run: bool) -> Outcome {
    let begun = Instant::now();
    let (previous, before) = (ground.configs.live().number, ground.parts.source.clone());
    let find = move |ground: &mut Ground| {
        let live = ground.configs.live().number;
        if expected.is_some_and(|expected| expected != live) {
            let message = format!("version {live} of the configuration is live, and not the one that was expected");
            return Err(Refused::Conflict(message).into());
        }
        let mut next = put(ground, wanted)?;
        if dry_run {
            // Nothing is opened for what is only tried.
            next.loaded.config.access_log = ground.parts.config.access_log.clone();
        }
        Ok(Some(next))
    };
    let (ground, resolver, configs) = match begin(ground, find).await {
        Ok((ground, resolver, configs)) => (ground, resolver, configs),
        Err(outcome) => return *outcome,
    };
    let ground = if dry_run { ground } else { resolved(ground).await };
    let build = move |ground: &mut Ground| {
        let snapshot = Snapshot::build(&ground.parts, Some(&ground.live), true)?;
        let changes = Changes::between(&before.json(), &ground.parts.source.json());
        let configs = configs.unwrap_or_else(|| Configs::clone(&ground.configs));
        let mut done = Reconfigured {
            version: configs.live().number,
            previous,
            from: configs.live().from,
            holds: configs.over().is_some(),
            changes,
            dry_run,
            kept: ground.shelf.lasts(),
            took: begun.elapsed(),
        };
        if dry_run {
            done.version = previous;
            return Err(NotReady::Tried(Box::new(done)));
        }
        ground.shelf.keep_configs(&configs).map_err(not_kept)?;
        let configs = Some(Arc::new(configs));
        Ok(Some(Ready { resolver, configs, reconfigured: Some(done), ..ready(ground, snapshot, None) }))
    };
    blocking(ground, build).await
}

type Begun = (Ground, Option<Resolver>, Option<Configs>);

/// Finds the configuration, and reads what it names.
async fn begin<F>(mut ground: Ground, find: F) -> Result<Begun, Box<Outcome>>
where
    F: FnOnce(&mut Ground) -> Result<Option<Next>, NotReady> + Send + 'static,
{
    let found = tokio::task::spawn_blocking(move || {
        let found = find(&mut ground).and_then(|next| match next {
            Some(Next { loaded, configs }) => {
                take(&mut ground, loaded)?;
                Ok(Some(configs))
            }
            None => Ok(None),
        });
        (ground, found)
    });
    let outcome = |built, modules| Box::new(Outcome { built, modules });
    match found.await {
        Ok((ground, Ok(Some(configs)))) => {
            let resolver = other_resolver(&ground.parts.config, &ground.live.config, ground.resolver.as_ref());
            let mut ground = ground;
            ground.asking = resolver.clone().or_else(|| ground.resolver.clone());
            Ok((ground, resolver, configs))
        }
        Ok((ground, Ok(None))) => Err(outcome(Ok(None), Some(ground.modules))),
        Ok((ground, Err(error))) => Err(outcome(Err(error), Some(ground.modules))),
        Err(error) => Err(outcome(Err(error.into()), None)),
    }
}

/// Names that are new are resolved before anything goes live.
async fn resolved(mut ground: Ground) -> Ground {
    let known = std::mem::take(&mut ground.parts.resolved);
    ground.parts.resolved = discovery::find_new(ground.asking.as_ref(), &ground.parts.config, known).await;
    ground
}

/// `None` if only a changed file was to be read, and it has not changed.
fn again(ground: &mut Ground, if_changed: bool) -> Result<Option<Next>, NotReady> {
    let file = ground.file.clone().unwrap_or_else(|| ground.parts.source.file().to_owned());
    let said = fs::read_to_string(&file).ok();
    let live = ground.configs.live();
    if let Some(over) = ground.configs.over() {
        if said.as_ref().is_some_and(|said| *hash(said.as_bytes()) == **over) {
            if if_changed {
                return Ok(None);
            }
            let loaded = App::sound(config::examine_as(&live.text, Path::new(PUT), folder(&file))?)?;
            return Ok(Some(Next { loaded, configs: None }));
        }
    } else if if_changed && said.is_some_and(|said| said == ground.parts.source.text()) {
        // Touched but the same: nothing to do, and nothing to say.
        return Ok(None);
    }
    let loaded = App::sound(config::examine(&file)?)?;
    let (text, keep) = (loaded.source.text(), loaded.config.state.versions);
    let hash: Arc<str> = hash(text.as_bytes()).into();
    if ground.configs.over().is_some() {
        tracing::warn!("the file has changed, and holds again over the configuration that was put through the admin");
    }
    let changed = live.hash != hash || ground.configs.over().is_some();
    let configs = changed.then(|| {
        let mut configs = Configs::clone(&ground.configs);
        configs.add(From::File, text.into(), Arc::clone(&hash), &hash, SystemTime::now(), keep);
        configs
    });
    Ok(Some(Next { loaded, configs }))
}

/// The text that an operator means, judged.
fn put(ground: &mut Ground, wanted: Wanted) -> Result<Next, NotReady> {
    let (now, keep) = (SystemTime::now(), ground.parts.config.state.versions);
    let file = ground.file.clone();
    let said = match file.as_deref().map(config::read).transpose() {
        Ok(said) => said,
        Err(problems) if wanted == Wanted::File => return Err(problems.into()),
        // A way back is needed most where the file is no good.
        Err(problems) => {
            tracing::warn!(%problems, "the file cannot be read; what is put holds until it says something else than it last did");
            None
        }
    };
    let last_said = || ground.configs.over().unwrap_or(&ground.configs.live().hash).clone();
    // Without a file there is nothing that could change under it.
    let base: Arc<str> = match &said {
        Some(said) => hash(said.as_bytes()).into(),
        None if file.is_some() => last_said(),
        None => Arc::default(),
    };
    let mut configs = Configs::clone(&ground.configs);
    match wanted {
        Wanted::Text(text) => {
            let hash = hash(text.as_bytes()).into();
            configs.add(From::Put, text, hash, &base, now, keep);
        }
        Wanted::Rollback(to) => {
            let version = configs.find(to).map_err(|error| Refused::Conflict(error.to_string()))?.clone();
            configs.go_back(&version, &base, now, keep);
        }
        Wanted::File => {
            let Some(said) = said else {
                return Err(Refused::Conflict("this configuration was not read from a file".to_owned()).into());
            };
            configs.add(From::File, said.into(), Arc::clone(&base), &base, now, keep);
        }
    }
    let (shown_as, folder) = match (&file, configs.over()) {
        (Some(file), None) => (file.clone(), folder(file)),
        (Some(file), Some(_)) => (PathBuf::from(PUT), folder(file)),
        (None, _) => (PathBuf::from(PUT), Path::new("")),
    };
    let examined: Examined = config::examine_as(&configs.live().text, &shown_as, folder)?;
    Ok(Next { loaded: App::sound(examined)?, configs: Some(configs) })
}

/// Where relative paths of the file start, whoever wrote what holds over it.
pub fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

/// Everything that a configuration names is read.
fn take(ground: &mut Ground, mut loaded: Loaded) -> Result<(), Problems> {
    let present = &ground.parts.config;
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
    Ok(())
}

/// Another way to ask is taken before anything is asked for the new configuration.
fn other_resolver(config: &Config, before: &Config, present: Option<&Resolver>) -> Option<Resolver> {
    if present.is_some() && config.dns == before.dns || !discovery::needs_dns(config) {
        return None;
    }
    Resolver::build(&config.dns).map_err(|error| tracing::error!(%error, "names cannot be resolved as `dns` says")).ok()
}
