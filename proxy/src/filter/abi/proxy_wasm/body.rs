//! Buffers: what a guest sees of bodies, and configurations and answers as it is given them.

use bytes::{Bytes, BytesMut};

use super::here;
use super::memory::{self, Call};
use super::state::{self, Reading};
use super::status::{Status, buffer};
use crate::filter::chain::Way;

/// And whether it is of a raw connection.
fn way(buffer: u32) -> Option<(Way, bool)> {
    match buffer {
        buffer::REQUEST_BODY => Some((Way::Request, false)),
        buffer::RESPONSE_BODY => Some((Way::Response, false)),
        buffer::DOWNSTREAM_DATA => Some((Way::Request, true)),
        buffer::UPSTREAM_DATA => Some((Way::Response, true)),
        _ => None,
    }
}

/// What is in a buffer; `None`: it is not there at present.
fn content(call: &Call<'_>, buffer: u32) -> Option<Bytes> {
    if let Some((way, raw)) = way(buffer) {
        let stream = here::stream().filter(|stream| stream.raw == raw)?;
        let side = stream.side(way);
        return side.readable.get().then(|| side.held.borrow().clone());
    }
    let state = call.data();
    let config = &state.identity.config;
    match (buffer, state.reading) {
        (buffer::VM_CONFIGURATION, Reading::Vm) => Some(state::vm_configuration(&config.proxy_wasm).into()),
        (buffer::PLUGIN_CONFIGURATION, Reading::Plugin) => Some(state::plugin_configuration(&config.config).into()),
        (buffer::VM_CONFIGURATION | buffer::PLUGIN_CONFIGURATION, _) => None,
        _ => state.answered.as_ref().filter(|answered| answered.buffer == buffer).map(|answered| answered.body.clone()),
    }
}

/// `proxy_get_buffer_bytes`
pub fn get(call: &mut Call<'_>, buffer: u32, start: u32, most: u32, to: u32, length_to: u32) -> wasmtime::Result<Status> {
    if buffer > buffer::REDIS_REPLY || start.checked_add(most).is_none() {
        return Ok(Status::BadArgument);
    }
    let Some(content) = content(call, buffer) else { return Ok(Status::NotFound) };
    let start = (start as usize).min(content.len());
    let end = start.saturating_add(most as usize).min(content.len());
    memory::give(call, &content[start..end], to, length_to)?;
    Ok(Status::Ok)
}

/// `proxy_get_configuration`, of 0.1.0
pub fn configuration(call: &mut Call<'_>, to: u32, length_to: u32) -> wasmtime::Result<Status> {
    let buffer = match call.data().reading {
        Reading::Vm => buffer::VM_CONFIGURATION,
        Reading::Plugin => buffer::PLUGIN_CONFIGURATION,
        Reading::Nothing => return Ok(Status::NotFound),
    };
    get(call, buffer, 0, u32::MAX, to, length_to)
}

/// `proxy_get_buffer_status`
pub fn status(call: &mut Call<'_>, buffer: u32, length_to: u32, flags_to: u32) -> wasmtime::Result<Status> {
    let Some(content) = content(call, buffer) else { return Ok(Status::NotFound) };
    memory::put_u32(call, length_to, u32::try_from(content.len()).unwrap_or(u32::MAX))?;
    memory::put_u32(call, flags_to, 0)?;
    Ok(Status::Ok)
}

/// `proxy_set_buffer_bytes`: bodies only, and of them the beginning, the end, or all.
pub fn set(call: &mut Call<'_>, buffer: u32, start: u32, size: u32, at: u32, bytes: u32) -> wasmtime::Result<Status> {
    let Some((way, raw)) = way(buffer) else { return Ok(Status::BadArgument) };
    let Some(stream) = here::stream().filter(|stream| stream.raw == raw) else { return Ok(Status::NotFound) };
    let side = stream.side(way);
    if !side.readable.get() {
        return Ok(Status::NotFound);
    }
    let mut held = side.held.borrow_mut();
    let kept = if start == 0 && size as usize >= held.len() { 0 } else { held.len() };
    let most = stream.limit(way).max(call.data().identity.config.memory);
    if kept.saturating_add(bytes as usize) > most {
        // Guests know no status for it, and to go on with less would be another body.
        let wrong =
            || format!("it makes a body longer than {most} bytes, the larger one of `memory` and `proxy-wasm.body-bytes`");
        stream.wrong.borrow_mut().get_or_insert_with(wrong);
        stream.notify();
        return Ok(Status::Ok);
    }
    let given = memory::copy(call, at, bytes)?;
    let Some(changed) = spliced(&held, start as usize, size as usize, given) else { return Ok(Status::BadArgument) };
    *held = changed;
    side.changed.set(true);
    Ok(Status::Ok)
}

/// `None` for a place in the middle.
fn spliced(held: &Bytes, start: usize, size: usize, given: Vec<u8>) -> Option<Bytes> {
    let joined = |first: &[u8], second: &[u8]| {
        let mut joined = BytesMut::with_capacity(first.len() + second.len());
        joined.extend_from_slice(first);
        joined.extend_from_slice(second);
        joined.freeze()
    };
    if start == 0 && size >= held.len() {
        // All of it; of nothing, the end and the beginning.
        return Some(given.into());
    }
    if start == 0 && size == 0 {
        return Some(joined(&given, held));
    }
    (start >= held.len()).then(|| joined(held, &given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_changes_at_its_ends_or_as_a_whole() {
        let held = Bytes::from_static(b"body");
        let spliced = |start, size| spliced(&held, start, size, b"+".to_vec());
        assert_eq!(spliced(0, 0).as_deref(), Some(&b"+body"[..]));
        for all in [4, 5, 0x7fff_ffff, 0xffff_ffff] {
            assert_eq!(spliced(0, all).as_deref(), Some(&b"+"[..]));
        }
        for end in [4, 9] {
            assert_eq!(spliced(end, 0).as_deref(), Some(&b"body+"[..]));
        }
        assert_eq!(spliced(0, 2), None);
        assert_eq!(spliced(1, 1), None);
    }
}
