//! The sockets of every listener, and the accept loops on the workers that serve them.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::inherited::Inherited;
use super::upgrade::{Offer, Place};
use crate::config::{self, ListenerProtocol, Problem, Problems};
use crate::drain;
use crate::exchange::Gate;
use crate::listener;
use crate::snapshot::{Live, Parts};
use crate::udp;
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
    /// The same for datagrams; a listener has either these or those.
    datagrams: Vec<UdpSocket>,
    trigger: drain::Trigger,
    signal: Option<drain::Signal>,
    gate: Gate,
}

impl Running {
    fn is_udp(&self) -> bool {
        self.sockets.is_empty()
    }

    fn serves(&self, config: &config::Listener) -> bool {
        let is_udp = config.protocol == ListenerProtocol::Udp;
        self.listen == config.listen && self.is_udp() == is_udp && (is_udp || self.backlog == config.limits.backlog)
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
            let bound = match config.protocol {
                ListenerProtocol::Udp => {
                    let datagrams = self.datagrams(name, config, workers, inherited);
                    datagrams.and_then(|sockets| Ok((sockets[0].local_addr()?, Vec::new(), sockets)))
                }
                _ => {
                    let sockets = self.sockets(name, config, workers, inherited);
                    sockets.and_then(|sockets| Ok((sockets[0].local_addr()?, sockets, Vec::new())))
                }
            };
            match bound {
                Ok((address, sockets, datagrams)) => {
                    let (trigger, signal) = drain::channel();
                    let running = Running {
                        listen: config.listen,
                        backlog: config.limits.backlog,
                        address,
                        sockets,
                        datagrams,
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
        // As they are, whatever the backlog or the number of workers is by now: they are the predecessor's as long as it serves, and a
        // further one of their group would be dealt connections that are lost if this process fails. Workers share what there is.
        if let Some(sockets) = inherited.listener(name, &config.listen.to_string(), config.listen.port() != 0) {
            return sockets;
        }
        let same = |running: &&Running| running.listen == config.listen && config.listen.port() != 0 && !running.is_udp();
        if let Some(running) = self.running.values().find(same) {
            let sockets = running.sockets.iter().map(|socket| {
                socket2::SockRef::from(socket).listen(i32::try_from(config.limits.backlog).unwrap_or(i32::MAX))?;
                socket.try_clone()
            });
            return sockets.collect();
        }
        let ours = self.running.values().any(|running| !running.is_udp() && running.address.port() == config.listen.port());
        listener::bind(config.listen, config.limits.backlog, workers, ours)
    }

    /// The same for datagrams.
    fn datagrams(
        &self,
        name: &str,
        config: &config::Listener,
        workers: usize,
        inherited: &mut Inherited,
    ) -> io::Result<Vec<UdpSocket>> {
        if let Some(sockets) = inherited.datagrams(name, &config.listen.to_string(), config.listen.port() != 0) {
            return sockets;
        }
        let same = |running: &&Running| running.listen == config.listen && config.listen.port() != 0 && running.is_udp();
        if let Some(running) = self.running.values().find(same) {
            return running.datagrams.iter().map(UdpSocket::try_clone).collect();
        }
        let ours = self.running.values().any(|running| running.is_udp() && running.address.port() == config.listen.port());
        // A predecessor still has its own: for as long as it lives, the kernel gives some clients to it and some to this process.
        listener::bind_datagrams(config.listen, workers, ours || inherited.has_predecessor())
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
            let count = if running.sockets.is_empty() { 0 } else { workers.len().max(running.sockets.len()) };
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
            // A client's datagrams come to one socket, and its session is one worker's.
            for (worker, socket) in workers.iter().cycle().zip(&running.datagrams) {
                let socket = match socket.try_clone() {
                    Ok(socket) => socket,
                    Err(error) => {
                        tracing::error!(listener = %name, %error, "a worker cannot serve this listener");
                        continue;
                    }
                };
                let (listener, live) = (Arc::clone(&listener), Arc::clone(live));
                let (gate, signal) = (running.gate.clone(), signal.clone());
                worker.post(move || drop(tokio::task::spawn_local(udp::serve(socket, listener, live, gate, signal)))).await;
            }
            tracing::info!(listener = %name, address = %running.address, "listening");
        }
    }

    /// What a successor is offered.
    pub fn offers(&self) -> io::Result<Vec<(Offer, Vec<OwnedFd>)>> {
        let offer = |(name, running): (&Arc<str>, &Running)| {
            let sockets = running.sockets.iter().map(|socket| socket.try_clone().map(OwnedFd::from));
            let sockets = sockets.chain(running.datagrams.iter().map(|socket| socket.try_clone().map(OwnedFd::from)));
            let place = if running.is_udp() { Place::Datagrams } else { Place::Listener };
            let offer = Offer { place, name: name.to_string(), listen: running.listen.to_string() };
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
        self.told(drain::Trigger::drain)
    }

    /// The same where a successor has their sockets.
    pub fn hand_over(&mut self) -> Vec<drain::Trigger> {
        self.told(drain::Trigger::hand_over)
    }

    fn told(&mut self, tell: fn(&drain::Trigger)) -> Vec<drain::Trigger> {
        let running = std::mem::take(&mut self.running);
        let triggers = running.into_values().map(|running| {
            tell(&running.trigger);
            running.trigger
        });
        triggers.collect()
    }
}

/// Sockets that are open and not served yet. Dropping them closes them.
#[derive(Debug)]
pub struct Opened(BTreeMap<Arc<str>, Running>);
