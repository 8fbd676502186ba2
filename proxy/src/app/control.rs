//! The control loop: reloads, swapped modules, pushes, new addresses and the way out.
//!
//! It runs on a runtime of its own. Changes are made one after the other: the slow half of one (`prepare`) is a task beside
//! the loop, which goes on hearing signals, while further ones wait; the quick half, going live, is done by the loop itself.
//! Whatever fails changes nothing.

mod change;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::certificates::{self, Expiries};
use super::listeners::Listeners;
use super::prepare::Outcome;
use super::signals::Signals;
use super::state::{AllVersions, Shelf};
use super::trial::{self, Failed, Trials};
use super::waiting::{Change, Waiting};
use super::wards::Wards;
use super::watch::Watch;
use super::{Bound, BoundAdmin, Left, RunError};
use crate::admin::Admin;
use crate::admin::api::{self, Api, Done, Order, Refused};
use crate::admin::config::{NotConfigured, Reconfigured};
use crate::admin::configs::Configs;
use crate::admin::ledger::Ledger;
use crate::admin::process::Process;
use crate::admin::stats::History;
use crate::cluster::discovery::{Answer, Query, Resolver};
use crate::cluster::pool;
use crate::config::{AdminListen, Input};
use crate::drain;
use crate::exchange;
use crate::filter::{self, source::Modules};
use crate::snapshot::{Live, Parts};
use crate::tls::workload;
use crate::worker::Worker;

/// How long the last lines of the access log are waited for at the end.
const FLUSH: Duration = Duration::from_secs(1);
/// How long exchanges that are cut are given to tell the log.
const CUT: Duration = Duration::from_millis(200);

/// Something to see to.
#[derive(Debug)]
pub enum Event {
    Reload,
    Drain,
    Stop,
    /// Somebody has moved the access log's file away.
    ReopenLog,
    /// A hint of the watcher.
    Touched {
        paths: Vec<PathBuf>,
        renamed: bool,
    },
    /// A resource that is an input was fetched again.
    Fetched {
        input: Input,
        content: Arc<[u8]>,
    },
    /// Somebody knows endpoints.
    Found(Query, Answer),
}

/// See the module.
pub struct Control {
    /// The configuration, if it was read from a file.
    file: Option<PathBuf>,
    parts: Parts,
    modules: Modules,
    live: Arc<Live>,
    ledger: Arc<Ledger>,
    workers: Vec<Worker>,
    listeners: Listeners,
    resolver: Option<Resolver>,
    versions: AllVersions,
    shelf: Arc<Shelf>,
    configs: Arc<Configs>,
    following: BTreeMap<Query, Following>,
    fetching: BTreeMap<Input, JoinHandle<()>>,
    wards: Wards,
    trials: Trials,
    events: mpsc::Sender<Event>,
    watch: Watch,
    /// Listeners that have left the configuration and still serve somebody.
    leaving: Vec<drain::Trigger>,
    expiries: Expiries,
}

/// What the loop hears of.
struct Ears {
    queue: mpsc::Receiver<Event>,
    signals: Option<Signals>,
    /// Those of operators.
    commands: mpsc::Receiver<Order>,
}

/// Somebody asks one source of endpoints again and again.
struct Following {
    task: JoinHandle<()>,
    /// Hurries them.
    changed: Arc<Notify>,
}

/// The change under way.
struct Running {
    about: About,
    task: JoinHandle<Outcome>,
}

/// What is still to be said of a change when it is done.
enum About {
    Reload,
    Module(PathBuf),
    Input(Input),
    Certificates,
    GoBack(Failed),
    Found(Query),
    Command {
        filter: Arc<str>,
        what: &'static str,
        answer: oneshot::Sender<Result<Done, Refused>>,
        /// The place of its body.
        _held: Option<OwnedSemaphorePermit>,
    },
    Configure {
        answer: oneshot::Sender<Result<Reconfigured, NotConfigured>>,
        _held: Option<OwnedSemaphorePermit>,
    },
}

impl Control {
    /// Runs a proxy until it is told to leave.
    pub fn run(bound: Bound) -> Result<Left, RunError> {
        let Bound { runtime, workers, file, parts, modules, resolver, versions, shelf, configs, listeners, .. } = bound;
        let Bound { admin, ledger, live, events, queue, signals, .. } = bound;
        let workers = (0..workers).map(Worker::start).collect::<Result<Vec<_>, _>>().map_err(RunError::Worker)?;
        let socket = admin.as_ref().and_then(|admin| admin.socket.address());
        let left = runtime.block_on(async {
            let (trigger, leaving) = drain::channel();
            let (sender, commands) = mpsc::channel(api::COMMANDS);
            if let Some(BoundAdmin { socket, guard, config }) = admin {
                let (live, ledger, history) = (Arc::clone(&live), Arc::clone(&ledger), History::default());
                let (drain, api, process) = (leaving, Api::new(sender), Process::default());
                let admin = Admin { live, ledger, drain, api, guard, config, history, process };
                tokio::spawn(admin.serve(socket));
            }
            let watch = Watch::new(events.clone());
            let mut control = Self {
                file,
                parts,
                modules,
                live,
                ledger,
                workers,
                listeners,
                resolver,
                versions,
                shelf,
                configs,
                following: BTreeMap::new(),
                fetching: BTreeMap::new(),
                wards: Wards::default(),
                trials: Trials::default(),
                events,
                watch,
                leaving: Vec::new(),
                expiries: Expiries::default(),
            };
            control.begin().await;
            let left = control.serve(Ears { queue, signals, commands }, trigger).await;
            control.end();
            Ok(left)
        });
        if let Some(AdminListen::Unix(path)) = socket {
            let _ = std::fs::remove_file(path);
        }
        // A compilation that nobody waits for any more is not waited for either.
        runtime.shutdown_background();
        left
    }

    async fn begin(&mut self) {
        if let Some(spiffe) = self.parts.config.spiffe.clone() {
            tokio::spawn(workload::follow(spiffe));
        }
        self.tell_ledger();
        self.listeners.start(&self.workers, &self.live).await;
        for worker in &self.workers {
            worker.post(|| drop(tokio::task::spawn_local(pool::tend()))).await;
            worker.post(|| drop(tokio::task::spawn_local(filter::pool::tend()))).await;
        }
        self.sweep().await;
        self.wards.follow(&self.live.load().reach.clusters);
        self.follow_sources();
        self.follow_inputs();
        self.watch_files();
    }

    fn end(&mut self) {
        for worker in self.workers.drain(..) {
            worker.stop();
        }
        if self.live.load().tracer.as_ref().is_some_and(|tracer| !tracer.flush(FLUSH)) {
            tracing::warn!("the collector of traces does not take what is left; the last spans are lost");
        }
        if !self.live.load().access_log.flush(FLUSH) {
            tracing::warn!("the access log's output does not take what is left; its last lines are lost");
        }
    }

    async fn serve(&mut self, mut ears: Ears, trigger: drain::Trigger) -> Left {
        let mut waiting = Waiting::default();
        let mut running: Option<Running> = None;
        let mut looks = certificates::looks();
        let left = loop {
            if running.is_none() {
                running = waiting.next().map(|change| self.prepare(change));
            }
            let event = tokio::select! {
                Some(event) = ears.queue.recv() => event,
                event = Signals::next(&mut ears.signals) => event,
                Some(order) = ears.commands.recv() => {
                    waiting.add(match order {
                        Order::Filter(command) => Change::Command(command),
                        Order::Config(wanted) => Change::Configure(wanted),
                        Order::Drain => break Left::Drained,
                    });
                    continue;
                }
                file = self.watch.next() => {
                    // One file can be several things.
                    let list = self.following.get(&Query::File(file.as_path().into()));
                    if let Some(list) = list {
                        list.changed.notify_one();
                    }
                    let is_certificate = certificates::names(&self.parts.config, &file);
                    if is_certificate {
                        waiting.add(Change::Certificates);
                    }
                    let input = Input::File(file.clone());
                    if self.parts.inputs.contains_key(&input) {
                        waiting.add(Change::Input(input, None));
                    } else if self.file.as_ref() == Some(&file) {
                        waiting.add(Change::Reload { if_changed: true });
                    } else if list.is_none() && !is_certificate {
                        waiting.add(Change::Module(file));
                    }
                    continue;
                }
                () = tokio::time::sleep(trial::LOOK), if !self.trials.is_empty() => {
                    for failed in self.trials.failed(&self.live.load()) {
                        waiting.add(Change::GoBack(failed));
                    }
                    continue;
                }
                _ = looks.tick() => {
                    self.expiries.tell(&self.live.load());
                    waiting.add(Change::Certificates);
                    continue;
                }
                outcome = finished(&mut running) => {
                    if let Some(Running { about, .. }) = running.take() {
                        self.finish(about, outcome, &mut waiting).await;
                    }
                    continue;
                }
            };
            match event {
                Event::Reload => waiting.add(Change::Reload { if_changed: false }),
                Event::Touched { paths, renamed } => self.watch.touched(&paths, renamed),
                Event::Fetched { input, content } => {
                    if self.parts.inputs.get(&input).is_some_and(|known| *known != content) {
                        waiting.add(Change::Input(input, Some(content)));
                    }
                }
                Event::Found(query, answer) => waiting.add(Change::Found(query, answer)),
                Event::ReopenLog => self.live.load().access_log.reopen(),
                Event::Stop => break Left::Cut,
                Event::Drain => break Left::Drained,
            }
        };
        // Nothing goes live any more; whoever waits for an answer is told by losing it.
        if let Some(Running { about, task }) = running {
            task.abort();
            drop(about);
        }
        let Ears { queue, signals, commands } = ears;
        drop((waiting, commands));
        match left {
            Left::Cut => {
                let triggers = self.listeners.drain();
                self.cut(&triggers).await;
                Left::Cut
            }
            Left::Drained => {
                trigger.drain();
                self.drain(queue, signals).await
            }
        }
    }

    /// Fails readiness, waits until others have noticed, closes the listeners and lets what is under way finish.
    async fn drain(&mut self, mut queue: mpsc::Receiver<Event>, mut signals: Option<Signals>) -> Left {
        let drain = self.parts.config.drain.clone();
        tracing::info!(pre_stop = ?drain.pre_stop, timeout = ?drain.timeout, "draining; a second signal stops at once");
        let mut triggers = std::mem::take(&mut self.leaving);
        let (listeners, live) = (&mut self.listeners, &self.live);
        let calmly = async {
            tokio::time::sleep(drain.pre_stop).await;
            triggers.extend(listeners.drain());
            let all = async {
                for trigger in &triggers {
                    trigger.finished().await;
                }
            };
            tokio::time::timeout(drain.timeout, all).await.is_ok()
        };
        let told_again = async {
            loop {
                let event = tokio::select! {
                    Some(event) = queue.recv() => event,
                    event = Signals::next(&mut signals) => event,
                };
                match event {
                    Event::Stop | Event::Drain => return,
                    Event::ReopenLog => live.load().access_log.reopen(),
                    _ => {}
                }
            }
        };
        let drained = tokio::select! {
            drained = calmly => drained,
            () = told_again => false,
        };
        if drained {
            tracing::info!("drained");
            return Left::Drained;
        }
        triggers.extend(self.listeners.drain());
        let remaining: usize = triggers.iter().map(drain::Trigger::remaining).sum();
        tracing::warn!(connections = remaining, "not everything finished in time; the rest is cut");
        self.cut(&triggers).await;
        Left::Cut
    }

    /// Ends what is under way, and lets the log say so.
    async fn cut(&self, triggers: &[drain::Trigger]) {
        for worker in &self.workers {
            worker.post(exchange::cutting).await;
        }
        triggers.iter().for_each(drain::Trigger::cut);
        let finished = async {
            for trigger in triggers {
                trigger.finished().await;
            }
        };
        let _ = tokio::time::timeout(CUT, finished).await;
    }
}

/// Waits for the change under way, or for ever.
async fn finished(running: &mut Option<Running>) -> Outcome {
    match running {
        Some(Running { task, .. }) => task.await.unwrap_or_else(|error| Outcome { built: Err(error.into()), modules: None }),
        None => std::future::pending().await,
    }
}
