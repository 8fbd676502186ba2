//! Which hooks a type implements, known at compile time.

use std::marker::PhantomData;

use crate::{
    CompleteHook, ConnectionHook, Hook, RequestChunkHook, RequestHook, ResponseChunkHook, ResponseHook, TickHook, TrailersHook,
};

/// Whether `hooks` names `hook`.
pub const fn names(hooks: &[Hook], hook: Hook) -> bool {
    let mut i = 0;
    while i < hooks.len() {
        if hooks[i] as u8 == hook as u8 {
            return true;
        }
        i += 1;
    }
    false
}

/// Tells at compile time which hook traits a type implements: an inherent constant wins over one of a trait.
pub struct Probe<T>(PhantomData<T>);

macro_rules! probes {
    ($($constant:ident: $hook:ident,)+) => {
        /// What holds for a type that does not implement a hook.
        pub trait Absent {
            $(
                #[doc = concat!("It is no `", stringify!($hook), "`.")]
                const $constant: bool = false;
            )+
        }

        impl<T> Absent for Probe<T> {}

        $(
            impl<T: $hook> Probe<T> {
                #[doc = concat!("It is a `", stringify!($hook), "`.")]
                pub const $constant: bool = true;
            }
        )+
    };
}

probes! {
    REQUEST: RequestHook,
    REQUEST_CHUNK: RequestChunkHook,
    RESPONSE: ResponseHook,
    RESPONSE_CHUNK: ResponseChunkHook,
    TRAILERS: TrailersHook,
    COMPLETE: CompleteHook,
    TICK: TickHook,
    CONNECTION: ConnectionHook,
}
