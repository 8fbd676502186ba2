//! The connection to Redis, and whether it answers.
//!
//! After a few misses in a row Redis counts as lost: the connection is closed, and every operation fails at once until the keeper
//! has made another one. So a Redis that hangs costs a handful of operations their timeout, and the others nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, RedisError, RedisResult,
    ServerErrorKind,
};
use rustls::pki_types::ServerName;
use tokio::sync::Notify;

use super::script::{Call, Script};
use super::{Counts, Remote};
use crate::config;
use crate::dial;
use crate::tls::client;

/// Operations in a row that had no answer in time: one may meet a fork of Redis or a busy machine, three do not.
pub const MISSES_MAX: u32 = 3;
/// Connecting, logging in and the first answer: what a network across a continent needs.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub struct Link {
    /// None while Redis is lost.
    connection: ArcSwapOption<Connection>,
    misses: AtomicU32,
    /// For the keeper: there is something to do.
    pub wake: Arc<Notify>,
}

/// Clones share one connection, or those of one cluster.
#[derive(Clone)]
pub enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One(_) => "Connection::One",
            Self::Cluster(_) => "Connection::Cluster",
        })
    }
}

/// Why an operation has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("Redis is lost, and not asked until it answers again")]
    Lost,
    #[error("Redis did not answer within {0:?}")]
    Late(Duration),
    #[error("Redis answered what is no answer")]
    Senseless,
    /// It was refused, or the connection broke.
    #[error("{0}")]
    Failed(#[from] RedisError),
}

/// With this firewall mark. `None`: it needs none, for it does not leave the host.
async fn marked(
    info: &ConnectionInfo,
    mark: u32,
    ca: Option<&Path>,
    timeouts: AsyncConnectionConfig,
) -> RedisResult<Option<MultiplexedConnection>> {
    let (host, port, tls) = match info.addr() {
        ConnectionAddr::Tcp(host, port) => (host, *port, None),
        ConnectionAddr::TcpTls { host, port, .. } => {
            let tls = client::without_alpn(ca).map_err(io::Error::other)?;
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            (host, *port, Some((tls, name)))
        }
        _ => return Ok(None),
    };
    let stream = dial::to_name(host, port, Some(mark)).await?;
    stream.set_nodelay(true)?;
    let settings = info.redis_settings();
    let connection = match tls {
        None => {
            let (connection, driver) = MultiplexedConnection::new_with_config(settings, stream, timeouts).await?;
            tokio::spawn(driver);
            connection
        }
        Some((tls, name)) => {
            let stream = tls.connect(name, stream).await?;
            let (connection, driver) = MultiplexedConnection::new_with_config(settings, stream, timeouts).await?;
            tokio::spawn(driver);
            connection
        }
    };
    Ok(Some(connection))
}

impl Connection {
    /// A new one, logged in.
    pub async fn open(settings: &config::Redis) -> Result<Self, Trouble> {
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, Self::connect(settings));
        Ok(opened.await.map_err(|_| Trouble::Late(CONNECT_TIMEOUT))??)
    }

    async fn connect(settings: &config::Redis) -> RedisResult<Self> {
        let nodes = settings.nodes.iter().map(|node| node.0.as_str());
        let root_cert = match &settings.ca {
            Some(ca) => Some(tokio::fs::read(ca).await.map_err(RedisError::from)?),
            None => None,
        };
        let certificates = root_cert.map(|root| redis::TlsCertificates { client_tls: None, root_cert: Some(root) });
        if settings.cluster {
            let mut builder = ClusterClientBuilder::new(nodes).retries(1).connection_timeout(CONNECT_TIMEOUT);
            if let Some(certificates) = certificates {
                builder = builder.certs(certificates);
            }
            return Ok(Self::Cluster(builder.build()?.get_async_connection().await?));
        }
        let node = nodes.into_iter().next().unwrap_or_default();
        let client = match certificates {
            Some(certificates) => Client::build_with_tls(node, certificates)?,
            None => Client::open(node)?,
        };
        // Whoever asks waits no longer than the store's timeout; what is late all the same is dropped with its connection.
        let timeouts = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(None);
        let connection = match settings.mark {
            Some(mark) => marked(client.get_connection_info(), mark, settings.ca.as_deref(), timeouts.clone()).await?,
            None => None,
        };
        match connection {
            Some(connection) => Ok(Self::One(connection)),
            None => client.get_multiplexed_async_connection_with_config(&timeouts).await.map(Self::One),
        }
    }

    async fn send(&mut self, command: &Cmd) -> RedisResult<redis::Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command).await,
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        }?
        .extract_error()
    }

    /// Sends a script's digest, or its text where Redis does not know it.
    pub async fn run<T: FromRedisValue>(&mut self, script: &Script, call: &Call) -> RedisResult<T> {
        let answer = match self.send(&script.by_digest(call)).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => self.send(&script.by_text(call)).await,
            answer => answer,
        };
        Ok(T::from_redis_value(answer?)?)
    }
}

impl Link {
    pub fn is_connected(&self) -> bool {
        self.connection.load().is_some()
    }

    /// Everybody uses it from now on.
    pub fn set(&self, connection: Connection) {
        self.misses.store(0, Ordering::Relaxed);
        self.connection.store(Some(Arc::new(connection)));
    }

    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd, remote: &Remote) -> Result<T, Trouble> {
        self.with(remote, async |mut connection| Ok(T::from_redis_value(connection.send(command).await?)?)).await
    }

    pub async fn run<T: FromRedisValue>(&self, script: &Script, call: &Call, remote: &Remote) -> Result<T, Trouble> {
        self.with(remote, async |mut connection| connection.run(script, call).await).await
    }

    async fn with<T, F>(&self, remote: &Remote, job: impl FnOnce(Connection) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let Some(connection) = self.connection.load_full() else { return Err(Trouble::Lost) };
        Counts::one(&remote.counts.round_trips);
        let timeout = remote.settings.timeout;
        match tokio::time::timeout(timeout, job(Connection::clone(&connection))).await {
            Ok(Ok(answer)) => {
                if self.misses.load(Ordering::Relaxed) != 0 {
                    self.misses.store(0, Ordering::Relaxed);
                }
                Ok(answer)
            }
            Ok(Err(error)) => {
                Counts::one(&remote.counts.errors);
                if is_loss(&error) {
                    self.lose(&connection, remote, &error);
                }
                Err(error.into())
            }
            Err(_) => {
                Counts::one(&remote.counts.timeouts);
                let late = Trouble::Late(timeout);
                if self.misses.fetch_add(1, Ordering::Relaxed) + 1 >= MISSES_MAX {
                    self.lose(&connection, remote, &late);
                }
                Err(late)
            }
        }
    }

    /// Unless somebody else has noticed already.
    fn lose(&self, connection: &Arc<Connection>, remote: &Remote, why: &dyn std::fmt::Display) {
        let before = self.connection.compare_and_swap(connection, None);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, connection)) {
            Counts::one(&remote.counts.losses);
            tracing::warn!(store = %remote.name, %why, "Redis is lost");
            self.wake.notify_one();
        }
    }
}

/// Another connection may do better: this one broke, or leads to a Redis that is starting, or is no primary any more.
fn is_loss(error: &RedisError) -> bool {
    let not_ready = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown | ServerErrorKind::ReadOnly | ServerErrorKind::ClusterDown
        )
    );
    not_ready || error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error()
}
