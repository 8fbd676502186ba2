//! `[admin]`: the listener of the operator.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::defaults;

#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    pub listen: AdminListen,
    /// Whoever wants to change something shows what this file holds; `None`: only from this machine.
    pub token_file: Option<PathBuf>,
    /// Connections of operators at once; a further one waits.
    pub connections: usize,
    /// The head of a request, and a connection without one.
    pub request_headers: Duration,
    pub tap: Tap,
}

/// `listen = "127.0.0.1:9901" | "unix:/run/tamis/admin.sock"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminListen {
    Address(SocketAddr),
    /// A socket that only the user of this process can open.
    Unix(PathBuf),
}

impl fmt::Display for AdminListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `[admin.tap]`: exchanges as they end, for whoever watches them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tap {
    /// Watchers at once; one more is refused.
    pub watchers: usize,
    /// Exchanges that wait for one slow watcher before further ones are dropped and counted.
    pub queue: usize,
    /// The same, by what they take.
    pub queue_bytes: usize,
    /// Of one body, as much as a watcher may ask for.
    pub body_bytes: usize,
}

from_defaults!(Tap { watchers: TAP_WATCHERS, queue: TAP_QUEUE, queue_bytes: TAP_QUEUE_BYTES, body_bytes: TAP_BODY_BYTES });
