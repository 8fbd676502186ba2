//! Sending a request to a cluster.

use std::time::Duration;

use tamis_sdk::config::OneOrMany;
use tamis_sdk::prelude::*;

use matching::name::Path;

use crate::config::Target;
use matching::pattern::Pattern;

#[derive(Debug)]
pub struct Forward {
    /// Clusters with a weight above zero; never empty.
    targets: Vec<Target>,
    weights: u64,
    /// What takes the place of the matched prefix, without a slash at its end.
    rewrite: Option<String>,
    timeout: Option<Duration>,
}

impl Forward {
    pub fn build(to: OneOrMany<Target>, rewrite: Option<Path>, timeout: Option<Duration>) -> Result<Self, ConfigError> {
        let targets: Vec<Target> = to.0.into_iter().filter(|target| target.weight > 0).collect();
        if targets.is_empty() {
            return Err(ConfigError::at("to", "expected a cluster with a weight above 0, found none"));
        }
        let weights = targets.iter().map(|target| u64::from(target.weight)).sum();
        let rewrite = rewrite.map(|path| path.0.strip_suffix('/').unwrap_or(&path.0).to_owned());
        Ok(Forward { targets, weights, rewrite, timeout })
    }

    pub fn take(&self, request: &mut Request, path: &str, pattern: &Pattern) -> Verdict {
        let cluster = self.draw();
        let mut destination = request.destination();
        if let Err(why) = destination.set_cluster(cluster) {
            log::error!("{why}");
            return Reply::new(StatusCode::SERVICE_UNAVAILABLE).text("unknown cluster\n").into();
        }
        if let Some(timeout) = self.timeout {
            destination.set_timeout((!timeout.is_zero()).then_some(timeout));
        }
        if let (Some(rewrite), Some(rest)) = (&self.rewrite, pattern.rest(path))
            && let Err(why) = request.set_target(&target(rewrite, rest, request.query().as_deref()))
        {
            log::warn!("the rewritten path cannot be sent: {why}");
            return Reply::new(StatusCode::BAD_REQUEST).text("the path cannot be rewritten\n").into();
        }
        Verdict::Next
    }

    /// One of the clusters, by weight.
    fn draw(&self) -> &str {
        if let [only] = self.targets.as_slice() {
            return &only.cluster;
        }
        let mut drawn = entropy::below(self.weights);
        for target in &self.targets {
            match drawn.checked_sub(u64::from(target.weight)) {
                Some(left) => drawn = left,
                None => return &target.cluster,
            }
        }
        unreachable!("what is drawn is below the sum of all weights")
    }
}

/// Path and query with another prefix.
pub fn target(prefix: &str, rest: &str, query: Option<&str>) -> String {
    let slash = if prefix.is_empty() && rest.is_empty() { "/" } else { "" };
    match query {
        Some(query) => format!("{prefix}{rest}{slash}?{query}"),
        None => format!("{prefix}{rest}{slash}"),
    }
}
