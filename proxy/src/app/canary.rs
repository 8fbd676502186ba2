//! A canary that an operator pushes: a second version beside the live one, until it is promoted or taken back. It is for trying
//! out, so it ends with the process.

use std::sync::Arc;

use bytes::Bytes;

use super::prepare::Ground;
use super::push::{beside, hashes, unknown, unusable};
use crate::admin::api::{Done, Refused};
use crate::config::Mode;
use crate::snapshot::{PushedCanary, Snapshot};

/// A canary takes its place beside the live version, or the place of the one before.
pub fn begin(ground: &mut Ground, filter: &Arc<str>, bytes: Bytes, percent: u32) -> Result<(Snapshot, Done), Refused> {
    let Some(config) = ground.parts.config.filters.get(filter) else { return Err(unknown(ground, filter)) };
    if config.canary.is_some() || config.observe.is_some() || config.mode == Mode::Observe {
        let message = format!("the file has filter `{filter}` tried out already, by `canary`, `observe` or `mode`");
        return Err(Refused::Conflict(message));
    }
    let module = ground.modules.take(&bytes).map_err(|error| Refused::Unusable(error.to_string()))?;
    let over = ground.parts.overrides.entry(Arc::clone(filter)).or_default();
    over.canary = Some(PushedCanary { module, percent, bytes });
    live(ground, filter)
}

/// The live version serves everybody again.
pub fn abort(ground: &mut Ground, filter: &Arc<str>) -> Result<(Snapshot, Done), Refused> {
    take(ground, filter)?;
    live(ground, filter)
}

/// The canary is taken away, to be pushed or to be forgotten.
pub fn take(ground: &mut Ground, filter: &Arc<str>) -> Result<PushedCanary, Refused> {
    if !ground.parts.config.filters.contains_key(filter) {
        return Err(unknown(ground, filter));
    }
    let canary = ground.parts.overrides.get_mut(filter).and_then(|over| over.canary.take());
    canary.ok_or_else(|| Refused::Conflict(format!("no canary was pushed for filter `{filter}`")))
}

fn live(ground: &mut Ground, filter: &Arc<str>) -> Result<(Snapshot, Done), Refused> {
    let previous = hashes(ground.live.filters.get(filter));
    let snapshot = Snapshot::build(&ground.parts, Some(&ground.live), false).map_err(|problems| unusable(&problems))?;
    let version = ground.versions.get(filter).map(|versions| versions.live().number);
    let live = hashes(snapshot.filters.get(filter));
    let canary = snapshot.filters.get(filter).and_then(beside);
    Ok((snapshot, Done { version, live, previous, canary, kept: false }))
}
