//! What a filter may import: each function of wit/ that this version offers, as a thin layer over `filter/host`. Each is written once
//! and offered to components and to core modules alike.
//!
//! A function that is not here is refused by name when a module is loaded, so this file is also the list of what works.

use std::sync::Arc;

use wasmtime::{Error, Result};

use super::direct::value::{Blob, List, Str};
use super::linker::{Interface, Linker, Waits};
use super::types::{
    Ask, BodyError, Decision, Field, HttpError, Incoming, MetricKind, MirrorResult, Outgoing, Severity, StoreError,
};
use crate::filter::Guest;
use crate::filter::hand;
use crate::filter::host::{
    body, connection, destination, fields, http_client, log, mirror, notes, outcome, quota, reply, request, response,
    setup::Setup, store, system, trailers,
};
use crate::store::at_once;

/// Bytes that are kept.
type Bytes = Vec<u8>;

/// Adds every function.
pub fn add_all(linker: &mut Linker, remote: bool) -> Result<()> {
    setup(linker.interface("setup", remote)?)?;
    request(linker.interface("request", remote)?)?;
    response(linker.interface("response", remote)?)?;
    reply(linker.interface("reply", remote)?)?;
    chunk(linker.interface("chunk", remote)?)?;
    connection(linker.interface("connection", remote)?)?;
    destination(linker.interface("destination", remote)?)?;
    http_client(linker.interface("http-client", remote)?)?;
    store(linker.interface("store", remote)?)?;
    quota(linker.interface("quota", remote)?)?;
    metrics(linker.interface("metrics", remote)?)?;
    notes(linker.interface("notes", remote)?)?;
    log(linker.interface("log", remote)?)?;
    clock(linker.interface("clock", remote)?)?;
    entropy(linker.interface("entropy", remote)?)?;
    outcome(linker.interface("outcome", remote)?)?;
    // Interfaces of types only.
    linker.interface("types", remote)?;
    Ok(())
}

fn setup(mut interface: Interface<'_>) -> Result<()> {
    fn setup(guest: &mut Guest, function: &'static str, job: impl FnOnce(&mut Setup)) -> Result<()> {
        job(guest.setup_mut(function)?);
        Ok(())
    }
    interface
        .function::<(Str,), _>("want", |guest, (hook,)| Ok(guest.setup_mut("want")?.want(hook)))?
        .function::<(), _>("keep-state", |guest, ()| setup(guest, "keep-state", Setup::keep_state))?
        .function::<(u64,), _>("tick-every-ms", |guest, (period,)| {
            setup(guest, "tick-every-ms", |setup| setup.tick_every_ms(period))
        })?;
    Ok(())
}

fn request(mut interface: Interface<'_>) -> Result<()> {
    interface
        .get("method", |exchange| exchange.request.method.clone())?
        .get("scheme", |exchange| exchange.scheme)?
        .get("authority", |exchange| exchange.authority.clone())?
        .get("path", |exchange| request::path(exchange).to_owned())?
        .get("query", |exchange| request::query(exchange).map(str::to_owned))?
        .set::<(Str,)>("set-method", |exchange, (method,)| request::set_method(exchange, method))?
        .set::<(Str,)>("set-authority", |exchange, (authority,)| request::set_authority(exchange, authority))?
        .set::<(Str,)>("set-target", |exchange, (target,)| request::set_target(exchange, target))?
        .function::<(Str,), _>("header", |_, (name,)| {
            Ok(hand::exchange("header", |exchange| fields::joined(&exchange.request.headers, name))?)
        })?
        .function::<(Str,), _>("headers", |_, (name,)| {
            Ok(hand::exchange("headers", |exchange| fields::each(&exchange.request.headers, name))?)
        })?
        .get("all-headers", |exchange| fields::packed(&exchange.request.headers))?
        .set::<(Str, Blob)>("set-header", |exchange, (name, value)| fields::set(&mut exchange.request.headers, name, value))?
        .set::<(Str, Blob)>("add-header", |exchange, (name, value)| fields::add(&mut exchange.request.headers, name, value))?
        .change::<(Str,)>("remove-header", |exchange, (name,)| fields::remove(&mut exchange.request.headers, name))?
        .hand::<(Str,), _>("trailer", |hand, (name,)| Ok(trailers::of_request(hand, name)))?
        .hand::<(Str, Blob), _>("set-trailer", |hand, (name, value)| Ok(trailers::set_of_request(hand, name, value)))?
        .waiting::<(u32,), _, _>("read-body", |_, (limit,)| async move {
            Ok(body::read_request("read-body", limit).await?.map_err(BodyError::from))
        })?
        .change::<(Bytes,)>("set-body", |exchange, (bytes,)| body::set_request(exchange, bytes))?
        .get("id", |exchange| exchange.id.clone())?
        .get("deadline-left-ms", request::deadline_left_ms)?;
    Ok(())
}

fn response(mut interface: Interface<'_>) -> Result<()> {
    interface
        .hand::<(), _>("status", |hand, ()| response::look(hand, "status", |head| head.status.as_u16()))?
        .hand::<(u16,), _>("set-status", |hand, (status,)| {
            response::change(hand, "set-status", |head| response::set_status(head, status))
        })?
        .hand::<(), _>("origin", |hand, ()| response::origin(hand))?
        .hand::<(Str,), _>("header", |hand, (name,)| response::look(hand, "header", |head| fields::joined(&head.headers, name)))?
        .hand::<(Str,), _>("headers", |hand, (name,)| response::look(hand, "headers", |head| fields::each(&head.headers, name)))?
        .hand::<(), _>("all-headers", |hand, ()| response::look(hand, "all-headers", |head| fields::packed(&head.headers)))?
        .hand::<(Str, Blob), _>("set-header", |hand, (name, value)| {
            response::change(hand, "set-header", |head| fields::set(&mut head.headers, name, value))
        })?
        .hand::<(Str, Blob), _>("add-header", |hand, (name, value)| {
            response::change(hand, "add-header", |head| fields::add(&mut head.headers, name, value))
        })?
        .hand::<(Str,), _>("remove-header", |hand, (name,)| {
            response::change(hand, "remove-header", |head| fields::remove(&mut head.headers, name))
        })?
        .hand::<(Str,), _>("trailer", |hand, (name,)| Ok(trailers::of_response(hand, name)))?
        .hand::<(Str, Blob), _>("set-trailer", |hand, (name, value)| Ok(trailers::set_of_response(hand, name, value)))?
        .waiting::<(u32,), _, _>("read-body", |_, (limit,)| async move {
            Ok(body::read_response("read-body", limit).await?.map_err(BodyError::from))
        })?
        .hand::<(Bytes,), _>("set-body", |hand, (bytes,)| body::set_response(hand, bytes))?;
    Ok(())
}

fn reply(mut interface: Interface<'_>) -> Result<()> {
    interface
        .hand::<(u16, List<Field>, Bytes), _>("set", |hand, (status, fields, body)| {
            Ok(reply::set(hand, status, fields.into_iter(), body))
        })?
        .hand::<(u32, Str), _>("set-grpc", |hand, (status, message)| {
            reply::set_grpc(hand, status, message);
            Ok(())
        })?;
    Ok(())
}

fn chunk(mut interface: Interface<'_>) -> Result<()> {
    interface.hand::<(Bytes,), _>("replace", |hand, (bytes,)| body::replace_chunk(hand, bytes))?;
    Ok(())
}

fn connection(mut interface: Interface<'_>) -> Result<()> {
    interface
        .get("source-address", connection::source_address)?
        .get("peer-address", connection::peer_address)?
        .get("local-address", connection::local_address)?
        .get("original-destination", connection::original_destination)?
        .get("trusted", |exchange| exchange.connection.trusted)?
        .get("listener", |exchange| Arc::clone(&exchange.connection.listener))?
        .get("protocol", |exchange| exchange.protocol())?
        .get("tls-version", |exchange| exchange.connection.tls_version)?
        .get("server-name", |exchange| exchange.connection.server_name.clone())?
        .get("client-identities", |exchange| exchange.connection.identities().to_vec())?
        .get("client-fingerprint", |exchange| exchange.connection.client.as_ref().map(|client| client.fingerprint.clone()))?;
    Ok(())
}

fn destination(mut interface: Interface<'_>) -> Result<()> {
    interface
        .get("cluster", |exchange| exchange.destination.cluster.clone())?
        .set::<(Str,)>("set-cluster", |exchange, (name,)| destination::set_cluster(exchange, name))?
        .get("route", |exchange| exchange.destination.route.clone())?
        .change::<(Str,)>("set-route", |exchange, (name,)| destination::set_route(exchange, name))?
        .hand::<(Str,), _>("set-chain", |hand, (name,)| destination::set_chain(hand, name))?
        .change::<(u32,)>("set-timeout-ms", |exchange, (total,)| destination::set_timeout_ms(exchange, total))?
        .set::<(Str,)>("set-fallback", |exchange, (name,)| destination::set_fallback(exchange, name))?
        .hand::<(Str,), _>("set-endpoint", |hand, (address,)| destination::set_endpoint(hand, address))?
        .change::<(List<(String, String)>,)>("set-subset", |exchange, (labels,)| destination::set_subset(exchange, labels))?
        .change::<(Bytes,)>("set-hash-key", |exchange, (key,)| destination::set_hash_key(exchange, key))?
        .set::<(u32, List<String>, Option<u32>)>("set-retry", |exchange, (attempts, on, per_try)| {
            destination::set_retry(exchange, attempts, &on, per_try)
        })?
        .change::<(u64,)>("set-response-rate", |exchange, (rate,)| destination::set_response_rate(exchange, rate))?
        .hand::<(Str, List<Field>, u32), _>("mirror", |hand, (cluster, fields, limit)| {
            mirror::add(hand, cluster, fields.into_iter(), limit)
        })?;
    Ok(())
}

fn http_client(mut interface: Interface<'_>) -> Result<()> {
    interface
        .waiting::<(Outgoing,), _, _>("send", |guest, (request,)| {
            let call = http_client::call(&guest.identity, request);
            async move { Ok(call.await?.map(Incoming::from).map_err(HttpError::from)) }
        })?
        .waiting::<(List<Outgoing>,), _, _>("send-all", |guest, (requests,)| {
            let calls = http_client::call_all(&guest.identity, requests);
            async move {
                let answers = calls.await?.into_iter().map(|answer| answer.map(Incoming::from).map_err(HttpError::from));
                Ok(answers.collect::<Vec<_>>())
            }
        })?;
    Ok(())
}

/// A function of stores: a plain one where they are in memory, or else one that may wait.
macro_rules! stored {
    ($interface:ident, $name:literal, |$granted:ident, $($argument:ident: $type:ty),*| $body:expr) => {
        if $interface.remote {
            $interface.waiting::<($($type,)*), _, _>($name, |guest, ($($argument,)*)| {
                let identity = Arc::clone(&guest.identity);
                async move {
                    let $granted = &identity.grants.stores;
                    Ok($body)
                }
            })?;
        } else {
            $interface.function::<($($type,)*), _>($name, |guest, ($($argument,)*)| {
                let $granted = &guest.identity.grants.stores;
                let answer = at_once(async move { Ok($body) });
                answer.ok_or_else(|| Error::msg("a store that waits was reached by a filter that does not"))?
            })?;
        }
        $interface.offered.insert(($interface.name, $name), Waits::WhereRemote);
    };
}

fn store(mut interface: Interface<'_>) -> Result<()> {
    stored!(interface, "get", |granted, name: String, key: String| {
        store::get(granted, &name, &key).await.map_err(StoreError::from)
    });
    stored!(interface, "set", |granted, name: String, key: String, value: Bytes, ttl: Option<u64>| {
        store::set(granted, &name, &key, value, ttl).await.map_err(StoreError::from)
    });
    stored!(interface, "compare-and-set", |granted,
                                           name: String,
                                           key: String,
                                           expected: Option<Bytes>,
                                           value: Bytes,
                                           ttl: Option<u64>| {
        store::compare_and_set(granted, &name, &key, expected.as_deref(), value, ttl).await.map_err(StoreError::from)
    });
    stored!(interface, "delete", |granted, name: String, key: String| {
        store::delete(granted, &name, &key).await.map_err(StoreError::from)
    });
    stored!(interface, "increment", |granted, name: String, key: String, by: i64, ttl: Option<u64>| {
        store::increment(granted, &name, &key, by, ttl).await.map_err(StoreError::from)
    });
    Ok(())
}

fn quota(mut interface: Interface<'_>) -> Result<()> {
    stored!(interface, "take", |granted, name: String, asks: List<Ask>| {
        let mut held = Vec::new();
        let taken = quota::take(granted, &name, &asks, &mut held).await;
        if !held.is_empty() {
            // Without an exchange there is nobody to hold it.
            hand::exchange_mut("quota.take", |exchange| exchange.held.append(&mut held))?;
        }
        let decisions: std::result::Result<Vec<Decision>, StoreError> =
            taken.map(|decisions| decisions.into_iter().map(Decision::from).collect()).map_err(StoreError::from);
        decisions
    });
    Ok(())
}

fn metrics(mut interface: Interface<'_>) -> Result<()> {
    interface
        .function::<(Str, Str, MetricKind, List<String>), _>("declare", |guest, (name, help, kind, labels)| {
            let identity = Arc::clone(&guest.identity);
            let setup = guest.setup_mut("metrics.declare")?;
            Ok(setup.metrics.declare(&identity.taken, name, help, kind.into(), &labels))
        })?
        .function::<(u32, List<Str>, f64), _>("observe", |guest, (metric, labels, value)| {
            if let Some(instruments) = guest.identity.instruments.get() {
                instruments.observe(metric, &labels, value);
            }
            Ok(())
        })?;
    Ok(())
}

fn notes(mut interface: Interface<'_>) -> Result<()> {
    interface
        .function::<(Str,), _>("get", |_, (key,)| {
            Ok(hand::exchange("notes.get", |exchange| exchange.note(key).map(str::to_owned))?)
        })?
        .change::<(Str, Str)>("set", |exchange, (key, value)| notes::set(exchange, key, value))?;
    Ok(())
}

fn log(mut interface: Interface<'_>) -> Result<()> {
    interface
        .function::<(Severity,), _>("enabled", |_, (severity,)| Ok(log::enabled(severity.into())))?
        .function::<(Severity, Str), _>("write", |guest, (severity, message)| {
            log::write(&guest.identity, severity.into(), message);
            Ok(())
        })?;
    Ok(())
}

fn clock(mut interface: Interface<'_>) -> Result<()> {
    interface
        .function::<(), _>("now-ns", |_, ()| Ok(system::now_ns()))?
        .function::<(), _>("monotonic-ns", |_, ()| Ok(system::monotonic_ns()))?
        .waiting::<(u32,), _, _>("sleep-ms", |_, (ms,)| async move { Ok(system::sleep_ms(ms).await?) })?;
    Ok(())
}

fn entropy(mut interface: Interface<'_>) -> Result<()> {
    interface
        .function::<(), _>("next", |_, ()| system::next().map_err(Error::msg))?
        .function::<(u32,), _>("bytes", |_, (count,)| system::bytes(count).map_err(Error::msg))?;
    Ok(())
}

fn outcome(mut interface: Interface<'_>) -> Result<()> {
    interface
        .hand::<(), _>("status", |hand, ()| outcome::of(hand, "status", |outcome| outcome.status))?
        .hand::<(), _>("request-bytes", |hand, ()| outcome::of(hand, "request-bytes", |outcome| outcome.request_bytes))?
        .hand::<(), _>("response-bytes", |hand, ()| outcome::of(hand, "response-bytes", |outcome| outcome.response_bytes))?
        .hand::<(), _>("duration-us", |hand, ()| outcome::of(hand, "duration-us", |outcome| outcome::micros(outcome.duration)))?
        .hand::<(), _>("upstream", |hand, ()| outcome::of(hand, "upstream", outcome::upstream))?
        .hand::<(), _>("attempts", |hand, ()| outcome::of(hand, "attempts", |outcome| outcome.attempt.count))?
        .hand::<(), _>("failure", |hand, ()| outcome::of(hand, "failure", outcome::failure))?
        .hand::<(u32,), _>("mirrored", |hand, (id,)| {
            outcome::of(hand, "mirrored", |outcome| outcome::mirrored(outcome, id, |result| MirrorResult::from(result)))
        })?
        .hand::<(u32, Str), _>("mirrored-headers", |hand, (id, name)| {
            outcome::of(hand, "mirrored-headers", |outcome| outcome::mirrored_headers(outcome, id, name))
        })?;
    Ok(())
}
