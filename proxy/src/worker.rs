//! A worker: one thread with its own runtime, on which everything of an exchange happens.
//!
//! Other threads reach a worker only through its mailbox, which takes closures that run on the worker's thread and may
//! spawn local tasks there. What a worker keeps (its connections, its filter instances) lives in thread-local tables of
//! the modules that own it, never here.

use std::cell::Cell;
use std::io;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};

/// Jobs that wait in one mailbox. They are rare (a reload, an admin query), so a full one means a stuck worker.
pub const MAILBOX: usize = 256;

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
    /// Local tasks can be started here.
    static SERVING: Cell<bool> = const { Cell::new(false) };
}

/// The number of the worker that this thread is; 0 on any other thread.
pub fn index() -> usize {
    INDEX.get()
}

/// Lets something run on this worker beside what is going on, unless the worker is leaving.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    if SERVING.get() {
        tokio::task::spawn_local(task);
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A handle to the thread; dropping it does not stop the thread, [`Worker::stop`] does.
#[derive(Debug)]
pub struct Worker {
    mailbox: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread and returns once its runtime is there.
    pub fn start(index: usize) -> io::Result<Self> {
        let (mailbox, mut jobs) = mpsc::channel::<Job>(MAILBOX);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            INDEX.set(index);
            SERVING.set(true);
            let _ = ready.send(Ok(()));
            runtime.block_on(async move {
                while let Some(job) = jobs.recv().await {
                    job();
                }
            });
            SERVING.set(false);
            // What is still running is dropped here, before the tables of this thread.
            drop(runtime);
        })?;
        started.recv().map_err(|_| io::Error::other("the worker thread ended before it started"))??;
        Ok(Self { mailbox, thread })
    }

    /// Runs `job` on the worker's thread, soon. False if the worker is gone.
    pub async fn post(&self, job: impl FnOnce() + Send + 'static) -> bool {
        self.mailbox.send(Box::new(job)).await.is_ok()
    }

    /// The same without waiting for room in the mailbox, which a stuck worker may never make.
    pub fn try_post(&self, job: impl FnOnce() + Send + 'static) -> bool {
        self.mailbox.try_send(Box::new(job)).is_ok()
    }

    /// Runs `job` on the worker's thread and brings its answer back.
    pub async fn ask<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (answer, result) = oneshot::channel();
        self.post(move || drop(answer.send(job()))).await;
        result.await.ok()
    }

    /// Closes the mailbox and waits for the thread. Local tasks that still run are dropped.
    pub fn stop(self) {
        drop(self.mailbox);
        if self.thread.join().is_err() {
            tracing::error!("a worker thread panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_runs_on_the_worker_and_answers() {
        let worker = Worker::start(7).expect("a thread");
        let name = worker.ask(|| std::thread::current().name().map(str::to_owned)).await;
        assert_eq!(name, Some(Some("worker-7".to_owned())));
        worker.stop();
    }
}
