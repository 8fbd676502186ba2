//! Names and services become addresses: asked again by TTL.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use tokio::task::JoinSet;

use super::{Answer, Finding, Found, Source};
use crate::config::{self, EndpointSpec, Standing};

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
        // Whoever follows a name is the cache.
        builder.options_mut().cache_size = 0;
        Ok(Self { resolver: builder.build()?, config: config.clone() })
    }

    /// The addresses of a name, and until when they hold.
    async fn host(&self, host: &str) -> Result<(Vec<std::net::IpAddr>, Instant), String> {
        let answer = self.in_time(self.resolver.lookup_ip(host)).await?;
        Ok((answer.iter().collect(), answer.valid_until()))
    }

    /// Where a service is: each address of each target, with the record's priority and weight. A target that does not
    /// resolve is left out as long as another one does.
    async fn service(&self, name: &str) -> Result<(Vec<config::Endpoint>, Instant), String> {
        let answer = self.in_time(self.resolver.srv_lookup(name)).await?;
        let mut valid_until = answer.valid_until();
        let mut targets = JoinSet::new();
        for record in answer.answers() {
            let RData::SRV(srv) = &record.data else { continue };
            // A dot says that the service is decidedly not there (RFC 2782).
            if srv.target.is_root() || srv.port == 0 {
                continue;
            }
            let (resolver, srv) = (self.clone(), srv.clone());
            targets.spawn(async move { (resolver.host(&srv.target.to_string()).await, srv) });
        }
        let (mut endpoints, mut failure) = (Vec::new(), None);
        let found = targets.join_all().await;
        let standings = Standings::of(found.iter().map(|(_, srv)| (srv.priority, srv.weight)).collect());
        for (found, srv) in found {
            match found {
                Ok((addresses, until)) => {
                    valid_until = valid_until.min(until);
                    let standing = standings.standing(srv.priority, srv.weight);
                    endpoints.extend(addresses.into_iter().map(|ip| config::Endpoint {
                        at: EndpointSpec::Address(SocketAddr::new(ip, srv.port)),
                        labels: Arc::default(),
                        standing: standing.clone(),
                    }));
                }
                Err(error) => failure = Some(format!("its target {}: {error}", srv.target)),
            }
        }
        match failure {
            Some(error) if endpoints.is_empty() => return Err(error),
            Some(error) => {
                tracing::warn!(service = name, "left out: {error}");
                valid_until = valid_until.min(Instant::now() + self.config.retry);
            }
            None => {}
        }
        // The order of records means nothing.
        endpoints.sort_by(|one, other| (one.standing.priority, &one.at).cmp(&(other.standing.priority, &other.at)));
        Ok((endpoints, valid_until))
    }

    async fn in_time<T>(&self, question: impl Future<Output = Result<T, NetError>>) -> Result<T, String> {
        let answer = tokio::time::timeout(self.config.query_timeout, question).await;
        let answer = answer.map_err(|_| format!("no answer within {:?}", self.config.query_timeout))?;
        answer.map_err(|error| error.to_string())
    }

    fn again(&self, valid_until: Instant) -> Option<Duration> {
        Some(valid_until.saturating_duration_since(Instant::now()).max(self.config.ttl_min))
    }
}

/// The largest weight of an endpoint, and the last priority.
const WEIGHT_MAX: u32 = 10_000;
const PRIORITY_MAX: u32 = 15;

/// What priorities and weights of SRV records are in the words of clusters. Priorities are numbered from 0 on, for only their
/// order means something. A weight of 0 beside others is one that is hardly ever chosen (RFC 2782).
struct Standings {
    priorities: Vec<u16>,
    weight_max: u32,
    has_zero: bool,
}

impl Standings {
    fn of(records: Vec<(u16, u16)>) -> Self {
        let mut priorities: Vec<_> = records.iter().map(|(priority, _)| *priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        let weights = records.iter().map(|(_, weight)| u32::from(*weight));
        Self { priorities, weight_max: weights.clone().max().unwrap_or(0), has_zero: weights.min() == Some(0) }
    }

    fn standing(&self, priority: u16, weight: u16) -> Standing {
        let priority = self.priorities.partition_point(|before| *before < priority);
        let weight = match u32::from(weight) {
            _ if self.weight_max == 0 => 1,
            0 => 1,
            weight if self.has_zero || self.weight_max > WEIGHT_MAX => (weight * WEIGHT_MAX / self.weight_max).max(1),
            weight => weight,
        };
        let priority = u32::try_from(priority).unwrap_or(PRIORITY_MAX).min(PRIORITY_MAX);
        Standing { weight, priority, zone: None }
    }
}

/// The addresses of a name.
pub struct Host {
    pub resolver: Resolver,
    pub host: Arc<str>,
}

impl Source for Host {
    fn find(&self) -> Finding<'_> {
        Box::pin(async {
            let (addresses, valid_until) = self.resolver.host(&self.host).await?;
            Ok(Found { answer: Answer::of_addresses(addresses), again: self.resolver.again(valid_until) })
        })
    }

    fn retry(&self) -> Option<Duration> {
        Some(self.resolver.config.retry)
    }
}

/// The hosts and ports of a service.
pub struct Service {
    pub resolver: Resolver,
    pub name: Arc<str>,
}

impl Source for Service {
    fn find(&self) -> Finding<'_> {
        Box::pin(async {
            let (endpoints, valid_until) = self.resolver.service(&self.name).await?;
            Ok(Found { answer: Answer::Endpoints(endpoints.into()), again: self.resolver.again(valid_until) })
        })
    }

    fn retry(&self) -> Option<Duration> {
        Some(self.resolver.config.retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::{IpAddr, Ipv4Addr};

    use hickory_resolver::proto::op::{Message, ResponseCode};
    use hickory_resolver::proto::rr::rdata::{A, SRV};
    use hickory_resolver::proto::rr::{Name, Record, RecordType};
    use tokio::net::UdpSocket;
    use tokio::sync::Notify;

    use crate::cluster::discovery::{Query, follow};

    /// A name server that says what it is told to of a name and a type; `None`: it fails.
    async fn name_server(mut say: impl FnMut(&str, RecordType) -> Option<Vec<RData>> + Send + 'static) -> Resolver {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((count, client)) = socket.recv_from(&mut buffer).await {
                let question = Message::from_vec(&buffer[..count]).expect("a question");
                let query = question.queries.first().cloned().expect("one query");
                let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
                match say(&query.name().to_string(), query.query_type()) {
                    Some(records) => records.into_iter().for_each(|data| {
                        answer.add_answer(Record::from_rdata(query.name().clone(), 0, data));
                    }),
                    None => answer.metadata.response_code = ResponseCode::ServFail,
                }
                answer.add_query(query);
                let _ = socket.send_to(&answer.to_vec().expect("a message"), client).await;
            }
        });
        let config = config::Dns {
            servers: vec![address],
            query_timeout: Duration::from_secs(5),
            ttl_min: Duration::from_millis(1),
            retry: Duration::from_millis(1),
        };
        Resolver::build(&config).expect("servers of its own")
    }

    #[tokio::test]
    async fn a_name_is_asked_again_and_a_failure_is_no_answer() {
        let (first, second) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let mut addresses = vec![first, second].into_iter();
        let resolver = name_server(move |_, kind| match kind {
            RecordType::A => addresses.next().map(|address| vec![RData::A(A(address))]),
            _ => Some(Vec::new()),
        })
        .await;
        let (reports, mut reported) = tokio::sync::mpsc::channel(8);
        let report = async move |_: &Query, answer| reports.send(answer).await.is_ok();
        let host: Arc<str> = "users.internal.".into();
        let source = Box::new(Host { resolver: resolver.clone(), host: Arc::clone(&host) });
        let following = tokio::spawn(follow(Query::Host(host), source, Arc::<Notify>::default(), report));
        assert_eq!(reported.recv().await, Some(Answer::of_addresses(vec![IpAddr::from(first)])));
        assert_eq!(reported.recv().await, Some(Answer::of_addresses(vec![IpAddr::from(second)])));
        assert!(resolver.host("users.internal.").await.is_err());
        assert!(reported.try_recv().is_err());
        following.abort();
    }

    #[test]
    fn priorities_are_numbered_and_weights_keep_their_proportions() {
        let all = |records: &[(u16, u16)]| -> Vec<(u32, u32)> {
            let standings = Standings::of(records.to_vec());
            let standings = records.iter().map(|(priority, weight)| standings.standing(*priority, *weight));
            standings.map(|standing| (standing.priority, standing.weight)).collect()
        };
        assert_eq!(all(&[(10, 3), (30, 1), (20, 2)]), [(0, 3), (2, 1), (1, 2)]);
        assert_eq!(all(&[(0, 0), (0, 0)]), [(0, 1), (0, 1)]);
        assert_eq!(all(&[(0, 0), (0, 2), (0, 4)]), [(0, 1), (0, 5000), (0, 10_000)]);
        assert_eq!(all(&[(0, 60_000), (0, 30_000), (0, 1)]), [(0, 10_000), (0, 5000), (0, 1)]);
        let many: Vec<_> = (0..40).map(|priority| (priority, 1)).collect();
        assert_eq!(all(&many).last(), Some(&(15, 1)));
    }

    #[tokio::test]
    async fn a_service_is_every_address_of_its_targets() {
        let name = |text: &str| Name::from_ascii(text).expect("a name");
        let resolver = name_server(move |asked, kind| match (asked, kind) {
            ("_http._tcp.users.internal.", RecordType::SRV) => Some(vec![
                RData::SRV(SRV::new(10, 60, 8080, name("one.internal."))),
                RData::SRV(SRV::new(20, 0, 8081, name("two.internal."))),
                RData::SRV(SRV::new(20, 0, 8082, name("gone.internal."))),
            ]),
            ("_none._tcp.users.internal.", RecordType::SRV) => Some(vec![RData::SRV(SRV::new(0, 0, 0, name(".")))]),
            ("_gone._tcp.users.internal.", RecordType::SRV) => Some(vec![RData::SRV(SRV::new(0, 0, 1, name("gone.internal.")))]),
            ("one.internal.", RecordType::A) => Some([1, 2].map(|number| RData::A(A(Ipv4Addr::new(10, 0, 0, number)))).into()),
            ("two.internal.", RecordType::A) => Some(vec![RData::A(A(Ipv4Addr::new(10, 0, 0, 3)))]),
            ("one.internal." | "two.internal.", _) => Some(Vec::new()),
            _ => None,
        })
        .await;
        let (endpoints, _) = resolver.service("_http._tcp.users.internal.").await.expect("two of three targets are there");
        let found: Vec<_> = endpoints
            .iter()
            .map(|endpoint| {
                let EndpointSpec::Address(address) = endpoint.at else { panic!("an address") };
                (address.to_string(), endpoint.standing.priority, endpoint.standing.weight)
            })
            .collect();
        let expected = [("10.0.0.1:8080", 0, 10_000), ("10.0.0.2:8080", 0, 10_000), ("10.0.0.3:8081", 1, 1)];
        assert_eq!(found, expected.map(|(address, priority, weight)| (address.to_owned(), priority, weight)));
        let (none, _) = resolver.service("_none._tcp.users.internal.").await.expect("it says that there is none");
        assert_eq!(none, []);
        let error = resolver.service("_gone._tcp.users.internal.").await.expect_err("its only target does not resolve");
        assert!(error.contains("gone.internal."), "{error}");
    }
}
