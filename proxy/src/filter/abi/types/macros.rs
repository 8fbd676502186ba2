//! Enums and records of wit/, on both ways into a guest: wasmtime derives what carries them across the border of a component, and what
//! carries them across that of a core module is written here, case by case and field by field.

/// `Name: Lift { Case = "word", … }`
macro_rules! cases {
    ($(#[$meta:meta])* $name:ident: $kind:ident { $($case:ident = $word:tt,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, wasmtime::component::ComponentType, wasmtime::component::$kind)]
        #[component(enum)]
        #[repr(u8)]
        pub enum $name {
            $(#[component(name = $word)] $case),+
        }

        impl Shape for $name {
            const SIZE: usize = 1;
            const ALIGN: usize = 1;
            const FLAT: usize = 1;

            fn words() -> String {
                format!("enum{{{}}}", [$($word),+].join(", "))
            }
        }

        cases!(@$kind $name $($case)+);
    };
    (@Lift $name:ident $($case:ident)+) => {
        impl $name {
            const ALL: &[Self] = &[$(Self::$case),+];

            /// The case of this number, of a function that returns one.
            pub fn of(number: u32) -> wasmtime::Result<Self> {
                Ok(Self::ALL[value::case(number, Self::ALL.len())?])
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::ALL[0]
            }
        }

        impl Lift for $name {
            type Value<'a> = Self;
            type Owned = Self;

            fn of_owned(owned: &mut Self) -> Self {
                *owned
            }

            fn lift<'a>(flat: &mut Flat<'_>, _: &mut Source<'a>) -> wasmtime::Result<Self> {
                Self::of(flat.number()?.get_u32())
            }

            fn load<'a>(source: &mut Source<'a>, at: usize) -> wasmtime::Result<Self> {
                Self::of(source.byte(at)?)
            }
        }
    };
    (@Lower $name:ident $($case:ident)+) => {
        impl Lower for $name {
            lowered_as!(Self);
            const ALLOCATES: bool = false;

            fn flat(&self) -> wasmtime::ValRaw {
                wasmtime::ValRaw::u32(*self as u32)
            }

            fn store<S: Sink>(&self, sink: &mut S, at: usize) -> wasmtime::Result<()> {
                sink.write(at, &[*self as u8])
            }
        }
    };
}

/// `Name: Lift as what::it::Means { field: Type = "word", … }`, or `Name: Lower { … }`.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident: Lift as $means:ty { $($field:ident: $type:ty = $word:tt,)+ }) => {
        record!(@define (Default) $(#[$meta])* $name: Lift { $($field: $type = $word,)+ });

        impl Lift for $name {
            type Value<'a> = $means;
            type Owned = Self;

            fn of_owned(owned: &mut Self) -> $means {
                std::mem::take(owned).into()
            }

            fn lift<'a>(flat: &mut Flat<'_>, source: &mut Source<'a>) -> wasmtime::Result<$means> {
                $(let $field = <$type as Lift>::lift(flat, source)?;)+
                Ok(Self { $($field),+ }.into())
            }

            fn load<'a>(source: &mut Source<'a>, at: usize) -> wasmtime::Result<$means> {
                let mut end = at;
                $(
                    let at = aligned(end, <$type as Shape>::ALIGN);
                    let $field = <$type as Lift>::load(source, at)?;
                    end = at + <$type as Shape>::SIZE;
                )+
                let _ = end;
                Ok(Self { $($field),+ }.into())
            }
        }
    };
    ($(#[$meta:meta])* $name:ident: Lower { $($field:ident: $type:ty = $word:tt,)+ }) => {
        record!(@define () $(#[$meta])* $name: Lower { $($field: $type = $word,)+ });
        record!(@lower $name { $($field: $type,)+ });
    };
    (@define ($($derive:ident)?) $(#[$meta:meta])* $name:ident: $($kind:ident),+ { $($field:ident: $type:ty = $word:tt,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, $($derive,)? wasmtime::component::ComponentType, $(wasmtime::component::$kind),+)]
        #[component(record)]
        pub struct $name {
            $(#[component(name = $word)] pub $field: $type,)+
        }

        impl Shape for $name {
            const SIZE: usize = {
                let mut end = 0;
                $(end = aligned(end, <$type as Shape>::ALIGN) + <$type as Shape>::SIZE;)+
                aligned(end, Self::ALIGN)
            };
            const ALIGN: usize = {
                let mut most = 1;
                $(if <$type as Shape>::ALIGN > most {
                    most = <$type as Shape>::ALIGN;
                })+
                most
            };
            const FLAT: usize = 0 $(+ <$type as Shape>::FLAT)+;

            fn words() -> String {
                let fields = [$(($word, <$type as Shape>::words())),+];
                format!("record{{{}}}", fields.map(|(name, words)| format!("{name}: {words}")).join(", "))
            }
        }
    };
    (@lower $name:ident { $($field:ident: $type:ty,)+ }) => {
        impl Lower for $name {
            lowered_as!(Self);
            const ALLOCATES: bool = false $(|| <$type as Lower>::ALLOCATES)+;

            fn wants(&self, wants: &mut Vec<Piece>) {
                $(self.$field.wants(wants);)+
            }

            fn store<S: Sink>(&self, sink: &mut S, at: usize) -> wasmtime::Result<()> {
                let mut end = at;
                $(
                    let at = aligned(end, <$type as Shape>::ALIGN);
                    self.$field.store(sink, at)?;
                    end = at + <$type as Shape>::SIZE;
                )+
                let _ = end;
                Ok(())
            }
        }
    };
}

pub(super) use {cases, record};
