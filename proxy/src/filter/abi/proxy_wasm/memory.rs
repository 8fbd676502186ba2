//! The guest's memory: what it names is copied before a call returns, what it is given is put where its allocator says.
//!
//! An address that is none ends the guest: no guest can go on from it, and those made with the SDK of Rust know no status for it.

use wasmtime::{Caller, Error, Memory, Result};

use super::state::State;

pub type Call<'a> = Caller<'a, State>;

fn memory(call: &mut Call<'_>) -> Result<Memory> {
    if let Some(memory) = call.data().memory {
        return Ok(memory);
    }
    // A start function of the module itself runs before anybody has looked.
    call.get_export("memory").and_then(|export| export.into_memory()).ok_or_else(|| Error::msg("it exports no memory"))
}

fn outside(at: u32, bytes: u32) -> Error {
    wasmtime::format_err!("{bytes} bytes at {at:#x} are outside of its memory")
}

fn range(at: u32, bytes: u32) -> std::ops::Range<usize> {
    let at = at as usize;
    at..at + bytes as usize
}

/// Looks at bytes in place.
pub fn look<'a>(call: &'a mut Call<'_>, at: u32, bytes: u32) -> Result<&'a [u8]> {
    let memory = memory(call)?;
    memory.data(&*call).get(range(at, bytes)).ok_or_else(|| outside(at, bytes))
}

/// The same while the guest stands still. There is none before its start functions have run.
pub fn see<'a>(call: &'a Call<'_>, at: u32, bytes: u32) -> Result<&'a [u8]> {
    let memory = call.data().memory.ok_or_else(|| Error::msg("it exports no memory"))?;
    memory.data(call).get(range(at, bytes)).ok_or_else(|| outside(at, bytes))
}

pub fn copy(call: &mut Call<'_>, at: u32, bytes: u32) -> Result<Vec<u8>> {
    look(call, at, bytes).map(<[u8]>::to_vec)
}

/// What is no UTF-8 is replaced.
pub fn text(call: &mut Call<'_>, at: u32, bytes: u32) -> Result<String> {
    look(call, at, bytes).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

pub fn put(call: &mut Call<'_>, at: u32, bytes: &[u8]) -> Result<()> {
    let memory = memory(call)?;
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let place = memory.data_mut(&mut *call).get_mut(range(at, length)).ok_or_else(|| outside(at, length))?;
    place.copy_from_slice(bytes);
    Ok(())
}

pub fn put_u32(call: &mut Call<'_>, at: u32, number: u32) -> Result<()> {
    put(call, at, &number.to_le_bytes())
}

pub fn put_u64(call: &mut Call<'_>, at: u32, number: u64) -> Result<()> {
    put(call, at, &number.to_le_bytes())
}

pub fn read_u32(call: &mut Call<'_>, at: u32) -> Result<u32> {
    let four = look(call, at, 4)?;
    Ok(u32::from_le_bytes(four.try_into().unwrap_or_default()))
}

/// Hands bytes over, which are the guest's then. Of none nothing is allocated.
pub fn give(call: &mut Call<'_>, bytes: &[u8], to: u32, length_to: u32) -> Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| Error::msg("more than 4 GiB cannot be handed over"))?;
    let mut at = 0;
    if length > 0 {
        let allocator = call.data().allocator.clone().ok_or_else(|| Error::msg("it has no allocator yet"))?;
        at = allocator.call(&mut *call, length)?;
        if at == 0 {
            return Err(wasmtime::format_err!("its allocator has no room for {length} bytes"));
        }
        put(call, at, bytes)?;
    }
    put_u32(call, to, at)?;
    put_u32(call, length_to, length)
}
