//! Whether the filter is being configured: the one thing about the present call that the SDK must remember.

use std::cell::Cell;

thread_local! {
    static CONFIGURING: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn configuring() -> bool {
    CONFIGURING.get()
}

/// Runs `configure` and knows it.
pub(crate) fn configure<T>(run: impl FnOnce() -> T) -> T {
    CONFIGURING.set(true);
    let result = run();
    CONFIGURING.set(false);
    result
}
