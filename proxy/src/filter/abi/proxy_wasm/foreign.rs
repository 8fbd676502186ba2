//! Foreign functions: what other proxies offer beside the ABI, as far as it means something here.

use bytes::Bytes;
use prost::Message;

use super::here;
use super::memory::{self, Call};
use super::status::Status;
use super::{properties, signature};
use crate::filter::chain::Way;

/// Envoy's SetEnvoyFilterStateArguments.
#[derive(Message)]
struct FilterState {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// Higress' InjectEncodedDataToFilterChainArguments.
#[derive(Message)]
struct Injected {
    #[prost(bytes = "bytes", tag = "1")]
    body: Bytes,
    #[prost(bool, tag = "2")]
    end: bool,
}

/// `proxy_call_foreign_function`
pub fn call(call: &mut Call<'_>, name: (u32, u32), arguments: (u32, u32), to: u32, length_to: u32) -> wasmtime::Result<Status> {
    let name = memory::text(call, name.0, name.1)?;
    let arguments = memory::copy(call, arguments.0, arguments.1)?;
    let answer = match name.as_str() {
        // The route is chosen when all filters have run, so there is none that would have to be forgotten. The properties that
        // are declared have no types here, and a worker reads as much as it can.
        "clear_route_cache" | "declare_property" | "set_global_max_requests_per_io_cycle" => Vec::new(),
        "get_log_level" => log_level().to_le_bytes().to_vec(),
        "verify_signature" => match signature::verify(&arguments) {
            Some(outcome) => outcome,
            None => return Ok(Status::BadArgument),
        },
        "set_envoy_filter_state" => {
            let Ok(state) = FilterState::decode(&arguments[..]) else { return Ok(Status::BadArgument) };
            let Some(stream) = here::stream() else { return Ok(Status::BadArgument) };
            if !properties::keep(&stream, state.path.as_bytes(), &state.value) {
                return Ok(Status::InternalFailure);
            }
            Vec::new()
        }
        "inject_encoded_data_to_filter_chain" | "inject_encoded_data_to_filter_chain_on_header" => {
            let Ok(injected) = Injected::decode(&arguments[..]) else { return Ok(Status::BadArgument) };
            let status = inject(&injected.body, injected.end);
            if status != Status::Ok {
                return Ok(status);
            }
            Vec::new()
        }
        _ => return Ok(Status::NotFound),
    };
    if to != 0 && length_to != 0 {
        memory::give(call, &answer, to, length_to)?;
    }
    Ok(Status::Ok)
}

/// Bytes of the answer that the guest makes itself go to the client, past what waits. `end`: nothing of it waits any more.
pub fn inject(body: &[u8], end: bool) -> Status {
    let Some(stream) = here::stream() else { return Status::BadArgument };
    if stream.inject(Way::Response, body, end) { Status::Ok } else { Status::InternalFailure }
}

/// The least severe lines that are read, as the ABI numbers them.
pub fn log_level() -> u32 {
    use tracing::level_filters::LevelFilter;
    match LevelFilter::current() {
        LevelFilter::TRACE => 0,
        LevelFilter::DEBUG => 1,
        LevelFilter::INFO => 2,
        LevelFilter::WARN => 3,
        LevelFilter::ERROR => 4,
        _ => 5,
    }
}
