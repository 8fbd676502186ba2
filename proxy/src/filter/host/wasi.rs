//! WASI 0.2 for components that bring it along: clocks, randomness, standard output into the log, and the environment
//! that the grants name. No files, no arguments; sockets are there, because runtimes import them, and lead nowhere.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::{log, system};
use crate::filter::{Guest, Identity};

/// The interfaces that are there. Those of files and sockets are for runtimes that import them and may never call them: there
/// are no files, and a socket is refused before it is opened.
const OFFERED: [&str; 6] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Streams, polls and the like that one instance holds at once: they are not in its memory, so nothing else bounds them.
const HANDLES_MAX: usize = 1000;

/// Whether an interface of WASI can be imported.
pub fn offers(interface: &str) -> bool {
    interface
        .split_once('@')
        .is_some_and(|(name, version)| version.starts_with("0.2.") && OFFERED.iter().any(|offered| name.starts_with(offered)))
}

/// What WASI keeps for one instance.
pub struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
}

impl Wasi {
    pub fn new(identity: &Arc<Identity>) -> Self {
        let mut context = WasiCtx::builder();
        context.stdout(Lines::of(identity, Level::INFO)).stderr(Lines::of(identity, Level::WARN));
        for (name, value) in &identity.grants.environment {
            context.env(name, value);
        }
        context.max_random_size(u64::from(system::ENTROPY_BYTES_MAX));
        context.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self { context: context.build(), table }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let identity = Arc::clone(&self.identity);
        let wasi = self.wasi.get_or_insert_with(|| Box::new(Wasi::new(&identity)));
        WasiCtxView { ctx: &mut wasi.context, table: &mut wasi.table }
    }
}

/// Adds WASI to what components can import.
pub fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)
}

/// Standard output, a line of the log for each of its lines.
#[derive(Clone)]
struct Lines {
    identity: Arc<Identity>,
    severity: Level,
    /// The last line, while it has no end. All streams of one instance write to the same.
    open: Arc<Mutex<Vec<u8>>>,
}

impl Lines {
    fn of(identity: &Arc<Identity>, severity: Level) -> Self {
        Self { identity: Arc::clone(identity), severity, open: Arc::default() }
    }

    fn take(&self, bytes: &[u8]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            open.extend_from_slice(piece);
            if piece.ends_with(b"\n") || open.len() >= log::MESSAGE_BYTES_MAX {
                let line = std::mem::take(&mut *open);
                log::write(&self.identity, self.severity, String::from_utf8_lossy(&line).trim_end());
            }
        }
    }
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > log::MESSAGE_BYTES_MAX {
            return Err(StreamError::Trap(wasmtime::Error::msg("more was written than the stream had room for")));
        }
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(log::MESSAGE_BYTES_MAX)
    }
}

impl AsyncWrite for Lines {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
