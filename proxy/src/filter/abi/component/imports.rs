//! What a component may import: each function of wit/ that this version offers, as a thin layer over `filter/host`.
//!
//! A function that is not here is refused by name when a module is loaded, so this file is also the list of what works.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::component::{ComponentNamedList, Lift, Lower};
use wasmtime::{Engine, Error, Result, StoreContextMut};

use super::types::{
    Ask, BodyError, Decision, Field, HttpError, Incoming, MetricKind, MirrorResult, Outgoing, Severity, StoreError,
};
use crate::exchange::Exchange;
use crate::filter::hand::{self, InHand};
use crate::filter::host::{
    body, connection, destination, fields, http_client, log, mirror, notes, outcome, quota, reply, request, response,
    setup::Setup, store, system, trailers,
};
use crate::filter::{Guest, OutOfPlace};
use crate::store::at_once;

type Context<'a> = StoreContextMut<'a, Guest>;
type Bytes = Vec<u8>;
/// What `set-…` functions answer.
type Done = (std::result::Result<(), String>,);

/// The linkers, with the names of what they offer and when each may wait.
pub struct Linker {
    /// Stores answer at once: a guest is called as a plain function.
    plain: wasmtime::component::Linker<Guest>,
    /// Stores may have to wait for a backend: a guest that asks them runs on a fiber.
    remote: wasmtime::component::Linker<Guest>,
    offered: BTreeMap<(&'static str, &'static str), Waits>,
}

/// When a function may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    Never,
    /// If a store that the filter is granted is elsewhere.
    WhereRemote,
    Always,
}

impl Linker {
    /// When a function of ours may wait; `None` if there is none of that name.
    pub fn offers(&self, interface: &str, function: &str) -> Option<Waits> {
        self.offered.iter().find(|((offered, name), _)| *offered == interface && *name == function).map(|(_, waits)| *waits)
    }

    /// The same for an interface of others; `None` if it is not offered at all.
    pub fn foreign(&self, interface: &str) -> Option<Waits> {
        crate::filter::host::wasi::offers(interface).then_some(Waits::Always)
    }

    pub fn instantiate_pre(&self, component: &wasmtime::component::Component) -> Result<wasmtime::component::InstancePre<Guest>> {
        self.plain.instantiate_pre(component)
    }

    /// For filters whose stores may wait.
    pub fn instantiate_pre_remote(
        &self,
        component: &wasmtime::component::Component,
    ) -> Result<wasmtime::component::InstancePre<Guest>> {
        self.remote.instantiate_pre(component)
    }

    /// Every function that is offered, by interface and name.
    pub fn functions(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.offered.keys().copied()
    }

    fn interface(&mut self, name: &'static str, remote: bool) -> Result<Interface<'_>> {
        let linker = if remote { &mut self.remote } else { &mut self.plain };
        let instance = linker.instance(&format!("{}{name}@0.1.0", super::PACKAGE))?;
        Ok(Interface { name, instance, remote, offered: &mut self.offered })
    }
}

/// One interface while its functions are added.
struct Interface<'a> {
    name: &'static str,
    instance: wasmtime::component::LinkerInstance<'a, Guest>,
    remote: bool,
    offered: &'a mut BTreeMap<(&'static str, &'static str), Waits>,
}

impl Interface<'_> {
    fn function<P, R>(
        &mut self,
        name: &'static str,
        function: impl Fn(Context<'_>, P) -> Result<R> + Send + Sync + 'static,
    ) -> Result<&mut Self>
    where
        P: ComponentNamedList + Lift + 'static,
        R: ComponentNamedList + Lower + 'static,
    {
        if self.name == "request" {
            self.instance.func_wrap(name, move |context: Context<'_>, arguments: P| {
                hand::of_a_request(name)?;
                function(context, arguments)
            })?;
        } else {
            self.instance.func_wrap(name, function)?;
        }
        self.offered.insert((self.name, name), Waits::Never);
        Ok(self)
    }

    /// A function that may wait. What it needs of the guest it takes at once.
    fn waiting<P, R, F>(
        &mut self,
        name: &'static str,
        function: impl Fn(&Guest, P) -> F + Send + Sync + 'static,
    ) -> Result<&mut Self>
    where
        P: ComponentNamedList + Lift + 'static,
        R: ComponentNamedList + Lower + 'static,
        F: Future<Output = Result<R>> + Send + 'static,
    {
        self.instance
            .func_wrap_async(name, move |context: Context<'_>, arguments: P| Box::new(function(context.data(), arguments)))?;
        self.offered.insert((self.name, name), Waits::Always);
        Ok(self)
    }

    /// A function without arguments that looks at the exchange.
    fn get<R>(&mut self, name: &'static str, get: impl Fn(&Exchange) -> R + Send + Sync + 'static) -> Result<&mut Self>
    where
        (R,): ComponentNamedList + Lower + 'static,
    {
        self.function(name, move |_, ()| Ok((hand::exchange(name, &get)?,)))
    }

    /// A function that changes the exchange and may say what is wrong with its arguments.
    fn set<P>(
        &mut self,
        name: &'static str,
        set: impl Fn(&mut Exchange, P) -> std::result::Result<(), String> + Send + Sync + 'static,
    ) -> Result<&mut Self>
    where
        P: ComponentNamedList + Lift + 'static,
    {
        self.function(name, move |_, arguments: P| -> Result<Done> {
            Ok((hand::exchange_mut(name, |exchange| set(exchange, arguments))?,))
        })
    }

    /// The same for a function that has nothing to answer.
    fn change<P>(&mut self, name: &'static str, change: impl Fn(&mut Exchange, P) + Send + Sync + 'static) -> Result<&mut Self>
    where
        P: ComponentNamedList + Lift + 'static,
    {
        self.function(name, move |_, arguments: P| Ok(hand::exchange_mut(name, |exchange| change(exchange, arguments))?))
    }

    /// A function of what is in hand that only some hooks have, or that can fail the guest.
    fn hand<P, R>(
        &mut self,
        name: &'static str,
        job: impl Fn(&mut InHand, P) -> std::result::Result<R, OutOfPlace> + Send + Sync + 'static,
    ) -> Result<&mut Self>
    where
        P: ComponentNamedList + Lift + 'static,
        (R,): ComponentNamedList + Lower + 'static,
    {
        self.function(name, move |_, arguments: P| Ok((hand::with(name, |hand| job(hand, arguments))??,)))
    }
}

/// Everything that is offered.
pub fn linker(engine: &Engine) -> Result<Linker> {
    let new = || wasmtime::component::Linker::new(engine);
    let mut linker = Linker { plain: new(), remote: new(), offered: BTreeMap::new() };
    crate::filter::host::wasi::link(&mut linker.plain)?;
    crate::filter::host::wasi::link(&mut linker.remote)?;
    add_all(&mut linker, true)?;
    add_all(&mut linker, false)?;
    Ok(linker)
}

fn add_all(linker: &mut Linker, remote: bool) -> Result<()> {
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
    fn setup(context: &mut Context<'_>, function: &'static str, job: impl FnOnce(&mut Setup)) -> Result<()> {
        job(context.data_mut().setup_mut(function)?);
        Ok(())
    }
    interface
        .function("want", |mut context, (hook,): (String,)| -> Result<Done> {
            Ok((context.data_mut().setup_mut("want")?.want(&hook),))
        })?
        .function("keep-state", |mut context, ()| setup(&mut context, "keep-state", Setup::keep_state))?
        .function("tick-every-ms", |mut context, (period,): (u64,)| {
            setup(&mut context, "tick-every-ms", |setup| setup.tick_every_ms(period))
        })?;
    Ok(())
}

fn request(mut interface: Interface<'_>) -> Result<()> {
    interface
        .get("method", |exchange| exchange.request.method.as_str().to_owned())?
        .get("scheme", |exchange| exchange.scheme.to_owned())?
        .get("authority", |exchange| exchange.authority.clone())?
        .get("path", |exchange| request::path(exchange).to_owned())?
        .get("query", |exchange| request::query(exchange).map(str::to_owned))?
        .set("set-method", |exchange, (method,): (String,)| request::set_method(exchange, &method))?
        .set("set-authority", |exchange, (authority,): (String,)| request::set_authority(exchange, &authority))?
        .set("set-target", |exchange, (target,): (String,)| request::set_target(exchange, &target))?
        .function("header", |_, (name,): (String,)| -> Result<(Option<Bytes>,)> {
            Ok((hand::exchange("header", |exchange| fields::joined(&exchange.request.headers, &name))?,))
        })?
        .function("headers", |_, (name,): (String,)| -> Result<(Vec<Bytes>,)> {
            Ok((hand::exchange("headers", |exchange| fields::each(&exchange.request.headers, &name))?,))
        })?
        .get("all-headers", |exchange| fields::packed(&exchange.request.headers))?
        .set("set-header", |exchange, (name, value): (String, Bytes)| fields::set(&mut exchange.request.headers, &name, &value))?
        .set("add-header", |exchange, (name, value): (String, Bytes)| fields::add(&mut exchange.request.headers, &name, &value))?
        .change("remove-header", |exchange, (name,): (String,)| fields::remove(&mut exchange.request.headers, &name))?
        .hand("trailer", |hand, (name,): (String,)| Ok(trailers::of_request(hand, &name)))?
        .hand("set-trailer", |hand, (name, value): (String, Bytes)| Ok(trailers::set_of_request(hand, &name, &value)))?
        .waiting("read-body", |_, (limit,): (u32,)| async move {
            Ok((body::read_request("read-body", limit).await?.map(Bytes::from).map_err(BodyError::from),))
        })?
        .change("set-body", |exchange, (bytes,): (Bytes,)| body::set_request(exchange, bytes))?
        .get("id", |exchange| exchange.id.clone())?
        .get("deadline-left-ms", request::deadline_left_ms)?;
    Ok(())
}

fn response(mut interface: Interface<'_>) -> Result<()> {
    interface
        .hand("status", |hand, ()| response::look(hand, "status", |head| head.status.as_u16()))?
        .hand("set-status", |hand, (status,): (u16,)| {
            response::change(hand, "set-status", |head| response::set_status(head, status))
        })?
        .hand("origin", |hand, ()| response::origin(hand).map(str::to_owned))?
        .hand("header", |hand, (name,): (String,)| response::look(hand, "header", |head| fields::joined(&head.headers, &name)))?
        .hand("headers", |hand, (name,): (String,)| response::look(hand, "headers", |head| fields::each(&head.headers, &name)))?
        .hand("all-headers", |hand, ()| response::look(hand, "all-headers", |head| fields::packed(&head.headers)))?
        .hand("set-header", |hand, (name, value): (String, Bytes)| {
            response::change(hand, "set-header", |head| fields::set(&mut head.headers, &name, &value))
        })?
        .hand("add-header", |hand, (name, value): (String, Bytes)| {
            response::change(hand, "add-header", |head| fields::add(&mut head.headers, &name, &value))
        })?
        .function("remove-header", |_, (name,): (String,)| {
            hand::with("remove-header", |hand| {
                response::change(hand, "remove-header", |head| fields::remove(&mut head.headers, &name))
            })??;
            Ok(())
        })?
        .hand("trailer", |hand, (name,): (String,)| Ok(trailers::of_response(hand, &name)))?
        .hand("set-trailer", |hand, (name, value): (String, Bytes)| Ok(trailers::set_of_response(hand, &name, &value)))?
        .waiting("read-body", |_, (limit,): (u32,)| async move {
            Ok((body::read_response("read-body", limit).await?.map(Bytes::from).map_err(BodyError::from),))
        })?
        .function("set-body", |_, (bytes,): (Bytes,)| {
            hand::with("set-body", |hand| body::set_response(hand, bytes))??;
            Ok(())
        })?;
    Ok(())
}

fn reply(mut interface: Interface<'_>) -> Result<()> {
    interface
        .hand("set", |hand, (status, fields, body): (u16, Vec<Field>, Bytes)| {
            let fields = fields.iter().map(|field| (field.name.as_str(), field.value.as_slice()));
            Ok(reply::set(hand, status, fields, body))
        })?
        .function("set-grpc", |_, (status, message): (u32, String)| {
            Ok(hand::with("set-grpc", |hand| reply::set_grpc(hand, status, &message))?)
        })?;
    Ok(())
}

fn chunk(mut interface: Interface<'_>) -> Result<()> {
    interface
        .function("replace", |_, (bytes,): (Bytes,)| Ok(hand::with("replace", |hand| body::replace_chunk(hand, bytes))??))?;
    Ok(())
}

fn connection(mut interface: Interface<'_>) -> Result<()> {
    interface
        .get("source-address", connection::source_address)?
        .get("peer-address", connection::peer_address)?
        .get("local-address", connection::local_address)?
        .get("original-destination", connection::original_destination)?
        .get("trusted", |exchange| exchange.connection.trusted)?
        .get("listener", |exchange| exchange.connection.listener.to_string())?
        .get("protocol", |exchange| exchange.protocol().to_owned())?
        .get("tls-version", |exchange| exchange.connection.tls_version.map(str::to_owned))?
        .get("server-name", |exchange| exchange.connection.server_name.clone())?
        .get("client-identities", |exchange| exchange.connection.identities().to_vec())?
        .get("client-fingerprint", |exchange| exchange.connection.client.as_ref().map(|client| client.fingerprint.clone()))?;
    Ok(())
}

fn destination(mut interface: Interface<'_>) -> Result<()> {
    interface
        .get("cluster", |exchange| exchange.destination.cluster.as_deref().map(str::to_owned))?
        .set("set-cluster", |exchange, (name,): (String,)| destination::set_cluster(exchange, &name))?
        .get("route", |exchange| exchange.destination.route.clone())?
        .change("set-route", |exchange, (name,): (String,)| destination::set_route(exchange, &name))?
        .hand("set-chain", |hand, (name,): (String,)| destination::set_chain(hand, &name))?
        .change("set-timeout-ms", |exchange, (total,): (u32,)| destination::set_timeout_ms(exchange, total))?
        .set("set-fallback", |exchange, (name,): (String,)| destination::set_fallback(exchange, &name))?
        .hand("set-endpoint", |hand, (address,): (String,)| destination::set_endpoint(hand, &address))?
        .change("set-subset", |exchange, (labels,): (Vec<(String, String)>,)| destination::set_subset(exchange, labels))?
        .change("set-hash-key", |exchange, (key,): (Bytes,)| destination::set_hash_key(exchange, key))?
        .set("set-retry", |exchange, (attempts, on, per_try): (u32, Vec<String>, Option<u32>)| {
            destination::set_retry(exchange, attempts, &on, per_try)
        })?
        .change("set-response-rate", |exchange, (rate,): (u64,)| destination::set_response_rate(exchange, rate))?
        .hand("mirror", |hand, (cluster, fields, limit): (String, Vec<Field>, u32)| {
            let fields = fields.iter().map(|field| (field.name.as_str(), field.value.as_slice()));
            mirror::add(hand, &cluster, fields, limit)
        })?;
    Ok(())
}

fn http_client(mut interface: Interface<'_>) -> Result<()> {
    interface
        .waiting("send", |guest, (request,): (Outgoing,)| {
            let call = http_client::call(&guest.identity, request.into());
            async move { Ok((call.await?.map(Incoming::from).map_err(HttpError::from),)) }
        })?
        .waiting("send-all", |guest, (requests,): (Vec<Outgoing>,)| {
            let calls = http_client::call_all(&guest.identity, requests.into_iter().map(Into::into).collect());
            async move {
                let answers = calls.await?.into_iter().map(|answer| answer.map(Incoming::from).map_err(HttpError::from));
                Ok((answers.collect::<Vec<_>>(),))
            }
        })?;
    Ok(())
}

/// A function of stores: a plain one where they are in memory, or else one that may wait.
macro_rules! stored {
    ($interface:ident, $name:literal, |$granted:ident, $($argument:ident: $type:ty),*| $body:expr) => {
        if $interface.remote {
            $interface.waiting($name, |guest, ($($argument,)*): ($($type,)*)| {
                let identity = Arc::clone(&guest.identity);
                async move {
                    let $granted = &identity.grants.stores;
                    Ok(($body,))
                }
            })?;
        } else {
            $interface.function($name, |context, ($($argument,)*): ($($type,)*)| {
                let $granted = &context.data().identity.grants.stores;
                let answer = at_once(async move { Ok(($body,)) });
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
    stored!(interface, "take", |granted, name: String, asks: Vec<Ask>| {
        let asks: Vec<_> = asks.into_iter().map(Into::into).collect();
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
        .function("declare", |mut context, (name, help, kind, labels): (String, String, MetricKind, Vec<String>)| {
            let identity = Arc::clone(&context.data().identity);
            let setup = context.data_mut().setup_mut("metrics.declare")?;
            Ok((setup.metrics.declare(&identity.taken, &name, &help, kind.into(), &labels),))
        })?
        .function("observe", |context, (metric, labels, value): (u32, Vec<String>, f64)| {
            if let Some(instruments) = context.data().identity.instruments.get() {
                instruments.observe(metric, &labels, value);
            }
            Ok(())
        })?;
    Ok(())
}

fn notes(mut interface: Interface<'_>) -> Result<()> {
    interface
        .function("get", |_, (key,): (String,)| -> Result<(Option<String>,)> {
            Ok((hand::exchange("notes.get", |exchange| exchange.note(&key).map(str::to_owned))?,))
        })?
        .change("set", |exchange, (key, value): (String, String)| notes::set(exchange, &key, &value))?;
    Ok(())
}

fn log(mut interface: Interface<'_>) -> Result<()> {
    interface.function("enabled", |_, (severity,): (Severity,)| Ok((log::enabled(severity.into()),)))?.function(
        "write",
        |context, (severity, message): (Severity, String)| {
            log::write(&context.data().identity, severity.into(), &message);
            Ok(())
        },
    )?;
    Ok(())
}

fn clock(mut interface: Interface<'_>) -> Result<()> {
    interface
        .function("now-ns", |_, ()| Ok((system::now_ns(),)))?
        .function("monotonic-ns", |_, ()| Ok((system::monotonic_ns(),)))?
        .waiting("sleep-ms", |_, (ms,): (u32,)| async move { Ok(system::sleep_ms(ms).await?) })?;
    Ok(())
}

fn entropy(mut interface: Interface<'_>) -> Result<()> {
    interface
        .function("next", |_, ()| Ok((system::next().map_err(Error::msg)?,)))?
        .function("bytes", |_, (count,): (u32,)| Ok((system::bytes(count).map_err(Error::msg)?,)))?;
    Ok(())
}

fn outcome(mut interface: Interface<'_>) -> Result<()> {
    interface
        .hand("status", |hand, ()| outcome::of(hand, "status", |outcome| outcome.status))?
        .hand("request-bytes", |hand, ()| outcome::of(hand, "request-bytes", |outcome| outcome.request_bytes))?
        .hand("response-bytes", |hand, ()| outcome::of(hand, "response-bytes", |outcome| outcome.response_bytes))?
        .hand("duration-us", |hand, ()| outcome::of(hand, "duration-us", |outcome| outcome::micros(outcome.duration)))?
        .hand("upstream", |hand, ()| outcome::of(hand, "upstream", outcome::upstream))?
        .hand("attempts", |hand, ()| outcome::of(hand, "attempts", |outcome| outcome.attempt.count))?
        .hand("failure", |hand, ()| outcome::of(hand, "failure", outcome::failure))?
        .hand("mirrored", |hand, (id,): (u32,)| {
            outcome::of(hand, "mirrored", |outcome| outcome::mirrored(outcome, id, |result| MirrorResult::from(result)))
        })?
        .hand("mirrored-headers", |hand, (id, name): (u32, String)| {
            outcome::of(hand, "mirrored-headers", |outcome| outcome::mirrored_headers(outcome, id, &name))
        })?;
    Ok(())
}
