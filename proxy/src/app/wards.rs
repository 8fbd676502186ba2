//! Who looks after the health of clusters: for each, a task that ejects outliers and one that has endpoints checked.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::watch;

use crate::cluster::{Cluster, health, outlier};

/// The tasks of each cluster end when its sender is dropped.
#[derive(Default)]
pub struct Wards(BTreeMap<Arc<str>, watch::Sender<Arc<Cluster>>>);

impl Wards {
    /// These are the clusters from now on. Those that stay are looked after by the same tasks as before.
    pub fn follow(&mut self, clusters: &HashMap<Arc<str>, Arc<Cluster>>) {
        self.0.retain(|name, _| clusters.contains_key(name));
        for (name, cluster) in clusters {
            match self.0.get(name) {
                Some(ward) if Arc::ptr_eq(&ward.borrow(), cluster) => {}
                Some(ward) => drop(ward.send_replace(Arc::clone(cluster))),
                None => {
                    let (sender, receiver) = watch::channel(Arc::clone(cluster));
                    tokio::spawn(outlier::tend(receiver.clone()));
                    tokio::spawn(health::tend(receiver));
                    self.0.insert(Arc::clone(name), sender);
                }
            }
        }
    }
}
