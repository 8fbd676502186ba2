//! Properties: what a guest can ask of the exchange, its connection and itself, and what filters keep for each other in it.
//!
//! Numbers are eight bytes, little-endian; a truth is one; times are nanoseconds; maps are pairs. What means nothing here is not
//! found.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::here;
use super::memory::{self, Call};
use super::pairs;
use super::state::State;
use super::status::Status;
use super::stream::Stream;
use crate::exchange::{Exchange, Origin, protocol};
use crate::filter::chain::Way;
use crate::filter::host::notes;

/// Properties that filters keep in one exchange, and bytes of one, with its path.
pub const KEPT_MAX: usize = 256;
pub const KEPT_BYTES_MAX: usize = 64 << 10;

/// `proxy_get_property`
pub fn get(call: &mut Call<'_>, path: (u32, u32), to: u32, length_to: u32) -> wasmtime::Result<Status> {
    let path = memory::copy(call, path.0, path.1)?;
    let path = path.strip_suffix(b"\0").unwrap_or(&path);
    let stream = here::stream();
    let segments: Vec<&str> = path.split(|byte| *byte == 0).map(|part| std::str::from_utf8(part).unwrap_or_default()).collect();
    let found = of_filter(call.data(), &segments).or_else(|| {
        let stream = stream?;
        kept(&stream, path).or_else(|| of_exchange(&stream, &segments))
    });
    let Some(found) = found else { return Ok(Status::NotFound) };
    memory::give(call, &found, to, length_to)?;
    Ok(Status::Ok)
}

/// `proxy_set_property`: kept for the rest of the exchange, for every filter in it. Text is a note as well, which the access
/// log shows.
pub fn set(call: &mut Call<'_>, path: (u32, u32), value: (u32, u32)) -> wasmtime::Result<Status> {
    let path = memory::copy(call, path.0, path.1)?;
    let value = memory::copy(call, value.0, value.1)?;
    let path = path.strip_suffix(b"\0").unwrap_or(&path);
    let Some(stream) = here::stream() else { return Ok(Status::NotFound) };
    let limit = || std::str::from_utf8(&value).ok().and_then(|limit| limit.trim().parse::<usize>().ok());
    match path {
        b"set_decoder_buffer_limit" => stream.request.limit.set(limit()),
        b"set_encoder_buffer_limit" => stream.response.limit.set(limit()),
        b"wasm_need_rebuild" => stream.vm.worn.set(value == b"true"),
        _ => {}
    }
    if let (Ok(key), Ok(text)) = (std::str::from_utf8(path), std::str::from_utf8(&value)) {
        notes::set(&mut stream.exchange().borrow_mut(), &format!("wasm.{}", key.replace('\0', ".")), text);
    }
    Ok(if keep(&stream, path, &value) { Status::Ok } else { Status::InternalFailure })
}

/// False if there is no room for it.
pub fn keep(stream: &Stream, path: &[u8], value: &[u8]) -> bool {
    if path.len() + value.len() > KEPT_BYTES_MAX {
        return false;
    }
    let exchange = stream.exchange();
    let properties = &mut exchange.borrow_mut().properties;
    match properties.iter().position(|(known, _)| **known == *path) {
        Some(known) => properties[known].1 = Bytes::copy_from_slice(value),
        None if properties.len() >= KEPT_MAX => return false,
        None => properties.push((path.into(), Bytes::copy_from_slice(value))),
    }
    true
}

/// What a filter has set, by its path, with Envoy's word before it or without.
fn kept(stream: &Stream, path: &[u8]) -> Option<Vec<u8>> {
    let exchange = stream.exchange();
    let exchange = exchange.borrow();
    let find = |path: &[u8]| exchange.properties.iter().find(|(known, _)| **known == *path).map(|(_, value)| value.to_vec());
    find(path).or_else(|| {
        let rest = path.strip_prefix(b"filter_state\0")?;
        find(rest.strip_prefix(b"wasm.").unwrap_or(rest))
    })
}

fn text(text: impl AsRef<str>) -> Option<Vec<u8>> {
    Some(text.as_ref().as_bytes().to_vec())
}

fn number(number: impl TryInto<i64>) -> Option<Vec<u8>> {
    Some(number.try_into().unwrap_or(i64::MAX).to_le_bytes().to_vec())
}

fn truth(truth: bool) -> Option<Vec<u8>> {
    Some(vec![u8::from(truth)])
}

fn nanos(time: Duration) -> Option<Vec<u8>> {
    number(time.as_nanos())
}

fn of_filter(state: &State, path: &[&str]) -> Option<Vec<u8>> {
    match path {
        ["plugin_name"] => text(&state.identity.name),
        ["plugin_root_id"] => text(&state.options().root_id),
        ["plugin_vm_id"] => text(&state.options().vm_id),
        ["plugin_vm_memory"] => number(state.limit.bytes),
        // INBOUND and OUTBOUND are 1 and 2: where there is one proxy before many services, a listener is neither.
        ["listener_direction"] | ["xds", "listener_direction"] => number(0),
        ["node"] | ["xds", "node"] => Some(Vec::new()),
        ["node", "id"] => text("tamis"),
        _ => None,
    }
}

fn of_exchange(stream: &Stream, path: &[&str]) -> Option<Vec<u8>> {
    let shared = stream.exchange();
    let exchange = &*shared.borrow();
    let connection = &exchange.connection;
    match path {
        // A raw connection has none of these.
        ["request" | "response", ..] | ["x_request_id"] if stream.raw => None,
        ["request", rest @ ..] => of_request(stream, exchange, rest),
        ["response", rest @ ..] => of_response(stream, exchange, rest),
        ["source", "address"] => text(connection.peer.to_string()),
        ["source", "port"] => number(connection.peer.port()),
        ["destination", "address"] => text(connection.local.to_string()),
        ["destination", "port"] => number(connection.local.port()),
        ["connection", "mtls"] => truth(connection.client.is_some()),
        ["connection", "requested_server_name"] => connection.server_name.as_ref().and_then(text),
        ["connection", "tls_version"] => connection.tls_version.and_then(text),
        ["connection", "uri_san_peer_certificate"] => {
            connection.identities().iter().find(|name| name.contains("://")).and_then(text)
        }
        ["connection", "dns_san_peer_certificate"] => {
            connection.identities().iter().find(|name| !name.contains("://")).and_then(text)
        }
        ["upstream", rest @ ..] => of_upstream(stream, exchange, rest),
        ["cluster_name"] | ["xds", "cluster_name"] => exchange.destination.cluster.as_deref().and_then(text),
        ["route_name"] | ["xds", "route_name"] => exchange.destination.route.as_ref().and_then(text),
        ["xds", "filter_chain_name"] | ["listener_name"] => text(&connection.listener),
        ["x_request_id"] => text(&exchange.id),
        _ => None,
    }
}

fn of_request(stream: &Stream, exchange: &Exchange, path: &[&str]) -> Option<Vec<u8>> {
    let field = |name: &str| exchange.request.headers.get(name).map(|value| value.as_bytes().to_vec());
    let uri = &exchange.request.uri;
    match path {
        ["path"] => text(uri.path_and_query().map_or("/", |target| target.as_str())),
        ["url_path"] => text(uri.path()),
        ["query"] => text(uri.query().unwrap_or_default()),
        ["host"] => text(&exchange.authority),
        ["scheme"] => text(exchange.scheme),
        ["method"] => text(exchange.request.method.as_str()),
        ["id"] => text(&exchange.id),
        ["protocol"] => text(match protocol(exchange.request.version) {
            "http/1.0" => "HTTP/1.0",
            "h2" => "HTTP/2",
            _ => "HTTP/1.1",
        }),
        ["referer"] => field("referer"),
        ["useragent"] => field("user-agent"),
        ["time"] => {
            nanos((SystemTime::now() - stream.began.elapsed()).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
        }
        ["duration"] => match &*stream.outcome.borrow() {
            Some(outcome) => nanos(outcome.duration),
            None => nanos(stream.began.elapsed()),
        },
        ["size"] => number(exchange.inflow.as_ref().map_or(0, |inflow| inflow.bytes())),
        ["total_size"] => {
            let fields = &exchange.request.headers;
            let head: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
            number(head as u64 + exchange.inflow.as_ref().map_or(0, |inflow| inflow.bytes()))
        }
        ["headers"] => Some(pairs::written(|| {
            exchange.request.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
        })),
        ["headers", ":authority" | "host"] => text(&exchange.authority),
        ["headers", ":path"] => text(uri.path_and_query().map_or("/", |target| target.as_str())),
        ["headers", ":method"] => text(exchange.request.method.as_str()),
        ["headers", ":scheme"] => text(exchange.scheme),
        ["headers", name] => field(name),
        _ => None,
    }
}

fn of_response(stream: &Stream, exchange: &Exchange, path: &[&str]) -> Option<Vec<u8>> {
    let head = exchange.response.as_ref();
    let outcome = stream.outcome.borrow();
    match path {
        ["code"] => match &*outcome {
            Some(outcome) => number(outcome.status),
            None => number(head?.status.as_u16()),
        },
        ["code_details"] => match exchange.origin {
            Origin::Upstream => head.and_then(|_| text("via_upstream")),
            origin => text(origin.reason()),
        },
        ["flags"] => head.and_then(|_| number(0)),
        ["grpc_status"] => {
            let of = |fields: &http::HeaderMap| fields.get("grpc-status")?.to_str().ok()?.parse::<i64>().ok();
            let trailers = stream.side(Way::Response).trailers.borrow();
            number(trailers.as_ref().and_then(of).or_else(|| of(&head?.headers))?)
        }
        ["size"] => outcome.as_ref().and_then(|outcome| number(outcome.response_bytes)),
        ["total_size"] => outcome.as_ref().and_then(|outcome| {
            let fields: usize =
                head.map_or(0, |head| head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum());
            number(outcome.response_bytes + fields as u64)
        }),
        ["headers"] => Some(pairs::written(|| {
            head.into_iter()
                .flat_map(|head| head.headers.iter())
                .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
        })),
        ["headers", name] => head?.headers.get(*name).map(|value| value.as_bytes().to_vec()),
        ["trailers", name] => {
            let trailers = stream.side(Way::Response).trailers.borrow();
            trailers.as_ref()?.get(*name).map(|value| value.as_bytes().to_vec())
        }
        _ => None,
    }
}

/// What is known of the endpoint once the exchange is over.
fn of_upstream(stream: &Stream, exchange: &Exchange, path: &[&str]) -> Option<Vec<u8>> {
    let outcome = stream.outcome.borrow();
    let endpoint = outcome.as_ref().and_then(|outcome| outcome.attempt.endpoint).or(exchange.destination.endpoint)?;
    match path {
        ["address"] => text(endpoint.to_string()),
        ["port"] => number(endpoint.port()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_forms_of_the_abi() {
        assert_eq!(number(200_u16), Some(vec![200, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(truth(true), Some(vec![1]));
        assert_eq!(nanos(Duration::from_nanos(258)), Some(vec![2, 1, 0, 0, 0, 0, 0, 0]));
    }
}
