//! What of a snapshot is made of certificates: read when it is new, read again when files have changed, kept when they are wrong.

use std::sync::Arc;

use super::{Listener, Parts, Snapshot};
use crate::cluster::Cluster;
use crate::config::{self, Problem, Step};
use crate::telemetry::metrics::{Family, Registry};
use crate::tls;

const FAILURES: &str = "How often certificates, keys, authorities or revocation lists that had changed could not be used.";

/// What becomes of files that were read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reread {
    /// Parts whose configuration is the same go on with them.
    No,
    /// They are read again, and a mistake is one of the configuration.
    Strictly,
    /// They are read again, and what cannot be used stays as it was.
    Leniently,
}

pub struct Certificates<'a> {
    pub parts: &'a Parts,
    pub reread: Reread,
    pub failed: Arc<Family>,
}

/// Counts what cannot be used, by the section that names it.
pub fn failures(metrics: &Registry) -> Arc<Family> {
    metrics.counter("tamis_certificate_reload_failures_total", FAILURES, &["section", "name"])
}

/// Whether any file is not what it was.
pub fn are_stale(snapshot: &Snapshot) -> bool {
    snapshot.listeners.values().any(|listener| listener.tls.as_ref().is_some_and(|tls| tls.is_stale()))
        || snapshot.reach.clusters.values().any(|cluster| cluster.tls.as_ref().is_some_and(|tls| tls.is_stale()))
}

/// Whether one has certificates that the other has not.
pub fn differ(one: &Snapshot, other: &Snapshot) -> bool {
    one.listeners.iter().any(|(name, listener)| {
        let other = other.listeners.get(name).and_then(|listener| listener.tls.as_ref());
        listener.tls.as_ref().map(Arc::as_ptr) != other.map(Arc::as_ptr)
    }) || one.reach.clusters.iter().any(|(name, cluster)| {
        let other = other.reach.clusters.get(name).and_then(|cluster| cluster.tls.as_ref());
        cluster.tls.as_ref().map(Arc::as_ptr) != other.map(Arc::as_ptr)
    })
}

impl Certificates<'_> {
    /// What a listener accepts TLS with; `None`: it has none.
    pub fn server(
        &self,
        name: &str,
        config: &config::Listener,
        previous: Option<&Arc<Listener>>,
    ) -> Result<Option<Arc<tls::Server>>, Problem> {
        let Some(wanted) = &config.tls else { return Ok(None) };
        let before = previous.and_then(|previous| previous.tls.as_ref());
        let same = before.filter(|_| previous.is_some_and(|previous| previous.config.tls.as_ref() == Some(wanted)));
        self.settle("listeners", name, same, || tls::Server::build(wanted, before))
    }

    /// What a cluster connects by TLS with; `None`: it has none.
    pub fn client(
        &self,
        name: &str,
        config: &config::Cluster,
        previous: Option<&Arc<Cluster>>,
    ) -> Result<Option<Arc<tls::Client>>, Problem> {
        let Some(wanted) = &config.tls else { return Ok(None) };
        let before = previous.and_then(|previous| previous.tls.as_ref());
        let same = before.filter(|_| previous.is_some_and(|previous| previous.config.tls.as_ref() == Some(wanted)));
        if same.is_none() && !wanted.verify {
            tracing::warn!(cluster = name, "`verify = \"none\"`: whoever answers in the place of its endpoints is believed");
        }
        self.settle("clusters", name, same, || tls::Client::build(wanted, before))
    }

    /// `same`: what is there, if the configuration is still the one that it was made of.
    fn settle<T>(
        &self,
        section: &'static str,
        name: &str,
        same: Option<&Arc<T>>,
        build: impl FnOnce() -> Result<Arc<T>, tls::TlsError>,
    ) -> Result<Option<Arc<T>>, Problem> {
        match (self.reread, same) {
            (Reread::No, Some(same)) => Ok(Some(Arc::clone(same))),
            (Reread::Leniently, Some(same)) => Ok(Some(build().unwrap_or_else(|error| {
                tracing::error!(section, name, %error, "certificates have changed and cannot be used; those before go on");
                // Names of the configuration are within what a series may have.
                let _ = self.failed.observe(&[section, name], 1.0);
                Arc::clone(same)
            }))),
            _ => build().map(Some).map_err(|error| self.problem(section, name, &error)),
        }
    }

    fn problem(&self, section: &'static str, name: &str, error: &tls::TlsError) -> Problem {
        let mut path: Vec<Step<'_>> = vec![section.into(), name.into(), "tls".into()];
        path.extend(error.place.iter().copied());
        self.parts.source.problem_at(&path, error.to_string())
    }
}
