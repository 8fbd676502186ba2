//! The process that hands over: it starts its successor, gives it what it has, and waits.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;

use super::wire::{self, DESCRIPTORS_MAX, Message, Offer};
use super::{FORMAT, Launch, OF_ONE_PROCESS, UpgradeError, VARIABLE};
use crate::admin::upgrade::Upgraded;

/// Of what a successor printed, the end is kept: the reason stands there.
const PRINTED_BYTES_MAX: usize = 16 << 10;
/// A process that has nothing left to do but to begin accepting.
const GO: Duration = Duration::from_secs(10);
/// What it printed last is still on its way when it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A successor that is ready and waits for a word. Dropped without it, it is ended.
#[derive(Debug)]
pub struct Handing {
    successor: Successor,
    upgraded: Upgraded,
}

#[derive(Debug)]
struct Successor {
    /// `None`: it stands on its own feet.
    child: Option<Child>,
    /// It is one of packets; what waits for it does not mind.
    channel: UnixStream,
    printed: Arc<Mutex<Vec<u8>>>,
    listening: JoinHandle<()>,
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.start_kill();
        }
    }
}

/// Starts it, and waits until it is ready.
pub async fn begin(
    launch: &Launch,
    offers: Vec<(Offer, Vec<OwnedFd>)>,
    state: Option<(std::path::PathBuf, OwnedFd)>,
    deadline: Duration,
) -> Result<Handing, UpgradeError> {
    let mut successor = Successor::start(launch)?;
    let ready = async {
        successor.offer(&offers, state).await?;
        match successor.hear().await? {
            Some(Message::Ready { taken, unwanted }) => Ok(Some((taken, unwanted))),
            Some(_) | None => Ok(None),
        }
    };
    match tokio::time::timeout(deadline, ready).await {
        Ok(Ok(Some((taken, unwanted)))) => {
            let process = successor.child.as_ref().and_then(Child::id).unwrap_or(0);
            Ok(Handing { successor, upgraded: Upgraded { process, taken, unwanted } })
        }
        // It may have ended in the middle of an offer.
        Ok(Ok(None)) => Err(successor.ended().await),
        Ok(Err(error)) if is_gone(&error) => Err(successor.ended().await),
        Ok(Err(error)) => Err(UpgradeError::Handover(error)),
        Err(_) => {
            let printed = successor.end().await.1;
            Err(UpgradeError::Late { deadline, printed })
        }
    }
}

impl Handing {
    /// It is to serve, and does when this returns.
    pub async fn go(mut self) -> Result<Upgraded, UpgradeError> {
        let going = async {
            self.successor.say(&Message::Go, &[]).await?;
            self.successor.hear().await
        };
        match tokio::time::timeout(GO, going).await {
            Ok(Ok(Some(Message::Serving))) => {
                self.successor.child = None;
                Ok(self.upgraded.clone())
            }
            _ => Err(UpgradeError::Silent { printed: self.successor.end().await.1 }),
        }
    }
}

impl Successor {
    fn start(launch: &Launch) -> Result<Self, UpgradeError> {
        let (ours, theirs) = wire::pair().map_err(UpgradeError::Handover)?;
        let ours = std::os::unix::net::UnixStream::from(ours);
        ours.set_nonblocking(true).map_err(UpgradeError::Handover)?;
        let channel = UnixStream::from_std(ours).map_err(UpgradeError::Handover)?;
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments).env(VARIABLE, FORMAT).stdin(Stdio::from(theirs)).stderr(Stdio::piped());
        for variable in OF_ONE_PROCESS {
            command.env_remove(variable);
        }
        // What ends this one's group at a terminal, or a test's, is not meant for who comes after it.
        command.process_group(0);
        let started = command.spawn();
        let mut child = started.map_err(|source| UpgradeError::Start { program: launch.program.clone(), source })?;
        let printed = Arc::<Mutex<Vec<u8>>>::default();
        let listening = tokio::spawn(pass_on(child.stderr.take(), Arc::clone(&printed)));
        Ok(Self { child: Some(child), channel, printed, listening })
    }

    async fn offer(&mut self, offers: &[(Offer, Vec<OwnedFd>)], state: Option<(std::path::PathBuf, OwnedFd)>) -> io::Result<()> {
        self.say(&Message::Output, &[io::stderr().as_fd()]).await?;
        for (offer, sockets) in offers {
            for some in sockets.chunks(DESCRIPTORS_MAX) {
                let some: Vec<_> = some.iter().map(AsFd::as_fd).collect();
                self.say(&Message::Sockets(offer.clone()), &some).await?;
            }
        }
        if let Some((folder, lock)) = state {
            self.say(&Message::State(folder), &[lock.as_fd()]).await?;
        }
        self.say(&Message::Offered, &[]).await
    }

    async fn say(&self, message: &Message, along: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.channel.async_io(Interest::WRITABLE, || wire::send(self.channel.as_fd(), message, along)).await
    }

    async fn hear(&self) -> io::Result<Option<Message>> {
        let heard = self.channel.async_io(Interest::READABLE, || wire::receive(self.channel.as_fd())).await?;
        Ok(heard.map(|(message, _)| message))
    }

    async fn ended(mut self) -> UpgradeError {
        // Its standard input is closed: most have ended, and whoever has not has nothing to say.
        let (status, printed) = self.end().await;
        let how = status.map_or_else(|| "nobody knows how".to_owned(), |status| status.to_string());
        UpgradeError::Ended { how, printed }
    }

    /// Has it end, if it has not yet.
    async fn end(&mut self) -> (Option<ExitStatus>, String) {
        let Some(mut child) = self.child.take() else { return (None, String::new()) };
        let status = match tokio::time::timeout(LAST_WORDS, child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                let _ = child.start_kill();
                child.wait().await.ok()
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, &mut self.listening).await;
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        (status, String::from_utf8_lossy(&printed).into_owned())
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// Until it has a standard error of its own, what it says there is passed on, and the end of it kept.
async fn pass_on(from: Option<ChildStderr>, printed: Arc<Mutex<Vec<u8>>>) {
    let Some(mut from) = from else { return };
    let mut some = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut some).await {
        let _ = io::stderr().write_all(&some[..count]);
        let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
        printed.extend_from_slice(&some[..count]);
        let surplus = printed.len().saturating_sub(PRINTED_BYTES_MAX);
        printed.drain(..surplus);
    }
}
