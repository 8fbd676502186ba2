//! The control loop: reloads, swapped modules, pushes, new addresses and the way out.
//!
//! It runs on a runtime of its own. Changes are made one after the other: the slow half of one (`prepare`) is a task beside
//! the loop, which goes on hearing signals, while further ones wait; the quick half, going live, is done by the loop itself.
//! Whatever fails changes nothing.

mod change;
mod leave;
mod under_way;
mod upgrade;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::application::Application;
use super::certificates::{self, Expiries};
use super::listeners::Listeners;
use super::manager::{self, Watchdog};
use super::signals::Signals;
use super::state::{AllVersions, Shelf};
use super::trial::{self, Trials};
use super::upgrade::Launch;
use super::waiting::{Change, Waiting};
use super::wards::Wards;
use super::watch::Watch;
use super::{Bound, BoundAdmin, Left, RunError};
use crate::admin::Admin;
use crate::admin::api::{self, Api, Order, Refused};
use crate::admin::configs::Configs;
use crate::admin::ledger::Ledger;
use crate::admin::process::Process;
use crate::admin::stats::History;
use crate::admin::upgrade::Upgrade;
use crate::cluster::discovery::{Answer, Query, Resolver};
use crate::cluster::pool;
use crate::config::{AdminListen, Input};
use crate::drain;
use crate::filter::{self, source::Modules};
use crate::snapshot::{Live, Parts};
use crate::tls::workload;
use crate::worker::Worker;
use under_way::{Running, finished};
use upgrade::Upgrading;

/// How long the last lines of the access log are waited for at the end.
const FLUSH: Duration = Duration::from_secs(1);
/// After so long a proxy has done what only its start needs.
const SETTLED: Duration = Duration::from_secs(1);
/// How long operators are given to hear what they have asked for.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

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
    /// Another process is to take over.
    Upgrade,
    /// A signal that was the application's.
    PassedOn {
        asks_to_end: bool,
    },
}

/// Why the loop has ended calmly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Told,
    /// A successor serves.
    HandedOver,
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
    /// `None`: nobody can start this program again.
    launch: Option<Launch>,
    /// What a successor is offered of it.
    admin: Option<(AdminListen, OwnedFd)>,
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

impl Control {
    /// Runs a proxy until it is told to leave.
    pub fn run(bound: Bound) -> Result<Left, RunError> {
        let Bound { runtime, workers, file, parts, modules, resolver, versions, shelf, configs, listeners, .. } = bound;
        let Bound { admin, ledger, live, events, queue, signals, mut inherited, launch, mut application, .. } = bound;
        let workers = (0..workers).map(Worker::start).collect::<Result<Vec<_>, _>>().map_err(RunError::Worker)?;
        // Everything is there: a predecessor may let go.
        let is_heir = inherited.is_heir();
        inherited.ready().map_err(RunError::Handover)?;
        let socket = admin.as_ref().and_then(|admin| admin.socket.address());
        let shared = admin.as_ref().and_then(|admin| Some((admin.config.listen.clone(), admin.socket.share().ok()?)));
        let (left, end) = runtime.block_on(async {
            let (trigger, leaving) = drain::channel();
            let (ending, closing) = drain::channel();
            let (sender, commands) = mpsc::channel(api::COMMANDS);
            let serving = admin.map(|BoundAdmin { socket, guard, config }| {
                let (live, ledger, history) = (Arc::clone(&live), Arc::clone(&ledger), History::default());
                let (drain, api, process) = (leaving, Api::new(sender), Process::default());
                let admin = Admin { live, ledger, drain, closing, api, guard, config, history, process };
                tokio::spawn(admin.serve(socket))
            });
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
                launch,
                admin: shared,
            };
            control.begin().await;
            inherited.serving();
            if !is_heir {
                manager::ready();
            }
            if let Some(application) = &mut application {
                application.start();
            }
            let ears = Ears { queue, signals, commands };
            let (left, end) = control.serve(ears, &mut application, trigger, serving.as_ref()).await;
            control.end();
            ending.drain();
            let _ = tokio::time::timeout(LAST_ANSWERS, ending.finished()).await;
            (left, end)
        });
        // The successor has the socket.
        if let (Some(AdminListen::Unix(path)), End::Told) = (socket, end) {
            let _ = std::fs::remove_file(path);
        }
        // A compilation that nobody waits for any more is not waited for either.
        runtime.shutdown_background();
        Ok(application.and_then(|application| application.code()).map_or(left, Left::With))
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
        tokio::spawn(async {
            tokio::time::sleep(SETTLED).await;
            let _ = tokio::task::spawn_blocking(filter::heap::let_go_of_program).await;
        });
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

    /// Until there is a reason to leave; then leaves.
    async fn serve(
        &mut self,
        mut ears: Ears,
        application: &mut Option<Application>,
        trigger: drain::Trigger,
        admin: Option<&JoinHandle<()>>,
    ) -> (Left, End) {
        let mut waiting = Waiting::default();
        let mut running: Option<Running> = None;
        let mut wanted: Option<Upgrade> = None;
        let mut upgrading: Option<Upgrading> = None;
        let mut looks = certificates::looks();
        let mut watchdog = Watchdog::of_this_process();
        let end = loop {
            // A successor reads what a change would be about to write.
            if running.is_none() && upgrading.is_none() {
                match wanted.take() {
                    Some(wanted) => upgrading = self.begin_upgrade(wanted, application.as_ref()),
                    None => running = waiting.next().map(|change| self.prepare(change)),
                }
            }
            let hears = application.as_ref().and_then(Application::hears);
            if application.as_ref().is_some_and(|application| application.code().is_some()) {
                break Some(End::Told);
            }
            let event = tokio::select! {
                Some(event) = ears.queue.recv() => event,
                event = Signals::next_with(&mut ears.signals, hears) => event,
                () = Application::end_of(application) => continue,
                () = watchdog.due() => {
                    watchdog.beat(&self.workers);
                    continue;
                }
                ready = Upgrading::ready(&mut upgrading) => {
                    if let Some(upgrading) = upgrading.take()
                        && self.finish_upgrade(upgrading, ready).await
                    {
                        break Some(End::HandedOver);
                    }
                    continue;
                }
                Some(order) = ears.commands.recv() => {
                    waiting.add(match order {
                        Order::Filter(command) => Change::Command(command),
                        Order::Config(wanted) => Change::Configure(wanted),
                        Order::Drain if Application::is_told(application.as_ref()) => continue,
                        Order::Drain => break Some(End::Told),
                        Order::Upgrade(asked) => {
                            match &wanted {
                                None if upgrading.is_none() => wanted = Some(asked),
                                _ => asked.tell(Err(Refused::Conflict("another upgrade is under way".to_owned()))),
                            }
                            continue;
                        }
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
                Event::Reload => {
                    manager::reloading();
                    waiting.add(Change::Reload { if_changed: false });
                }
                Event::Touched { paths, renamed } => self.watch.touched(&paths, renamed),
                Event::Fetched { input, content } => {
                    if self.parts.inputs.get(&input).is_some_and(|known| *known != content) {
                        waiting.add(Change::Input(input, Some(content)));
                    }
                }
                Event::Found(query, answer) => waiting.add(Change::Found(query, answer)),
                Event::ReopenLog => self.live.load().access_log.reopen(),
                Event::Upgrade if wanted.is_none() && upgrading.is_none() => wanted = Some(Upgrade::nobodys()),
                Event::PassedOn { asks_to_end: true } => {
                    let Some(application) = application else { continue };
                    if application.was_asked {
                        tracing::warn!("the application was told to end before, and is killed");
                        application.kill().await;
                        break None;
                    }
                    application.was_asked = true;
                }
                Event::Upgrade | Event::PassedOn { .. } => {}
                Event::Stop => break None,
                Event::Drain if Application::is_told(application.as_ref()) => {}
                Event::Drain => break Some(End::Told),
            }
        };
        // Nothing goes live any more; whoever waits for an answer is told by losing it.
        if let Some(running) = running {
            self.give_up(running).await;
        }
        let Ears { queue, signals, commands } = ears;
        drop((waiting, commands, wanted, upgrading));
        match end {
            None => {
                let triggers = self.listeners.drain();
                self.cut(&triggers).await;
                (Left::Cut, End::Told)
            }
            Some(end) => {
                match end {
                    End::Told => manager::stopping(),
                    // Operators reach the successor from here on.
                    End::HandedOver => admin.into_iter().for_each(JoinHandle::abort),
                }
                trigger.drain();
                (self.drain(end, queue, signals).await, end)
            }
        }
    }
}
