//! Values of wit/ in the memory of a guest: how large they are, and how they are read. What is read is borrowed from the guest
//! where a function of the host only looks at it.

use wasmtime::component::{self, ComponentNamedList, ComponentType};
use wasmtime::{Result, ValRaw, bail};

/// A type of wit/.
pub trait Shape {
    /// In memory.
    const SIZE: usize;
    const ALIGN: usize;
    /// Numbers that carry one.
    const FLAT: usize;
    /// As `words` writes it.
    fn words() -> String;
}

/// One that guests hand over.
pub trait Lift: Shape {
    /// What the host is given.
    type Value<'a>;
    /// What wasmtime lifts out of a component.
    type Owned: ComponentType + component::Lift + Send + Sync + 'static;
    fn of_owned(owned: &mut Self::Owned) -> Self::Value<'_>;
    fn lift<'a>(flat: &mut Flat<'_>, source: &mut Source<'a>) -> Result<Self::Value<'a>>;
    /// `at` is aligned, and the value inside of the memory.
    fn load<'a>(source: &mut Source<'a>, at: usize) -> Result<Self::Value<'a>>;
}

/// The parameters of a function.
pub trait Params {
    const FLAT: usize;
    type Value<'a>;
    type Owned: ComponentNamedList + component::Lift + Send + Sync + 'static;
    fn words() -> String;
    fn of_owned(owned: &mut Self::Owned) -> Self::Value<'_>;
    fn lift<'a>(flat: &mut Flat<'_>, source: &mut Source<'a>) -> Result<Self::Value<'a>>;
}

/// Numbers that a guest calls with.
pub struct Flat<'r>(std::slice::Iter<'r, ValRaw>);

impl<'r> Flat<'r> {
    pub fn new(numbers: &'r [ValRaw]) -> Self {
        Self(numbers.iter())
    }

    pub fn number(&mut self) -> Result<&'r ValRaw> {
        match self.0.next() {
            Some(number) => Ok(number),
            None => bail!("a function was called with less than it takes"),
        }
    }

    fn skip(&mut self, count: usize) -> Result<()> {
        (0..count).try_for_each(|_| self.number().map(drop))
    }
}

/// The memory of a guest while one call is read out of it.
pub struct Source<'a> {
    memory: &'a [u8],
    /// Bytes that this call may still name.
    fuel: usize,
}

impl<'a> Source<'a> {
    pub fn new(memory: &'a [u8], fuel: usize) -> Self {
        Self { memory, fuel }
    }

    fn consume(&mut self, bytes: Option<usize>) -> Result<()> {
        match bytes.and_then(|bytes| self.fuel.checked_sub(bytes)) {
            Some(rest) => self.fuel = rest,
            None => {
                bail!("too much data is being copied between the host and the guest: one call may name so much of its memory")
            }
        }
        Ok(())
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        match self.memory.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(bytes) => Ok(*bytes),
            None => bail!("pointer out of bounds of memory"),
        }
    }

    /// The number of a case.
    pub fn byte(&self, at: usize) -> Result<u32> {
        let [byte] = self.array(at)?;
        Ok(u32::from(byte))
    }

    /// A number of a pointer or a length.
    fn word(&self, at: usize) -> Result<usize> {
        Ok(u32::from_le_bytes(self.array(at)?) as usize)
    }

    /// What is said of the layout of something that a guest points at.
    pub fn place(&self, at: u32, size: usize, align: usize) -> Result<usize> {
        let at = at as usize;
        if !at.is_multiple_of(align) {
            bail!("pointer not aligned");
        }
        if at + size > self.memory.len() {
            bail!("pointer out of bounds of memory");
        }
        Ok(at)
    }

    fn string(&mut self, at: usize, length: usize) -> Result<&'a str> {
        let Some(bytes) = self.memory.get(at..at + length) else { bail!("string pointer/length out of bounds of memory") };
        self.consume(Some(length))?;
        Ok(std::str::from_utf8(bytes)?)
    }

    fn bytes(&mut self, at: usize, length: usize) -> Result<&'a [u8]> {
        let Some(bytes) = self.memory.get(at..at + length) else { bail!("list pointer/length out of bounds of memory") };
        self.consume(Some(length))?;
        Ok(bytes)
    }

    fn list<T: Lift>(&mut self, at: usize, length: usize) -> Result<Vec<T::Value<'a>>> {
        if length.checked_mul(T::SIZE).and_then(|size| at.checked_add(size)).is_none_or(|end| end > self.memory.len()) {
            bail!("list pointer/length out of bounds of memory");
        }
        self.consume(length.checked_mul(size_of::<T::Owned>()))?;
        if !at.is_multiple_of(T::ALIGN) {
            bail!("list pointer is not aligned");
        }
        (0..length).map(|index| T::load(self, at + index * T::SIZE)).collect()
    }
}

/// The next place for what is to be aligned so.
pub const fn aligned(at: usize, align: usize) -> usize {
    at.next_multiple_of(align)
}

macro_rules! number {
    ($($type:ident $words:literal |$raw:ident| $flat:expr;)*) => {$(
        impl Shape for $type {
            const SIZE: usize = size_of::<$type>();
            const ALIGN: usize = size_of::<$type>();
            const FLAT: usize = 1;

            fn words() -> String {
                $words.to_owned()
            }
        }

        impl Lift for $type {
            type Value<'a> = $type;
            type Owned = $type;

            fn of_owned(owned: &mut $type) -> $type {
                *owned
            }

            fn lift<'a>(flat: &mut Flat<'_>, _: &mut Source<'a>) -> Result<$type> {
                let $raw = flat.number()?;
                Ok($flat)
            }

            fn load<'a>(source: &mut Source<'a>, at: usize) -> Result<$type> {
                Ok($type::from_le_bytes(source.array(at)?))
            }
        }
    )*};
}

number! {
    u16 "u16" |raw| raw.get_u32() as u16;
    u32 "u32" |raw| raw.get_u32();
    u64 "u64" |raw| raw.get_u64();
    i64 "s64" |raw| raw.get_i64();
    f64 "f64" |raw| f64::from_bits(raw.get_f64());
}

impl Shape for bool {
    const SIZE: usize = 1;
    const ALIGN: usize = 1;
    const FLAT: usize = 1;

    fn words() -> String {
        "bool".to_owned()
    }
}

/// Text that is only looked at.
pub struct Str;
/// Bytes that are only looked at.
pub struct Blob;
/// Several of something.
pub struct List<T>(std::marker::PhantomData<T>);

/// What is a pointer and a length.
macro_rules! pair {
    ($(($($generics:tt)*) $type:ty, $words:expr, $value:ty, $owned:ty, |$taken:ident| $of_owned:expr,
        |$source:ident, $at:ident, $length:ident| $read:expr;)*) => {$(
        impl<$($generics)*> Shape for $type {
            const SIZE: usize = 8;
            const ALIGN: usize = 4;
            const FLAT: usize = 2;

            fn words() -> String {
                $words
            }
        }

        impl<$($generics)*> Lift for $type {
            type Value<'a> = $value;
            type Owned = $owned;

            fn of_owned($taken: &mut $owned) -> Self::Value<'_> {
                $of_owned
            }

            fn lift<'a>(flat: &mut Flat<'_>, $source: &mut Source<'a>) -> Result<Self::Value<'a>> {
                let ($at, $length) = (flat.number()?.get_u32() as usize, flat.number()?.get_u32() as usize);
                $read
            }

            fn load<'a>($source: &mut Source<'a>, at: usize) -> Result<Self::Value<'a>> {
                let ($at, $length) = ($source.word(at)?, $source.word(at + 4)?);
                $read
            }
        }
    )*};
}

pair! {
    () Str, "string".to_owned(), &'a str, String, |owned| owned, |source, at, length| source.string(at, length);
    () Blob, "list<u8>".to_owned(), &'a [u8], Vec<u8>, |owned| owned, |source, at, length| source.bytes(at, length);
    () String, "string".to_owned(), String, String, |owned| std::mem::take(owned),
        |source, at, length| source.string(at, length).map(str::to_owned);
    () Vec<u8>, "list<u8>".to_owned(), Vec<u8>, Vec<u8>, |owned| std::mem::take(owned),
        |source, at, length| source.bytes(at, length).map(<[u8]>::to_vec);
    (T: Lift + 'static) List<T>, format!("list<{}>", T::words()), Vec<T::Value<'a>>, Vec<T::Owned>,
        |owned| owned.iter_mut().map(T::of_owned).collect(), |source, at, length| source.list::<T>(at, length);
}

impl<T: Shape> Shape for Option<T> {
    const SIZE: usize = aligned(aligned(1, T::ALIGN) + T::SIZE, T::ALIGN);
    const ALIGN: usize = T::ALIGN;
    const FLAT: usize = 1 + T::FLAT;

    fn words() -> String {
        format!("option<{}>", T::words())
    }
}

impl<T: Lift> Lift for Option<T> {
    type Value<'a> = Option<T::Value<'a>>;
    type Owned = Option<T::Owned>;

    fn of_owned(owned: &mut Self::Owned) -> Self::Value<'_> {
        owned.as_mut().map(T::of_owned)
    }

    fn lift<'a>(flat: &mut Flat<'_>, source: &mut Source<'a>) -> Result<Self::Value<'a>> {
        match flat.number()?.get_u32() {
            0 => flat.skip(T::FLAT).map(|()| None),
            1 => T::lift(flat, source).map(Some),
            _ => bail!("invalid option discriminant"),
        }
    }

    fn load<'a>(source: &mut Source<'a>, at: usize) -> Result<Self::Value<'a>> {
        match source.array(at)? {
            [0] => Ok(None),
            [1] => T::load(source, at + aligned(1, T::ALIGN)).map(Some),
            _ => bail!("invalid option discriminant"),
        }
    }
}

/// The case of an enum that has so many.
pub fn case(found: u32, cases: usize) -> Result<usize> {
    match found as usize {
        case if case < cases => Ok(case),
        case => bail!("unexpected discriminant: {case}"),
    }
}

impl<A: Shape, B: Shape> Shape for (A, B) {
    const SIZE: usize = aligned(aligned(A::SIZE, B::ALIGN) + B::SIZE, Self::ALIGN);
    const ALIGN: usize = if A::ALIGN > B::ALIGN { A::ALIGN } else { B::ALIGN };
    const FLAT: usize = A::FLAT + B::FLAT;

    fn words() -> String {
        format!("tuple<{}, {}>", A::words(), B::words())
    }
}

impl<A: Lift, B: Lift> Lift for (A, B) {
    type Value<'a> = (A::Value<'a>, B::Value<'a>);
    type Owned = (A::Owned, B::Owned);

    fn of_owned(owned: &mut Self::Owned) -> Self::Value<'_> {
        (A::of_owned(&mut owned.0), B::of_owned(&mut owned.1))
    }

    fn lift<'a>(flat: &mut Flat<'_>, source: &mut Source<'a>) -> Result<Self::Value<'a>> {
        Ok((A::lift(flat, source)?, B::lift(flat, source)?))
    }

    fn load<'a>(source: &mut Source<'a>, at: usize) -> Result<Self::Value<'a>> {
        Ok((A::load(source, at)?, B::load(source, at + aligned(A::SIZE, B::ALIGN))?))
    }
}

macro_rules! params {
    ($(($($name:ident $index:tt),*))*) => {$(
        impl<$($name: Lift),*> Params for ($($name,)*) {
            const FLAT: usize = 0 $(+ $name::FLAT)*;
            type Value<'a> = ($($name::Value<'a>,)*);
            type Owned = ($($name::Owned,)*);

            fn words() -> String {
                let words: [String; [$($index as usize),*].len()] = [$($name::words()),*];
                words.join(", ")
            }

            #[allow(clippy::unused_unit, reason = "there may be none")]
            fn of_owned(_owned: &mut Self::Owned) -> Self::Value<'_> {
                ($($name::of_owned(&mut _owned.$index),)*)
            }

            fn lift<'a>(_flat: &mut Flat<'_>, _source: &mut Source<'a>) -> Result<Self::Value<'a>> {
                Ok(($($name::lift(_flat, _source)?,)*))
            }
        }
    )*};
}

params! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
}

impl Params for () {
    const FLAT: usize = 0;
    type Value<'a> = ();
    type Owned = ();

    fn words() -> String {
        String::new()
    }

    fn of_owned((): &mut ()) {}

    fn lift<'a>(_: &mut Flat<'_>, _: &mut Source<'a>) -> Result<()> {
        Ok(())
    }
}
