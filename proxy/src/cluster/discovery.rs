//! Where the endpoints of a cluster are: what the configuration lists, what DNS says of its names, what a file says.
//!
//! A [`Source`] knows the answer to one [`Query`]; `dns` asks name servers, `file` reads lists. Each is followed for as long
//! as a configuration mentions it, on the control runtime, and the last good answer is kept when asking fails. What is
//! learnt becomes part of the next snapshot; nothing here touches a cluster.

mod dns;
pub mod file;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::config::{self, EndpointSpec, Labels, Standing};

pub use dns::Resolver;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Query {
    /// The addresses of a name: A and AAAA.
    Host(Arc<str>),
    /// The hosts and ports of a service: SRV.
    Service(Arc<str>),
    /// The list in a file.
    File(Arc<Path>),
}

impl Query {
    /// Whether a name server is asked.
    fn is_of_dns(&self) -> bool {
        !matches!(self, Self::File(_))
    }
}

impl fmt::Display for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => write!(formatter, "the name {name}"),
            Self::Service(name) => write!(formatter, "the service {name}"),
            Self::File(path) => write!(formatter, "the list {}", path.display()),
        }
    }
}

/// What came of it. Cheap to clone, however long it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Addresses(Arc<[IpAddr]>),
    Endpoints(Arc<[config::Endpoint]>),
}

impl Answer {
    /// The order of addresses means nothing.
    pub fn of_addresses(mut addresses: Vec<IpAddr>) -> Self {
        addresses.sort_unstable();
        addresses.dedup();
        Self::Addresses(addresses.into())
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Addresses(addresses) => addresses.len(),
            Self::Endpoints(endpoints) => endpoints.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An answer, and when to ask again.
#[derive(Debug)]
pub struct Found {
    pub answer: Answer,
    /// `None`: when somebody says that it has changed.
    pub again: Option<Duration>,
}

/// What a source is doing while it looks.
pub type Finding<'a> = Pin<Box<dyn Future<Output = Result<Found, String>> + Send + 'a>>;

/// Something that knows endpoints. Each further place to get them from is one of these.
pub trait Source: Send + Sync + 'static {
    /// Asks once.
    fn find(&self) -> Finding<'_>;
    /// How long to wait after a failure; `None`: until somebody says that it has changed.
    fn retry(&self) -> Option<Duration>;
}

/// The source that answers a query; `None` where it takes a resolver and there is none.
pub fn source(query: &Query, resolver: Option<&Resolver>) -> Option<Box<dyn Source>> {
    Some(match query {
        Query::Host(host) => Box::new(dns::Host { resolver: resolver?.clone(), host: Arc::clone(host) }),
        Query::Service(name) => Box::new(dns::Service { resolver: resolver?.clone(), name: Arc::clone(name) }),
        Query::File(path) => Box::new(file::List(Arc::clone(path))),
    })
}

/// Asks for ever, and reports every good answer. Ends when `report` says that nobody listens. `changed` hurries it.
pub async fn follow(
    query: Query,
    source: Box<dyn Source>,
    changed: Arc<Notify>,
    mut report: impl AsyncFnMut(&Query, Answer) -> bool,
) {
    let mut failing = false;
    loop {
        let wait = match source.find().await {
            Ok(Found { answer, again }) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("{query} has an answer again");
                }
                if !report(&query, answer).await {
                    return;
                }
                again
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!("{query} has no answer; the last good one is kept: {error}");
                }
                source.retry()
            }
        };
        match wait {
            Some(wait) => drop(tokio::time::timeout(wait, changed.notified()).await),
            None => changed.notified().await,
        }
    }
}

/// Asks side by side for every name of the configuration that has no answer yet. One that does not resolve has no endpoints
/// until it does.
pub async fn find_new(resolver: Option<&Resolver>, config: &config::Config, mut resolved: Resolved) -> Resolved {
    let mut questions = JoinSet::new();
    for query in queries(config).into_iter().filter(|query| query.is_of_dns() && !resolved.knows(query)) {
        let Some(source) = source(&query, resolver) else { continue };
        questions.spawn(async move { (source.find().await, query) });
    }
    for (found, query) in questions.join_all().await {
        match found {
            Ok(Found { answer, .. }) => drop(resolved.learn(&query, answer)),
            Err(error) => tracing::warn!("{query} has no answer yet, and no endpoint until it does: {error}"),
        }
    }
    resolved
}

/// Everything that the clusters of a configuration ask for, once.
pub fn queries(config: &config::Config) -> BTreeSet<Query> {
    let of_cluster = |cluster: &config::Cluster| {
        let hosts = cluster.endpoints.iter().filter_map(|endpoint| match &endpoint.at {
            EndpointSpec::Name { host, .. } => Some(Query::Host(Arc::clone(host))),
            EndpointSpec::Address(_) => None,
        });
        hosts.chain(lists(cluster)).collect::<Vec<_>>()
    };
    config.clusters.values().flat_map(|cluster| of_cluster(cluster)).collect()
}

/// What a cluster has beside its `endpoints`.
fn lists(cluster: &config::Cluster) -> impl Iterator<Item = Query> {
    let service = cluster.srv.as_ref().map(|name| Query::Service(Arc::clone(name)));
    let file = cluster.endpoints_file.as_ref().map(|path| Query::File(Arc::clone(path)));
    [service, file].into_iter().flatten()
}

/// Whether a configuration asks name servers for anything.
pub fn needs_dns(config: &config::Config) -> bool {
    queries(config).iter().any(Query::is_of_dns)
}

/// An address, with what is said of it or of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub address: SocketAddr,
    /// The name that it is an address of, if it is listed by one.
    pub host: Option<Arc<str>>,
    pub labels: Arc<Labels>,
    pub standing: Standing,
}

/// The last good answer to each query.
#[derive(Debug, Clone, Default)]
pub struct Resolved(HashMap<Query, Answer>);

impl Resolved {
    /// Keeps an answer. False if it says what was known already.
    pub fn learn(&mut self, query: &Query, answer: Answer) -> bool {
        if self.0.get(query) == Some(&answer) {
            return false;
        }
        self.0.insert(query.clone(), answer);
        true
    }

    pub fn knows(&self, query: &Query) -> bool {
        self.0.contains_key(query)
    }

    pub fn forget_all_but(&mut self, queries: &BTreeSet<Query>) {
        self.0.retain(|query, _| queries.contains(query));
    }

    /// The endpoints of a cluster, each address once, in the order in which they are first named: those that it lists, then its
    /// service's, then its file's. What has no answer yet has none.
    pub fn endpoints(&self, cluster: &config::Cluster) -> Vec<Listed> {
        let mut found = Vec::with_capacity(cluster.endpoints.len());
        let mut seen = HashSet::with_capacity(cluster.endpoints.len());
        let mut add = |address: SocketAddr, host: Option<&Arc<str>>, endpoint: &config::Endpoint| {
            if seen.insert(address) {
                let (labels, standing) = (Arc::clone(&endpoint.labels), endpoint.standing.clone());
                found.push(Listed { address, host: host.cloned(), labels, standing });
            }
        };
        for endpoint in &cluster.endpoints {
            match &endpoint.at {
                EndpointSpec::Address(address) => add(*address, None, endpoint),
                EndpointSpec::Name { host, port } => {
                    let known = self.0.get(&Query::Host(Arc::clone(host)));
                    let Some(Answer::Addresses(addresses)) = known else { continue };
                    addresses.iter().for_each(|ip| add(SocketAddr::new(*ip, *port), Some(host), endpoint));
                }
            }
        }
        for query in lists(cluster) {
            let Some(Answer::Endpoints(endpoints)) = self.0.get(&query) else { continue };
            for endpoint in endpoints.iter() {
                if let EndpointSpec::Address(address) = endpoint.at {
                    add(address, None, endpoint);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_another_order_is_no_news() {
        let mut resolved = Resolved::default();
        let query = Query::Host("users.internal".into());
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert!(resolved.learn(&query, Answer::of_addresses(vec![b, a])));
        assert!(!resolved.learn(&query, Answer::of_addresses(vec![a, b])));
        assert!(resolved.learn(&query, Answer::of_addresses(vec![a])));
    }

    #[test]
    fn every_address_has_the_labels_of_what_named_it_first() {
        let mut resolved = Resolved::default();
        let host: Arc<str> = "users.internal".into();
        let labels = |zone: &str| Arc::new(Labels::from([("zone".to_owned(), zone.to_owned())]));
        let addresses = Answer::of_addresses(vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]);
        resolved.learn(&Query::Host(Arc::clone(&host)), addresses);
        let at = |number: u8| EndpointSpec::Address(([10, 0, 0, number], 80).into());
        let listed = |number, zone| config::Endpoint { at: at(number), labels: labels(zone), standing: Standing::default() };
        let path: Arc<Path> = Path::new("users.list").into();
        resolved.learn(&Query::File(Arc::clone(&path)), Answer::Endpoints([listed(2, "file"), listed(3, "file")].into()));
        resolved.learn(&Query::Service("_http._tcp.users".into()), Answer::Endpoints([listed(4, "srv")].into()));
        let name = Some(Arc::clone(&host));
        let mut cluster = config::Cluster::of(vec![
            listed(9, "own"),
            config::Endpoint { at: EndpointSpec::Name { host, port: 80 }, labels: labels("name"), standing: Standing::default() },
            config::Endpoint {
                at: EndpointSpec::Name { host: "unknown".into(), port: 80 },
                labels: Arc::default(),
                standing: Standing::default(),
            },
        ]);
        cluster.endpoints_file = Some(path);
        cluster.srv = Some("_http._tcp.users".into());
        let expected = [(9, "own"), (1, "name"), (2, "name"), (4, "srv"), (3, "file")];
        let expected = expected.map(|(number, zone)| Listed {
            address: SocketAddr::from(([10, 0, 0, number], 80)),
            host: name.clone().filter(|_| zone == "name"),
            labels: labels(zone),
            standing: Standing::default(),
        });
        assert_eq!(resolved.endpoints(&cluster), expected);
    }
}
