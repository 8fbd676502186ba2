//! What [`export!`](crate::export!) expands to: the way from the proxy into a filter's methods.

use std::cell::OnceCell;
use std::marker::PhantomData;
use std::panic::PanicHookInfo;

use crate::{ConfigError, Filter, Hook, Request, RequestHook, Response, ResponseHook, Setup, Verdict, config, host, phase};

/// Exports a filter with the hooks that it has: `tamis_sdk::export!(Router: request, response);`
///
/// The type must be a [`Filter`](crate::Filter) and implement the trait of each hook that is named; a hook that it implements
/// and that is not named is an error, because it would never be called. Hooks: `request`
/// ([`RequestHook`](crate::RequestHook)), `response` ([`ResponseHook`](crate::ResponseHook)).
///
/// A hook that would never be called does not compile:
///
/// ```compile_fail
/// use tamis_sdk::prelude::*;
/// # struct Gate;
/// # impl Filter for Gate {
/// #     type Config = NoConfig;
/// #     fn configure(_: NoConfig, _: &mut Setup) -> Result<Self, ConfigError> { Ok(Gate) }
/// # }
/// # impl ResponseHook for Gate { fn on_response(&self, _: &mut Response) -> Verdict { Verdict::Next } }
/// impl RequestHook for Gate {
///     fn on_request(&self, _: &mut Request) -> Verdict {
///         Verdict::Reset
///     }
/// }
/// tamis_sdk::export!(Gate: response);
/// ```
#[macro_export]
macro_rules! export {
    ($filter:ident: $($hook:ident),+ $(,)?) => {
        impl $crate::export::Exported for $filter {
            const HOOKS: &'static [$crate::Hook] = &[$($crate::export!(@hook $hook)),+];
            $($crate::export!(@method $hook);)+
        }
        const _: () = {
            #[allow(unused_imports)]
            use $crate::export::Absent as _;
            const HOOKS: &[$crate::Hook] = <$filter as $crate::export::Exported>::HOOKS;
            assert!(
                !$crate::export::Probe::<$filter>::REQUEST || $crate::export::names(HOOKS, $crate::Hook::Request),
                "the filter implements RequestHook, but export! does not name `request`",
            );
            assert!(
                !$crate::export::Probe::<$filter>::RESPONSE || $crate::export::names(HOOKS, $crate::Hook::Response),
                "the filter implements ResponseHook, but export! does not name `response`",
            );
        };
        #[cfg(target_family = "wasm")]
        const _: () = {
            ::std::thread_local! {
                static FILTER: $crate::export::Slot<$filter> = const { $crate::export::Slot::new() };
            }
            struct Exports;
            impl $crate::abi::configure::Guest for Exports {
                fn configure(
                    config: ::std::string::String,
                    _: ::std::vec::Vec<$crate::abi::configure::Input>,
                ) -> ::std::result::Result<(), ::std::string::String> {
                    FILTER.with(|slot| slot.configure(config))
                }
            }
            $crate::abi::configure::export_configure!(Exports with_types_in $crate::abi::configure);
            $($crate::export!(@export $hook);)+
        };
    };
    ($filter:ident) => { ::std::compile_error!("name the hooks that the filter has: `export!(MyFilter: request, response)`"); };

    (@hook request) => { $crate::Hook::Request };
    (@hook response) => { $crate::Hook::Response };
    (@hook $other:ident) => { ::std::compile_error!(concat!("no hook `", stringify!($other), "`; there are `request`, `response`")) };

    (@method request) => {
        fn request(&self, request: &mut $crate::Request) -> $crate::Verdict {
            $crate::RequestHook::on_request(self, request)
        }
    };
    (@method response) => {
        fn response(&self, response: &mut $crate::Response) -> $crate::Verdict {
            $crate::ResponseHook::on_response(self, response)
        }
    };
    (@method $other:ident) => {};

    (@export request) => {
        impl $crate::abi::request::Guest for Exports {
            fn on_request() -> $crate::abi::Verdict {
                FILTER.with($crate::export::Slot::on_request).into()
            }
        }
        $crate::abi::request::export_request!(Exports with_types_in $crate::abi::request);
    };
    (@export response) => {
        impl $crate::abi::response::Guest for Exports {
            fn on_response() -> $crate::abi::Verdict {
                FILTER.with($crate::export::Slot::on_response).into()
            }
        }
        $crate::abi::response::export_response!(Exports with_types_in $crate::abi::response);
    };
    (@export $other:ident) => {};
}

/// A filter together with the hooks that [`export!`](crate::export!) names. Only the macro implements it.
pub trait Exported: Filter {
    /// The hooks that the proxy may call.
    const HOOKS: &'static [Hook];

    /// The request hook, if there is one.
    fn request(&self, _: &mut Request) -> Verdict {
        Verdict::Next
    }

    /// The response hook, if there is one.
    fn response(&self, _: &mut Response) -> Verdict {
        Verdict::Next
    }
}

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

/// What holds for a type that does not implement a hook.
pub trait Absent {
    /// It has no request hook.
    const REQUEST: bool = false;
    /// It has no response hook.
    const RESPONSE: bool = false;
}

impl<T> Absent for Probe<T> {}

impl<T: RequestHook> Probe<T> {
    /// It has a request hook.
    pub const REQUEST: bool = true;
}

impl<T: ResponseHook> Probe<T> {
    /// It has a response hook.
    pub const RESPONSE: bool = true;
}

/// What goes back to the proxy; the reply itself is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Next,
    Replied,
    Reset,
}

/// Hands over what a verdict carries. A reply that the proxy refuses fails the filter: going on instead would let pass what
/// the filter meant to stop.
pub(crate) fn conclude(verdict: Verdict) -> Ending {
    match verdict {
        Verdict::Next => Ending::Next,
        Verdict::Reset => Ending::Reset,
        Verdict::Reply(reply) => match reply.hand_over() {
            Ok(()) => Ending::Replied,
            Err(why) => panic!("the proxy refused the filter's reply: {why}"),
        },
    }
}

/// Where an instance keeps its filter.
pub struct Slot<F> {
    filter: OnceCell<F>,
}

impl<F: Exported> Slot<F> {
    /// An instance that is not configured yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Slot { filter: OnceCell::new() }
    }

    /// Makes the filter.
    pub fn configure(&self, config: String) -> Result<(), String> {
        std::panic::set_hook(Box::new(report));
        let filter = phase::configure(|| make::<F>(&config)).map_err(|error| error.to_string())?;
        self.filter.set(filter).map_err(|_| "configured a second time".to_owned())
    }

    /// Calls the request hook.
    pub fn on_request(&self) -> Ending {
        conclude(self.filter().request(&mut Request::in_hand()))
    }

    /// Calls the response hook.
    pub fn on_response(&self) -> Ending {
        conclude(self.filter().response(&mut Response::in_hand()))
    }

    fn filter(&self) -> &F {
        self.filter.get().expect("a filter is configured before a hook of it is called")
    }
}

/// Reads the configuration and makes the filter from it.
pub(crate) fn make<F: Filter>(config: &str) -> Result<F, ConfigError> {
    F::configure(config::read(config)?, &mut Setup::new())
}

/// A panic becomes a line in the log; the trap that follows is the proxy's to handle.
fn report(panic: &PanicHookInfo<'_>) {
    host::log::write(host::log::Severity::Error, &panic.to_string());
}

#[cfg(target_family = "wasm")]
impl From<Ending> for crate::abi::Verdict {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Next => Self::Next,
            Ending::Replied => Self::Replied,
            Ending::Reset => Self::Reset,
        }
    }
}
