//! Maps of fields, as guests see them: names in lower case, those of a head with its pseudo fields before the others.
//!
//! What frames a message stays the proxy's, except for its length, which a guest that changes a body has to take away first.

use std::borrow::Cow;
use std::rc::Rc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::here;
use super::memory::{self, Call};
use super::pairs::{self, Pair};
use super::status::{Status, map};
use super::stream::Stream;
use crate::exchange::Exchange;
use crate::filter::chain::Way;
use crate::filter::host::{fields, request, response};

/// Fields of one hop: what a guest says of them is not heard.
static OF_ONE_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::UPGRADE,
];

/// Neither is the length of a call's body, which is known.
pub fn is_of_one_hop(name: &[u8]) -> bool {
    let is = |known: &HeaderName| known.as_str().as_bytes().eq_ignore_ascii_case(name);
    OF_ONE_HOP.iter().any(is) || is(&header::CONTENT_LENGTH) || is(&header::HOST)
}

/// The exchange that the guest speaks of, if it has fields at all.
fn stream() -> Option<Rc<Stream>> {
    here::stream().filter(|stream| !stream.raw)
}

/// What is done to a field.
#[derive(Clone, Copy)]
pub enum Change<'a> {
    Add(&'a [u8], &'a [u8]),
    Replace(&'a [u8], &'a [u8]),
    Remove(&'a [u8]),
}

type Pseudo<'a> = [(&'static [u8], Cow<'a, [u8]>); 4];

fn of_request(exchange: &Exchange) -> Pseudo<'_> {
    let target = exchange.request.uri.path_and_query().map_or("/", |target| target.as_str());
    [
        (b":authority", exchange.authority.as_bytes().into()),
        (b":path", target.as_bytes().into()),
        (b":method", exchange.request.method.as_str().as_bytes().into()),
        (b":scheme", exchange.scheme.as_bytes().into()),
    ]
}

/// The names and values of one map, in order.
type Found = Vec<(Bytes, Bytes)>;

fn of_answer(found: &Found) -> Vec<Pair<'_>> {
    found.iter().map(|(name, value)| (&name[..], &value[..])).collect()
}

/// Runs `look` on all pairs of a map; `None`: there is no such map at present.
fn with<T>(call: &Call<'_>, map: u32, look: impl FnOnce(&[Pair<'_>]) -> T) -> Option<T> {
    match map {
        map::REQUEST_HEADERS => {
            let stream = stream()?;
            let exchange = stream.exchange();
            let exchange = exchange.borrow();
            let pseudo = of_request(&exchange);
            let mut all = Vec::with_capacity(4 + exchange.request.headers.len());
            all.extend(pseudo.iter().map(|(name, value)| (*name, &**value)));
            all.extend(plain(&exchange.request.headers));
            Some(look(&all))
        }
        map::RESPONSE_HEADERS => {
            let stream = stream()?;
            let exchange = stream.exchange();
            let exchange = exchange.borrow();
            let head = exchange.response.as_ref()?;
            let mut all = Vec::with_capacity(1 + head.headers.len());
            all.push((&b":status"[..], head.status.as_str().as_bytes()));
            all.extend(plain(&head.headers));
            Some(look(&all))
        }
        map::REQUEST_TRAILERS | map::RESPONSE_TRAILERS => {
            let stream = stream()?;
            let side = stream.side(if map == map::REQUEST_TRAILERS { Way::Request } else { Way::Response });
            let trailers = side.trailers.borrow();
            Some(look(&plain(trailers.as_ref()?).collect::<Vec<_>>()))
        }
        map => {
            let answered = call.data().answered.as_deref()?;
            match map {
                map if map == answered.headers_map && map != 0 => Some(look(&of_answer(&answered.headers))),
                map if map == answered.trailers_map && map != 0 => Some(look(&of_answer(&answered.trailers))),
                _ => None,
            }
        }
    }
}

fn plain(fields: &HeaderMap) -> impl Iterator<Item = Pair<'_>> {
    fields.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

/// `proxy_get_header_map_pairs`: a map that is not there is empty.
pub fn pairs(call: &mut Call<'_>, map: u32, to: u32, length_to: u32) -> wasmtime::Result<Status> {
    if map > map::CALL_TRAILERS {
        return Ok(Status::BadArgument);
    }
    let written = with(call, map, |all| pairs::written(|| all.iter().copied())).unwrap_or_default();
    memory::give(call, &written, to, length_to)?;
    Ok(Status::Ok)
}

/// `proxy_get_header_map_size`: bytes of names and values.
pub fn size(call: &mut Call<'_>, map: u32, to: u32) -> wasmtime::Result<Status> {
    let bytes = with(call, map, |all| all.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>());
    let Some(bytes) = bytes else { return Ok(Status::BadArgument) };
    memory::put_u32(call, to, u32::try_from(bytes).unwrap_or(u32::MAX))?;
    Ok(Status::Ok)
}

/// One value, shared where that can be.
enum Value {
    Field(HeaderValue),
    Other(Vec<u8>),
}

/// `proxy_get_header_map_value`: the first value.
pub fn value(call: &mut Call<'_>, map: u32, name: (u32, u32), to: u32, length_to: u32) -> wasmtime::Result<Option<()>> {
    match find(call, map, memory::see(call, name.0, name.1)?) {
        None => return Ok(None),
        Some(Value::Field(value)) => memory::give(call, value.as_bytes(), to, length_to)?,
        Some(Value::Other(value)) => memory::give(call, &value, to, length_to)?,
    }
    Ok(Some(()))
}

fn find(call: &Call<'_>, map: u32, name: &[u8]) -> Option<Value> {
    match (map, plain_name(name)) {
        // Without looking at all the others.
        (map::REQUEST_HEADERS, Some(name)) => {
            let exchange = stream()?.exchange();
            let exchange = exchange.borrow();
            fields::first(&exchange.request.headers, name).map(Value::Field)
        }
        (map::RESPONSE_HEADERS, Some(name)) => {
            let exchange = stream()?.exchange();
            let exchange = exchange.borrow();
            fields::first(&exchange.response.as_ref()?.headers, name).map(Value::Field)
        }
        (map::REQUEST_HEADERS, None) => {
            let exchange = stream()?.exchange();
            let exchange = exchange.borrow();
            let name = if is_host(name) { b":authority" } else { name };
            let found = of_request(&exchange).into_iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| Value::Other(value.into_owned()))
        }
        _ => {
            let found = |all: &[Pair<'_>]| {
                all.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| Value::Other(value.to_vec()))
            };
            with(call, map, found).flatten()
        }
    }
}

fn is_host(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"host")
}

/// A name that is no pseudo field's.
fn plain_name(name: &[u8]) -> Option<&str> {
    if name.starts_with(b":") || is_host(name) { None } else { std::str::from_utf8(name).ok() }
}

/// `proxy_add_…`, `proxy_replace_…` and `proxy_remove_header_map_value`
pub fn change(map: u32, change: Change<'_>) -> Status {
    let Some(stream) = stream() else { return Status::BadArgument };
    let shared = stream.exchange();
    let exchange = &mut *shared.borrow_mut();
    let changed = match map {
        map::REQUEST_HEADERS => change_request(exchange, change),
        map::RESPONSE_HEADERS => match exchange.response.as_mut() {
            Some(head) => change_response(head, change),
            None => return Status::BadArgument,
        },
        map::REQUEST_TRAILERS | map::RESPONSE_TRAILERS => {
            let side = stream.side(if map == map::REQUEST_TRAILERS { Way::Request } else { Way::Response });
            match side.trailers.borrow_mut().as_mut() {
                Some(trailers) => change_plain(trailers, change),
                None => return Status::BadArgument,
            }
        }
        _ => return Status::BadArgument,
    };
    settle(&stream, changed)
}

/// Of what is told of a mistake.
const WRONG_CHARS_MAX: usize = 200;

/// A field that cannot be: to go on without it might let something pass, so the exchange fails, and nobody else's.
fn settle(stream: &Stream, changed: Result<(), String>) -> Status {
    if let Err(wrong) = changed {
        // It quotes the guest, who may say anything of any length.
        let wrong: String = wrong.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).take(WRONG_CHARS_MAX).collect();
        stream.wrong.borrow_mut().get_or_insert(wrong);
        stream.notify();
    }
    Status::Ok
}

fn change_request(exchange: &mut Exchange, change: Change<'_>) -> Result<(), String> {
    let (name, value) = match change {
        Change::Add(name, value) | Change::Replace(name, value) => (name, Some(value)),
        Change::Remove(name) => (name, None),
    };
    let is_pseudo = name.starts_with(b":") || is_host(name);
    let is_length = name.eq_ignore_ascii_case(header::CONTENT_LENGTH.as_str().as_bytes());
    if is_length && value.is_none() && exchange.request_body.is_end_stream() {
        // Without a body its length stays what it is: a server would have to guess.
        return Ok(());
    }
    if !is_pseudo {
        return change_plain(&mut exchange.request.headers, change);
    }
    // Without one of these there is no request.
    let Some(value) = value else { return Ok(()) };
    let text = std::str::from_utf8(value).map_err(|_| format!("`{}` is no text", String::from_utf8_lossy(name)))?;
    match name.to_ascii_lowercase().as_slice() {
        b":authority" | b"host" => request::set_authority(exchange, text),
        b":path" => request::set_target(exchange, text),
        b":method" => request::set_method(exchange, text),
        // The cluster decides what is spoken with it.
        _ => Ok(()),
    }
}

fn change_response(head: &mut http::response::Parts, change: Change<'_>) -> Result<(), String> {
    match change {
        Change::Add(b":status", value) | Change::Replace(b":status", value) => {
            let status = std::str::from_utf8(value).ok().and_then(|status| status.parse().ok());
            let status = status.ok_or_else(|| format!("`{}` is no status", String::from_utf8_lossy(value)))?;
            response::set_status(head, status)
        }
        Change::Add(name, _) | Change::Replace(name, _) | Change::Remove(name) if name.starts_with(b":") => Ok(()),
        change => change_plain(&mut head.headers, change),
    }
}

fn change_plain(headers: &mut HeaderMap, change: Change<'_>) -> Result<(), String> {
    let name = match change {
        Change::Add(name, _) | Change::Replace(name, _) | Change::Remove(name) => name,
    };
    let is = |known: &HeaderName| known.as_str().as_bytes().eq_ignore_ascii_case(name);
    if OF_ONE_HOP.iter().any(is) {
        return Ok(());
    }
    let text = std::str::from_utf8(name).map_err(|_| "the name of a field is no text".to_owned())?;
    if is(&header::CONTENT_LENGTH) {
        match change {
            Change::Remove(_) => drop(headers.remove(header::CONTENT_LENGTH)),
            Change::Add(_, value) | Change::Replace(_, value) => {
                let length = std::str::from_utf8(value).ok().and_then(|length| length.trim().parse::<u64>().ok());
                let length = length.ok_or("`content-length` was given something that is no length")?;
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        return Ok(());
    }
    match change {
        Change::Add(_, value) => fields::add(headers, text, value),
        Change::Replace(_, value) => fields::set(headers, text, value),
        Change::Remove(_) => {
            fields::remove(headers, text);
            Ok(())
        }
    }
}

/// `proxy_set_header_map_pairs`: these are all.
pub fn set_pairs(call: &mut Call<'_>, map: u32, at: u32, bytes: u32) -> wasmtime::Result<Status> {
    let bytes = memory::copy(call, at, bytes)?;
    let Some(all) = pairs::read(&bytes) else { return Ok(Status::BadArgument) };
    let Some(stream) = stream() else { return Ok(Status::BadArgument) };
    let shared = stream.exchange();
    let exchange = &mut *shared.borrow_mut();
    let of_hop = |headers: &mut HeaderMap| {
        let kept: HeaderMap = OF_ONE_HOP.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect();
        *headers = kept;
    };
    let changed = match map {
        map::REQUEST_HEADERS => {
            of_hop(&mut exchange.request.headers);
            all.iter().try_for_each(|(name, value)| change_request(exchange, Change::Add(name, value)))
        }
        map::RESPONSE_HEADERS => match exchange.response.as_mut() {
            Some(head) => {
                of_hop(&mut head.headers);
                all.iter().try_for_each(|(name, value)| change_response(head, Change::Add(name, value)))
            }
            None => return Ok(Status::BadArgument),
        },
        map::REQUEST_TRAILERS | map::RESPONSE_TRAILERS => {
            let side = stream.side(if map == map::REQUEST_TRAILERS { Way::Request } else { Way::Response });
            let mut trailers = side.trailers.borrow_mut();
            let Some(trailers) = trailers.as_mut() else { return Ok(Status::BadArgument) };
            trailers.clear();
            all.iter().try_for_each(|(name, value)| change_plain(trailers, Change::Add(name, value)))
        }
        _ => return Ok(Status::BadArgument),
    };
    Ok(settle(&stream, changed))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::exchange::tests::exchange;

    #[test]
    fn pseudo_fields_are_parts_of_the_request() {
        let mut exchange = exchange();
        for (name, value) in [(":path", "/a?b=1"), (":method", "PUT"), ("Host", "b.example"), (":scheme", "ftp")] {
            change_request(&mut exchange, Change::Replace(name.as_bytes(), value.as_bytes())).expect("it can be set");
        }
        let found: Vec<_> = of_request(&exchange).into_iter().map(|(_, value)| value.into_owned()).collect();
        assert_eq!(found, [&b"b.example"[..], b"/a?b=1", b"PUT", b"http"]);
        change_request(&mut exchange, Change::Remove(b":path")).expect("it stays");
        assert_eq!(exchange.request.uri.path(), "/a");
        assert!(change_request(&mut exchange, Change::Replace(b":path", b"no path")).is_err());
    }

    #[test]
    fn the_length_can_go_and_the_hop_stays() {
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from_static("3"));
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
        for name in ["TE", "Connection", "transfer-encoding"] {
            change_plain(&mut fields, Change::Replace(name.as_bytes(), b"x")).expect("it is not heard");
            change_plain(&mut fields, Change::Remove(name.as_bytes())).expect("nor is this");
        }
        assert_eq!(fields.len(), 2);
        change_plain(&mut fields, Change::Replace(b"Content-Length", b"7")).expect("a length");
        assert_eq!(fields[header::CONTENT_LENGTH], "7");
        assert!(change_plain(&mut fields, Change::Replace(b"content-length", b"-1")).is_err());
        change_plain(&mut fields, Change::Remove(b"content-length")).expect("it can go");
        assert_eq!(fields.len(), 1);
        assert!(change_plain(&mut fields, Change::Add(b"x-a", b"1\r\nx-b: 2")).is_err());
    }
}
