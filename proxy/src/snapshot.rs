//! A snapshot: one consistent, immutable state of the whole configuration, ready to serve.
//!
//! It is built beside the one that serves and carries over every part whose configuration did not change. One that
//! cannot be built changes nothing. [`Live`] is the only place in the process that is ever swapped.

mod certificates;
mod placed;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use certificates::{Certificates, Reread};

use crate::cluster::discovery::Resolved;
use crate::cluster::{Cluster, passing};
use crate::config::{self, Config, Mode, ModuleSource, Problem, Problems, Source};
use crate::exchange::tap::{Showing, Tap};
use crate::exchange::{Names, Onlooker, failure};
use crate::filter::hand::CopyCounts;
use crate::filter::host::inputs::{Input, Inputs};
use crate::filter::{Around, Filter, Grants, LoadError, Module, Plan, Reach, Role, Taken, chain};
use crate::store::{Store, Stores};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::{Family, Registry};
use crate::telemetry::redact::Redact;
use crate::telemetry::traffic::Traffic;
use crate::tls;
use crate::trace::Tracer;

/// What the counter of refused exchanges says of itself.
const OVERLOADED: &str = "Exchanges that were refused because more than limits.exchanges were under way.";

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
    /// What is in the files and resources that filters have as inputs.
    pub inputs: HashMap<config::Input, Arc<[u8]>>,
}

/// What takes the place of what the file says about one filter. All else about it is the file's.
#[derive(Debug, Clone, Default)]
pub struct Override {
    pub module: Option<Arc<Module>>,
    pub config: Option<Arc<serde_json::Value>>,
    /// A second version beside the live one, where the file has none.
    pub canary: Option<PushedCanary>,
}

/// A second version that was pushed.
#[derive(Debug, Clone)]
pub struct PushedCanary {
    pub module: Arc<Module>,
    pub percent: u32,
    /// To be pushed when it is promoted.
    pub bytes: Bytes,
}

/// See the module.
#[derive(Debug)]
pub struct Snapshot {
    pub config: Arc<Config>,
    pub listeners: HashMap<Arc<str>, Arc<Listener>>,
    /// Clusters and chains, which exchanges keep.
    pub reach: Arc<Reach>,
    pub filters: BTreeMap<Arc<str>, Arc<Filter>>,
    pub cluster_names: Arc<Names>,
    pub stores: Stores,
    pub access_log: Arc<AccessLog>,
    /// What telemetry shows nobody.
    pub redact: Arc<Redact>,
    /// The proxy's own metrics, handed on from the first snapshot to the last.
    pub metrics: Arc<Registry>,
    /// Counts exchanges that are refused because too many are under way in the process.
    pub overloaded: Arc<Family>,
    /// Who looks at exchanges.
    pub onlookers: Arc<[Arc<dyn Onlooker>]>,
    /// One of them, handed on from the first snapshot to the last.
    pub tap: Arc<Tap>,
    /// `None`: nothing is told of sampled exchanges.
    pub tracer: Option<Arc<Tracer>>,
}

/// What exchanges of one listener need.
#[derive(Debug)]
pub struct Listener {
    pub name: Arc<str>,
    pub config: Arc<config::Listener>,
    pub filters: Arc<[Arc<Filter>]>,
    pub tls: Option<Arc<tls::Server>>,
    pub access_log: Arc<AccessLog>,
    pub traffic: Arc<Traffic>,
}

/// What a certificate belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Listener,
    Cluster,
}

impl Snapshot {
    /// Every certificate that something is made of, and what it belongs to.
    pub fn held(&self) -> impl Iterator<Item = (Section, &str, &tls::Held)> {
        let of_listeners = self.listeners.values().flat_map(|listener| {
            let held = listener.tls.iter().flat_map(|tls| &tls.held);
            held.map(|held| (Section::Listener, &*listener.name, held))
        });
        let of_clusters = self.reach.clusters.values().flat_map(|cluster| {
            let held = cluster.tls.iter().flat_map(|tls| &tls.held);
            held.map(|held| (Section::Cluster, &*cluster.name, held))
        });
        of_listeners.chain(of_clusters)
    }

    /// Builds everything that is new, and lists every mistake. `reread` also reads certificates again whose paths are
    /// the same as before. Configures filters, so it runs on a thread that may block.
    pub fn build(parts: &Parts, previous: Option<&Snapshot>, reread: bool) -> Result<Self, Problems> {
        Self::build_with(parts, previous, if reread { Reread::Strictly } else { Reread::No })
    }

    /// What is no mistake, but may surprise who wrote it.
    pub fn notes(&self, source: &Source) -> Problems {
        placed::notes(self, source).into()
    }

    /// The same snapshot with the certificates that are there now. Those that cannot be used stay as they were, which is told
    /// and counted; `None`: there are no others.
    pub fn renew(parts: &Parts, previous: &Snapshot) -> Result<Option<Self>, Problems> {
        if !certificates::are_stale(previous) {
            return Ok(None);
        }
        let renewed = Self::build_with(parts, Some(previous), Reread::Leniently)?;
        Ok(certificates::differ(previous, &renewed).then_some(renewed))
    }

    fn build_with(parts: &Parts, previous: Option<&Snapshot>, reread: Reread) -> Result<Self, Problems> {
        let config = &parts.config;
        let mut problems = Vec::new();
        let redact = match previous.filter(|previous| previous.config.redact == config.redact) {
            Some(previous) => Arc::clone(&previous.redact),
            None => Arc::new(Redact::new(&config.redact)),
        };
        let access_log = access_log(parts, &redact, previous).map_err(|problem| problems.push(problem)).ok();
        let metrics = previous.map(|previous| Arc::clone(&previous.metrics)).unwrap_or_default();
        let tap = previous.map_or_else(|| Arc::new(Tap::new(&metrics)), |previous| Arc::clone(&previous.tap));
        let tracer = tracer(parts, &redact, previous, &metrics).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let stores = config.stores.iter().map(|(name, store)| {
            let previous = previous.and_then(|previous| previous.stores.get(name));
            (Arc::clone(name), Store::build(name, store, previous))
        });
        let stores: Stores = stores.collect();
        let certificates = Certificates { parts, reread, failed: certificates::failures(&metrics) };
        let filters = filters(parts, &stores, previous, &metrics, &mut problems);
        let mut clusters = HashMap::new();
        for (name, cluster) in &config.clusters {
            let previous = previous.and_then(|previous| previous.reach.clusters.get(name));
            match certificates.client(name, cluster, previous) {
                Ok(tls) => {
                    let built = Cluster::build_with(name, cluster, &parts.resolved, tls, previous);
                    clusters.insert(Arc::clone(name), built);
                }
                Err(problem) => problems.push(problem),
            }
        }
        if config.listeners.values().any(|listener| listener.original_destination) {
            passing::begin_to_remember();
        }
        let chain = |section: &'static str, name: &str, names: &[Arc<str>]| -> Result<Arc<[Arc<Filter>]>, Problem> {
            let chain: Arc<[_]> = names.iter().filter_map(|filter| filters.get(filter).cloned()).collect();
            if chain.len() > chain::FILTERS_MAX {
                let message = format!("expected at most {} filters in a chain, found {}", chain::FILTERS_MAX, chain.len());
                return Err(parts.source.problem_at(&[section.into(), name.into(), "filters".into()], message));
            }
            Ok(chain)
        };
        let mut chains = HashMap::new();
        for (name, config) in &config.chains {
            match chain("chains", name, &config.filters) {
                Ok(chain) => drop(chains.insert(Arc::clone(name), chain)),
                Err(problem) => problems.push(problem),
            }
        }
        let mut listeners = HashMap::new();
        for (name, listener) in &config.listeners {
            let chain = match chain("listeners", name, &listener.filters) {
                Ok(chain) => chain,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            problems.extend(placed::misplaced(&parts.source, name, listener.protocol, &chain));
            let previous = previous.and_then(|previous| previous.listeners.get(name));
            let tls = match certificates.server(name, listener, previous) {
                Ok(tls) => tls,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            let counted = previous.map(|previous| &*previous.traffic);
            let workers = config.workers.unwrap_or(1);
            let on = listener.access_log;
            if let Some(access_log) = &access_log {
                let listener = Listener {
                    name: Arc::clone(name),
                    config: Arc::clone(listener),
                    filters: chain,
                    tls,
                    access_log: if on { Arc::clone(access_log) } else { Arc::new(access_log.silent()) },
                    traffic: Arc::new(Traffic::new(name, clusters.keys(), workers, failure::Kind::REASONS, counted)),
                };
                listeners.insert(Arc::clone(name), Arc::new(listener));
            }
        }
        match access_log {
            Some(access_log) if problems.is_empty() => Ok(Self {
                onlookers: onlookers(&tap, &redact, tracer.as_ref()),
                config: Arc::clone(config),
                listeners,
                cluster_names: Arc::new(clusters.keys().cloned().collect()),
                reach: Arc::new(Reach {
                    clusters,
                    chains_complete: chains.values().any(|chain| chain::completes(chain.iter())),
                    chains,
                    completing_max: config.limits.complete_hooks.div_ceil(config.workers.unwrap_or(1).max(1)),
                    copies: CopyCounts::of(&metrics),
                }),
                filters,
                stores,
                access_log,
                tap,
                redact,
                tracer,
                overloaded: metrics.counter("tamis_overloaded_total", OVERLOADED, &[]),
                metrics,
            }),
            _ => Err(Problems::from(problems)),
        }
    }
}

fn access_log(parts: &Parts, redact: &Arc<Redact>, previous: Option<&Snapshot>) -> Result<Arc<AccessLog>, Problem> {
    let config = &parts.config.access_log;
    let previous = previous.map(|previous| &previous.access_log);
    if let Some(same) = previous.filter(|previous| previous.is_of(config, redact)) {
        return Ok(Arc::clone(same));
    }
    AccessLog::open(config, redact, previous.map(|previous| &**previous)).map(Arc::new).map_err(|error| {
        let message = format!("cannot open the access log: {error}");
        parts.source.problem_at(&["access-log".into(), "output".into()], message)
    })
}

/// Who looks at exchanges.
fn onlookers(tap: &Arc<Tap>, redact: &Arc<Redact>, tracer: Option<&Arc<Tracer>>) -> Arc<[Arc<dyn Onlooker>]> {
    let showing: Arc<dyn Onlooker> = Arc::new(Showing::new(tap, redact));
    std::iter::once(showing).chain(tracer.map(|tracer| Arc::clone(tracer) as Arc<dyn Onlooker>)).collect()
}

/// One that does what is to be done goes on.
fn tracer(
    parts: &Parts,
    redact: &Arc<Redact>,
    previous: Option<&Snapshot>,
    metrics: &Registry,
) -> Result<Option<Arc<Tracer>>, Problem> {
    let Some(tracing) = &parts.config.tracing else { return Ok(None) };
    let kept = previous.and_then(|previous| previous.tracer.as_ref()).filter(|tracer| tracer.serves(tracing, redact));
    if let Some(kept) = kept {
        return Ok(Some(Arc::clone(kept)));
    }
    match Tracer::start(tracing, redact, metrics) {
        Ok(tracer) => Ok(tracer.map(Arc::new)),
        Err(error) => Err(parts.source.problem_at(&["tracing".into(), "ca".into()], error.to_string())),
    }
}

/// Filters whose module and configuration are the same are carried over with their instances; then the others are built,
/// which hear of the metrics that are taken.
fn filters(
    parts: &Parts,
    stores: &Stores,
    previous: Option<&Snapshot>,
    metrics: &Registry,
    problems: &mut Vec<Problem>,
) -> BTreeMap<Arc<str>, Arc<Filter>> {
    let before = |name: &Arc<str>| previous.and_then(|previous| previous.filters.get(name));
    let mut filters = BTreeMap::new();
    let mut new = Vec::new();
    for (name, config) in &parts.config.filters {
        // A module that could not be loaded has been reported by who tried, and so has an input that could not be read.
        let Some(of_file) = parts.modules.get(&config.module) else { continue };
        let Some(inputs) = inputs(parts, config) else { continue };
        let over = parts.overrides.get(name);
        let module = Arc::clone(over.and_then(|over| over.module.as_ref()).unwrap_or(of_file));
        let config = match over.and_then(|over| over.config.as_ref()) {
            Some(pushed) => Arc::new(config::Filter { config: Arc::clone(pushed), ..config::Filter::clone(config) }),
            None => Arc::clone(config),
        };
        let name = Arc::clone(name);
        let plan = plan(name, config, module, inputs, stores, parts);
        match before(&plan.name).filter(|kept| kept.is_built_from(&plan)) {
            Some(kept) => drop(filters.insert(plan.name, Arc::clone(kept))),
            None => new.push(plan),
        }
    }
    for plan in new {
        let name = Arc::clone(&plan.name);
        let around = Around {
            workers: parts.config.workers.unwrap_or(1),
            previous: before(&name).map(|previous| &**previous),
            metrics,
            taken: Taken::by(filters.values().map(|filter: &Arc<Filter>| (&filter.name, &filter.setup.metrics))),
        };
        match Filter::build(plan, &around) {
            Ok(filter) => drop(filters.insert(name, filter)),
            Err(error) if parts.overrides.get(&name).is_some_and(|over| over.config.is_some()) => {
                problems.push(pushed_problem(&parts.source, &name, &error));
            }
            Err(error) => problems.extend(filter_problems(&parts.source, &name, &error)),
        }
    }
    filters
}

/// What a filter is to be built from, with its second version if it has one.
fn plan(
    name: Arc<str>,
    config: Arc<config::Filter>,
    module: Arc<Module>,
    inputs: Inputs,
    stores: &Stores,
    parts: &Parts,
) -> Plan {
    let watched = |name: &str| Grants::watched(&config.allow, stores, name, config.observe_calls);
    let pushed = parts.overrides.get(&name).and_then(|over| over.canary.as_ref());
    let second = |module: &Arc<Module>, role: Role| {
        let name: Arc<str> = format!("{name}@{}", role.word()).into();
        let grants = if role == Role::Observed { watched(&name) } else { Grants::new(&config.allow, stores) };
        let (config, inputs) = (Arc::clone(&config), Arc::clone(&inputs));
        let module = Arc::clone(module);
        (Box::new(Plan { name, config, module, grants, inputs, beside: None }), role)
    };
    let of_file = |source: &ModuleSource, role: Role| parts.modules.get(source).map(|module| second(module, role));
    let beside = match (&config.observe, &config.canary) {
        (_, Some(canary)) => of_file(&canary.module, Role::Canary(canary.percent)),
        (Some(source), None) => of_file(source, Role::Observed),
        (None, None) if config.mode == Mode::Observe => None,
        (None, None) => pushed.map(|canary| second(&canary.module, Role::Canary(canary.percent))),
    };
    let grants = if config.mode == Mode::Observe { watched(&name) } else { Grants::new(&config.allow, stores) };
    Plan { name, config, module, grants, inputs, beside }
}

/// What is in the inputs of a filter.
fn inputs(parts: &Parts, config: &config::Filter) -> Option<Inputs> {
    let found = config.inputs.iter().map(|(name, input)| {
        let content = Arc::clone(parts.inputs.get(input)?);
        Some(Input { name: Arc::clone(name), content })
    });
    found.collect()
}

/// Where in the file a filter that cannot be used is written.
pub fn filter_problems(source: &Source, name: &str, error: &LoadError) -> Vec<Problem> {
    let problems = match error {
        LoadError::Refused(messages) => messages.iter().map(|message| source.filter_problem(name, message)).collect(),
        error => {
            let message = format!("filter `{name}` cannot be used: {error}");
            vec![source.problem_at(&["filters".into(), name.into(), "module".into()], message)]
        }
    };
    problems.into_iter().map(|problem| problem.of_filter(name)).collect()
}

/// What is wrong with a configuration that was pushed has no place in the file but the filter's own.
fn pushed_problem(source: &Source, name: &str, error: &LoadError) -> Problem {
    let message = format!("filter `{name}`, with the configuration that was pushed: {error}");
    source.problem_at(&["filters".into(), name.into()], message).of_filter(name)
}
