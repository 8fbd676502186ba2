//! What a store knows of a core module that is entered as such, and what holds while it is: memory, who hands it out, and that a
//! guest which hands it out calls nobody.

use wasmtime::{AsContextMut, Memory, Result, Trap, TypedFunc, bail, format_err};

use super::lower::Piece;
use crate::filter::Guest;

/// `cabi_realloc`: old place, its size, alignment, new size.
pub type Realloc = TypedFunc<(u32, u32, u32, u32), u32>;

/// See the module. Empty for a component, whose store knows this by itself.
#[derive(Default)]
pub struct Border {
    memory: Option<Memory>,
    /// Away while the guest must not leave: in it, and in what runs after a function has returned.
    realloc: Option<Box<Realloc>>,
    /// Bytes of its memory that it may name in one call of the host.
    fuel: usize,
}

impl Border {
    /// What every call needs, looked up once.
    pub fn new(memory: Memory, realloc: Realloc, fuel: usize) -> Self {
        Self { memory: Some(memory), realloc: Some(Box::new(realloc)), fuel }
    }

    pub fn fuel(&self) -> usize {
        self.fuel
    }

    /// The memory of a guest that calls the host, and how much of it this call may name.
    #[inline]
    pub fn leave(&self) -> Result<(Memory, usize)> {
        match (self.memory, &self.realloc) {
            (Some(memory), Some(_)) => Ok((memory, self.fuel)),
            _ => Err(Trap::CannotLeaveComponent.into()),
        }
    }

    /// While this is away, the guest cannot call the host. Whoever fails does not bring it back: the guest has trapped.
    pub fn shut(&mut self) -> Result<Box<Realloc>> {
        self.realloc.take().ok_or_else(|| Trap::CannotEnterComponent.into())
    }

    pub fn open(&mut self, realloc: Box<Realloc>) {
        self.realloc = Some(realloc);
    }

    /// A new piece of the guest's memory.
    #[inline]
    pub fn piece(mut context: impl AsContextMut<Data = Guest>, memory: Memory, (align, size): Piece) -> Result<usize> {
        let realloc = context.as_context_mut().data_mut().border.shut()?;
        let at = realloc.call(&mut context, (0, 0, align as u32, number(size)?));
        context.as_context_mut().data_mut().border.open(realloc);
        checked(at?, (align, size), memory.data_size(&context))
    }

    /// The same on a fiber.
    pub async fn piece_async(
        mut context: impl AsContextMut<Data = Guest> + Send,
        memory: Memory,
        (align, size): Piece,
    ) -> Result<usize> {
        let realloc = context.as_context_mut().data_mut().border.shut()?;
        let at = realloc.call_async(&mut context, (0, 0, align as u32, number(size)?)).await;
        context.as_context_mut().data_mut().border.open(realloc);
        checked(at?, (align, size), memory.data_size(&context))
    }
}

fn number(size: usize) -> Result<u32> {
    u32::try_from(size).map_err(|_| format_err!("{size} bytes are too many to copy into a guest"))
}

fn checked(at: u32, (align, size): Piece, memory: usize) -> Result<usize> {
    let at = at as usize;
    if !at.is_multiple_of(align) {
        bail!("realloc return: result not aligned");
    }
    if at + size > memory {
        bail!("realloc return: beyond end of memory");
    }
    Ok(at)
}
