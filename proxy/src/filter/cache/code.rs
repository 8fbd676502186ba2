//! The one place where bytes become code that runs without having been compiled by this process, or that is in a file of its own.

use wasmtime::Module;
use wasmtime::component::Component;

use super::entry::Verified;
use super::sealed;

/// Fails if the engine finds that the code was made for another one.
#[allow(unsafe_code)]
pub fn load(engine: &wasmtime::Engine, code: &Verified<'_>) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` wants bytes that `Component::serialize` gave. wasmtime itself checks that they were made by
    // its version, for this CPU and with these settings, but not that the code in them is what its compiler wrote.
    // A `Verified` is made of what this process has just compiled, or of a `Trusted` file: one that was read through a
    // descriptor whose owner and mode, and whose folder's, say that only our own user can have written it. Whoever is that
    // user can run code as it anyway. Within it, the magic, the version and the key are ours, and the checksum says that every
    // byte is still the one that `Cache` wrote, where the bytes came from `serialize`, with or without a note before them that
    // is cut off: a half-written or rotten file never gets here. They are verified in our own memory and copied from there, so
    // that nothing can change them in between, as it could with a file that is mapped.
    unsafe { Component::deserialize(engine, code.bytes()) }
}

/// The same for a core module.
#[allow(unsafe_code)]
pub fn load_core(engine: &wasmtime::Engine, code: &Verified<'_>) -> wasmtime::Result<Module> {
    // SAFETY: as above, with `Module::serialize`; of code that was made of something else wasmtime itself says so.
    unsafe { Module::deserialize(engine, code.bytes()) }
}

/// The same for an image, whose code has the memory of its instances in it. wasmtime maps what it loads from a file, and maps
/// instances from the same file: so the memory is there once, and what nobody touches is not there at all.
#[allow(unsafe_code)]
pub fn load_shared(engine: &wasmtime::Engine, code: &Verified<'_>) -> wasmtime::Result<Component> {
    let Ok(file) = sealed::file(code.bytes()) else { return load(engine, code) };
    // SAFETY: as above; and the file that is mapped has no name, is a copy of the verified bytes, and is sealed: nobody can
    // write to it, make it shorter or take the seals off, not even this process.
    let loaded = unsafe { Component::deserialize_file(engine, sealed::path(&file)) };
    // Without /proc there is no way to the file, and a policy may forbid to run what is in one.
    loaded.or_else(|_| load(engine, code))
}

/// Compiles, and loads what comes of it as [`load_shared`] does. The code is what the cache keeps.
pub fn compile_shared(engine: &wasmtime::Engine, component: &[u8]) -> wasmtime::Result<(Component, Vec<u8>)> {
    let code = engine.precompile_component(component)?;
    let component = load_shared(engine, &Verified::compiled_here(&code))?;
    Ok((component, code))
}
