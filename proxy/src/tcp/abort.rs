//! Ending a connection without the appearance of a proper end: what was cut off shall not look whole.

use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

use super::Rewound;
use crate::cluster::connect::Stream;

/// See the module.
pub trait Abort {
    /// When it is dropped, the other end sees a reset.
    fn abort(&self);
}

impl Abort for TcpStream {
    fn abort(&self) {
        // One that is gone already needs none.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl<IO: Abort> Abort for Rewound<IO> {
    fn abort(&self) {
        self.get_ref().abort();
    }
}

impl<IO: Abort> Abort for server::TlsStream<IO> {
    fn abort(&self) {
        self.get_ref().0.abort();
    }
}

impl<IO: Abort> Abort for client::TlsStream<IO> {
    fn abort(&self) {
        self.get_ref().0.abort();
    }
}

impl Abort for Stream {
    fn abort(&self) {
        match self {
            Self::Plain(stream, _) => stream.abort(),
            Self::Tls(stream, _) => stream.abort(),
        }
    }
}
