//! What the control loop does about an upgrade: begins it, and when the successor is ready lets it go.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use tokio::task::JoinHandle;

use super::Control;
use crate::admin::api::Refused;
use crate::admin::upgrade::{Upgrade, Upgraded};
use crate::app::application::Application;
use crate::app::manager;
use crate::app::upgrade::{self, Handing, Offer, Place, UpgradeError};

/// A successor that is not ready yet, and who asked for it. Dropped, it is ended.
pub struct Upgrading {
    asked: Upgrade,
    task: JoinHandle<Result<Handing, UpgradeError>>,
}

impl Drop for Upgrading {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upgrading {
    /// Waits until the successor is ready, or for ever.
    pub async fn ready(upgrading: &mut Option<Self>) -> Result<Handing, UpgradeError> {
        match upgrading {
            Some(upgrading) => match (&mut upgrading.task).await {
                Ok(ready) => ready,
                Err(_) => Err(UpgradeError::Impossible("it was given up")),
            },
            None => std::future::pending().await,
        }
    }
}

impl Control {
    /// Starts a successor, or says why there is none.
    pub(super) fn begin_upgrade(&self, asked: Upgrade, application: Option<&Application>) -> Option<Upgrading> {
        match self.can_upgrade(application).and_then(|()| Ok((self.offers()?, self.state()?))) {
            Ok((offers, state)) => {
                let launch = self.launch.as_ref()?;
                let launch = asked.program.as_deref().map_or_else(|| launch.clone(), |program| launch.with_program(program));
                let deadline = self.parts.config.upgrade.deadline;
                tracing::info!(?deadline, "another process is started to take over");
                let task = tokio::spawn(async move { upgrade::begin(&launch, offers, state, deadline).await });
                Some(Upgrading { asked, task })
            }
            Err(error) => {
                refuse(asked, &error);
                None
            }
        }
    }

    fn can_upgrade(&self, application: Option<&Application>) -> Result<(), UpgradeError> {
        if self.launch.is_none() {
            return Err(UpgradeError::Impossible("this proxy is part of another program, which nobody can start again"));
        }
        if application.is_some() {
            return Err(UpgradeError::Impossible("the application is a child of this process and would lose its parent"));
        }
        if std::process::id() == 1 {
            return Err(UpgradeError::Impossible("this is process 1, with whose end everything in its container ends"));
        }
        Ok(())
    }

    fn offers(&self) -> Result<Vec<(Offer, Vec<OwnedFd>)>, UpgradeError> {
        let mut offers = self.listeners.offers().map_err(UpgradeError::Handover)?;
        if let Some((listen, socket)) = &self.admin {
            let socket = socket.try_clone().map_err(UpgradeError::Handover)?;
            offers.push((Offer { place: Place::Admin, name: "admin".to_owned(), listen: listen.to_string() }, vec![socket]));
        }
        Ok(offers)
    }

    fn state(&self) -> Result<Option<(PathBuf, OwnedFd)>, UpgradeError> {
        let Some(lock) = self.shelf.lock() else { return Ok(None) };
        let folder = self.parts.config.state.directory.clone();
        Ok(folder.zip(Some(lock.map_err(UpgradeError::Handover)?)))
    }

    /// The successor is ready, or never will be. True: it serves.
    pub(super) async fn finish_upgrade(&mut self, upgrading: Upgrading, ready: Result<Handing, UpgradeError>) -> bool {
        let gone = match ready {
            Ok(handing) => handing.go().await,
            Err(error) => Err(error),
        };
        let mut upgrading = upgrading;
        let asked = std::mem::replace(&mut upgrading.asked, Upgrade::nobodys());
        match gone {
            Ok(upgraded) => {
                let Upgraded { process, taken, unwanted } = &upgraded;
                tracing::info!(process, sockets = taken, ?unwanted, "another process serves; this one drains");
                manager::goes_on_as(*process);
                asked.tell(Ok(upgraded));
                true
            }
            Err(error) => {
                refuse(asked, &error);
                false
            }
        }
    }
}

fn refuse(asked: Upgrade, error: &UpgradeError) {
    tracing::error!(%error, "no other process takes over; this one goes on");
    asked.tell(Err(match error {
        UpgradeError::Impossible(_) => Refused::Conflict(error.to_string()),
        _ => Refused::Failed(error.to_string()),
    }));
}
