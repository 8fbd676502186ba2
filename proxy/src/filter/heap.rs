//! The heap and heavy work.
//!
//! Making an image takes a hundred MiB for a moment, in pieces of tens of MiB. glibc learns from such pieces to keep what was
//! freed, up to 64 MiB for each thread, which will hardly ever need so much again.

/// Larger pieces are mapped each by itself and given back when they are freed, always: glibc's own threshold rises to 32 MiB.
/// Nothing on the way of an exchange is so large.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES_MIN: std::ffi::c_int = 4 << 20;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
mod glibc {
    use std::ffi::c_int;

    /// Of malloc.h.
    pub const M_MMAP_THRESHOLD: c_int = -3;

    unsafe extern "C" {
        // SAFETY: both take any number, touch nothing but what is free, and may be called by any thread at any time.
        pub safe fn mallopt(parameter: c_int, value: c_int) -> c_int;
        pub safe fn malloc_trim(pad: usize) -> c_int;
    }
}

/// To be called once, when the process starts. A heap that cannot be told keeps more, and works.
pub fn set_up() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::mallopt(glibc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
}

/// Gives what is free back to the system. It locks one arena after the other for as long as that takes, about a millisecond
/// each: for threads that may block, and not for every day.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::malloc_trim(0);
}
