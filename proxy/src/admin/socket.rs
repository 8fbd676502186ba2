//! Where operators connect: an address, or a socket of the file system that only the user of this process can open.

use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::guard::Peer;
use crate::config::AdminListen;
use crate::listener;

/// Connections of operators that may wait.
const BACKLOG: u32 = 64;
/// Of the socket that is bound beside its place.
const UNFINISHED: &str = "new";

/// A socket that is bound and not served yet.
#[derive(Debug)]
pub enum Bound {
    Tcp(StdTcpListener),
    Unix(StdUnixListener, PathBuf),
}

impl Bound {
    pub fn bind(listen: &AdminListen) -> io::Result<Self> {
        match listen {
            AdminListen::Address(address) => {
                let socket = listener::bind(*address, BACKLOG, 1, false)?.pop();
                socket.map(Self::Tcp).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
            }
            AdminListen::Unix(path) => bind_unix(path).map(|socket| Self::Unix(socket, path.clone())),
        }
    }

    /// One that was open before this process was.
    pub fn adopt(listen: &AdminListen, socket: OwnedFd) -> io::Result<Self> {
        let adopted = match listen {
            AdminListen::Address(_) => Self::Tcp(socket.into()),
            AdminListen::Unix(path) => Self::Unix(socket.into(), path.clone()),
        };
        match &adopted {
            Self::Tcp(socket) => socket.set_nonblocking(true)?,
            Self::Unix(socket, _) => socket.set_nonblocking(true)?,
        }
        Ok(adopted)
    }

    /// The same socket, for whoever comes after.
    pub fn share(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(OwnedFd::from),
            Self::Unix(socket, _) => socket.try_clone().map(OwnedFd::from),
        }
    }

    /// The real address.
    pub fn address(&self) -> Option<AdminListen> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok().map(AdminListen::Address),
            Self::Unix(_, path) => Some(AdminListen::Unix(path.clone())),
        }
    }

    pub fn serve(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(socket) => TcpListener::from_std(socket).map(Listener::Tcp),
            Self::Unix(socket, _) => UnixListener::from_std(socket).map(Listener::Unix),
        }
    }
}

/// It is bound beside its place, closed to others, and only then moved there: nobody ever sees one that is open to all, and what
/// a process left behind that was killed is replaced in the same step.
fn bind_unix(path: &Path) -> io::Result<StdUnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something else than a socket"));
        }
        Ok(_) if StdUnixStream::connect(path).is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) | Err(_) => {}
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{}.{UNFINISHED}", std::process::id()));
    let unfinished = PathBuf::from(unfinished);
    let _ = fs::remove_file(&unfinished);
    let socket = StdUnixListener::bind(&unfinished)?;
    let moved = fs::set_permissions(&unfinished, Permissions::from_mode(0o600)).and_then(|()| fs::rename(&unfinished, path));
    if let Err(error) = moved {
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A socket that is served.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// One connection.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(socket) => socket.accept().await.map(|(stream, peer)| (Stream::Tcp(stream), Peer::Address(peer))),
            Self::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                // Between `bind` and the change of its mode, a lax umask may have let somebody else in.
                let (who, own) = (stream.peer_cred()?.uid(), rustix::process::geteuid().as_raw());
                if who != own && who != 0 {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}
