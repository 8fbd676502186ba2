//! What a component may import: each function of wit/ that this version offers, as a thin layer over `filter/host`.
//!
//! A function that is not here is refused by name when a module is loaded, so this file is also the list of what works.

use std::collections::BTreeSet;

use wasmtime::component::{ComponentNamedList, Lift, Lower};
use wasmtime::{Engine, Error, Result, StoreContextMut};

use super::types::{Field, Severity};
use crate::exchange::Exchange;
use crate::filter::Guest;
use crate::filter::host::{connection, destination, fields, log, notes, reply, request, response, setup::Setup, system};

type Context<'a> = StoreContextMut<'a, Guest>;
type Bytes = Vec<u8>;
/// What `set-…` functions answer.
type Done = (std::result::Result<(), String>,);

/// The linker, with the names of what it offers.
pub struct Linker(pub wasmtime::component::Linker<Guest>, BTreeSet<(&'static str, &'static str)>);

impl Linker {
    pub fn offers(&self, interface: &str, function: &str) -> bool {
        self.1.iter().any(|(offered, name)| *offered == interface && *name == function)
    }

    fn interface(&mut self, name: &'static str) -> Result<Interface<'_>> {
        let instance = self.0.instance(&format!("{}{name}@0.1.0", super::PACKAGE))?;
        Ok(Interface { name, instance, offered: &mut self.1 })
    }
}

/// One interface while its functions are added.
struct Interface<'a> {
    name: &'static str,
    instance: wasmtime::component::LinkerInstance<'a, Guest>,
    offered: &'a mut BTreeSet<(&'static str, &'static str)>,
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
        self.instance.func_wrap(name, function)?;
        self.offered.insert((self.name, name));
        Ok(self)
    }

    /// A function without arguments that looks at the exchange.
    fn get<R>(&mut self, name: &'static str, get: impl Fn(&Exchange) -> R + Send + Sync + 'static) -> Result<&mut Self>
    where
        (R,): ComponentNamedList + Lower + 'static,
    {
        self.function(name, move |context, ()| Ok((get(context.data().exchange(name)?),)))
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
        self.function(name, move |mut context: Context<'_>, arguments: P| -> Result<Done> {
            Ok((set(context.data_mut().exchange_mut(name)?, arguments),))
        })
    }

    /// The same for a function that has nothing to answer.
    fn change<P>(&mut self, name: &'static str, change: impl Fn(&mut Exchange, P) + Send + Sync + 'static) -> Result<&mut Self>
    where
        P: ComponentNamedList + Lift + 'static,
    {
        self.function(name, move |mut context: Context<'_>, arguments: P| {
            change(context.data_mut().exchange_mut(name)?, arguments);
            Ok(())
        })
    }
}

/// Everything that is offered.
pub fn linker(engine: &Engine) -> Result<Linker> {
    let mut linker = Linker(wasmtime::component::Linker::new(engine), BTreeSet::new());
    setup(linker.interface("setup")?)?;
    request(linker.interface("request")?)?;
    response(linker.interface("response")?)?;
    reply(linker.interface("reply")?)?;
    connection(linker.interface("connection")?)?;
    destination(linker.interface("destination")?)?;
    notes(linker.interface("notes")?)?;
    log(linker.interface("log")?)?;
    clock(linker.interface("clock")?)?;
    entropy(linker.interface("entropy")?)?;
    // Interfaces of types only.
    linker.interface("types")?;
    Ok(linker)
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
        .function("header", |context, (name,): (String,)| -> Result<(Option<Bytes>,)> {
            Ok((fields::joined(&context.data().exchange("header")?.request.headers, &name),))
        })?
        .function("headers", |context, (name,): (String,)| -> Result<(Vec<Bytes>,)> {
            Ok((fields::each(&context.data().exchange("headers")?.request.headers, &name),))
        })?
        .get("all-headers", |exchange| fields::packed(&exchange.request.headers))?
        .set("set-header", |exchange, (name, value): (String, Bytes)| fields::set(&mut exchange.request.headers, &name, &value))?
        .set("add-header", |exchange, (name, value): (String, Bytes)| fields::add(&mut exchange.request.headers, &name, &value))?
        .change("remove-header", |exchange, (name,): (String,)| fields::remove(&mut exchange.request.headers, &name))?
        .get("id", |exchange| exchange.id.clone())?
        .get("deadline-left-ms", request::deadline_left_ms)?;
    Ok(())
}

fn response(mut interface: Interface<'_>) -> Result<()> {
    interface
        .function("status", |context, ()| -> Result<(u16,)> {
            Ok((response::head(context.data().exchange("status")?, "status")?.status.as_u16(),))
        })?
        .function("set-status", |mut context, (status,): (u16,)| -> Result<Done> {
            let head = response::head_mut(context.data_mut().exchange_mut("set-status")?, "set-status")?;
            Ok((response::final_status(status).map(|status| head.status = status),))
        })?
        .function("origin", |context, ()| -> Result<(String,)> {
            let exchange = context.data().exchange("origin")?;
            response::head(exchange, "origin")?;
            Ok((exchange.origin.reason().to_owned(),))
        })?
        .function("header", |context, (name,): (String,)| -> Result<(Option<Bytes>,)> {
            Ok((fields::joined(&response::head(context.data().exchange("header")?, "header")?.headers, &name),))
        })?
        .function("headers", |context, (name,): (String,)| -> Result<(Vec<Bytes>,)> {
            Ok((fields::each(&response::head(context.data().exchange("headers")?, "headers")?.headers, &name),))
        })?
        .function("all-headers", |context, ()| -> Result<(Bytes,)> {
            Ok((fields::packed(&response::head(context.data().exchange("all-headers")?, "all-headers")?.headers),))
        })?
        .function("set-header", |mut context, (name, value): (String, Bytes)| -> Result<Done> {
            let head = response::head_mut(context.data_mut().exchange_mut("set-header")?, "set-header")?;
            Ok((fields::set(&mut head.headers, &name, &value),))
        })?
        .function("add-header", |mut context, (name, value): (String, Bytes)| -> Result<Done> {
            let head = response::head_mut(context.data_mut().exchange_mut("add-header")?, "add-header")?;
            Ok((fields::add(&mut head.headers, &name, &value),))
        })?
        .function("remove-header", |mut context, (name,): (String,)| {
            let head = response::head_mut(context.data_mut().exchange_mut("remove-header")?, "remove-header")?;
            fields::remove(&mut head.headers, &name);
            Ok(())
        })?;
    Ok(())
}

fn reply(mut interface: Interface<'_>) -> Result<()> {
    interface
        .set("set", |exchange, (status, fields, body): (u16, Vec<Field>, Bytes)| {
            let fields = fields.iter().map(|field| (field.name.as_str(), field.value.as_slice()));
            reply::set(exchange, status, fields, body)
        })?
        .change("set-grpc", |exchange, (status, message): (u32, String)| reply::set_grpc(exchange, status, &message))?;
    Ok(())
}

fn connection(mut interface: Interface<'_>) -> Result<()> {
    interface
        .get("source-address", connection::source_address)?
        .get("peer-address", connection::peer_address)?
        .get("local-address", connection::local_address)?
        .get("original-destination", |_| None::<String>)?
        .get("trusted", |exchange| exchange.connection.trusted)?
        .get("listener", |exchange| exchange.connection.listener.to_string())?
        .get("protocol", |exchange| exchange.protocol().to_owned())?
        .get("tls-version", |exchange| exchange.connection.tls_version.map(str::to_owned))?
        .get("server-name", |exchange| exchange.connection.server_name.clone())?
        .get("client-identities", |_| Vec::<String>::new())?
        .get("client-fingerprint", |_| None::<String>)?;
    Ok(())
}

fn destination(mut interface: Interface<'_>) -> Result<()> {
    interface
        .get("cluster", |exchange| exchange.destination.cluster.as_deref().map(str::to_owned))?
        .set("set-cluster", |exchange, (name,): (String,)| destination::set_cluster(exchange, &name))?
        .get("route", |exchange| exchange.destination.route.clone())?
        .change("set-route", |exchange, (name,): (String,)| destination::set_route(exchange, &name))?
        .change("set-timeout-ms", |exchange, (total,): (u32,)| destination::set_timeout_ms(exchange, total))?;
    Ok(())
}

fn notes(mut interface: Interface<'_>) -> Result<()> {
    interface
        .function("get", |context, (key,): (String,)| -> Result<(Option<String>,)> {
            Ok((context.data().exchange("notes.get")?.note(&key).map(str::to_owned),))
        })?
        .change("set", |exchange, (key, value): (String, String)| notes::set(exchange, &key, &value))?;
    Ok(())
}

fn log(mut interface: Interface<'_>) -> Result<()> {
    interface.function("enabled", |_, (severity,): (Severity,)| Ok((log::enabled(severity.into()),)))?.function(
        "write",
        |context, (severity, message): (Severity, String)| {
            log::write(&context.data().filter, severity.into(), &message);
            Ok(())
        },
    )?;
    Ok(())
}

fn clock(mut interface: Interface<'_>) -> Result<()> {
    interface
        .function("now-ns", |_, ()| Ok((system::now_ns(),)))?
        .function("monotonic-ns", |_, ()| Ok((system::monotonic_ns(),)))?;
    Ok(())
}

fn entropy(mut interface: Interface<'_>) -> Result<()> {
    interface
        .function("next", |_, ()| Ok((system::next().map_err(Error::msg)?,)))?
        .function("bytes", |_, (count,): (u32,)| Ok((system::bytes(count).map_err(Error::msg)?,)))?;
    Ok(())
}
