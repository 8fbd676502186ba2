//! Values that the host hands to a guest, written into its memory as the canonical ABI has it: each string and list in a piece of its
//! own, which the guest's `cabi_realloc` gives.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method};
use wasmtime::component::{self, ComponentNamedList, ComponentType};
use wasmtime::{AsContextMut, Memory, Result, ValRaw, bail};

use super::border::Border;
use super::value::{Shape, aligned};
use crate::filter::Guest;
use crate::filter::host::fields::Joined;

/// What the host hands over.
pub trait Lower: Shape {
    /// What wasmtime lowers into a component; as the results of a function.
    type Owned: ComponentType + component::Lower + Send + Sync + 'static;
    type Results: ComponentNamedList + component::Lower + Send + Sync + 'static;
    fn owned(self) -> Self::Owned;
    fn results(self) -> Self::Results;
    /// It may need memory of the guest's.
    const ALLOCATES: bool;
    /// The pieces of memory that it needs, in the order in which `store` takes them.
    fn wants(&self, _wants: &mut Vec<Piece>) {}
    /// Where it is a single number.
    fn flat(&self) -> ValRaw {
        ValRaw::u32(0)
    }
    fn store<S: Sink>(&self, sink: &mut S, at: usize) -> Result<()>;
}

/// Alignment and size.
pub type Piece = (usize, usize);

/// The memory of a guest while something is written into it.
pub trait Sink {
    /// A new piece.
    fn piece(&mut self, piece: Piece) -> Result<usize>;
    fn memory(&mut self) -> &mut [u8];

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<()> {
        match self.memory().get_mut(at..at + bytes.len()) {
            Some(place) => place.copy_from_slice(bytes),
            None => bail!("pointer out of bounds of memory"),
        }
        Ok(())
    }

    /// Bytes in a piece of their own.
    fn bytes(&mut self, bytes: &[u8]) -> Result<usize> {
        let at = self.piece((1, bytes.len()))?;
        self.write(at, bytes)?;
        Ok(at)
    }

    /// A pointer and a length.
    fn pair(&mut self, at: usize, (pointer, length): (usize, usize)) -> Result<()> {
        let mut pair = [0; 8];
        pair[..4].copy_from_slice(&(pointer as u32).to_le_bytes());
        pair[4..].copy_from_slice(&(length as u32).to_le_bytes());
        self.write(at, &pair)
    }

    fn list<T: Lower>(&mut self, items: &[T]) -> Result<(usize, usize)>
    where
        Self: Sized,
    {
        let at = self.piece((T::ALIGN, items.len() * T::SIZE))?;
        for (index, item) in items.iter().enumerate() {
            item.store(self, at + index * T::SIZE)?;
        }
        Ok((at, items.len()))
    }
}

/// Asks the guest for each piece when it is needed. Not on a fiber.
pub struct Asking<C> {
    pub context: C,
    pub memory: Memory,
}

impl<C: AsContextMut<Data = Guest>> Sink for Asking<C> {
    fn piece(&mut self, piece: Piece) -> Result<usize> {
        Border::piece(&mut self.context, self.memory, piece)
    }

    fn memory(&mut self) -> &mut [u8] {
        self.memory.data_mut(&mut self.context)
    }
}

/// Has all pieces already.
pub struct Filling<'a> {
    pub memory: &'a mut [u8],
    pub pieces: VecDeque<usize>,
}

impl Sink for Filling<'_> {
    fn piece(&mut self, _: Piece) -> Result<usize> {
        match self.pieces.pop_front() {
            Some(at) => Ok(at),
            None => bail!("a value takes more pieces of memory than it said"),
        }
    }

    fn memory(&mut self) -> &mut [u8] {
        self.memory
    }
}

/// What wasmtime lowers in the same form, or in another.
macro_rules! lowered_as {
    ($owned:ty) => {
        lowered_as!($owned, |own| own);
    };
    ($owned:ty, |$own:ident| $into:expr) => {
        type Owned = $owned;
        type Results = (Self::Owned,);

        fn owned(self) -> Self::Owned {
            let $own = self;
            $into
        }

        fn results(self) -> Self::Results {
            (self.owned(),)
        }
    };
}

pub(crate) use lowered_as;

macro_rules! numbers {
    ($($type:ty, |$value:ident| $raw:expr, $bytes:expr;)*) => {$(
        impl Lower for $type {
            lowered_as!($type);
            const ALLOCATES: bool = false;

            fn flat(&self) -> ValRaw {
                let $value = *self;
                $raw
            }

            fn store<S: Sink>(&self, sink: &mut S, at: usize) -> Result<()> {
                let $value = *self;
                sink.write(at, &$bytes)
            }
        }
    )*};
}

numbers! {
    bool, |value| ValRaw::u32(u32::from(value)), [u8::from(value)];
    u16, |value| ValRaw::u32(u32::from(value)), value.to_le_bytes();
    u32, |value| ValRaw::u32(value), value.to_le_bytes();
    u64, |value| ValRaw::u64(value), value.to_le_bytes();
    i64, |value| ValRaw::i64(value), value.to_le_bytes();
}

/// No answer, or the half of a result that says nothing.
impl Lower for () {
    type Owned = ();
    type Results = ();
    const ALLOCATES: bool = false;

    fn owned(self) {}

    fn results(self) {}

    fn store<S: Sink>(&self, _: &mut S, _: usize) -> Result<()> {
        Ok(())
    }
}

impl Shape for () {
    const SIZE: usize = 0;
    const ALIGN: usize = 1;
    const FLAT: usize = 0;

    fn words() -> String {
        "_".to_owned()
    }
}

/// What is bytes in a piece of their own.
macro_rules! bytes {
    ($($type:ty, $owned:ty, |$value:ident| $bytes:expr, |$own:ident| $into:expr;)*) => {$(
        impl Lower for $type {
            lowered_as!($owned, |$own| $into);
            const ALLOCATES: bool = true;

            fn wants(&self, wants: &mut Vec<Piece>) {
                let $value = self;
                wants.push((1, $bytes.len()));
            }

            fn store<S: Sink>(&self, sink: &mut S, at: usize) -> Result<()> {
                let $value = self;
                let bytes: &[u8] = $bytes;
                let pointer = sink.bytes(bytes)?;
                sink.pair(at, (pointer, bytes.len()))
            }
        }
    )*};
}

bytes! {
    String, String, |value| value.as_bytes(), |own| own;
    &'static str, &'static str, |value| value.as_bytes(), |own| own;
    Arc<str>, Arc<str>, |value| value.as_bytes(), |own| own;
    Method, String, |value| value.as_str().as_bytes(), |own| own.as_str().to_owned();
    Vec<u8>, Vec<u8>, |value| value.as_slice(), |own| own;
    Arc<[u8]>, Arc<[u8]>, |value| value, |own| own;
    HeaderValue, Vec<u8>, |value| value.as_bytes(), |own| own.as_bytes().to_vec();
    Joined, Vec<u8>, |value| value, |own| own.to_vec();
    Bytes, Vec<u8>, |value| value, |own| own.into();
}

macro_rules! pairs {
    ($($type:ty, $words:literal;)*) => {$(
        impl Shape for $type {
            const SIZE: usize = 8;
            const ALIGN: usize = 4;
            const FLAT: usize = 2;

            fn words() -> String {
                $words.to_owned()
            }
        }
    )*};
}

pairs! {
    &'static str, "string";
    Arc<str>, "string";
    Method, "string";
    Arc<[u8]>, "list<u8>";
    HeaderValue, "list<u8>";
    Joined, "list<u8>";
    Bytes, "list<u8>";
}

impl<T: Lower> Lower for Vec<T> {
    lowered_as!(Vec<T::Owned>, |own| own.into_iter().map(T::owned).collect());
    const ALLOCATES: bool = true;

    fn wants(&self, wants: &mut Vec<Piece>) {
        wants.push((T::ALIGN, self.len() * T::SIZE));
        self.iter().for_each(|item| item.wants(wants));
    }

    fn store<S: Sink>(&self, sink: &mut S, at: usize) -> Result<()> {
        let pair = sink.list(self)?;
        sink.pair(at, pair)
    }
}

impl<T: Shape> Shape for Vec<T> {
    const SIZE: usize = 8;
    const ALIGN: usize = 4;
    const FLAT: usize = 2;

    fn words() -> String {
        format!("list<{}>", T::words())
    }
}

impl<T: Lower> Lower for Option<T> {
    lowered_as!(Option<T::Owned>, |own| own.map(T::owned));
    const ALLOCATES: bool = T::ALLOCATES;

    fn wants(&self, wants: &mut Vec<Piece>) {
        self.iter().for_each(|some| some.wants(wants));
    }

    fn store<S: Sink>(&self, sink: &mut S, at: usize) -> Result<()> {
        sink.write(at, &[u8::from(self.is_some())])?;
        match self {
            Some(some) => some.store(sink, at + aligned(1, T::ALIGN)),
            None => Ok(()),
        }
    }
}

impl<T: Shape, E: Shape> Shape for Result<T, E> {
    const SIZE: usize = aligned(aligned(1, Self::ALIGN) + if T::SIZE > E::SIZE { T::SIZE } else { E::SIZE }, Self::ALIGN);
    const ALIGN: usize = if T::ALIGN > E::ALIGN { T::ALIGN } else { E::ALIGN };
    const FLAT: usize = 1 + if T::FLAT > E::FLAT { T::FLAT } else { E::FLAT };

    fn words() -> String {
        format!("result<{}, {}>", T::words(), E::words())
    }
}

impl<T: Lower, E: Lower> Lower for Result<T, E> {
    lowered_as!(Result<T::Owned, E::Owned>, |own| own.map(T::owned).map_err(E::owned));
    const ALLOCATES: bool = T::ALLOCATES || E::ALLOCATES;

    fn wants(&self, wants: &mut Vec<Piece>) {
        match self {
            Ok(value) => value.wants(wants),
            Err(error) => error.wants(wants),
        }
    }

    fn store<S: Sink>(&self, sink: &mut S, at: usize) -> Result<()> {
        let inside = at + aligned(1, Self::ALIGN);
        sink.write(at, &[u8::from(self.is_err())])?;
        match self {
            Ok(value) => value.store(sink, inside),
            Err(error) => error.store(sink, inside),
        }
    }
}
