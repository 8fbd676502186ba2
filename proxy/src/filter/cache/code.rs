//! The one place where bytes become code that runs without having been compiled by this process.

use wasmtime::component::Component;

use super::entry::Verified;

/// Fails if the engine finds that the code was made for another one.
#[allow(unsafe_code)]
pub fn load(engine: &wasmtime::Engine, code: &Verified<'_>) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` wants bytes that `Component::serialize` gave. wasmtime itself checks that they were made by
    // its version, for this CPU and with these settings, but not that the code in them is what its compiler wrote.
    // A `Verified` is made of nothing but a `Trusted` file: one that was read through a descriptor whose owner and mode,
    // and whose folder's, say that only our own user can have written it. Whoever is that user can run code as it
    // anyway. Within it, the magic, the version and the key are ours, and the checksum says that every byte is still the
    // one that `Cache` wrote, where the bytes came from `serialize`, with or without a note before them that is cut off: a half-written or rotten file never gets
    // here. They are verified in our own memory and copied from there, so that nothing can change them in between, as it
    // could with a file that is mapped.
    unsafe { Component::deserialize(engine, code.bytes()) }
}
