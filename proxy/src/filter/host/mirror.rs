//! `destination.mirror`: copies of the request for other clusters.

use std::rc::Rc;
use std::sync::Arc;

use http::HeaderMap;

use super::{fields, request};
use crate::exchange::{Mirror, room};
use crate::filter::hand::InHand;
use crate::filter::witness::{self, Event, Missing};
use crate::filter::{Hook, OutOfPlace};

/// Copies of one exchange.
pub const MIRRORS_MAX: usize = 4;
/// Longest body that is mirrored, whatever the filter names: it waits in the proxy's memory until it is complete.
pub const BODY_BYTES_MAX: u32 = 1 << 20;

/// The number that finds the result. The copy is sent when the request itself is.
pub fn add<'a>(
    hand: &InHand,
    cluster: &str,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    body_limit: u32,
) -> Result<Result<u32, String>, OutOfPlace> {
    let Some(exchange) = &hand.exchange else { return Err(OutOfPlace("mirror", "a hook of an exchange")) };
    if hand.hook != Hook::Request {
        return Ok(Err("a copy can be asked for in the request hook only".to_owned()));
    }
    let Some((known, _)) = hand.reach.clusters.get_key_value(cluster) else {
        witness::tell(|| Event::Missing(Missing::Cluster, cluster.to_owned()));
        return Ok(Err(format!("no cluster named `{cluster}`")));
    };
    let mirrors = &mut exchange.borrow_mut().mirrors;
    if mirrors.len() >= MIRRORS_MAX {
        return Ok(Err(format!("there are {MIRRORS_MAX} copies already")));
    }
    // One that will not be sent is not looked at any further: at a cluster that hangs that is each of them.
    let has_room = room::has(known);
    let set = if has_room { set(headers) } else { Ok((HeaderMap::new(), None)) };
    let (fields, authority) = match set {
        Ok(set) => set,
        Err(why) => return Ok(Err(why)),
    };
    let id = u32::try_from(mirrors.len()).unwrap_or(u32::MAX);
    mirrors.push(Mirror {
        cluster: Arc::clone(known),
        has_room,
        fields,
        authority,
        body_limit: body_limit.min(BODY_BYTES_MAX) as usize,
        ticket: Rc::default(),
    });
    Ok(Ok(id))
}

/// What the copy has of its own: fields, and an authority.
fn set<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<(HeaderMap, Option<String>), String> {
    let mut map = HeaderMap::new();
    let mut authority = None;
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("host") {
            authority = Some(request::authority(&String::from_utf8_lossy(value))?.to_owned());
        } else {
            fields::set(&mut map, name, value)?;
        }
    }
    Ok((map, authority))
}
