//! The change under way, and who is to hear of it.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::JoinHandle;

use crate::admin::api::{Done, Refused};
use crate::admin::config::{NotConfigured, Reconfigured};
use crate::app::prepare::Outcome;
use crate::app::trial::Failed;
use crate::cluster::discovery::Query;
use crate::config::Input;

/// The change under way.
pub struct Running {
    pub about: About,
    pub task: JoinHandle<Outcome>,
}

/// What is still to be said of a change when it is done.
pub enum About {
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

/// Waits for the change under way, or for ever.
pub async fn finished(running: &mut Option<Running>) -> Outcome {
    match running {
        Some(Running { task, .. }) => task.await.unwrap_or_else(|error| Outcome { built: Err(error.into()), modules: None }),
        None => std::future::pending().await,
    }
}
