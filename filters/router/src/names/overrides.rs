//! Delegations that a request brings along, for itself and for the calls that follow from it.
//!
//! Only a peer that the listener trusts may send them. From anybody else they are taken away, not merely ignored: the next hop
//! may trust this one. What is honoured stays on the request, so that a service that passes these fields on (as it does with
//! those of traces) carries the override to its own calls.

use tamis_sdk::prelude::*;

use super::parse::TEXT_MAX;
use super::{Dtab, Found, resolve};
use crate::config::Overrides;

/// Fields with delegations, in the order in which they come into force: Finagle's, what Linkerd 1 passes on between hops, and
/// what its users set.
pub const FIELDS: [&str; 3] = ["dtab-local", "l5d-ctx-dtab", "l5d-dtab"];

/// What names stand for, and who may change it.
#[derive(Debug, Default)]
pub struct Names {
    table: Dtab,
    /// `None`: this router has no names, and leaves the fields to whoever has.
    overrides: Option<Overrides>,
}

impl Names {
    pub fn new(table: Dtab, overrides: Option<Overrides>) -> Self {
        let overrides = overrides.or((!table.is_empty()).then_some(Overrides::Trusted));
        Names { table, overrides }
    }

    /// Takes delegations away from whoever may not bring them.
    pub fn guard(&self, request: &mut Request) {
        let Some(overrides) = self.overrides else { return };
        if overrides == Overrides::Nobody || !request.connection().trusted() {
            FIELDS.iter().for_each(|field| request.remove_header(field));
        }
    }

    /// Sets the cluster that a name stands for. A reply where the request's own delegations cannot be read.
    pub fn resolve(&self, name: &[String], request: &Request, draw: &mut dyn FnMut() -> f64) -> Result<Found, Reply> {
        let own = match self.overrides {
            Some(Overrides::Trusted) => delegations(request)
                .map_err(|why| Reply::new(StatusCode::BAD_REQUEST).text(&format!("bad delegations: {why}\n")))?,
            _ => Dtab::default(),
        };
        let mut destination = request.destination();
        let mut is_cluster = |cluster: &str| destination.set_cluster(cluster).is_ok();
        Ok(resolve(name, &[&self.table, &own], &mut is_cluster, draw))
    }
}

/// Those that are left have been [guarded](Names::guard).
fn delegations(request: &Request) -> Result<Dtab, String> {
    let mut table = Dtab::default();
    for field in FIELDS {
        for value in request.headers(field) {
            let text = value.to_str().map_err(|_| format!("`{field}` is no text"))?;
            if text.len() > TEXT_MAX {
                return Err(format!("`{field}` is longer than {TEXT_MAX} bytes"));
            }
            table = table.with(Dtab::parse(text).map_err(|why| format!("`{field}`: {why}"))?);
        }
    }
    Ok(table)
}
