//! Names of endpoints become addresses: asked again by TTL, and the last good answer is kept when asking fails.
//!
//! Runs on the control runtime. What it learns becomes part of the next snapshot; it touches no cluster itself.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::task::JoinSet;

use crate::config::{self, EndpointSpec, Labels, Standing};

/// The last good answer for each name.
#[derive(Debug, Clone, Default)]
pub struct Resolved(HashMap<Arc<str>, Vec<IpAddr>>);

/// An address, with what the configuration says of it or of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub address: SocketAddr,
    pub labels: Arc<Labels>,
    pub standing: Standing,
}

impl Resolved {
    /// Keeps an answer. False if it says what was known already; the order of addresses means nothing.
    pub fn learn(&mut self, host: &Arc<str>, mut addresses: Vec<IpAddr>) -> bool {
        addresses.sort_unstable();
        addresses.dedup();
        self.0.insert(Arc::clone(host), addresses.clone()).as_ref() != Some(&addresses)
    }

    pub fn knows(&self, host: &str) -> bool {
        self.0.contains_key(host)
    }

    pub fn forget_all_but(&mut self, hosts: &[Arc<str>]) {
        self.0.retain(|host, _| hosts.contains(host));
    }

    /// In the order of `endpoints`; a name without an answer yet has none.
    pub fn addresses(&self, endpoints: &[config::Endpoint]) -> Vec<Found> {
        let mut addresses = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            let found = |address| Found { address, labels: Arc::clone(&endpoint.labels), standing: endpoint.standing.clone() };
            match &endpoint.at {
                EndpointSpec::Address(address) => addresses.push(found(*address)),
                EndpointSpec::Name { host, port } => {
                    let known = self.0.get(host).into_iter().flatten();
                    addresses.extend(known.map(|ip| found(SocketAddr::new(*ip, *port))));
                }
            }
        }
        addresses
    }
}

/// Every name that the clusters of a configuration mention, once.
pub fn names(config: &config::Config) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = config
        .clusters
        .values()
        .flat_map(|cluster| &cluster.endpoints)
        .filter_map(|endpoint| match &endpoint.at {
            EndpointSpec::Name { host, .. } => Some(Arc::clone(host)),
            EndpointSpec::Address(_) => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Asks DNS.
#[derive(Clone)]
pub struct Resolver {
    resolver: TokioResolver,
    config: config::Dns,
}

impl Resolver {
    /// Uses the servers of the configuration, else those of the system.
    pub fn build(config: &config::Dns) -> Result<Self, NetError> {
        let mut builder = if config.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = config.servers.iter().map(|server| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.to_vec())
            });
            TokioResolver::builder_with_config(
                ResolverConfig::from_name_servers(servers.collect()),
                TokioRuntimeProvider::default(),
            )
        };
        // The loop below is the cache.
        builder.options_mut().cache_size = 0;
        Ok(Self { resolver: builder.build()?, config: config.clone() })
    }

    /// One question. The answer comes with the time after which it is to be asked again.
    pub async fn resolve(&self, host: &str) -> Result<(Vec<IpAddr>, Duration), String> {
        let answer = tokio::time::timeout(self.config.query_timeout, self.resolver.lookup_ip(host));
        let answer = answer.await.map_err(|_| format!("no answer within {:?}", self.config.query_timeout))?;
        let answer = answer.map_err(|error| error.to_string())?;
        let ttl = answer.valid_until().saturating_duration_since(Instant::now()).max(self.config.ttl_min);
        Ok((answer.iter().collect(), ttl))
    }

    /// Asks side by side for every name of the configuration that has no answer yet. One that does not resolve has no
    /// endpoints until it does.
    pub async fn resolve_new(&self, config: &config::Config, mut resolved: Resolved) -> Resolved {
        let mut questions = JoinSet::new();
        for host in names(config).into_iter().filter(|host| !resolved.knows(host)) {
            let resolver = self.clone();
            questions.spawn(async move { (resolver.resolve(&host).await, host) });
        }
        for (answer, host) in questions.join_all().await {
            match answer {
                Ok((addresses, _)) => drop(resolved.learn(&host, addresses)),
                Err(error) => tracing::warn!(%host, %error, "the name does not resolve yet; it has no endpoint until it does"),
            }
        }
        resolved
    }

    /// Asks for ever, and reports every good answer. Ends when `report` says that nobody listens.
    pub async fn follow(self, host: Arc<str>, mut report: impl AsyncFnMut(&Arc<str>, Vec<IpAddr>) -> bool) {
        let mut failing = false;
        loop {
            let wait = match self.resolve(&host).await {
                Ok((addresses, ttl)) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!(%host, "the name resolves again");
                    }
                    if !report(&host, addresses).await {
                        return;
                    }
                    ttl
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%host, %error, "the name does not resolve; the last good answer is kept");
                    }
                    self.config.retry
                }
            };
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use hickory_resolver::proto::op::{Message, ResponseCode};
    use hickory_resolver::proto::rr::rdata::A;
    use hickory_resolver::proto::rr::{RData, Record, RecordType};
    use std::net::Ipv4Addr;
    use tokio::net::UdpSocket;

    /// A name server that answers with the next of these addresses each time it is asked for an IPv4 one; after the
    /// last it fails.
    async fn name_server(addresses: Vec<Ipv4Addr>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        tokio::spawn(async move {
            let mut addresses = addresses.into_iter();
            let mut buffer = [0; 512];
            while let Ok((count, client)) = socket.recv_from(&mut buffer).await {
                let question = Message::from_vec(&buffer[..count]).expect("a question");
                let query = question.queries.first().cloned().expect("one query");
                let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
                if query.query_type() == RecordType::A {
                    match addresses.next() {
                        Some(address) => {
                            answer.add_answer(Record::from_rdata(query.name().clone(), 0, RData::A(A(address))));
                        }
                        None => answer.metadata.response_code = ResponseCode::ServFail,
                    }
                }
                answer.add_query(query);
                let _ = socket.send_to(&answer.to_vec().expect("a message"), client).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_name_is_asked_again_and_a_failure_is_no_answer() {
        let (first, second) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let config = config::Dns {
            servers: vec![name_server(vec![first, second]).await],
            query_timeout: Duration::from_secs(5),
            ttl_min: Duration::from_millis(1),
            retry: Duration::from_millis(1),
        };
        let resolver = Resolver::build(&config).expect("servers of its own");
        let (reports, mut reported) = tokio::sync::mpsc::channel(8);
        let report = async move |_: &Arc<str>, addresses| reports.send(addresses).await.is_ok();
        let following = tokio::spawn(resolver.clone().follow("users.internal.".into(), report));
        assert_eq!(reported.recv().await, Some(vec![IpAddr::from(first)]));
        assert_eq!(reported.recv().await, Some(vec![IpAddr::from(second)]));
        assert!(resolver.resolve("users.internal.").await.is_err());
        assert!(reported.try_recv().is_err());
        following.abort();
    }

    #[test]
    fn an_answer_in_another_order_is_no_news() {
        let mut resolved = Resolved::default();
        let host: Arc<str> = "users.internal".into();
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert!(resolved.learn(&host, vec![b, a]));
        assert!(!resolved.learn(&host, vec![a, b]));
        assert!(resolved.learn(&host, vec![a]));
    }

    #[test]
    fn every_address_of_a_name_has_its_labels() {
        let mut resolved = Resolved::default();
        let host: Arc<str> = "users.internal".into();
        resolved.learn(&host, vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]);
        let none = Arc::new(Labels::new());
        let zone = Arc::new(Labels::from([("zone".to_owned(), "a".to_owned())]));
        let endpoints = [
            config::Endpoint {
                at: EndpointSpec::Name { host, port: 80 },
                labels: Arc::clone(&zone),
                standing: Standing::default(),
            },
            config::Endpoint {
                at: EndpointSpec::Address(([10, 0, 0, 9], 81).into()),
                labels: Arc::clone(&none),
                standing: Standing::default(),
            },
            config::Endpoint {
                at: EndpointSpec::Name { host: "unknown".into(), port: 80 },
                labels: Arc::clone(&none),
                standing: Standing::default(),
            },
        ];
        let found = |address: ([u8; 4], u16), labels: &Arc<Labels>| Found {
            address: address.into(),
            labels: Arc::clone(labels),
            standing: Standing::default(),
        };
        let expected = [found(([10, 0, 0, 1], 80), &zone), found(([10, 0, 0, 2], 80), &zone), found(([10, 0, 0, 9], 81), &none)];
        assert_eq!(resolved.addresses(&endpoints), expected);
    }
}
