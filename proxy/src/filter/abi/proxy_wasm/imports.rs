//! What a module may import: each function of the ABI that the host offers, as a thin layer over the files beside this one.
//!
//! All are offered to every version. What is not here is refused by name when a module is loaded.

use tracing::Level;
use wasmtime::{Engine, ExternType, Linker, Module, Result};

use super::contexts::Local;
use super::grpc::Given;
use super::headers::Change;
use super::memory::{self, Call};
use super::state::State;
use super::status::{STREAM_REQUEST, STREAM_RESPONSE, Status};
use super::version::Version;
use super::{body, callout, contexts, foreign, grpc, headers, meters, properties, redis, shared, wasi};
use crate::filter::host::{log, system};

/// Where the functions of the ABI are imported from.
const MODULE: &str = "env";

/// Functions that a start function may call already: nothing else is there then.
const AT_START: [&str; 1] = ["proxy_log"];

macro_rules! functions {
    ($($name:ident |$call:ident $(, $argument:ident: $type:ty)*| $body:expr;)+) => {
        fn link(linker: &mut Linker<State>) -> Result<()> {
            $(linker.func_wrap(MODULE, stringify!($name), |mut $call: Call<'_> $(, $argument: $type)*| -> Result<u32> {
                if !$call.data().started && !AT_START.contains(&stringify!($name)) {
                    return Err(wasmtime::format_err!("`{}` was called by a start function, before there is a context", stringify!($name)));
                }
                let $call = &mut $call;
                let status: Result<Status> = $body;
                Ok(status? as u32)
            })?;)+
            Ok(())
        }

        /// The functions of the ABI that are offered.
        pub const OFFERED: &[&str] = &[$(stringify!($name)),+];
    };
}

functions! {
    proxy_log |call, level: u32, at: u32, bytes: u32| write(call, level, at, bytes);
    proxy_get_log_level |call, to: u32| {
        memory::put_u32(call, to, foreign::log_level())?;
        Ok(Status::Ok)
    };
    proxy_get_current_time_nanoseconds |call, to: u32| {
        memory::put_u64(call, to, system::now_ns())?;
        Ok(Status::Ok)
    };
    proxy_set_tick_period_milliseconds |call, period: u32| {
        call.data_mut().tick_ms = Some(period);
        Ok(Status::Ok)
    };
    proxy_set_effective_context |call, context: u32| Ok(contexts::turn_to(call, context));
    // Nobody waits for the plugin's own context to be done.
    proxy_done |_call| Ok(Status::NotFound);
    proxy_get_buffer_bytes |call, buffer: u32, start: u32, most: u32, to: u32, length_to: u32| {
        body::get(call, buffer, start, most, to, length_to)
    };
    proxy_get_buffer_status |call, buffer: u32, length_to: u32, flags_to: u32| body::status(call, buffer, length_to, flags_to);
    proxy_set_buffer_bytes |call, buffer: u32, start: u32, size: u32, at: u32, bytes: u32| {
        body::set(call, buffer, start, size, at, bytes)
    };
    proxy_get_header_map_size |call, map: u32, to: u32| headers::size(call, map, to);
    proxy_get_header_map_pairs |call, map: u32, to: u32, length_to: u32| headers::pairs(call, map, to, length_to);
    proxy_set_header_map_pairs |call, map: u32, at: u32, bytes: u32| headers::set_pairs(call, map, at, bytes);
    proxy_get_header_map_value |call, map: u32, name: u32, name_bytes: u32, to: u32, length_to: u32| {
        match headers::value(call, map, (name, name_bytes), to, length_to)? {
            Some(()) => Ok(Status::Ok),
            // The first version knows no other word for it.
            None if call.data().version == Version::V0_1_0 => {
                memory::give(call, b"", to, length_to)?;
                Ok(Status::Ok)
            }
            None => Ok(Status::NotFound),
        }
    };
    proxy_add_header_map_value |call, map: u32, name: u32, name_bytes: u32, value: u32, value_bytes: u32| {
        let (name, value) = (memory::see(call, name, name_bytes)?, memory::see(call, value, value_bytes)?);
        Ok(headers::change(map, Change::Add(name, value)))
    };
    proxy_replace_header_map_value |call, map: u32, name: u32, name_bytes: u32, value: u32, value_bytes: u32| {
        let (name, value) = (memory::see(call, name, name_bytes)?, memory::see(call, value, value_bytes)?);
        Ok(headers::change(map, Change::Replace(name, value)))
    };
    proxy_remove_header_map_value |call, map: u32, name: u32, name_bytes: u32| {
        Ok(headers::change(map, Change::Remove(memory::see(call, name, name_bytes)?)))
    };
    proxy_continue_stream |_call, stream: u32| Ok(contexts::go_on(stream));
    proxy_close_stream |_call, stream: u32| Ok(contexts::close(stream));
    proxy_get_status |call, status_to: u32, to: u32, length_to: u32| contexts::grpc_status(call, status_to, to, length_to);
    proxy_send_local_response |call, status: u32, details: u32, details_bytes: u32, body: u32, body_bytes: u32, headers: u32, headers_bytes: u32, grpc_status: u32| {
        let local = Local {
            status,
            details: (details, details_bytes),
            body: (body, body_bytes),
            headers: (headers, headers_bytes),
            grpc_status,
        };
        contexts::answer(call, &local)
    };
    proxy_http_call |call, name: u32, name_bytes: u32, headers: u32, headers_bytes: u32, body: u32, body_bytes: u32, trailers: u32, trailers_bytes: u32, timeout_ms: u32, token_to: u32| {
        callout::http_call(call, (name, name_bytes), (headers, headers_bytes), (body, body_bytes), (trailers, trailers_bytes), timeout_ms, token_to)
    };
    proxy_grpc_call |call, service: u32, service_bytes: u32, name: u32, name_bytes: u32, method: u32, method_bytes: u32, metadata: u32, metadata_bytes: u32, message: u32, message_bytes: u32, timeout_ms: u32, token_to: u32| {
        let given = Given {
            service: (service, service_bytes),
            name: (name, name_bytes),
            method: (method, method_bytes),
            metadata: (metadata, metadata_bytes),
            message: (message, message_bytes),
        };
        grpc::begin(call, &given, timeout_ms, token_to, false)
    };
    proxy_grpc_stream |call, service: u32, service_bytes: u32, name: u32, name_bytes: u32, method: u32, method_bytes: u32, metadata: u32, metadata_bytes: u32, token_to: u32| {
        let given = Given {
            service: (service, service_bytes),
            name: (name, name_bytes),
            method: (method, method_bytes),
            metadata: (metadata, metadata_bytes),
            message: (0, 0),
        };
        grpc::begin(call, &given, 0, token_to, true)
    };
    proxy_grpc_send |call, token: u32, at: u32, bytes: u32, end: u32| grpc::send(call, token, at, bytes, end);
    proxy_grpc_cancel |_call, token: u32| Ok(grpc::cancel(token));
    proxy_grpc_close |_call, token: u32| Ok(grpc::close(token));
    proxy_get_shared_data |call, key: u32, key_bytes: u32, to: u32, length_to: u32, version_to: u32| {
        shared::get(call, (key, key_bytes), to, length_to, version_to)
    };
    proxy_set_shared_data |call, key: u32, key_bytes: u32, value: u32, value_bytes: u32, version: u32| {
        shared::set(call, (key, key_bytes), (value, value_bytes), version)
    };
    proxy_register_shared_queue |call, name: u32, name_bytes: u32, to: u32| shared::register(call, (name, name_bytes), to);
    proxy_resolve_shared_queue |call, vm_id: u32, vm_id_bytes: u32, name: u32, name_bytes: u32, to: u32| {
        shared::resolve(call, (vm_id, vm_id_bytes), (name, name_bytes), to)
    };
    proxy_enqueue_shared_queue |call, queue: u32, value: u32, value_bytes: u32| shared::put(call, queue, (value, value_bytes));
    proxy_dequeue_shared_queue |call, queue: u32, to: u32, length_to: u32| shared::take(call, queue, to, length_to);
    proxy_define_metric |call, kind: u32, name: u32, name_bytes: u32, to: u32| meters::define(call, kind, (name, name_bytes), to);
    proxy_increment_metric |call, metric: u32, by: i64| Ok(meters::increment(call, metric, by));
    proxy_record_metric |call, metric: u32, value: i64| Ok(meters::record(call, metric, value));
    proxy_get_metric |call, metric: u32, to: u32| meters::get(call, metric, to);
    proxy_get_property |call, path: u32, path_bytes: u32, to: u32, length_to: u32| {
        properties::get(call, (path, path_bytes), to, length_to)
    };
    proxy_set_property |call, path: u32, path_bytes: u32, value: u32, value_bytes: u32| {
        properties::set(call, (path, path_bytes), (value, value_bytes))
    };
    proxy_call_foreign_function |call, name: u32, name_bytes: u32, arguments: u32, arguments_bytes: u32, to: u32, length_to: u32| {
        foreign::call(call, (name, name_bytes), (arguments, arguments_bytes), to, length_to)
    };
    // Of 0.1.0.
    proxy_get_configuration |call, to: u32, length_to: u32| body::configuration(call, to, length_to);
    proxy_continue_request |_call| Ok(contexts::go_on(STREAM_REQUEST));
    proxy_continue_response |_call| Ok(contexts::go_on(STREAM_RESPONSE));
    proxy_clear_route_cache |_call| Ok(Status::Ok);
    // Higress' own.
    proxy_redis_init |call, service: u32, service_bytes: u32, user: u32, user_bytes: u32, password: u32, password_bytes: u32, timeout_ms: u32| {
        redis::init(call, (service, service_bytes), (user, user_bytes), (password, password_bytes), timeout_ms)
    };
    proxy_redis_call |call, service: u32, service_bytes: u32, query: u32, query_bytes: u32, token_to: u32| {
        redis::call(call, (service, service_bytes), (query, query_bytes), token_to)
    };
    proxy_get_upstream_hosts |call, to: u32, length_to: u32| {
        memory::give(call, b"", to, length_to)?;
        Ok(Status::NotFound)
    };
    proxy_set_upstream_override_host |_call, _address: u32, _address_bytes: u32| Ok(Status::BadArgument);
    proxy_inject_encoded_data_to_filter_chain |call, at: u32, bytes: u32, end: u32| {
        let body = memory::copy(call, at, bytes)?;
        Ok(foreign::inject(&body, end != 0))
    };
}

fn write(call: &mut Call<'_>, level: u32, at: u32, bytes: u32) -> Result<Status> {
    let severity = match level {
        0 => Level::TRACE,
        1 => Level::DEBUG,
        2 => Level::INFO,
        3 => Level::WARN,
        4 | 5 => Level::ERROR,
        _ => return Ok(Status::BadArgument),
    };
    if log::enabled(severity) {
        let message = memory::text(call, at, bytes)?;
        log::write(&call.data().identity, severity, &message);
    }
    Ok(Status::Ok)
}

/// What the host offers to every module of this ABI.
pub fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    link(&mut linker)?;
    linker.func_wrap(MODULE, "pthread_equal", |one: u32, other: u32| u32::from(one == other))?;
    linker.func_wrap(MODULE, "emscripten_notify_memory_growth", |_memory: u32| ())?;
    wasi::link(&mut linker)?;
    Ok(linker)
}

/// Functions that are there and do nothing: what they are for is not had here, and a guest is told so by their status.
pub const ANSWERED_ONLY: [&str; 2] = ["proxy_get_upstream_hosts", "proxy_set_upstream_override_host"];

/// Whether there is a function of this name.
pub fn offers(module: &str, name: &str) -> bool {
    match module {
        MODULE => OFFERED.contains(&name) || ["pthread_equal", "emscripten_notify_memory_growth"].contains(&name),
        module => wasi::MODULES.contains(&module) && wasi::OFFERED.contains(&name),
    }
}

/// Every import that is not offered, by name.
pub fn missing(module: &Module) -> Vec<String> {
    let missing =
        module.imports().filter(|import| !matches!(import.ty(), ExternType::Func(_)) || !offers(import.module(), import.name()));
    missing.map(|import| format!("`{}.{}`", import.module(), import.name())).collect()
}
