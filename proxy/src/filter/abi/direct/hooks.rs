//! How the hooks of a core module are called: what they are given is written into the guest's memory first, and what they return is
//! a number, or where the answer lies.

use std::collections::VecDeque;

use wasmtime::{Extern, Instance, Memory, Module, ModuleExport, Result, Store, TypedFunc, WasmParams, WasmResults, format_err};

use super::border::Border;
use super::lower::{Asking, Filling, Lower, Piece, Sink};
use super::value::{Lift, Shape as _, Source, Str};
use crate::filter::abi::Call;
use crate::filter::abi::component::at_once;
use crate::filter::abi::exports::{self, Exports};
use crate::filter::abi::linker::ours;
use crate::filter::abi::types::{ChunkVerdict, Input, Verdict as GuestVerdict};
use crate::filter::{Guest, Verdict};

/// Where a function is, and the one that frees what it returned.
pub struct Exported(ModuleExport, Option<ModuleExport>);

/// Where everything is that the host calls, looked up once for a module.
pub struct Places {
    memory: ModuleExport,
    realloc: ModuleExport,
    /// To be called before anything else, unless the memory is that of an instance in which it was.
    initialize: Option<ModuleExport>,
    pub exports: Exports<Exported>,
}

impl Places {
    /// `began`: it is a copy of an instance that has begun.
    pub fn of(module: &Module, began: bool) -> Option<Self> {
        let mut found = Exports::default();
        for export in module.exports() {
            let hook = export.name().split_once('#').filter(|(interface, _)| !interface.starts_with("cabi_post_"));
            let Some((interface, function)) = hook else { continue };
            if !exports::functions(ours(interface)?).contains(&function) {
                return None;
            }
            let post = module.get_export_index(&format!("cabi_post_{}", export.name()));
            *found.place(function)? = Some(Exported(module.get_export_index(export.name())?, post));
        }
        Some(Self {
            memory: module.get_export_index("memory")?,
            realloc: module.get_export_index("cabi_realloc")?,
            initialize: module.get_export_index("_initialize").filter(|_| !began),
            exports: found,
        })
    }
}

/// A function with what frees its result.
struct Function<P, R>(TypedFunc<P, R>, Option<TypedFunc<R, ()>>);

type Hook = Option<Function<(), u32>>;
type ChunkHook = Option<Function<(u32, u32, u32), u32>>;
type PlainHook = Option<Function<(), ()>>;

/// The functions of one instance.
pub struct Hooks {
    memory: Memory,
    /// Each call is on a fiber.
    fiber: bool,
    configure: Option<Function<(u32, u32, u32, u32), u32>>,
    request: Hook,
    request_chunk: ChunkHook,
    response: Hook,
    response_chunk: ChunkHook,
    request_trailers: PlainHook,
    response_trailers: PlainHook,
    complete: PlainHook,
    tick: PlainHook,
    connection: Hook,
}

impl Hooks {
    /// Of a new instance, which is begun with that. `fuel`: bytes that it may name in one call of the host.
    pub async fn of(store: &mut Store<Guest>, instance: &Instance, places: &Places, fiber: bool, fuel: usize) -> Result<Self> {
        let memory = instance.get_module_export(&mut *store, &places.memory).and_then(Extern::into_memory);
        let memory = memory.ok_or_else(|| format_err!("there is no `memory`"))?;
        let realloc = typed(store, instance, &places.realloc)?;
        store.data_mut().border = Border::new(memory, realloc, fuel);
        if let Some(initialize) = &places.initialize {
            let initialize = typed::<(), ()>(store, instance, initialize)?;
            if fiber { initialize.call_async(&mut *store, ()).await? } else { initialize.call(&mut *store, ())? }
        }
        let Exports {
            configure,
            request,
            request_chunk,
            response,
            response_chunk,
            request_trailers,
            response_trailers,
            complete,
            tick,
            connection,
        } = &places.exports;
        Ok(Self {
            memory,
            fiber,
            configure: function(store, instance, configure)?,
            request: function(store, instance, request)?,
            request_chunk: function(store, instance, request_chunk)?,
            response: function(store, instance, response)?,
            response_chunk: function(store, instance, response_chunk)?,
            request_trailers: function(store, instance, request_trailers)?,
            response_trailers: function(store, instance, response_trailers)?,
            complete: function(store, instance, complete)?,
            tick: function(store, instance, tick)?,
            connection: function(store, instance, connection)?,
        })
    }

    /// Runs one hook; one that is not there has nothing to say.
    pub async fn call(&self, store: &mut Store<Guest>, call: &Call) -> Result<Verdict> {
        match self.named(call) {
            Named::Verdict(hook) => self.plain(store, hook).await,
            Named::Plain(hook) => self.plain(store, hook).await,
            Named::Chunk(hook, bytes, end) => self.chunk(store, hook, bytes, end).await,
        }
    }

    /// The same off fibers, where nothing waits.
    #[inline]
    pub fn call_at_once(&self, store: &mut Store<Guest>, call: &Call) -> Result<Verdict> {
        match self.named(call) {
            Named::Verdict(hook) => self.plain_at_once(store, hook),
            Named::Plain(hook) => self.plain_at_once(store, hook),
            Named::Chunk(hook, bytes, end) => at_once(self.chunk(store, hook, bytes, end)),
        }
    }

    #[inline]
    fn named<'a>(&'a self, call: &'a Call) -> Named<'a> {
        match call {
            Call::Request => Named::Verdict(&self.request),
            Call::Response => Named::Verdict(&self.response),
            Call::RequestChunk(bytes, end) => Named::Chunk(&self.request_chunk, bytes, *end),
            Call::ResponseChunk(bytes, end) => Named::Chunk(&self.response_chunk, bytes, *end),
            Call::RequestTrailers => Named::Plain(&self.request_trailers),
            Call::ResponseTrailers => Named::Plain(&self.response_trailers),
            Call::Complete => Named::Plain(&self.complete),
            Call::Tick => Named::Plain(&self.tick),
            Call::Connection => Named::Verdict(&self.connection),
        }
    }

    async fn plain<R: Answer>(&self, store: &mut Store<Guest>, hook: &Option<Function<(), R>>) -> Result<Verdict> {
        let Some(hook) = hook else { return Ok(Verdict::Next) };
        let answer = self.run(store, &hook.0, ()).await?;
        let verdict = answer.verdict()?;
        self.free(store, hook, answer).await?;
        Ok(verdict)
    }

    #[inline]
    fn plain_at_once<R: Answer>(&self, store: &mut Store<Guest>, hook: &Option<Function<(), R>>) -> Result<Verdict> {
        let Some(hook) = hook else { return Ok(Verdict::Next) };
        let answer = hook.0.call(&mut *store, ())?;
        let verdict = answer.verdict()?;
        // Nothing of a verdict lies in memory, so that wit-bindgen exports nothing to free it with.
        if hook.1.is_some() {
            at_once(self.free(store, hook, answer))?;
        }
        Ok(verdict)
    }

    async fn chunk(&self, store: &mut Store<Guest>, hook: &ChunkHook, bytes: &[u8], end: bool) -> Result<Verdict> {
        let Some(hook) = hook else { return Ok(Verdict::Next) };
        let write = Bytes(bytes);
        let (at, length) = self.write(store, &write).await?;
        let answer = self.run(store, &hook.0, (at, length, u32::from(end))).await?;
        let verdict = ChunkVerdict::of(answer)?.into();
        self.free(store, hook, answer).await?;
        Ok(verdict)
    }

    /// Runs `configure`, if it is there.
    pub async fn configure(&self, store: &mut Store<Guest>, config: &str, inputs: Vec<Input>) -> Result<Result<(), String>> {
        let Some(configure) = &self.configure else { return Ok(Ok(())) };
        let (config, config_length) = self.write(store, &Bytes(config.as_bytes())).await?;
        let (inputs, inputs_length) = self.write(store, &inputs).await?;
        let at = self.run(store, &configure.0, (config, config_length, inputs, inputs_length)).await?;
        let answer = {
            let fuel = store.data().border.fuel();
            let mut source = Source::new(self.memory.data(&*store), fuel);
            let place = source.place(at, <Result<(), String>>::SIZE, <Result<(), String>>::ALIGN)?;
            match source.byte(place)? {
                0 => Ok(()),
                1 => Err(Str::load(&mut source, place + 4)?.to_owned()),
                _ => return Err(format_err!("unexpected discriminant")),
            }
        };
        self.free(store, configure, at).await?;
        Ok(answer)
    }

    async fn run<P: WasmParams + Sync, R: WasmResults + Sync>(
        &self,
        store: &mut Store<Guest>,
        function: &TypedFunc<P, R>,
        arguments: P,
    ) -> Result<R> {
        if self.fiber { function.call_async(store, arguments).await } else { function.call(store, arguments) }
    }

    /// Lets the guest free what it returned; it cannot call the host meanwhile.
    async fn free<P, R: Answer>(&self, store: &mut Store<Guest>, function: &Function<P, R>, answer: R) -> Result<()> {
        let Some(free) = &function.1 else { return Ok(()) };
        let realloc = store.data_mut().border.shut()?;
        self.run(store, free, answer).await?;
        store.data_mut().border.open(realloc);
        Ok(())
    }

    /// Writes an argument that is a pointer and a length.
    async fn write(&self, store: &mut Store<Guest>, argument: &impl Argument) -> Result<(u32, u32)> {
        let (at, length) = if self.fiber {
            let mut wants = Vec::new();
            argument.wants(&mut wants);
            let mut pieces = VecDeque::with_capacity(wants.len());
            for piece in wants {
                pieces.push_back(Border::piece_async(&mut *store, self.memory, piece).await?);
            }
            argument.write(&mut Filling { memory: self.memory.data_mut(store), pieces })?
        } else {
            argument.write(&mut Asking { context: store, memory: self.memory })?
        };
        Ok((at as u32, length as u32))
    }
}

/// A hook of one instance, and what it is given.
enum Named<'a> {
    Verdict(&'a Hook),
    Plain(&'a PlainHook),
    Chunk(&'a ChunkHook, &'a [u8], bool),
}

/// What a hook returns.
trait Answer: WasmParams + WasmResults + Copy + Sync {
    fn verdict(self) -> Result<Verdict>;
}

impl Answer for () {
    fn verdict(self) -> Result<Verdict> {
        Ok(Verdict::Next)
    }
}

impl Answer for u32 {
    fn verdict(self) -> Result<Verdict> {
        Ok(GuestVerdict::of(self)?.into())
    }
}

/// What a hook is given.
trait Argument {
    fn wants(&self, wants: &mut Vec<Piece>);
    fn write<S: Sink>(&self, sink: &mut S) -> Result<(usize, usize)>;
}

struct Bytes<'a>(&'a [u8]);

impl Argument for Bytes<'_> {
    fn wants(&self, wants: &mut Vec<Piece>) {
        wants.push((1, self.0.len()));
    }

    fn write<S: Sink>(&self, sink: &mut S) -> Result<(usize, usize)> {
        Ok((sink.bytes(self.0)?, self.0.len()))
    }
}

impl Argument for Vec<Input> {
    fn wants(&self, wants: &mut Vec<Piece>) {
        Lower::wants(self, wants);
    }

    fn write<S: Sink>(&self, sink: &mut S) -> Result<(usize, usize)> {
        sink.list(self)
    }
}

fn function<P: WasmParams, R: WasmResults + WasmParams>(
    store: &mut Store<Guest>,
    instance: &Instance,
    place: &Option<Exported>,
) -> Result<Option<Function<P, R>>> {
    let Some(Exported(place, post)) = place else { return Ok(None) };
    let post = post.as_ref().map(|post| typed(store, instance, post)).transpose()?;
    Ok(Some(Function(typed(store, instance, place)?, post)))
}

fn typed<P: WasmParams, R: WasmResults>(
    store: &mut Store<Guest>,
    instance: &Instance,
    place: &ModuleExport,
) -> Result<TypedFunc<P, R>> {
    let function = instance.get_module_export(&mut *store, place).and_then(Extern::into_func);
    function.ok_or_else(|| format_err!("an exported function is not there"))?.typed(store)
}
