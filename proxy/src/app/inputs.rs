//! What is read beside the configuration: inputs of filters, whose resources are fetched from their cluster, and lists of
//! endpoints. Off the workers, always.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::discovery::{Query, Resolved, file};
use crate::cluster::{Cluster, Wishes, pool};
use crate::config::{Config, Input, Problems, Source};
use crate::filter::Reach;
use crate::filter::host::http_client::{self, Answer, Call};
use crate::tls;

/// Bytes of one input: it has to fit into the memory of a filter.
pub const INPUT_BYTES_MAX: u64 = 64 << 20;
/// One attempt to fetch a resource.
const FETCH: Duration = Duration::from_secs(10);

/// What is in every input.
pub type Contents = HashMap<Input, Arc<[u8]>>;

/// Reads every input of a configuration. A resource that cannot be fetched stays as it was in `known`.
pub fn load(config: &Config, source: &Source, resolved: &Resolved, known: &Contents) -> (Contents, Problems) {
    let mut loaded = Contents::new();
    let mut problems = Problems::new();
    for (filter, settings) in &config.filters {
        for (name, input) in &settings.inputs {
            if loaded.contains_key(input) {
                continue;
            }
            let read = read(input, config, resolved);
            let content = match (read, known.get(input), input) {
                (Ok(content), ..) => content,
                (Err(error), Some(known), Input::Resource { .. }) => {
                    tracing::warn!(%filter, input = %name, %error, "the input stays as it was");
                    Arc::clone(known)
                }
                (Err(error), ..) => {
                    let path = ["filters".into(), (&**filter).into(), "inputs".into(), (&**name).into()];
                    problems.push(source.problem_at(&path, format!("the input cannot be read: {error}")));
                    continue;
                }
            };
            loaded.insert(input.clone(), content);
        }
    }
    (loaded, problems)
}

/// Reads every list of endpoints of a configuration. One that is known and cannot be read stays as it was.
pub fn load_endpoints(config: &Config, source: &Source, resolved: &mut Resolved) -> Problems {
    let mut problems = Problems::new();
    for (cluster, settings) in &config.clusters {
        let Some(path) = &settings.endpoints_file else { continue };
        let query = Query::File(Arc::clone(path));
        match file::read(path) {
            Ok(answer) => drop(resolved.learn(&query, answer)),
            Err(error) if resolved.knows(&query) => tracing::warn!(%cluster, "the list of endpoints stays as it was: {error}"),
            Err(error) => {
                let path = ["clusters".into(), (&**cluster).into(), "endpoints-file".into()];
                problems.push(source.problem_at(&path, format!("the list of endpoints cannot be used: {error}")));
            }
        }
    }
    problems
}

/// The files only: what cannot be fetched while checking is taken for empty.
pub fn load_files(config: &Config, source: &Source) -> (Contents, Problems) {
    let known: Contents = resources(config).into_iter().map(|input| (input, Arc::from([]))).collect();
    load(config, source, &Resolved::default(), &known)
}

/// Reads one input anew.
pub fn read(input: &Input, config: &Config, resolved: &Resolved) -> Result<Arc<[u8]>, String> {
    match input {
        Input::File(path) => read_file(path),
        Input::Resource { cluster, target, .. } => {
            let settings = config.clusters.get(cluster).ok_or_else(|| format!("there is no cluster `{cluster}`"))?;
            let tls =
                settings.tls.as_ref().map(|tls| tls::Client::build(tls, None)).transpose().map_err(|error| error.to_string())?;
            fetch(&Cluster::build_with(cluster, settings, resolved, tls, None), target)
        }
    }
}

fn read_file(path: &Path) -> Result<Arc<[u8]>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(format!("{} has more than {INPUT_BYTES_MAX} bytes", path.display()));
    }
    Ok(bytes.into())
}

/// Fetches a resource again from a cluster that serves. Runs on a thread that may block.
pub fn fetch_again(input: &Input, reach: &Reach) -> Result<Arc<[u8]>, String> {
    let Input::Resource { cluster, target, .. } = input else { return Err("only resources are fetched".to_owned()) };
    let found = reach.clusters.get(cluster).ok_or_else(|| format!("there is no cluster `{cluster}`"))?;
    fetch(found, target)
}

/// One GET. Runs on a thread that may block, with connections of its own.
fn fetch(cluster: &Arc<Cluster>, target: &str) -> Result<Arc<[u8]>, String> {
    let call = Call {
        cluster: cluster.name.to_string(),
        method: "GET".to_owned(),
        target: target.to_owned(),
        authority: None,
        fields: Vec::new(),
        body: Vec::new(),
        trailers: Vec::new(),
        timeout: FETCH,
    };
    let request = http_client::request(cluster, call).ok_or_else(|| format!("`{target}` cannot be requested"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    let room = Cell::new(INPUT_BYTES_MAX as usize);
    let answer = runtime.map_err(|error| error.to_string())?.block_on(async {
        let answer =
            tokio::time::timeout(FETCH, http_client::exchange(cluster, request, &Wishes::default(), &http_client::within(&room)))
                .await;
        // This thread goes on to other work, and needs its connections no more.
        pool::sweep(&Arc::default());
        answer
    });
    match answer {
        Ok(Ok(Answer { status: 200, body, .. })) => Ok(body.to_vec().into()),
        Ok(Ok(Answer { status, .. })) => Err(format!("cluster `{}` answered {status}, expected 200", cluster.name)),
        Ok(Err(error)) => Err(format!("cluster `{}` did not answer: {error:?}", cluster.name)),
        Err(_) => Err(format!("cluster `{}` did not answer within {FETCH:?}", cluster.name)),
    }
}

/// The resources that a configuration names, each to be fetched again and again.
pub fn resources(config: &Config) -> BTreeSet<Input> {
    let inputs = config.filters.values().flat_map(|filter| filter.inputs.values());
    inputs.filter(|input| matches!(input, Input::Resource { .. })).cloned().collect()
}
