//! The thread that ends epochs, which is when a guest looks whether its time is over. It sleeps while no guest runs.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

/// How often epochs end, and so how finely a deadline is noticed.
pub const EPOCH: Duration = Duration::from_millis(1);
/// Epochs after which the thread sleeps if no guest was called meanwhile: waking it costs a hook some microseconds, which nobody shall
/// pay who has a few hooks a second.
const UNUSED_MAX: u32 = 100;

/// Nobody ends epochs.
const ASLEEP: u8 = 0;
/// No guest was called since the thread last looked.
const UNUSED: u8 = 1;
const USED: u8 = 2;

/// One for the process: which engine a guest belongs to is nothing that a hook should have to find out.
static EPOCHS: Epochs = Epochs::new();

struct Epochs {
    state: AtomicU8,
    thread: OnceLock<Thread>,
    engines: Mutex<Vec<Weak<wasmtime::Engine>>>,
}

/// From now on the epochs of this engine end, until it is dropped.
pub fn keep(engine: Weak<wasmtime::Engine>) -> std::io::Result<()> {
    EPOCHS.keep(engine)
}

/// A guest is called, or still runs: its epoch has to end.
#[inline]
pub fn used() {
    EPOCHS.used();
}

impl Epochs {
    const fn new() -> Self {
        Self { state: AtomicU8::new(ASLEEP), thread: OnceLock::new(), engines: Mutex::new(Vec::new()) }
    }

    fn keep(&'static self, engine: Weak<wasmtime::Engine>) -> std::io::Result<()> {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.push(engine);
        if self.thread.get().is_none() {
            let started = thread::Builder::new().name("epochs".to_owned()).spawn(|| self.run())?;
            let _ = self.thread.set(started.thread().clone());
        }
        Ok(())
    }

    #[inline]
    fn used(&self) {
        // Most find it so, and then the workers only read what they share.
        if self.state.load(Ordering::Relaxed) != USED {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        if self.state.swap(USED, Ordering::SeqCst) == ASLEEP
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    fn run(&self) {
        loop {
            while self.state.load(Ordering::SeqCst) == ASLEEP {
                thread::park();
            }
            for _ in 0..UNUSED_MAX {
                thread::sleep(EPOCH);
                self.end();
            }
            self.look();
        }
    }

    fn end(&self) {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|engine| {
            engine.upgrade().is_some_and(|engine| {
                engine.increment_epoch();
                true
            })
        });
    }

    /// Whoever calls a guest at this moment finds the thread awake, or wakes it.
    fn look(&self) {
        let step = |from, to| self.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        let _ = step(UNUSED, ASLEEP) || step(USED, UNUSED);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wasmtime::{Config, Engine, Instance, Module, Store};

    use super::*;

    /// Runs until its epoch ends.
    fn run_away(engine: &Engine) {
        let bytes = wat::parse_str("(module (func (export \"run\") (loop br 0)))").unwrap();
        let module = Module::new(engine, bytes).unwrap();
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(1);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        assert_eq!(run.call(&mut store, ()).unwrap_err().downcast_ref(), Some(&wasmtime::Trap::Interrupt));
    }

    #[test]
    fn who_finds_the_thread_asleep_wakes_it() {
        let epochs: &'static Epochs = Box::leak(Box::new(Epochs::new()));
        let engine = Arc::new(Engine::new(Config::new().epoch_interruption(true)).unwrap());
        epochs.keep(Arc::downgrade(&engine)).unwrap();
        for _ in 0..2 {
            assert_eq!(epochs.state.load(Ordering::SeqCst), ASLEEP);
            epochs.used();
            run_away(&engine);
            while epochs.state.load(Ordering::SeqCst) != ASLEEP {
                thread::yield_now();
            }
        }
        drop(engine);
        epochs.used();
        while !epochs.engines.lock().unwrap().is_empty() {
            thread::yield_now();
        }
    }
}
