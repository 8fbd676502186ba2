//! How the hooks of a component are called.

use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc};
use wasmtime::{Result, Store};

use crate::filter::abi::Call;
use crate::filter::abi::exports::Exports;
use crate::filter::abi::types::{ChunkVerdict, Input, Verdict as GuestVerdict};
use crate::filter::{Fault, Guest, Verdict};

/// `configure`: a configuration and its inputs, or why they are refused.
type Configure = TypedFunc<(String, Vec<Input>), (Result<(), String>,)>;
type VerdictHook = Option<TypedFunc<(), (GuestVerdict,)>>;
type ChunkHook = Option<TypedFunc<(Vec<u8>, bool), (ChunkVerdict,)>>;
type PlainHook = Option<TypedFunc<(), ()>>;

/// The functions of one instance.
pub struct Hooks {
    /// Each call is on a fiber.
    fiber: bool,
    configure: Option<Configure>,
    request: VerdictHook,
    request_chunk: ChunkHook,
    response: VerdictHook,
    response_chunk: ChunkHook,
    request_trailers: PlainHook,
    response_trailers: PlainHook,
    complete: PlainHook,
    tick: PlainHook,
    connection: VerdictHook,
}

impl Hooks {
    pub fn of(
        store: &mut Store<Guest>,
        instance: &Instance,
        exports: &Exports<ComponentExportIndex>,
        fiber: bool,
    ) -> Result<Self, Fault> {
        Ok(Self {
            fiber,
            configure: typed(store, instance, exports.configure)?,
            request: typed(store, instance, exports.request)?,
            request_chunk: typed(store, instance, exports.request_chunk)?,
            response: typed(store, instance, exports.response)?,
            response_chunk: typed(store, instance, exports.response_chunk)?,
            request_trailers: typed(store, instance, exports.request_trailers)?,
            response_trailers: typed(store, instance, exports.response_trailers)?,
            complete: typed(store, instance, exports.complete)?,
            tick: typed(store, instance, exports.tick)?,
            connection: typed(store, instance, exports.connection)?,
        })
    }

    /// Runs one hook; one that is not there has nothing to say.
    pub async fn call(&self, store: &mut Store<Guest>, call: Call) -> Result<Verdict> {
        match call {
            Call::Request => self.verdict(store, &self.request, ()).await,
            Call::Response => self.verdict(store, &self.response, ()).await,
            Call::RequestChunk(bytes, end) => self.verdict(store, &self.request_chunk, (bytes.into(), end)).await,
            Call::ResponseChunk(bytes, end) => self.verdict(store, &self.response_chunk, (bytes.into(), end)).await,
            Call::RequestTrailers => self.plain(store, &self.request_trailers).await,
            Call::ResponseTrailers => self.plain(store, &self.response_trailers).await,
            Call::Complete => self.plain(store, &self.complete).await,
            Call::Tick => self.plain(store, &self.tick).await,
            Call::Connection => self.verdict(store, &self.connection, ()).await,
        }
    }

    /// Runs `configure`, if it is there.
    pub async fn configure(&self, store: &mut Store<Guest>, config: &str, inputs: Vec<Input>) -> Result<Result<(), String>> {
        match &self.configure {
            Some(configure) => Ok(self.run(store, configure, (config.to_owned(), inputs)).await?.0),
            None => Ok(Ok(())),
        }
    }

    async fn verdict<P, V>(&self, store: &mut Store<Guest>, hook: &Option<TypedFunc<P, (V,)>>, arguments: P) -> Result<Verdict>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        V: Lift + Into<Verdict> + Send + Sync + 'static,
    {
        match hook {
            Some(hook) => Ok(self.run(store, hook, arguments).await?.0.into()),
            None => Ok(Verdict::Next),
        }
    }

    async fn plain(&self, store: &mut Store<Guest>, hook: &PlainHook) -> Result<Verdict> {
        if let Some(hook) = hook {
            self.run(store, hook, ()).await?;
        }
        Ok(Verdict::Next)
    }

    async fn run<P, R>(&self, store: &mut Store<Guest>, function: &TypedFunc<P, R>, arguments: P) -> Result<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        if self.fiber { function.call_async(store, arguments).await } else { function.call(store, arguments) }
    }
}

fn typed<P, R>(
    store: &mut Store<Guest>,
    instance: &Instance,
    index: Option<ComponentExportIndex>,
) -> Result<Option<TypedFunc<P, R>>, Fault>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    let Some(index) = index else { return Ok(None) };
    let function = instance.get_typed_func(store, index);
    function
        .map(Some)
        .map_err(|error| Fault::Instance(format!("an exported function has another type than wit/ gives it: {error:#}")))
}
