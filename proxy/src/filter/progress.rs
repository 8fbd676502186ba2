//! A word about compilations that take long: a module with a language runtime inside takes many seconds, and whoever waits for it
//! should see what for.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Modules from this size on are spoken of. A filter in Rust stays far below it and takes no second.
const BYTES_MIN: usize = 2 << 20;
/// How often it is said that the compiler is still at work.
const EVERY: Duration = Duration::from_secs(5);

/// Compiles. The log says that it began, that it goes on, and how long it took.
pub fn told<T>(bytes: usize, what: &str, compile: impl FnOnce() -> T) -> T {
    if bytes < BYTES_MIN {
        return compile();
    }
    let began = Instant::now();
    tracing::info!(bytes, "compiling {what}: this is done once, and kept where the cache is on");
    let (at_work, ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                tracing::info!(bytes, so_far = ?began.elapsed(), "still compiling {what}");
            }
        });
        let compiled = compile();
        drop(at_work);
        tracing::info!(bytes, took = ?began.elapsed(), "compiled {what}");
        compiled
    })
}
