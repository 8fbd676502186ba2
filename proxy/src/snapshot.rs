//! A snapshot: one consistent, immutable state of the whole configuration, ready to serve.
//!
//! It is built beside the one that serves and carries over every part whose configuration did not change. One that
//! cannot be built changes nothing. [`Live`] is the only place in the process that is ever swapped.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::cluster::Cluster;
use crate::cluster::discovery::Resolved;
use crate::config::{self, Config, ModuleSource, Problem, Problems, Source, Step};
use crate::exchange::Names;
use crate::filter::{Filter, LoadError, Module, chain};
use crate::telemetry::access_log::AccessLog;
use crate::tls;

/// The snapshot that new exchanges see.
pub type Live = ArcSwap<Snapshot>;

/// What a snapshot is built from.
#[derive(Debug, Clone)]
pub struct Parts {
    pub config: Arc<Config>,
    /// To place mistakes.
    pub source: Source,
    pub modules: HashMap<ModuleSource, Arc<Module>>,
    /// What stands over the file, by the name of the filter. Names that the file does not have wait for it.
    pub overrides: BTreeMap<Arc<str>, Override>,
    pub resolved: Resolved,
}

/// What takes the place of what the file says about one filter. All else about it is the file's.
#[derive(Debug, Clone, Default)]
pub struct Override {
    pub module: Option<Arc<Module>>,
    pub config: Option<Arc<serde_json::Value>>,
}

/// See the module.
#[derive(Debug)]
pub struct Snapshot {
    pub config: Arc<Config>,
    pub listeners: HashMap<Arc<str>, Arc<Listener>>,
    pub clusters: HashMap<Arc<str>, Arc<Cluster>>,
    pub filters: BTreeMap<Arc<str>, Arc<Filter>>,
    pub cluster_names: Arc<Names>,
    pub access_log: Arc<AccessLog>,
}

/// What exchanges of one listener need.
#[derive(Debug)]
pub struct Listener {
    pub name: Arc<str>,
    pub config: Arc<config::Listener>,
    pub filters: Arc<[Arc<Filter>]>,
    pub tls: Option<tls::Server>,
    pub access_log: Arc<AccessLog>,
}

impl Snapshot {
    /// Builds everything that is new, and lists every mistake. `reread` also reads certificates again whose paths are
    /// the same as before. Configures filters, so it runs on a thread that may block.
    pub fn build(parts: &Parts, previous: Option<&Snapshot>, reread: bool) -> Result<Self, Problems> {
        let config = &parts.config;
        let mut problems = Vec::new();
        let access_log = access_log(parts, previous).map_err(|problem| problems.push(problem)).ok();
        let filters = filters(parts, previous, &mut problems);
        let clusters = config.clusters.iter().map(|(name, cluster)| {
            let previous = previous.and_then(|previous| previous.clusters.get(name));
            (Arc::clone(name), Cluster::build(name, cluster, &parts.resolved, previous))
        });
        let clusters: HashMap<_, _> = clusters.collect();
        let mut listeners = HashMap::new();
        for (name, listener) in &config.listeners {
            let chain: Vec<_> = listener.filters.iter().filter_map(|filter| filters.get(filter).cloned()).collect();
            if chain.len() > chain::FILTERS_MAX {
                let message = format!("expected at most {} filters in a chain, found {}", chain::FILTERS_MAX, chain.len());
                problems.push(parts.source.problem_at(&["listeners".into(), (&**name).into(), "filters".into()], message));
                continue;
            }
            let previous = previous.and_then(|previous| previous.listeners.get(name));
            let kept = previous.filter(|previous| !reread && previous.config.tls == listener.tls);
            let tls = match (&listener.tls, kept) {
                (None, _) => None,
                (Some(_), Some(kept)) => kept.tls.clone(),
                (Some(tls), None) => match tls::Server::build(tls) {
                    Ok(server) => Some(server),
                    Err(error) => {
                        problems.push(tls_problem(parts, name, &error));
                        continue;
                    }
                },
            };
            if let Some(access_log) = &access_log {
                let listener = Listener {
                    name: Arc::clone(name),
                    config: Arc::clone(listener),
                    filters: chain.into(),
                    tls,
                    access_log: Arc::clone(access_log),
                };
                listeners.insert(Arc::clone(name), Arc::new(listener));
            }
        }
        match access_log {
            Some(access_log) if problems.is_empty() => Ok(Self {
                config: Arc::clone(config),
                listeners,
                cluster_names: Arc::new(clusters.keys().cloned().collect()),
                clusters,
                filters,
                access_log,
            }),
            _ => Err(Problems::from(problems)),
        }
    }
}

fn access_log(parts: &Parts, previous: Option<&Snapshot>) -> Result<Arc<AccessLog>, Problem> {
    let config = &parts.config.access_log;
    if let Some(previous) = previous.filter(|previous| previous.config.access_log == *config) {
        return Ok(Arc::clone(&previous.access_log));
    }
    AccessLog::open(config).map(Arc::new).map_err(|error| {
        let message = format!("cannot open the access log: {error}");
        parts.source.problem_at(&["access-log".into(), "output".into()], message)
    })
}

/// Filters whose module and configuration are the same are carried over with their instances.
fn filters(parts: &Parts, previous: Option<&Snapshot>, problems: &mut Vec<Problem>) -> BTreeMap<Arc<str>, Arc<Filter>> {
    let mut filters = BTreeMap::new();
    for (name, config) in &parts.config.filters {
        // A module that could not be loaded has been reported by who tried.
        let Some(of_file) = parts.modules.get(&config.module) else { continue };
        let over = parts.overrides.get(name);
        let module = over.and_then(|over| over.module.as_ref()).unwrap_or(of_file);
        let config = &match over.and_then(|over| over.config.as_ref()) {
            Some(pushed) => Arc::new(config::Filter { config: Arc::clone(pushed), ..config::Filter::clone(config) }),
            None => Arc::clone(config),
        };
        let kept = previous
            .and_then(|previous| previous.filters.get(name))
            .filter(|kept| kept.config == *config && kept.module.hash == module.hash);
        let built = match kept {
            Some(kept) => Ok(Arc::clone(kept)),
            None => Filter::build(name, config, Arc::clone(module), parts.config.workers.unwrap_or(1)),
        };
        match built {
            Ok(filter) => drop(filters.insert(Arc::clone(name), filter)),
            Err(error) if over.is_some_and(|over| over.config.is_some()) => {
                problems.push(pushed_problem(&parts.source, name, &error));
            }
            Err(error) => problems.push(filter_problem(&parts.source, name, &error)),
        }
    }
    filters
}

/// Where in the file a filter that cannot be used is written.
pub fn filter_problem(source: &Source, name: &str, error: &LoadError) -> Problem {
    let problem = match error {
        LoadError::Refused(message) => source.filter_problem(name, message),
        error => {
            let message = format!("filter `{name}` cannot be used: {error}");
            source.problem_at(&["filters".into(), name.into(), "module".into()], message)
        }
    };
    problem.of_filter(name)
}

/// What is wrong with a configuration that was pushed has no place in the file but the filter's own.
fn pushed_problem(source: &Source, name: &str, error: &LoadError) -> Problem {
    let message = format!("filter `{name}`, with the configuration that was pushed: {error}");
    source.problem_at(&["filters".into(), name.into()], message).of_filter(name)
}

fn tls_problem(parts: &Parts, listener: &str, error: &tls::TlsError) -> Problem {
    let mut path: Vec<Step<'_>> = vec!["listeners".into(), listener.into(), "tls".into()];
    if let Some((index, key)) = error.place() {
        path.extend([Step::Key("certificates"), Step::Index(index), Step::Key(key)]);
    }
    parts.source.problem_at(&path, error.to_string())
}
