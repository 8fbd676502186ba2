//! Memory and heavy work: the heap, and the pages of the program itself.
//!
//! Making an image takes a hundred MiB for a moment, in pieces of tens of MiB. glibc learns from such pieces to keep what was
//! freed, up to 64 MiB for each thread, which will hardly ever need so much again.

/// Larger pieces are mapped each by itself and given back when they are freed, always: glibc's own threshold rises to 32 MiB.
/// Nothing on the way of an exchange is so large.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES_MIN: std::ffi::c_int = 4 << 20;

/// So much at the end of a thread's heap is kept when it is freed: buffers of a few connections, which would be taken from the system
/// again at once. [`give_back`] gives that back, too.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: std::ffi::c_int = 1 << 20;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
mod glibc {
    use std::ffi::c_int;

    /// These are of malloc.h.
    pub const M_TRIM_THRESHOLD: c_int = -1;
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
    {
        glibc::mallopt(glibc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
        glibc::mallopt(glibc::M_TRIM_THRESHOLD, KEPT_BYTES);
    }
}

/// Gives what is free back to the system. It locks one arena after the other for as long as that takes, about a millisecond
/// each: for threads that may block, and not for every day.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::malloc_trim(0);
}

/// Lets go of the pages of the program that are mapped now: most were needed to start and to compile, and never will be again. What is
/// needed is mapped again from the system's cache.
pub fn let_go_of_program() {
    #[cfg(target_os = "linux")]
    if let (Ok(program), Ok(mappings)) = (std::fs::read_link("/proc/self/exe"), std::fs::read_to_string("/proc/self/smaps")) {
        unchanged(&mappings, &program.to_string_lossy()).for_each(let_go);
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn let_go(mapping: std::ops::Range<usize>) {
    use rustix::mm::{Advice, madvise};
    let start = std::ptr::with_exposed_provenance_mut(mapping.start);
    // SAFETY: these are pages of the program's file that nobody may write to and nobody has written to since they were mapped: who
    // touches one reads the same bytes from the file as before.
    let done = unsafe { madvise(start, mapping.len(), Advice::LinuxDontNeed) };
    if let Err(error) = done {
        tracing::debug!(%error, "pages of the program stay mapped");
    }
}

/// The mappings of a file that are as they are in it, and stay so.
#[cfg(target_os = "linux")]
fn unchanged<'m>(mappings: &'m str, file: &'m str) -> impl Iterator<Item = std::ops::Range<usize>> + 'm {
    let mut present = None;
    mappings.lines().filter_map(move |line| {
        let mut words = line.split_ascii_whitespace();
        let first = words.next()?;
        if first == "Anonymous:" {
            // The last that is looked at of a mapping.
            let is_changed = words.next() != Some("0");
            return present.take().filter(|_| !is_changed);
        }
        if !first.ends_with(':') {
            let (start, end) = first.split_once('-')?;
            let address = |hex| usize::from_str_radix(hex, 16).ok();
            let is_fixed = words.next().is_some_and(|rights| rights.starts_with('r') && !rights.contains('w'));
            let is_of_file = line.splitn(6, ' ').last().is_some_and(|path| path.trim_start() == file);
            present = address(start).zip(address(end)).filter(|_| is_fixed && is_of_file).map(|(start, end)| start..end);
        }
        None
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_was_relocated_or_may_be_written_stays() {
        let mapping = |range: &str, rights: &str, anonymous: u32, path: &str| {
            format!(
                "{range} {rights} 00001000 fe:00 12345                      {path}\nSize:     4 kB\nAnonymous:     {anonymous} kB\nVmFlags: rd mr\n"
            )
        };
        let mappings = [
            mapping("1000-3000", "r--p", 0, "/usr/bin/tamis"),
            mapping("3000-4000", "r-xp", 0, "/usr/bin/tamis"),
            mapping("4000-5000", "r--p", 4, "/usr/bin/tamis"),
            mapping("5000-6000", "rw-p", 0, "/usr/bin/tamis"),
            mapping("6000-7000", "r-xp", 0, "/usr/bin/tamis-old"),
            "7000-8000 rw-p 00000000 00:00 0\nAnonymous:     0 kB\n".to_owned(),
        ];
        let found: Vec<_> = unchanged(&mappings.concat(), "/usr/bin/tamis").collect();
        assert_eq!(found, [0x1000..0x3000, 0x3000..0x4000]);
    }

    #[test]
    fn the_program_goes_on_without_its_pages() {
        let mappings = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let program = std::fs::read_link("/proc/self/exe").unwrap();
        assert!(unchanged(&mappings, &program.to_string_lossy()).count() > 0, "it finds itself");
        let_go_of_program();
        assert_eq!("still here".len(), 10);
    }
}
