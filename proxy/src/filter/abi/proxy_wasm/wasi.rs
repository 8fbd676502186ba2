//! WASI preview 1, as guests of this ABI need it: standard output into the log, clocks, randomness and the environment that is
//! granted. There are no files, no sockets and no arguments; what is asked of them is answered with an error of WASI's own.

use wasmtime::{Linker, Result};

use super::memory::{self, Call};
use super::state::State;
use crate::filter::host::log::{self, MESSAGE_BYTES_MAX};
use crate::filter::host::system;
use tracing::Level;

/// The module's name, and the one that it had before it was settled.
pub const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// All that can be imported from them.
pub const OFFERED: [&str; 46] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

const SUCCESS: u32 = 0;
const BADF: u32 = 8;
const INVAL: u32 = 28;
const NOENT: u32 = 44;
const NOSYS: u32 = 52;
const NOTSUP: u32 = 58;

const STDOUT: u32 = 1;
const STDERR: u32 = 2;
/// `fd_write` is what may be done with both.
const MAY_WRITE: u64 = 64;
/// Bytes that one call writes: what is copied and looked through for it is on nobody's clock.
const WRITE_BYTES_MAX: u32 = 64 << 10;
/// Parts of one write.
const PARTS_MAX: u32 = 1024;

/// The guest has ended itself.
#[derive(Debug, thiserror::Error)]
#[error("it left with proxy-wasm's `proc_exit`, code {0}")]
pub struct Exit(pub u32);

/// Adds the functions to what modules can import.
pub fn link(linker: &mut Linker<State>) -> Result<()> {
    for module in MODULES {
        real(linker, module)?;
        inert(linker, module)?;
    }
    Ok(())
}

fn real(linker: &mut Linker<State>, module: &str) -> Result<()> {
    linker.func_wrap(module, "fd_write", write)?;
    linker.func_wrap(module, "fd_fdstat_get", |mut call: Call<'_>, fd: u32, to: u32| {
        if fd != STDOUT && fd != STDERR {
            return Ok(BADF);
        }
        memory::put(&mut call, to, &[0; 24])?;
        memory::put_u64(&mut call, to.saturating_add(8), MAY_WRITE)?;
        Ok::<_, wasmtime::Error>(SUCCESS)
    })?;
    linker.func_wrap(module, "clock_time_get", |mut call: Call<'_>, clock: u32, _precision: u64, to: u32| {
        let now = match clock {
            0 => system::now_ns(),
            1 => system::monotonic_ns(),
            _ => return Ok(NOTSUP),
        };
        memory::put_u64(&mut call, to, now)?;
        Ok::<_, wasmtime::Error>(SUCCESS)
    })?;
    linker.func_wrap(module, "clock_res_get", |mut call: Call<'_>, clock: u32, to: u32| {
        if clock > 1 {
            return Ok(NOTSUP);
        }
        memory::put_u64(&mut call, to, 1)?;
        Ok::<_, wasmtime::Error>(SUCCESS)
    })?;
    linker.func_wrap(module, "random_get", |mut call: Call<'_>, to: u32, bytes: u32| {
        let Ok(random) = system::bytes(bytes) else { return Ok(INVAL) };
        memory::put(&mut call, to, &random)?;
        Ok::<_, wasmtime::Error>(SUCCESS)
    })?;
    linker.func_wrap(module, "args_sizes_get", |mut call: Call<'_>, count_to: u32, bytes_to: u32| {
        memory::put_u32(&mut call, count_to, 0)?;
        memory::put_u32(&mut call, bytes_to, 0)?;
        Ok::<_, wasmtime::Error>(SUCCESS)
    })?;
    linker.func_wrap(module, "args_get", |_: u32, _: u32| SUCCESS)?;
    linker.func_wrap(module, "environ_sizes_get", |mut call: Call<'_>, count_to: u32, bytes_to: u32| {
        let (count, bytes) = environment(&call).fold((0, 0), |(count, bytes), line| (count + 1, bytes + line.len()));
        memory::put_u32(&mut call, count_to, count)?;
        memory::put_u32(&mut call, bytes_to, u32::try_from(bytes).unwrap_or(u32::MAX))?;
        Ok::<_, wasmtime::Error>(SUCCESS)
    })?;
    linker.func_wrap(module, "environ_get", |mut call: Call<'_>, mut each_to: u32, mut to: u32| {
        let lines: Vec<_> = environment(&call).collect();
        for line in lines {
            memory::put_u32(&mut call, each_to, to)?;
            memory::put(&mut call, to, &line)?;
            each_to = each_to.saturating_add(4);
            to = to.saturating_add(u32::try_from(line.len()).unwrap_or(u32::MAX));
        }
        Ok::<_, wasmtime::Error>(SUCCESS)
    })?;
    linker.func_wrap(module, "proc_exit", |code: u32| Err::<(), _>(wasmtime::Error::new(Exit(code))))?;
    linker.func_wrap(module, "poll_oneoff", |mut call: Call<'_>, _in: u32, _out: u32, _count: u32, events_to: u32| {
        // Nobody can be kept waiting here, so whatever is waited for is not there; the runtime of Go wants no error.
        memory::put_u32(&mut call, events_to, 0)?;
        Ok::<_, wasmtime::Error>(SUCCESS)
    })?;
    linker.func_wrap(module, "sched_yield", || SUCCESS)?;
    Ok(())
}

/// Files, folders and sockets: there are none.
fn inert(linker: &mut Linker<State>, module: &str) -> Result<()> {
    let own = |fd: u32| if fd == STDOUT || fd == STDERR { SUCCESS } else { BADF };
    linker.func_wrap(module, "fd_fdstat_set_flags", |_: u32, _: u32| NOSYS)?;
    linker.func_wrap(module, "fd_fdstat_set_rights", move |fd: u32, _: u64, _: u64| own(fd))?;
    linker.func_wrap(module, "fd_read", |_: u32, _: u32, _: u32, _: u32| NOSYS)?;
    linker.func_wrap(module, "fd_seek", |_: u32, _: u64, _: u32, _: u32| SUCCESS)?;
    linker.func_wrap(module, "fd_tell", move |fd: u32, _: u32| own(fd))?;
    linker.func_wrap(module, "fd_close", |_: u32| SUCCESS)?;
    linker.func_wrap(module, "fd_advise", move |fd: u32, _: u64, _: u64, _: u32| own(fd))?;
    linker.func_wrap(module, "fd_allocate", move |fd: u32, _: u64, _: u64| own(fd))?;
    linker.func_wrap(module, "fd_datasync", move |fd: u32| own(fd))?;
    linker.func_wrap(module, "fd_sync", move |fd: u32| own(fd))?;
    linker.func_wrap(module, "fd_filestat_get", |_: u32, _: u32| BADF)?;
    linker.func_wrap(module, "fd_filestat_set_size", move |fd: u32, _: u64| own(fd))?;
    linker.func_wrap(module, "fd_filestat_set_times", move |fd: u32, _: u64, _: u64, _: u32| own(fd))?;
    linker.func_wrap(module, "fd_pread", move |fd: u32, _: u32, _: u32, _: u64, _: u32| own(fd))?;
    linker.func_wrap(module, "fd_pwrite", move |fd: u32, _: u32, _: u32, _: u64, _: u32| own(fd))?;
    linker.func_wrap(module, "fd_readdir", move |fd: u32, _: u32, _: u32, _: u64, _: u32| own(fd))?;
    linker.func_wrap(module, "fd_renumber", move |fd: u32, _: u32| own(fd))?;
    linker.func_wrap(module, "fd_prestat_get", |_: u32, _: u32| BADF)?;
    linker.func_wrap(module, "fd_prestat_dir_name", |_: u32, _: u32, _: u32| NOSYS)?;
    let open = |_: u32, _: u32, _: u32, _: u32, _: u32, _: u64, _: u64, _: u32, _: u32| NOENT;
    linker.func_wrap(module, "path_open", open)?;
    linker.func_wrap(module, "path_create_directory", |_: u32, _: u32, _: u32| NOTSUP)?;
    linker.func_wrap(module, "path_filestat_get", |_: u32, _: u32, _: u32, _: u32, _: u32| NOTSUP)?;
    linker.func_wrap(module, "path_filestat_set_times", |_: u32, _: u32, _: u32, _: u32, _: u64, _: u64, _: u32| NOTSUP)?;
    linker.func_wrap(module, "path_link", |_: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32| NOTSUP)?;
    linker.func_wrap(module, "path_readlink", |_: u32, _: u32, _: u32, _: u32, _: u32, _: u32| NOTSUP)?;
    linker.func_wrap(module, "path_remove_directory", |_: u32, _: u32, _: u32| NOTSUP)?;
    linker.func_wrap(module, "path_rename", |_: u32, _: u32, _: u32, _: u32, _: u32, _: u32| NOTSUP)?;
    linker.func_wrap(module, "path_symlink", |_: u32, _: u32, _: u32, _: u32, _: u32| NOTSUP)?;
    linker.func_wrap(module, "path_unlink_file", |_: u32, _: u32, _: u32| NOTSUP)?;
    linker.func_wrap(module, "proc_raise", |_: u32| NOTSUP)?;
    linker.func_wrap(module, "sock_accept", |_: u32, _: u32, _: u32| NOTSUP)?;
    linker.func_wrap(module, "sock_recv", |_: u32, _: u32, _: u32, _: u32, _: u32, _: u32| NOTSUP)?;
    linker.func_wrap(module, "sock_send", |_: u32, _: u32, _: u32, _: u32, _: u32| NOTSUP)?;
    linker.func_wrap(module, "sock_shutdown", |_: u32, _: u32| NOTSUP)?;
    Ok(())
}

/// `NAME=VALUE` with a NUL behind it.
fn environment<'a>(call: &'a Call<'_>) -> impl Iterator<Item = Vec<u8>> + 'a {
    let line = |(name, value): (&String, &String)| format!("{name}={value}\0").into_bytes();
    call.data().identity.grants.environment.iter().map(line)
}

/// Each whole line is one of the log, and so is what a guest leaves without an end.
fn write(mut call: Call<'_>, fd: u32, parts: u32, count: u32, written_to: u32) -> Result<u32> {
    if fd != STDOUT && fd != STDERR {
        return Ok(BADF);
    }
    if count > PARTS_MAX {
        return Ok(INVAL);
    }
    let mut written = 0_u32;
    for part in 0..count {
        // Who is told of less writes the rest again.
        if written == WRITE_BYTES_MAX {
            break;
        }
        let place = parts.saturating_add(8 * part);
        let (at, bytes) = (memory::read_u32(&mut call, place)?, memory::read_u32(&mut call, place.saturating_add(4))?);
        let bytes = bytes.min(WRITE_BYTES_MAX - written);
        let content = memory::copy(&mut call, at, bytes)?;
        written += bytes;
        let state = call.data_mut();
        let open = &mut state.lines[(fd - 1) as usize];
        open.extend_from_slice(&content);
        let severity = if fd == STDOUT { Level::INFO } else { Level::ERROR };
        let mut rest = open.as_slice();
        loop {
            let end = rest.iter().take(MESSAGE_BYTES_MAX).position(|byte| *byte == b'\n');
            let Some(length) = end.map(|end| end + 1).or((rest.len() >= MESSAGE_BYTES_MAX).then_some(MESSAGE_BYTES_MAX)) else {
                break;
            };
            let (line, more) = rest.split_at(length);
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            log::write(&state.identity, severity, &String::from_utf8_lossy(line));
            rest = more;
        }
        let done = open.len() - rest.len();
        open.drain(..done);
    }
    memory::put_u32(&mut call, written_to, written)?;
    Ok(SUCCESS)
}
