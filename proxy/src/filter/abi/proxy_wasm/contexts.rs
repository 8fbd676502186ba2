//! What a guest does to the exchange as a whole: whom it speaks of, whether a message goes on, what is answered in its place.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::headers::is_of_one_hop;
use super::here;
use super::memory::{self, Call};
use super::pairs;
use super::state::ROOT;
use super::status::{STREAM_DOWNSTREAM, STREAM_REQUEST, STREAM_RESPONSE, STREAM_UPSTREAM, Status};
use crate::exchange::Reply;
use crate::filter::chain::Way;
use crate::filter::host::reply::{REPLY_BYTES_MAX, grpc_fields};
use crate::filter::host::{fields, response};

/// An exchange that has no status of gRPC to be answered with.
const NO_GRPC_STATUS: u32 = u32::MAX;

/// `proxy_set_effective_context`: it holds until the callback returns.
pub fn turn_to(call: &mut Call<'_>, context: u32) -> Status {
    if context == ROOT {
        here::turn_to(None);
    } else {
        let Some(stream) = here::vm().and_then(|vm| vm.find(context)) else { return Status::BadArgument };
        here::turn_to(Some(stream));
    }
    call.data_mut().context = context;
    Status::Ok
}

fn way(stream: u32, raw: bool) -> Option<Way> {
    match (stream, raw) {
        (STREAM_REQUEST, false) | (STREAM_DOWNSTREAM, true) => Some(Way::Request),
        (STREAM_RESPONSE, false) | (STREAM_UPSTREAM, true) => Some(Way::Response),
        _ => None,
    }
}

/// `proxy_continue_stream`
pub fn go_on(what: u32) -> Status {
    let Some(stream) = here::stream() else { return Status::BadArgument };
    let Some(way) = way(what, stream.raw) else { return Status::BadArgument };
    stream.resume(way);
    Status::Ok
}

/// `proxy_close_stream`: the exchange ends without an answer, or with half of one; a raw connection in both directions.
pub fn close(what: u32) -> Status {
    let Some(stream) = here::stream() else { return Status::BadArgument };
    if way(what, stream.raw).is_none() {
        return Status::BadArgument;
    }
    stream.closed.set(true);
    stream.notify();
    Status::Ok
}

/// What `proxy_send_local_response` is given.
pub struct Local {
    pub status: u32,
    pub details: (u32, u32),
    pub body: (u32, u32),
    pub headers: (u32, u32),
    pub grpc_status: u32,
}

/// `proxy_send_local_response`: the first one counts.
pub fn answer(call: &mut Call<'_>, local: &Local) -> wasmtime::Result<Status> {
    let details = memory::text(call, local.details.0, local.details.1)?;
    let body = memory::copy(call, local.body.0, local.body.1)?;
    let headers = memory::copy(call, local.headers.0, local.headers.1)?;
    let Some(headers) = pairs::read(&headers) else { return Ok(Status::BadArgument) };
    let Some(stream) = here::stream() else { return Ok(Status::BadArgument) };
    // Nobody waits for an answer on a raw connection.
    if stream.raw || stream.reply.borrow().is_some() {
        return Ok(Status::Ok);
    }
    let is_grpc = stream.exchange().borrow().is_grpc;
    match reply(local.status, &body, &headers, local.grpc_status, is_grpc) {
        Ok(reply) => {
            if !details.is_empty() {
                super::properties::keep(&stream, b"response\0code_details", details.as_bytes());
            }
            stream.reply.replace(Some(reply));
        }
        Err(wrong) => drop(stream.wrong.borrow_mut().get_or_insert(wrong)),
    }
    stream.notify();
    Ok(Status::Ok)
}

fn reply(status: u32, body: &[u8], headers: &[pairs::Pair<'_>], grpc: u32, is_grpc: bool) -> Result<Reply, String> {
    let status = response::final_status(u16::try_from(status).unwrap_or(0))?;
    if body.len() > REPLY_BYTES_MAX {
        return Err(format!("the body of its answer has {} bytes, expected at most {REPLY_BYTES_MAX}", body.len()));
    }
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(b":") && !is_of_one_hop(name)) {
        let name = std::str::from_utf8(name).map_err(|_| "the name of a field is no text".to_owned())?;
        fields::add(&mut map, name, value)?;
    }
    if is_grpc {
        // Nothing but a status is understood there; the words are its message.
        let code = if grpc == NO_GRPC_STATUS { grpc_status_of(status) } else { grpc };
        map.extend(grpc_fields(code, &String::from_utf8_lossy(body)));
        return Ok(Reply { status: StatusCode::OK, headers: map, body: Bytes::new() });
    }
    if !body.is_empty() && !map.contains_key(CONTENT_TYPE) {
        map.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    // Whoever sees it pass may look at it, and takes it away where the body becomes another one.
    map.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Ok(Reply { status, headers: map, body: Bytes::copy_from_slice(body) })
}

/// As gRPC maps statuses of HTTP.
fn grpc_status_of(status: StatusCode) -> u32 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// An answer in the words of its status.
pub fn plain_reply(status: StatusCode) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let body = Bytes::from_static(status.canonical_reason().unwrap_or_default().as_bytes());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Reply { status, headers, body }
}

/// `proxy_get_status`: of the gRPC call that a callback is about.
pub fn grpc_status(call: &mut Call<'_>, status_to: u32, to: u32, length_to: u32) -> wasmtime::Result<Status> {
    let (status, message) = call.data().grpc_status.clone();
    memory::put_u32(call, status_to, status)?;
    memory::give(call, &message, to, length_to)?;
    Ok(Status::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_in_the_clients_words() {
        let fields = [(&b"X-A"[..], &b"1"[..]), (b"content-length", b"99"), (b":status", b"200")];
        let plain = reply(403, b"no", &fields, NO_GRPC_STATUS, false).expect("an answer");
        assert_eq!((plain.status.as_u16(), &plain.body[..]), (403, &b"no"[..]));
        assert_eq!(
            (plain.headers.len(), &plain.headers["x-a"], &plain.headers[CONTENT_TYPE]),
            (3, &HeaderValue::from_static("1"), &HeaderValue::from_static("text/plain"))
        );
        let grpc = reply(403, b"no", &[], NO_GRPC_STATUS, true).expect("an answer");
        assert_eq!(
            (grpc.status.as_u16(), &grpc.headers["grpc-status"], &grpc.headers["grpc-message"]),
            (200, &HeaderValue::from_static("7"), &HeaderValue::from_static("no"))
        );
        assert_eq!(reply(200, b"", &[], 5, true).expect("an answer").headers["grpc-status"], "5");
        assert!(reply(99, b"", &[], NO_GRPC_STATUS, false).is_err());
        assert!(reply(200, b"", &[(b"a b", b"")], NO_GRPC_STATUS, false).is_err());
    }
}
