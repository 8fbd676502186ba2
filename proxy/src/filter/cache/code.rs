//! The one place where bytes become code that runs without having been compiled by this process, or that is in a file of its own.

use std::ops::Range;

use wasmtime::component::Component;
use wasmtime::{Engine, Module, Result};

use super::entry::{Sealed, Verified};
use super::sealed;

/// What can be compiled: a component, or a core module.
pub trait Code: Sized {
    fn serialize(&self) -> Result<Vec<u8>>;
    fn precompile(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>>;
    /// Where it lies, with the memory that instances begin with.
    fn range(&self) -> Range<*const u8>;
    /// # Safety
    /// The code is what `serialize` or `precompile` gave.
    #[allow(unsafe_code)]
    unsafe fn deserialize(engine: &Engine, code: &[u8]) -> Result<Self>;
    /// # Safety
    /// The same, in a file that does not change while it is used.
    #[allow(unsafe_code)]
    unsafe fn deserialize_file(engine: &Engine, path: &str) -> Result<Self>;
}

macro_rules! code {
    ($($type:ident $precompile:ident)*) => {$(
        #[allow(unsafe_code)]
        impl Code for $type {
            fn serialize(&self) -> Result<Vec<u8>> {
                self.serialize()
            }

            fn precompile(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>> {
                engine.$precompile(bytes)
            }

            fn range(&self) -> Range<*const u8> {
                self.image_range()
            }

            unsafe fn deserialize(engine: &Engine, code: &[u8]) -> Result<Self> {
                // SAFETY: it is wanted of whoever calls this.
                unsafe { $type::deserialize(engine, code) }
            }

            unsafe fn deserialize_file(engine: &Engine, path: &str) -> Result<Self> {
                // SAFETY: it is wanted of whoever calls this.
                unsafe { $type::deserialize_file(engine, path) }
            }
        }
    )*};
}

code! {
    Component precompile_component
    Module precompile_module
}

/// Fails if the engine finds that the code was made for another one.
#[allow(unsafe_code)]
pub fn load<C: Code>(engine: &Engine, code: &Verified<'_>) -> Result<C> {
    // SAFETY: `deserialize` wants bytes that `serialize` gave. wasmtime itself checks that they were made by
    // its version, for this CPU and with these settings, but not that the code in them is what its compiler wrote.
    // A `Verified` is made of what this process has just compiled, or of a `Trusted` file: one that was read through a
    // descriptor whose owner and mode, and whose folder's, say that only our own user can have written it. Whoever is that
    // user can run code as it anyway. Within it, the magic, the version and the key are ours, and the checksum says that every
    // byte is still the one that `Cache` wrote, where the bytes came from `serialize` or `precompile`, with or without a note before them that
    // is cut off: a half-written or rotten file never gets here. They are verified in our own memory and copied from there, so
    // that nothing can change them in between, as it could with a file that is mapped.
    unsafe { C::deserialize(engine, code.bytes()) }
}

/// The same for code that lies in a file of its own. wasmtime maps what it loads from a file, and maps the memory that instances begin
/// with from the same file: so both are there once, and what nobody touches is never looked at. Fails as well where there is no way to
/// the file: without /proc, or where a policy forbids to run what is in one.
#[allow(unsafe_code)]
pub fn load_sealed<C: Code>(engine: &Engine, code: &Sealed) -> Result<C> {
    // SAFETY: as above; the bytes were verified while they were copied, and the file that is mapped has no name and is sealed: nobody
    // can write to it, make it shorter or take the seals off, not even this process.
    unsafe { C::deserialize_file(engine, &code.path()) }
}

/// The same for an image that was just compiled, whose code has the memory of its instances in it.
#[allow(unsafe_code)]
fn load_shared<C: Code>(engine: &Engine, code: &Verified<'_>) -> Result<C> {
    let Ok(file) = sealed::file(code.bytes()) else { return load(engine, code) };
    // SAFETY: as above; and the file that is mapped has no name, is a copy of the verified bytes, and is sealed: nobody can
    // write to it, make it shorter or take the seals off, not even this process.
    let loaded = unsafe { C::deserialize_file(engine, &sealed::path(&file)) };
    // Without /proc there is no way to the file, and a policy may forbid to run what is in one.
    loaded.or_else(|_| load(engine, code))
}

/// Compiles, and loads what comes of it as [`load_shared`] does. The code is what the cache keeps.
pub fn compile_shared<C: Code>(engine: &Engine, bytes: &[u8]) -> Result<(C, Vec<u8>)> {
    let code = C::precompile(engine, bytes)?;
    let loaded = load_shared(engine, &Verified::compiled_here(&code))?;
    Ok((loaded, code))
}
