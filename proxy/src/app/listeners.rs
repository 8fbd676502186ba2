//! The sockets of every listener, and the accept loops on the workers that serve them.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::inherited::Inherited;
use super::upgrade::{Offer, Place};
use crate::config::{self, Problem, Problems};
use crate::drain;
use crate::exchange::Gate;
use crate::listener;
use crate::snapshot::{Live, Parts};
use crate::worker::Worker;

/// See the module.
#[derive(Debug, Default)]
pub struct Listeners {
    running: BTreeMap<Arc<str>, Running>,
    gate: Gate,
}

#[derive(Debug)]
struct Running {
    listen: SocketAddr,
    backlog: u32,
    address: SocketAddr,
    /// One a worker, or more where a predecessor had more workers: each is accepted from, for what the kernel has queued in one of
    /// the group is in no other. The accept loops have copies; as long as one copy is there, the kernel keeps queueing.
    sockets: Vec<TcpListener>,
    trigger: drain::Trigger,
    signal: Option<drain::Signal>,
    gate: Gate,
}

impl Running {
    fn serves(&self, config: &config::Listener) -> bool {
        self.listen == config.listen && self.backlog == config.limits.backlog
    }
}

impl Listeners {
    /// Opens the sockets of every listener.
    pub fn bind(parts: &Parts, workers: usize, inherited: &mut Inherited) -> Result<Self, Problems> {
        let mut listeners = Self::default();
        let opened = listeners.open(parts, workers, inherited)?;
        listeners.running.extend(opened.0);
        Ok(listeners)
    }

    /// Opens the sockets that the configuration wants and that are not there yet. Nothing else changes.
    pub fn open(&self, parts: &Parts, workers: usize, inherited: &mut Inherited) -> Result<Opened, Problems> {
        let mut opened = BTreeMap::new();
        let mut problems: Vec<Problem> = Vec::new();
        for (name, config) in &parts.config.listeners {
            if self.running.get(name).is_some_and(|running| running.serves(config)) {
                continue;
            }
            let bound = self.sockets(name, config, workers, inherited);
            let bound = bound.and_then(|sockets| Ok((sockets[0].local_addr()?, sockets)));
            match bound {
                Ok((address, sockets)) => {
                    let (trigger, signal) = drain::channel();
                    let running = Running {
                        listen: config.listen,
                        backlog: config.limits.backlog,
                        address,
                        sockets,
                        trigger,
                        signal: Some(signal),
                        gate: self.gate.sibling(),
                    };
                    opened.insert(Arc::clone(name), running);
                }
                Err(error) => {
                    let message = format!("cannot listen on {}: {error}", config.listen);
                    problems.push(parts.source.problem_at(&["listeners".into(), (&**name).into(), "listen".into()], message));
                }
            }
        }
        if problems.is_empty() { Ok(Opened(opened)) } else { Err(Problems::from(problems)) }
    }

    /// A listener that is only renamed, or queues more, goes on with the sockets it has: nothing that waits is lost.
    fn sockets(
        &self,
        name: &str,
        config: &config::Listener,
        workers: usize,
        inherited: &mut Inherited,
    ) -> io::Result<Vec<TcpListener>> {
        if let Some(sockets) = inherited.listener(name, &config.listen.to_string(), config.listen.port() != 0) {
            return widened(sockets?, config.limits.backlog, workers);
        }
        let same = self.running.values().find(|running| running.listen == config.listen && config.listen.port() != 0);
        if let Some(running) = same {
            let sockets = running.sockets.iter().map(|socket| {
                socket2::SockRef::from(socket).listen(i32::try_from(config.limits.backlog).unwrap_or(i32::MAX))?;
                socket.try_clone()
            });
            return sockets.collect();
        }
        let ours = self.running.values().any(|running| running.address.port() == config.listen.port());
        listener::bind(config.listen, config.limits.backlog, workers, ours)
    }

    /// The configuration with these has gone live: what it does not name any more is drained.
    pub fn adopt(&mut self, opened: Opened, parts: &Parts) -> Vec<drain::Trigger> {
        let mut leaving = Vec::new();
        let gone =
            |name: &Arc<str>, running: &Running| parts.config.listeners.get(name).is_none_or(|config| !running.serves(config));
        for (_, running) in self.running.extract_if(.., |name, running| gone(name, running)) {
            running.trigger.drain();
            leaving.push(running.trigger);
        }
        self.running.extend(opened.0);
        leaving
    }

    /// Starts the accept loops of what has been opened since.
    pub async fn start(&mut self, workers: &[Worker], live: &Arc<Live>) {
        for (name, running) in &mut self.running {
            let Some(listener) = live.load().listeners.get(name).cloned() else { continue };
            let Some(signal) = running.signal.take() else { continue };
            let count = if workers.is_empty() { 0 } else { workers.len().max(running.sockets.len()) };
            for (worker, socket) in workers.iter().cycle().zip(running.sockets.iter().cycle()).take(count) {
                let socket = match socket.try_clone() {
                    Ok(socket) => socket,
                    Err(error) => {
                        tracing::error!(listener = %name, %error, "a worker cannot serve this listener");
                        continue;
                    }
                };
                let accept =
                    listener::accept(socket, Arc::clone(&listener), Arc::clone(live), running.gate.clone(), signal.clone());
                worker.post(move || drop(tokio::task::spawn_local(accept))).await;
            }
            tracing::info!(listener = %name, address = %running.address, "listening");
        }
    }

    /// What a successor is offered.
    pub fn offers(&self) -> io::Result<Vec<(Offer, Vec<OwnedFd>)>> {
        let offer = |(name, running): (&Arc<str>, &Running)| {
            let sockets = running.sockets.iter().map(|socket| socket.try_clone().map(OwnedFd::from));
            let offer = Offer { place: Place::Listener, name: name.to_string(), listen: running.listen.to_string() };
            Ok((offer, sockets.collect::<io::Result<_>>()?))
        };
        self.running.iter().map(offer).collect()
    }

    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.running.get(name).map(|running| running.address)
    }

    pub fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.running.iter().map(|(name, running)| (&**name, running.address))
    }

    /// Ends all of them; the triggers tell when they have.
    pub fn drain(&mut self) -> Vec<drain::Trigger> {
        let running = std::mem::take(&mut self.running);
        let triggers = running.into_values().map(|running| {
            running.trigger.drain();
            running.trigger
        });
        triggers.collect()
    }
}

/// Each worker gets one of the group. Where the address takes no further one, because whoever opened it has no group, workers share
/// what there is.
fn widened(mut sockets: Vec<TcpListener>, backlog: u32, workers: usize) -> io::Result<Vec<TcpListener>> {
    for socket in &sockets {
        socket2::SockRef::from(socket).listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    }
    let Some(first) = sockets.first() else { return Ok(sockets) };
    let (address, shared) = (first.local_addr()?, socket2::SockRef::from(first).reuse_port()?);
    while shared && sockets.len() < workers {
        match listener::open(address, backlog, true) {
            Ok(socket) => sockets.push(socket),
            Err(error) => {
                tracing::warn!(%address, %error, "workers share sockets: no further one can be opened");
                break;
            }
        }
    }
    Ok(sockets)
}

/// Sockets that are open and not served yet. Dropping them closes them.
#[derive(Debug)]
pub struct Opened(BTreeMap<Arc<str>, Running>);
