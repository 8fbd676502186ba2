//! The process that takes over: it hears what there is, says when it is ready, and waits for the word to serve.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use super::wire::{self, Message, Offer};
use super::{FORMAT, VARIABLE};

/// What this process was given.
#[derive(Debug)]
pub struct Heir {
    channel: OwnedFd,
    output: Option<OwnedFd>,
    pub offers: Vec<(Offer, Vec<OwnedFd>)>,
    /// The state directory that the predecessor has, with its lock.
    pub state: Option<(PathBuf, File)>,
}

/// Whether somebody hands over to this process.
pub fn is_heir() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

impl Heir {
    /// Takes everything. The standard input is empty afterwards.
    pub fn receive() -> io::Result<Self> {
        let format = std::env::var(VARIABLE).unwrap_or_default();
        if format != FORMAT {
            return Err(io::Error::other(format!("the predecessor speaks version {format} of the handover; expected {FORMAT}")));
        }
        let channel = io::stdin().as_fd().try_clone_to_owned()?;
        let mut heir = Self { channel, output: None, offers: Vec::new(), state: None };
        loop {
            let Some((message, mut along)) = wire::receive(heir.channel.as_fd())? else {
                return Err(io::Error::other("the predecessor has gone"));
            };
            match message {
                Message::Output => heir.output = along.pop(),
                Message::Sockets(offer) => match heir.offers.iter_mut().find(|(known, _)| *known == offer) {
                    Some((_, sockets)) => sockets.append(&mut along),
                    None => heir.offers.push((offer, along)),
                },
                Message::State(folder) => heir.state = along.pop().map(|lock| (folder, lock.into())),
                Message::Offered => break,
                Message::Ready { .. } | Message::Go | Message::Serving => {
                    return Err(io::Error::other("the predecessor is out of order"));
                }
            }
        }
        // Who starts another program from here must not hold the channel open.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Ok(heir)
    }

    /// Tells that everything is built and open, and waits until it is to serve.
    pub fn ready(&self, taken: usize, unwanted: Vec<String>) -> io::Result<()> {
        wire::send(self.channel.as_fd(), &Message::Ready { taken, unwanted }, &[])?;
        match wire::receive(self.channel.as_fd())? {
            Some((Message::Go, _)) => Ok(()),
            Some(_) => Err(io::Error::other("the predecessor is out of order")),
            None => Err(io::Error::other("the predecessor has thought better of it")),
        }
    }

    /// From here on this process is on its own.
    pub fn serving(self) {
        if let Some(output) = &self.output
            && let Err(error) = rustix::stdio::dup2_stderr(output)
        {
            tracing::warn!(%error, "the log goes on where the predecessor reads it, and ends with that");
        }
        if let Err(error) = wire::send(self.channel.as_fd(), &Message::Serving, &[]) {
            tracing::warn!(%error, "the predecessor does not hear that this process serves");
        }
    }
}
