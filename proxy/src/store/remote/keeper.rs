//! The task beside a store: connects, beats, gives back what was not used, and tells what is held.
//!
//! The keepers of all stores share one thread, which is nobody's worker: connections outlive the workers and the snapshots
//! that use them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};

use super::hold::Told;
use super::lease::Back;
use super::link::{Connection, Trouble};
use super::{Remote, script};
use crate::store::quota::ASKS_MAX;

/// How often a process shows that it is there, and finds out whether Redis is.
pub const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long one heartbeat counts: four may be missed.
pub const HEARTBEAT_COUNTS: Duration = Duration::from_secs(10);
/// How often leases are looked through while there are some.
const SWEEP: Duration = Duration::from_millis(50);
/// How long a lost Redis is left alone: at first, and at most.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// What is held is told so often in its time.
const RENEWALS: u32 = 3;

/// Begins to keep a store. What comes is sent when connecting has been tried once.
pub fn start(remote: &Arc<Remote>) -> Option<mpsc::Receiver<()>> {
    let Some(thread) = thread() else {
        tracing::error!(store = %remote.name, "no thread for stores could be started; Redis is not asked");
        return None;
    };
    let (tried, first) = mpsc::sync_channel(1);
    thread.spawn(keep(Arc::downgrade(remote), tried));
    Some(first)
}

/// The runtime of all keepers, on a thread of its own.
fn thread() -> Option<Handle> {
    static THREAD: OnceLock<Option<Handle>> = OnceLock::new();
    let start = || {
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        let handle = runtime.handle().clone();
        let run = move || runtime.block_on(std::future::pending::<()>());
        std::thread::Builder::new().name("stores".to_owned()).spawn(run).ok()?;
        Some(handle)
    };
    THREAD.get_or_init(start).clone()
}

async fn keep(remote: Weak<Remote>, tried: mpsc::SyncSender<()>) {
    let Some(wake) = remote.upgrade().map(|remote| Arc::clone(&remote.link.wake)) else { return };
    let mut times = Times::default();
    let mut retry = RETRY_MIN;
    let mut refused = String::new();
    loop {
        // The store is held only while there is something to do, so that it ends when nobody has it.
        let Some(kept) = remote.upgrade() else { return };
        if !kept.link.is_connected() {
            match connect(&kept).await {
                Ok(()) => {
                    tracing::info!(store = %kept.name, processes = kept.fleet(), "Redis answers");
                    (times, retry) = (Times::default(), RETRY_MIN);
                    refused.clear();
                }
                Err(trouble) => {
                    let why = trouble.to_string();
                    // Once for each reason, not for each attempt.
                    if why != refused {
                        tracing::warn!(store = %kept.name, %why, "no connection to Redis");
                        refused = why;
                    }
                    let _ = tried.try_send(());
                    drop(kept);
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MAX);
                    continue;
                }
            }
            let _ = tried.try_send(());
        }
        kept.tend(&mut times).await;
        let pause = if kept.leases.is_empty() { HEARTBEAT.min(kept.settings.hold_time / RENEWALS) } else { SWEEP };
        drop(kept);
        let _ = tokio::time::timeout(pause, wake.notified()).await;
    }
}

/// When something was last done; `None`: never.
#[derive(Default)]
struct Times {
    beat: Option<Instant>,
    told: Option<Instant>,
    swept: Option<Instant>,
}

fn due(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}

/// A new connection counts when Redis has taken a heartbeat: one that hangs, loads or may not write is of no use.
async fn connect(remote: &Remote) -> Result<(), Trouble> {
    let mut connection = Connection::open(&remote.settings).await?;
    let timeout = super::link::CONNECT_TIMEOUT;
    let call = remote.heartbeat();
    let beat = tokio::time::timeout(timeout, connection.run(&script::HEARTBEAT, &call));
    let fleet: u64 = beat.await.map_err(|_| Trouble::Late(timeout))??;
    remote.fleet.store(fleet, Ordering::Relaxed);
    remote.link.set(connection);
    Ok(())
}

impl Remote {
    fn heartbeat(&self) -> script::Call {
        script::HEARTBEAT.call(&[self.fleet_key()], |arguments| {
            arguments.arg(&self.process).arg(HEARTBEAT_COUNTS.as_millis().to_string());
        })
    }

    /// What is due. Whatever fails is tried again, or is over by itself.
    async fn tend(&self, times: &mut Times) {
        if due(times.beat, HEARTBEAT) {
            if let Ok(fleet) = self.link.run::<u64>(&script::HEARTBEAT, &self.heartbeat(), self).await {
                self.fleet.store(fleet, Ordering::Relaxed);
            }
            times.beat = Some(Instant::now());
        }
        let all = due(times.told, self.settings.hold_time / RENEWALS);
        let told = self.holds.changed(all);
        if all {
            times.told = Some(Instant::now());
        }
        for some in told.chunks(ASKS_MAX) {
            if self.tell(some).await.is_err() {
                self.holds.again(some.to_vec());
            }
        }
        if !due(times.swept, SWEEP) {
            return;
        }
        let back = self.leases.sweep(Instant::now());
        times.swept = Some(Instant::now());
        for some in back.chunks(ASKS_MAX) {
            // Without an answer they are lost, which is on the safe side.
            let _ = self.give_back(some).await;
        }
    }

    async fn tell(&self, told: &[Told]) -> Result<i64, Trouble> {
        let keys: Vec<&str> = told.iter().map(|told| &*told.key).collect();
        let call = script::HOLD.call(&keys, |arguments| {
            arguments.arg(&self.process).arg(self.settings.hold_time.as_millis().to_string());
            for told in told {
                arguments.arg(told.held).arg(told.said);
            }
        });
        self.link.run(&script::HOLD, &call, self).await
    }

    async fn give_back(&self, back: &[Back]) -> Result<Vec<i64>, Trouble> {
        let keys: Vec<&str> = back.iter().map(|back| &*back.key).collect();
        let call = script::TAKE.call(&keys, |arguments| {
            arguments.arg(&self.process).arg(self.settings.hold_time.as_millis().to_string());
            for Back { ask, tokens, window, .. } in back {
                let kind = if ask.kind == crate::store::Kind::Rate { "r" } else { "c" };
                arguments.arg(kind).arg(ask.limit).arg(ask.window_ms).arg(ask.burst);
                arguments.arg(0).arg(0).arg(*tokens).arg(*window).arg(0);
            }
        });
        self.link.run(&script::TAKE, &call, self).await
    }
}
